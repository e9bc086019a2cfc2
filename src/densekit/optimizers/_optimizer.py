"""The base of all optimizers: everything around the update formula."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from densekit import engines
from densekit._core import settings
from densekit._core.boxes import unboxed
from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback, hide_internal_frames
from densekit._core.naming import auto_name
from densekit._core.registry import Names, export
from densekit._core.scope import in_stateless_scope, variable_scope
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._checked_step import CheckedStep
from densekit.optimizers._native import given_rates, rate_of
from densekit.optimizers._options import (
    check_clipping,
    check_count,
    check_unknown,
    number,
    optional,
    within,
)
from densekit.optimizers._update_pipeline import Pair, UpdatePipeline, constrain
from densekit.optimizers.schedules._schedule import LearningRateSchedule

if TYPE_CHECKING:
    from densekit._core.tapes import Updates

_LR = message("optimizer", "its attribute `learning_rate`", "`lr`", "Write `learning_rate`.")


@export("keras.optimizers")
class Optimizer(UpdatePipeline):
    """Changes variables along their gradients; a subclass says how.

    One step, in this order: ``g`` is divided by `loss_scale_factor`; accumulated over
    `gradient_accumulation_steps` calls; clipped; ``w <- w - w * weight_decay * learning_rate``;
    the subclass' `update_step`; ``average <- m * average + (1 - m) * w``; every
    `ema_overwrite_frequency` steps ``w <- average``; constraints; ``iterations <- iterations + 1``.

    A subclass defines `update_step`, `build` if it keeps state (made by
    `add_optimizer_variables`), and `get_config` if it is to be saved.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a callable without arguments.
        weight_decay: share of each weight, times the learning rate, that a step takes away.
            Default: ``None``.
        clipnorm: longest gradient of one variable. Default: ``None``.
        clipvalue: largest magnitude of one entry of a gradient. Default: ``None``.
        global_clipnorm: longest gradient of all variables together. Default: ``None``.
        use_ema: whether to keep moving averages of the weights. Default: ``False``.
        ema_momentum: share of the old average that stays, in ``[0, 1]``. Default: ``0.99``.
        ema_overwrite_frequency: overwrite the weights with their averages every so many steps,
            >= 1. Default: ``None``, only by `finalize_variable_values`.
        loss_scale_factor: factor on the loss, taken out of the gradients again. Default: ``None``.
        gradient_accumulation_steps: make one update from the mean gradient of so many calls, >= 2.
            Default: ``None``.
        name: name of the optimizer. Default: numbered after the class.

    Raises:
        ValueError: for an illegal argument, an unknown one, or more than one way to clip.

    Example:

    >>> import densekit as keras
    >>> class SignDescent(keras.optimizers.Optimizer):
    ...     def update_step(self, gradient, variable, learning_rate):
    ...         self.assign_sub(variable, learning_rate * keras.ops.sign(gradient))
    >>> w = keras.Variable([1.0, -1.0])
    >>> SignDescent(learning_rate=0.5).apply([[3.0, -4.0]], [w])
    >>> w.numpy().tolist()
    [0.5, -0.5]
    """

    def __init__(
        self,
        learning_rate: object,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        where = type(self).__name__
        check_unknown(type(self), kwargs)
        self._variables: list[Variable] = []
        self.name = name or auto_name(type(self))
        self.weight_decay = optional(where, "weight_decay", weight_decay)
        self.clipnorm = optional(where, "clipnorm", clipnorm)
        self.clipvalue = optional(where, "clipvalue", clipvalue)
        self.global_clipnorm = optional(where, "global_clipnorm", global_clipnorm)
        check_clipping(
            where,
            {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm},
        )
        self.use_ema = use_ema
        self.ema_momentum = within(where, "ema_momentum", ema_momentum, 0, 1)
        self.ema_overwrite_frequency = check_count(
            where, "ema_overwrite_frequency", ema_overwrite_frequency, 1
        )
        self.loss_scale_factor = optional(where, "loss_scale_factor", loss_scale_factor)
        self.gradient_accumulation_steps = check_count(
            where, "gradient_accumulation_steps", gradient_accumulation_steps, 2
        )
        self.built = False
        self._dk_updates: Updates | None = None
        self._dk_checked: CheckedStep | None = None  # a step that was checked
        self._trainable_variables: list[Variable] = []
        self._dk_index = {}
        self._dk_averages = []
        self._accumulators = []
        self._dk_undecayed = set()
        self._dk_undecayed_names: re.Pattern[str] | None = None
        self._iterations = self._dk_own_variable(0, "iteration", "int32")
        self._learning_rate = self._dk_as_rate(learning_rate)

    def _dk_as_rate(self, value: object) -> Variable | Callable[..., object]:
        if isinstance(value, LearningRateSchedule) or callable(value):
            return value
        legal = "a number >= 0, a LearningRateSchedule or a callable without arguments"
        found: float = number(type(self).__name__, "learning_rate", value, legal)
        number(type(self).__name__, "learning_rate", value, legal, found >= 0)
        return self._dk_own_variable(float(found), "learning_rate", settings.floatx())

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step; assignable unless a schedule gives it."""
        given = given_rates.get().get(id(self))
        if given is not None:
            return given
        if isinstance(self._learning_rate, LearningRateSchedule):
            return rate_of(self._learning_rate, self._iterations)
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return rate_of(self._learning_rate)

    @learning_rate.setter
    def learning_rate(self, value: object) -> None:
        known = self._learning_rate
        if not isinstance(value, Variable) and callable(value):
            if isinstance(known, Variable):
                self._variables = [v for v in self._variables if v is not known]
            self._learning_rate = value
        elif isinstance(known, Variable):
            known.assign(value)
        else:
            raise TypeError(
                message(
                    self.name,
                    "a schedule or callable, as the optimizer was created with one",
                    describe(value),
                    "Create the optimizer with a number to set numbers later.",
                )
            )

    @property
    def lr(self) -> NoReturn:
        """Not there: it is called `learning_rate`."""
        raise AttributeError(_LR)

    @lr.setter
    def lr(self, value: object) -> None:
        raise AttributeError(_LR)  # it would be kept, and change nothing

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the state for `variables`; subclasses call this first and add their own."""
        if self.use_ema:
            self._dk_averages = self.add_optimizer_variables(variables, "average")
        self._dk_index = {variable: i for i, variable in enumerate(variables)}
        if self.gradient_accumulation_steps:
            self._accumulators = [
                self.add_variable_from_reference(v, "gradient_accumulator") for v in variables
            ]
        self._trainable_variables = list(variables)
        self._dk_updates = None
        self.built = True

    @property
    def native_parts(self) -> list[Optimizer]:
        """The optimizers that make a step; wrappers have others, most are it themselves."""
        return [self]

    def native_part_of(self, variable: Variable) -> Optimizer:
        """The one of `native_parts` that changes `variable`."""
        return self

    def _get_variable_index(self, variable: Variable) -> int:
        return self._dk_index[variable]

    # The step

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: ArrayLike
    ) -> None:
        """Change `variable` and its slots by one gradient: the formula of the subclass."""
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a method `update_step(self, gradient, variable, learning_rate)`",
                "none",
                "Define it.",
            )
        )

    @filters_traceback
    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[ArrayLike | None, Variable]]
    ) -> Variable:
        """One step from pairs of gradient and variable. Returns the count of steps."""
        pairs = list(grads_and_vars)
        gradients, variables = zip(*pairs, strict=True) if pairs else ((), ())
        self.apply([*gradients], [*variables])
        return self._iterations

    def apply(
        self,
        grads: Sequence[ArrayLike | None],
        trainable_variables: Iterable[Variable] | None = None,
    ) -> None:
        """One step.

        Args:
            grads: one gradient for each variable; None where there is none.
            trainable_variables: the variables; the first call builds the optimizer on them.
                Default: those it was built on.

        Raises:
            ValueError: if gradients and variables do not match in number or shape, all gradients
                are None, a variable is unknown, or there are no variables yet. Nothing has changed
                then.
        """
        try:
            checked = self._dk_checked
            if (
                checked is None
                or (variable_scope() is not None and in_stateless_scope())
                or not checked.apply(self, grads, trainable_variables)
            ):
                self._dk_apply(grads, trainable_variables)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_apply(
        self, grads: Sequence[ArrayLike | None], trainable_variables: Iterable[Variable] | None
    ) -> None:
        """One step that is checked."""
        grads = list(grads)
        if not grads:
            return
        variables = self._dk_variables_of(grads, trainable_variables)
        pairs = self._dk_pairs(grads, variables)
        if not self.built:
            self.build(variables)
            self.built = True
        if self._dk_update_natively(pairs):
            return
        pairs = self._dk_overwrite(pairs)
        if pairs:
            if self.loss_scale_factor is not None:
                pairs = [(g / self.loss_scale_factor, v) for g, v in pairs]
            # Diverging weights become inf or NaN as on any engine; NumPy need not say so.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                self._dk_update(pairs)
            for variable in self._trainable_variables if self.use_ema else [v for _, v in pairs]:
                constrain(variable)
        self._iterations.assign_add(1)

    def __getstate__(self) -> dict[str, object]:
        # A copy has buffers of its own.
        return {**self.__dict__, "_dk_updates": None, "_dk_checked": None}

    def _dk_update_natively(self, pairs: list[Pair]) -> bool:
        """Make the step in the core, if it knows the formula and has all that it needs."""
        if in_stateless_scope() or self.loss_scale_factor is not None:
            return False
        variables = [v for _, v in pairs]
        updates = self._dk_updates
        kind = engines.engine_kind()
        if updates is None or updates.engine != kind.name or not updates.fits(self):
            known = self._trainable_variables
            special = any(v.overwrite_with_gradient for v in known)
            updates = self._dk_updates = None if special else kind.updates(self, known)
            if updates is None:
                return False
        if len(variables) != len(updates.variables) or any(
            v is not w for v, w in zip(variables, updates.variables, strict=True)
        ):
            return False
        gradients = [unboxed(g) for g, _ in pairs]
        if any(type(g) is not np.ndarray for g in gradients):
            gradients = [np.asarray(g) for g in gradients]
        self.__dict__["_dk_checked"] = CheckedStep(updates)  # by no assignment, which would count
        updates.apply(self, gradients)
        return True

    def scale_loss(self, loss: TensorLike) -> TensorLike:
        """``loss * loss_scale_factor``."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # Without side effects

    def stateless_apply(
        self,
        optimizer_variables: Sequence[ArrayLike],
        grads: Sequence[ArrayLike | None],
        trainable_variables: Sequence[ArrayLike],
    ) -> tuple[list[TensorLike], list[TensorLike]]:
        """One step on values instead of variables.

        Args:
            optimizer_variables: values in the order of `variables`.
            grads: one gradient for each trainable variable.
            trainable_variables: values in the order the optimizer was built with.

        Returns:
            The new values of the trainable variables and of the optimizer variables.

        Raises:
            ValueError: if the optimizer is not built or a number of values does not match.
        """
        from densekit.optimizers._stateless import step_on_values  # a first model does not wait

        return step_on_values(self, optimizer_variables, grads, trainable_variables)

    # Config

    def get_config(self) -> Config:
        """The constructor's arguments; subclasses add theirs."""
        known = self._learning_rate
        rate: object
        if isinstance(known, Variable):
            rate = float(known.array)
        else:
            rate = serialize_keras_object(known)
        return {
            "name": self.name,
            "learning_rate": rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Self:
        """Create from `get_config`."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = deserialize_keras_object(
                config["learning_rate"],
                custom_objects=custom_objects,
                module_objects=Names("keras.optimizers.schedules"),
            )
        return cls(**config)
