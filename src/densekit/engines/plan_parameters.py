"""`PlanParameters`: the variables of a native plan, their penalties, and what updates them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

from densekit._core.dtypes import to_numpy_dtype
from densekit._core.initial_value import aligned_empty
from densekit._core.native_form import native_form, native_form_of_weights
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.host import host_constraint, host_regularizer
from densekit.engines.masked import without_unused
from densekit.engines.plan_op import by_type
from densekit.engines.plan_record import MadeWeights

if TYPE_CHECKING:
    from densekit._native import Plan


class LivePlans:
    """Those that are alive, and how many there have been."""

    def __init__(self) -> None:
        self._plans: WeakSet[PlanParameters] = WeakSet()
        self.made = 0

    def add(self, plan: PlanParameters) -> None:
        """A plan has been made."""
        self._plans.add(plan)
        self.made += 1

    def held(self) -> list[Variable]:
        """Variables whose buffers one of them has: they must stay where they are."""
        return [variable for plan in list(self._plans) for variable in plan.held]


live_plans = LivePlans()


class PlanParameters:
    """Variables by their numbers in a plan of the core.

    Args:
        plan: the plan.
        dtype: its element type.
        trainable: variables to train, in the optimizer's order; they come first.
        penalised: variables, by id, whose penalties are ops; None: no regularizer is part of the
            loss.
        on_host: wraps what the core calls back.
    """

    def __init__(
        self,
        plan: Plan,
        dtype: str,
        trainable: Sequence[Variable],
        penalised: set[int] | None,
        on_host: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        self._plan = plan
        self._dtype = np.dtype(dtype)
        self._trainable = trainable
        self._penalised = penalised
        self._on_host = on_host
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # variables behind the buffers
        self.held: list[Variable] = []  # all whose buffers the plan has
        live_plans.add(self)
        for variable in trainable:
            self.add(variable, True)

    def _buffer(self, variable: Variable) -> Array:
        self.held.append(variable)
        return variable.array

    def add(self, variable: Variable, trainable: bool) -> int:
        """The number of a variable in the plan."""
        known = self._numbers.get(id(variable))
        if known is not None:
            return known
        if variable.dtype != self._dtype.name:
            return self._add_foreign(variable)
        number = self._plan.parameter(self._buffer(variable), trainable, variable.write_version)
        self._numbers[id(variable)] = number
        self._kept.append(variable)
        by_core = self._penalised is not None and id(variable) not in self._penalised
        if trainable and variable.regularizer is not None and by_core:
            form = native_form_of_weights(variable.regularizer, len(variable.shape))
            if form is not None:
                self._plan.set_regularizer(number, form.kind, list(form.parameters))
            else:
                self._plan.set_host_regularizer(
                    number, self._on_host(host_regularizer(variable, variable.regularizer))
                )
        if trainable and variable.constraint is not None:
            form = native_form_of_weights(variable.constraint, len(variable.shape))
            if form is not None:
                self._plan.set_constraint(number, form.kind, list(form.parameters))
            else:
                self._plan.set_host_constraint(
                    number, self._on_host(host_constraint(variable, variable.constraint))
                )
        return number

    def _add_foreign(self, variable: Variable) -> int:
        """A variable of another dtype: the host alone reads it, the plan brings its gradient."""
        stand_in = aligned_empty(variable.shape, self._dtype)
        stand_in[...] = 0
        number = self._plan.parameter(stand_in, True, None)
        self._numbers[id(variable)] = number
        self._kept += [variable, stand_in]
        if variable.regularizer is not None:
            penalty = host_regularizer(variable, variable.regularizer, self._dtype.name)
            self._plan.set_host_regularizer(number, self._on_host(penalty))
        return number

    def make_weights(self, formulas: MadeWeights) -> None:
        """Have the core compute the weights that ops read and others make."""
        read = [(v, y) for v, y in formulas.results if id(v) in self._numbers]
        if not read:
            return
        ops = without_unused(formulas.plan.ops, {y.value for _, y in read})
        used = {x for op in ops for x in op.inputs} | {y.value for _, y in read}
        sources = [(v, x) for v, x in formulas.sources if x.value in used]
        plan = type(self._plan)(self._dtype.name)
        values = {x.value: plan.input(x.size) for _, x in sources}
        for op in ops:
            inputs = [values[x] for x in op.inputs]
            made = plan.op(op.kind, inputs, [], [], *by_type(op.arguments["attributes"]))
            values.update(zip(op.outputs, made, strict=True))
        for _, y in read:
            plan.output(values[y.value])
        self._plan.compute_parameters(
            plan, [self.add(v, False) for v, _ in sources], [self._numbers[id(v)] for v, _ in read]
        )

    def set_optimizer(self, optimizer: Any) -> bool:
        """Have the core update what is trained; whether Python does it and counts the steps."""
        foreign = any(v.dtype != self._dtype.name for v in self._trainable)
        form = None if foreign else native_form(optimizer)
        if form is None:
            self._plan.set_host_optimizer(self._on_host(partial(self._apply, optimizer)))
            return True
        parts = optimizer.native_parts
        parts = [part for part in parts if part.built] or parts[:1]
        for i, part in enumerate(parts):
            rule = native_form(part)
            product = part.native_product()
            assert rule is not None
            self._plan.set_optimizer(
                rule.kind,
                list(rule.parameters),
                **part.native_options(),
                product=None if product is None else self._buffer(product),
                index=i,
            )
        positions = {id(part): i for i, part in enumerate(parts)}
        for variable in self._trainable:
            part = optimizer.native_part_of(variable)
            average, accumulator = part.native_ema(variable), part.native_accumulator(variable)
            self._plan.set_slots(
                self._numbers[id(variable)],
                [self._buffer(slot) for slot in part.native_slots(variable)],
                None if average is None else self._buffer(average),
                None if accumulator is None else self._buffer(accumulator),
                part.weight_decay_of(variable) != 0,
                positions[id(part)],
            )
        return False

    def _apply(
        self, optimizer: Any, step: int, learning_rate: float, gradients: list[Array]
    ) -> None:
        scale = float(optimizer.scale_loss(1.0))
        shaped = [
            np.asarray(np.array(g).reshape(v.shape) * g.dtype.type(scale), to_numpy_dtype(v.dtype))
            for g, v in zip(gradients, self._trainable, strict=True)
        ]
        optimizer.apply(shaped, self._trainable)
