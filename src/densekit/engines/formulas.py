"""Formulas of users' own steps as native programs: from what a model gave to a loss.

What a formula does to each row becomes a plan; means and sums over the whole batch end it. What is
computed from those, single numbers, is done in Python, forward and backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.types import Array, Real, Shape
from densekit.engines import native
from densekit.engines.formula_lowering import End, Lowered
from densekit.engines.formula_numbers import Numbers
from densekit.engines.fusing import fused
from densekit.engines.plan_op import NotLowerable
from densekit.ops._formula_steps import Step

if TYPE_CHECKING:
    from densekit._native import Recorded


class FormulaProgram:
    """Runs a formula: gives its value, and the gradients of what went in.

    Args:
        steps: the formula; the last one gives the value.

    Raises:
        NotLowerable: if it has no native form, or its value is not one number.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lowered = Lowered(steps)
        target = steps[-1].place
        if target not in lowered.numbers:
            raise NotLowerable("its value is not one number")
        self._type = np.dtype(lowered.dtype).type
        after = [n for n in lowered.after if n.place <= target]
        self._after = Numbers(after, target, self._type)
        self._ends = [e for e in lowered.ends if e.place in self._after.wanted]
        self._target = target
        self._inputs = lowered.inputs
        self.recorded = lowered.recorded
        made = [e.value for e in self._ends if e.value not in lowered.inputs]
        self._outputs = list(dict.fromkeys(made))
        self._shapes = {p: lowered.handles[p].sample_shape for p in lowered.handles}
        self._engine: native.NativeEngine | None = None
        if self._outputs:
            plan = lowered.plan
            plan.outputs = [lowered.handles[p] for p in self._outputs]
            plan.ops = fused(plan.ops, {h.value for h in plan.outputs})
            self._engine = native.NativeEngine(plan, penalties=False)
        self._seeds: dict[tuple[int, float], Array] = {}
        # The whole formula is a built-in loss of what a model gave,
        self._only_loss: End | None = None
        # or the sum of a value that the plan gives.
        self._only_sum: tuple[float, list[Array], list[tuple[int, int]]] | None = None
        (end, *more) = self._ends
        if more or self._after:
            return
        if end.loss is not None and self._engine is None:
            self._only_loss = end
        elif end.loss is None and self._engine is not None:
            shape = lowered.rows, *self._shapes[end.value]
            places = [(i, p) for i, p in enumerate(self._inputs) if p in self.recorded]
            seed = np.full(shape, 1.0 / end.divisor, self._type)
            self._only_sum = end.divisor, [seed], places

    def run(
        self, values: dict[int, Array], numbers: dict[int, Real]
    ) -> tuple[Real, dict[int, Array]]:
        """The value, and by place the gradients of the recorded values; those without are out.

        Single numbers that are met on the way are put into `numbers`.
        """
        if self._only_loss is not None:
            end = self._only_loss
            total, slope = _mean_loss(end, values, values[end.value])
            return self._type(total), {end.value: slope}
        if self._only_sum is not None and self._engine is not None:
            divisor, seed, places = self._only_sum
            rows = [values[place] for place in self._inputs]
            (total,), found = self._engine.plan.sum_rows(rows, seed)
            return self._type(total / divisor), {place: found[i] for i, place in places}
        return self._run(values, numbers)

    def _run(
        self, values: dict[int, Array], numbers: dict[int, Real]
    ) -> tuple[Real, dict[int, Array]]:
        """The same, whatever the formula is."""
        found: dict[int, Array] = {}
        recorded: Recorded | None = None
        if self._engine is not None:
            rows = [values[p] for p in self._inputs]
            recorded, made = self._engine.plan.record(rows, (), (), False, True)
            found = dict(zip(self._outputs, made, strict=True))
        kind = self._type
        slopes: dict[int, Array] = {}
        for end in self._ends:
            value = found.get(end.value)
            if end.loss is None:
                value = values[end.value] if value is None else value
                # One element after the other, as the core adds them.
                total = np.cumsum(value, dtype=np.float64)[-1]
                numbers[end.place] = kind(total / end.divisor)
                continue
            total, slope = _mean_loss(end, values, values[end.value] if value is None else value)
            numbers[end.place], slopes[end.place] = kind(total), slope
        self._after.compute(numbers)
        into = self._after.gradients(numbers)
        gradients: dict[int, Array] = {}
        for end in self._ends:
            g = into.get(end.place)
            if g is None:
                continue
            if end.loss is None:
                size = self._shapes[end.value]
                seed = self._seed(end.value, float(g) / end.divisor, values, size)
            else:
                seed = slopes[end.place]
                if g != 1:
                    seed *= g
            known = gradients.get(end.value)
            gradients[end.value] = seed if known is None else known + seed
        if recorded is not None:
            seeds = [gradients.pop(p, None) for p in self._outputs]
            _, inner = recorded.gradients(seeds)
            for place, gradient in zip(self._inputs, inner, strict=True):
                if place in self.recorded:
                    known = gradients.get(place)
                    if known is not None:
                        gradient = known.reshape(gradient.shape) + gradient
                    gradients[place] = gradient
        return numbers[self._target], gradients

    def _seed(self, place: int, factor: float, values: dict[int, Array], shape: Shape) -> Array:
        """The gradient of a sum of rows: one number everywhere."""
        seed = self._seeds.get((place, factor))
        if seed is None:
            if len(self._seeds) > 16:
                self._seeds.clear()
            rows = len(values[self.recorded[0]])
            seed = np.full((rows, *shape), factor, self._type)
            seed.setflags(write=False)
            self._seeds[place, factor] = seed
        return seed


def _mean_loss(end: End, values: dict[int, Array], y_pred: Array) -> tuple[float, Array]:
    """A built-in loss, and its gradient."""
    assert end.loss is not None
    form, targets, weights = end.loss
    given = None if weights < 0 else values[weights]
    parameters = list(form.parameters)
    return native.mean_loss(form.kind, parameters, values[targets], y_pred, end.divisor, given)
