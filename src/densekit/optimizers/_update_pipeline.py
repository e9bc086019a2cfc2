"""The update pipeline around the formula: accumulation, clipping, weight decay, moving averages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from densekit import ops
from densekit._core.errors import describe, message, returned
from densekit._core.frames import warn
from densekit._core.tensor import lend
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._clipping import clip_by_global_norm, clip_by_norm
from densekit.optimizers._native import NativeView
from densekit.optimizers._state import State

Pair: TypeAlias = tuple[TensorLike, Variable]  # a gradient and its variable


class UpdatePipeline(State, NativeView):
    """The parts of a step that are the same for every optimizer."""

    built: bool
    _trainable_variables: list[Variable]
    _dk_undecayed_names: re.Pattern[str] | None

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step."""
        raise NotImplementedError

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` and its slots by one gradient."""
        raise NotImplementedError

    # What is handed in

    def _dk_variables_of(
        self, grads: Sequence[object], given: Iterable[Variable] | None
    ) -> list[Variable]:
        """The variables of a step: known ones, as many as gradients."""
        if given is None and not self.built:
            raise ValueError(
                message(
                    self.name,
                    "variables beside the gradients, as the optimizer is not built",
                    "none",
                    "Pass them, or call `build(trainable_variables)` first.",
                )
            )
        variables = self._trainable_variables if given is None else list(given)
        if len(grads) != len(variables):
            raise ValueError(
                message(
                    self.name,
                    f"a gradient for each of {len(variables)} variables",
                    f"{len(grads)} gradients",
                    "Pass None for a variable without gradient.",
                )
            )
        unknown = [v.path for v in variables if v not in self._dk_index] if self.built else []
        if unknown:
            raise ValueError(
                message(
                    self.name,
                    "the variables it was built with",
                    f"unknown {', '.join(unknown)}",
                    "Create a new optimizer for new variables.",
                )
            )
        return variables

    def _dk_pairs(self, grads: Sequence[ArrayLike | None], variables: list[Variable]) -> list[Pair]:
        """Gradients with their variables, without those that are None."""
        pairs = []
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is None:
                continue
            gradient = lend(gradient)
            if getattr(gradient, "dtype", None) != variable.numpy_dtype:
                gradient = ops.cast(gradient, variable.dtype)
            if tuple(gradient.shape) != variable.shape:
                raise ValueError(
                    message(
                        self.name,
                        f"a gradient of shape {variable.shape} for {variable.path!r}",
                        describe(gradient),
                        "Pass the gradients in the order of the variables.",
                    )
                )
            pairs.append((gradient, variable))
        if not pairs:
            raise ValueError(
                message(self.name, "a gradient", "None for every variable", "Check the loss.")
            )
        if len(pairs) < len(grads):
            missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warn(
                f"{self.name}: no gradient for {', '.join(missing)}; left unchanged. "
                "Does the loss depend on them?"
            )
        return pairs

    # The step

    @property
    def iterations(self) -> Variable | TensorLike:
        """How many updates were made: a variable, or a number with accumulation."""
        if self.gradient_accumulation_steps:
            updates: TensorLike = self._iterations.value // self.gradient_accumulation_steps
            return updates
        return self._iterations

    def _dk_count(self) -> TensorLike:
        """The value of `iterations`."""
        count = self.iterations
        return count.value if isinstance(count, Variable) else count

    def _dk_step_number(self, dtype: str) -> Any:
        """The number of this update, from 1.

        A Python float, so that powers of it are rounded once; a traced one is in `dtype`.
        """
        step = self._dk_count() + 1
        if isinstance(step, int | np.generic | np.ndarray):
            return float(step)
        return ops.cast(step, dtype)

    def _dk_overwrite(self, pairs: list[Pair]) -> list[Pair]:
        """Give variables with `overwrite_with_gradient` their gradient; return the others."""
        rest = []
        for gradient, variable in pairs:
            if not variable.overwrite_with_gradient:
                rest.append((gradient, variable))
                continue
            if self.gradient_accumulation_steps:
                kept = self._accumulators[self._dk_index[variable]]
                largest = ops.maximum(gradient, kept.value)
                update = self._dk_is_update()
                gradient = ops.where(update, largest, variable.value)
                kept.assign(ops.where(update, ops.zeros_like(largest), largest))
            variable.assign(gradient)
        return rest

    def _dk_is_update(self) -> TensorLike:
        """Whether this call of `apply` ends an accumulation."""
        rest: TensorLike = (self._iterations.value + 1) % self.gradient_accumulation_steps
        return rest == 0

    def _dk_update(self, pairs: list[Pair]) -> None:
        """Accumulation around the update, and EMA after it."""
        steps = self.gradient_accumulation_steps
        if steps:
            kept = [self._accumulators[self._dk_index[v]] for _, v in pairs]
            sums = [g + a for (g, _), a in zip(pairs, kept, strict=True)]
            means = [(s / steps, v) for s, (_, v) in zip(sums, pairs, strict=True)]
            update = self._dk_is_update()
            changed = [v for _, v in pairs] + self._variables
            when(update, changed, lambda: self._dk_clipped_update(means))
            for accumulator, total in zip(kept, sums, strict=True):
                accumulator.assign(ops.where(update, ops.zeros_like(total), total))
        else:
            self._dk_clipped_update(pairs)
        if self.use_ema:
            self._dk_update_averages()
            if self.ema_overwrite_frequency:
                due = (self._dk_count() + 1) % self.ema_overwrite_frequency == 0
                when(
                    due,
                    self._trainable_variables,
                    lambda: self._dk_overwrite_by_averages(self._trainable_variables),
                )

    def _dk_clipped_update(self, pairs: list[Pair]) -> None:
        grads = self._clip_gradients([g for g, _ in pairs])
        variables = [v for _, v in pairs]
        self._apply_weight_decay(variables)
        self._backend_update_step(grads, variables, self.learning_rate)

    def _backend_update_step(
        self, grads: list[TensorLike], trainable_variables: list[Variable], learning_rate: ArrayLike
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _clip_gradients(self, grads: list[TensorLike]) -> list[TensorLike]:
        if self.clipnorm and self.clipnorm > 0:
            return [clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm and self.global_clipnorm > 0:
            return clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue and self.clipvalue > 0:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    # Weight decay

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Leave variables out of weight decay; each call replaces the one before.

        Args:
            var_list: the variables. Default: ``None``.
            var_names: regular expressions; a variable whose name one of them is found in is left
                out. Default: ``None``.
        """
        self._dk_undecayed = set(var_list or ())
        names = list(var_names or ())
        self._dk_undecayed_names = re.compile("|".join(names)) if names else None

    def weight_decay_of(self, variable: Variable) -> float:
        """The weight decay of `variable`; 0 for none."""
        return self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0

    def _use_weight_decay(self, variable: Variable) -> bool:
        names = self._dk_undecayed_names
        return variable not in self._dk_undecayed and not (names and names.search(variable.name))

    def _apply_weight_decay(self, variables: list[Variable]) -> None:
        for variable in variables:
            decay = self.weight_decay_of(variable)
            if decay:
                learning_rate = ops.cast(self.learning_rate, variable.dtype)
                variable.assign(variable - variable.current() * decay * learning_rate)

    # Moving averages

    def _dk_update_averages(self) -> None:
        started = self._dk_count() != 0  # the first average is the first value
        for variable, average in zip(self._trainable_variables, self._dk_averages, strict=True):
            if average is not None:
                momentum = ops.cast(started, variable.dtype) * self.ema_momentum
                average.assign(momentum * average + (1 - momentum) * variable)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """With `use_ema`, overwrite the variables by their averages; constraints hold after."""
        if self.use_ema:
            if len(var_list) != len(self._dk_averages):
                raise ValueError(
                    message(
                        self.name,
                        f"the {len(self._dk_averages)} variables it was built with",
                        f"{len(var_list)}",
                        "Pass the model's trainable variables.",
                    )
                )
            self._dk_overwrite_by_averages(var_list)
            for variable in var_list:
                constrain(variable)

    def _dk_overwrite_by_averages(self, variables: Sequence[Variable]) -> None:
        for variable, average in zip(variables, self._dk_averages, strict=True):
            if average is not None:
                variable.assign(average)


def constrain(variable: Variable) -> None:
    if variable.constraint is not None:
        weights = returned(variable.constraint(variable), variable.constraint, "the weights")
        variable.assign(weights)


def when(condition: ArrayLike, changed: Iterable[Variable], update: Callable[[], None]) -> None:
    """Do `update`, which changes the variables `changed`, if `condition` holds.

    A traced condition has no value yet: then the update is made and each variable chooses.
    """
    if isinstance(condition, bool | np.bool_ | np.ndarray):
        if condition:
            update()
        return
    before = [(v, v.value) for v in changed]
    update()
    for variable, old in before:
        variable.assign(ops.where(condition, variable.value, old))
