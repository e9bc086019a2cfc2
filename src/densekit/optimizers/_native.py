"""What the native engine asks of an optimizer: numbers, buffers, the rates of steps to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from densekit._core.errors import returned
from densekit._core.registry import public_name
from densekit._core.types import Array, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers.schedules._schedule import LearningRateSchedule


def rate_of(source: Callable[..., object], *step: object) -> Any:
    """What a schedule gives for a step, or a callable without arguments."""
    return returned(source(*step), source, "a learning rate")


# Rates of the present step by id of the optimizer, where an engine has asked for them beforehand:
# what computes them may be a function that cannot be traced.
given_rates: ContextVar[dict[int, TensorLike]] = ContextVar("densekit_rates", default={})  # noqa: B039


class LossScale(NamedTuple):
    """What the loss is multiplied by: a number, or one that the kernels write with its counter."""

    fixed: float = 1.0
    arrays: tuple[Array | None, Array | None] = (None, None)
    growth_steps: int = 0

    def now(self) -> float:
        """The factor of the next step."""
        scale = self.arrays[0]
        return self.fixed if scale is None else float(scale[0])

    @property
    def is_dynamic(self) -> bool:
        """Whether steps may be left out."""
        return self.arrays[0] is not None


class NativeView:
    """The engine's side of `Optimizer`.

    A class whose update has a native kernel defines ``native_form()`` and
    ``native_slots(variable)``. The engine hands the variables' own buffers to the kernel, runs
    some steps and calls `advance`."""

    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    loss_scale_factor: float | None
    _iterations: Variable
    _learning_rate: Variable | Callable[..., object]
    _dk_averages: list[Variable | None]
    _accumulators: list[Variable]
    _dk_index: dict[Variable, int]
    _dk_undecayed: set[Variable]

    def native_options(self) -> Config:
        """The common options as the kernel names them; what is off is 0 (-1 for `ema_momentum`)."""
        return {
            "weight_decay": self.weight_decay or 0.0,
            "clip_value": max(self.clipvalue or 0.0, 0.0),
            "clip_norm": max(self.clipnorm or 0.0, 0.0),
            "global_clip_norm": max(self.global_clipnorm or 0.0, 0.0),
            "ema_momentum": self.ema_momentum if self.use_ema else -1.0,
            "ema_overwrite_frequency": (self.ema_overwrite_frequency or 0) if self.use_ema else 0,
            "accumulation_steps": self.gradient_accumulation_steps or 1,
        }

    def native_slots(self, variable: Variable) -> list[Variable]:
        """The slots of `variable` in the kernel's order; absent ones are left out."""
        raise NotImplementedError

    def native_product(self) -> Variable | None:
        """A product over all steps, one number that the kernel carries on; None for most."""
        return None

    def native_ema(self, variable: Variable) -> Variable | None:
        """The average of `variable`, or None without EMA."""
        return self._dk_averages[self._dk_index[variable]] if self.use_ema else None

    def native_accumulator(self, variable: Variable) -> Variable | None:
        """The accumulated gradient of `variable`, or None without accumulation."""
        if not self.gradient_accumulation_steps:
            return None
        return self._accumulators[self._dk_index[variable]]

    def weight_decay_of(self, variable: Variable) -> float:
        """The weight decay of `variable`; 0 for none."""
        raise NotImplementedError

    def learning_rates(self, first_iteration: int, steps: int) -> npt.NDArray[np.float64]:
        """The learning rate of each of `steps` steps from `first_iteration` on, as float64."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            rates = np.empty(steps)
            rates.fill(rate._value)
            return rates
        iterations = range(first_iteration, first_iteration + steps)
        if isinstance(rate, LearningRateSchedule):
            if public_name(type(rate)) is not None:  # built-in ones take arrays; others may branch
                return np.asarray(rate(np.arange(iterations.start, iterations.stop)), np.float64)
            return np.array([float(rate_of(rate, i)) for i in iterations], np.float64)
        return np.array([self._dk_called_at(i) for i in iterations], np.float64)

    @contextmanager
    def at_rate(self, rate: TensorLike | None) -> Iterator[None]:
        """Inside, this is the learning rate; None: the optimizer's own."""
        known = given_rates.get()
        token = given_rates.set(known if rate is None else {**known, id(self): rate})
        try:
            yield
        finally:
            given_rates.reset(token)

    def rate_at(self, iteration: int) -> float:
        """The learning rate of one step."""
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return float(rate._value)
        return float(self.learning_rates(iteration, 1)[0])

    def _dk_called_at(self, iteration: int) -> float:
        """The value of a callable rate, which may read `iterations`, after that many steps."""
        before = int(self._iterations.array)
        self._iterations.array[...] = iteration
        try:
            return float(rate_of(cast("Callable[..., object]", self._learning_rate)))
        finally:
            self._iterations.array[...] = before

    def native_loss_scale(self) -> LossScale:
        """The factor on the loss, which gradients are divided by again."""
        return LossScale(float(self.loss_scale_factor or 1.0))

    def steps_counted(self) -> int:
        """Steps so far, each call of `apply` one: with accumulation several make an update."""
        return int(self._iterations._value)

    def advance(self, steps: int) -> None:
        """Count `steps` steps that the engine has made on the buffers."""
        count = self._iterations.array
        count[()] = int(count) + steps  # quicker than NumPy's sum of two numbers
