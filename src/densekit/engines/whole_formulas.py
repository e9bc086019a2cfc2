"""Formulas of users' own steps that mix rows, as native programs: all arrays are one row of a plan.

What a formula does to single rows, `formulas.py` runs on as many threads as there are. A product of
rows with each other, or a number of the batch that meets rows again, needs all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from densekit._core.types import Array, Config, DTypeLike, Real, Shape
from densekit.engines.formula_lowering import Lowered, Outside, called, lowered_call
from densekit.engines.formula_numbers import At
from densekit.engines.one_row import READ_BESIDE_FLOATS, OneRow
from densekit.engines.plan_op import NotLowerable
from densekit.engines.weight_formulas import formulas_of, is_of_weights
from densekit.ops import KerasTensor
from densekit.ops._formula_steps import Step

# Elements of an array. What is larger takes NumPy longer than Python its calls; and a formula is
# lowered anew for each of its steps.
_LARGEST = 1 << 18


class LoweredWhole(Lowered):
    """A formula as a plan of one row.

    Raises:
        NotLowerable: if some of it has no native form.
    """

    def _rows(self, place: int, shape: Shape, dtype: DTypeLike) -> None:
        name = np.dtype(dtype).name
        if name not in (self.dtype, *READ_BESIDE_FLOATS) or not np.dtype(dtype).isnative:
            raise NotLowerable(f"it meets {name}")
        _refuse_large(shape)
        self.tensors[place] = KerasTensor(shape, name)
        self.handles[place] = formulas_of(self.plan).of_batch(shape, name)
        self.inputs.append(place)

    def _op(self, step: Step, name: str, args: list[object], settings: Config) -> None:
        _refuse_large(step.shape)
        symbolic: list[object] = []
        for arg in args:
            if isinstance(arg, Outside) and arg.place not in self.tensors:
                self._rows(arg.place, *self.arrays[arg.place])
            symbolic.append(self.tensors[arg.place] if isinstance(arg, Outside | At) else arg)
        result = called(name, symbolic, settings)
        if result.shape != step.shape or result.dtype != np.dtype(step.dtype).name:
            raise NotLowerable(f"it gives {step.dtype} of shape {step.shape}")
        value = lowered_call(self, result)
        if not is_of_weights(value) or value.own_shape != step.shape:
            raise NotLowerable("it gives another shape than it says")
        self.handles[step.place], self.tensors[step.place] = value, result

    def _loss(self, step: Step, operands: list[object]) -> None:
        raise NotLowerable("a built-in loss goes by rows")


def _refuse_large(shape: Shape) -> None:
    if math.prod(shape) > _LARGEST:
        raise NotLowerable("it is large")


class WholeFormula:
    """Runs a formula as `FormulaProgram` does.

    Args:
        steps: the formula; the last one gives the value, one number.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lowered = LoweredWhole(steps)
        self.recorded = lowered.recorded
        self._inputs = lowered.inputs
        self._slopes = [(i, p) for i, p in enumerate(self._inputs) if p in self.recorded]
        self._type = np.dtype(lowered.dtype).type
        self._program = OneRow(formulas_of(lowered.plan), lowered.handles[steps[-1].place])

    def run(
        self, values: dict[int, Array], numbers: dict[int, Real]
    ) -> tuple[Real, dict[int, Array]]:
        """The value, and by place the gradients of the recorded values."""
        total, found = self._program.with_slopes([values[place] for place in self._inputs])
        slopes = {place: found[i].reshape(values[place].shape) for i, place in self._slopes}
        return self._type(total), slopes
