"""MultiOptimizer: each variable has an optimizer of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm, native_form
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._optimizer_map import OptimizerMap
from densekit.optimizers._wrapper import Wrapper


@export("keras.optimizers")
class MultiOptimizer(Wrapper):
    """Hands each variable to the optimizer that a map or a function chooses for it.

    Learning rates, clipping and the other options are those of each optimizer, for its variables:
    `optimizers` lists them.

    Args:
        optimizer_map: an `OptimizerMap`, or a function that takes a variable and returns its
            optimizer.
        loss_scale_factor: takes the place of those of the optimizers. Default: ``None``.
        name: name of the optimizer. Default: numbered after the class.

    Raises:
        ValueError: when it is built, if a variable's optimizer is none, or wraps others.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> sgd, adam = keras.optimizers.SGD(0.1), keras.optimizers.Adam(0.01)
    >>> by_path = keras.optimizers.OptimizerMap(sgd, {".*bias": adam})
    >>> model.compile(keras.optimizers.MultiOptimizer(by_path), "mse")
    >>> [optimizer.name for optimizer in model.optimizer.optimizers]
    ['adam', 'sgd']
    """

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ) -> None:
        self._inner_optimizers: list[Optimizer] = []
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._optimizer_map: Callable[[Variable], Optimizer] = optimizer_map
        self._dk_parts: dict[Variable, Optimizer] = {}
        if isinstance(optimizer_map, Mapping):
            for optimizer in optimizer_map.values():
                self._dk_add(optimizer)
        default = getattr(optimizer_map, "default_optimizer", None)
        if default is not None:
            self._dk_add(default)

    def _dk_add(self, optimizer: Optimizer) -> None:
        if not any(optimizer is known for known in self._inner_optimizers):
            optimizer.loss_scale_factor = self.loss_scale_factor
            self._inner_optimizers.append(optimizer)

    @property
    def optimizers(self) -> list[Optimizer]:
        """Those of the map, then what a function has given."""
        return self._inner_optimizers

    @property
    def native_parts(self) -> list[Optimizer]:
        """The optimizers, with or without variables."""
        return self._inner_optimizers

    def native_part_of(self, variable: Variable) -> Optimizer:
        """The optimizer of `variable`."""
        return self._dk_parts[variable]

    def build(self, variables: Sequence[Variable]) -> None:
        """Choose an optimizer for each variable, and build those that have some."""
        if self.built:
            return
        chosen = [(variable, self._optimizer_map(variable)) for variable in variables]
        for variable, optimizer in chosen:
            if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Wrapper):
                raise ValueError(
                    message(
                        "MultiOptimizer",
                        f"an Optimizer that wraps no other for {variable.path!r}",
                        describe(optimizer),
                        "Change the map.",
                    )
                )
        for _, optimizer in chosen:
            self._dk_add(optimizer)
        self._dk_parts = dict(chosen)
        for part in self._inner_optimizers:
            own = [variable for variable, optimizer in chosen if optimizer is part]
            if own:
                part.build(own)
        super().build(variables)

    @property
    def variables(self) -> list[Variable]:
        """The count of steps, then the state of each optimizer: the order of files."""
        inner = [variable for part in self._inner_optimizers for variable in part.variables]
        return [*self._variables, *inner]

    @property
    def learning_rate(self) -> Any:
        """Not there: each of `optimizers` has its own."""
        raise AttributeError(_NO_RATE)

    @learning_rate.setter
    def learning_rate(self, value: object) -> None:
        raise AttributeError(_NO_RATE)

    @property
    def loss_scale_factor(self) -> float | None:
        """Factor on the loss, the same for all optimizers."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for part in self._inner_optimizers:
            part.loss_scale_factor = value

    def _dk_hand_on(self, pairs: list[tuple[TensorLike, Variable]]) -> None:
        for part in self._inner_optimizers:
            own = [pair for pair in pairs if self._dk_parts[pair[1]] is part]
            if own:
                part.apply_gradients(own)
        self._iterations.assign_add(1)

    def native_form(self) -> NativeForm | None:
        """``multi()``, if the kernels know each optimizer that has variables."""
        used = [part for part in self._inner_optimizers if part.built]
        known = used and all(native_form(part) is not None for part in used)
        return NativeForm("multi") if known else None

    def advance(self, steps: int) -> None:
        """Count `steps` steps that the engine has made on the buffers."""
        super().advance(steps)
        for part in self._inner_optimizers:
            if part.built:
                part.advance(steps)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """As each optimizer does for its variables."""
        for part in self._inner_optimizers:
            own = [variable for variable in var_list if self._dk_parts[variable] is part]
            if own:
                part.finalize_variable_values(own)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "optimizer_map": serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Self:
        """Create from `get_config`."""
        config = dict(config)
        config["optimizer_map"] = deserialize_keras_object(
            config["optimizer_map"], custom_objects=custom_objects
        )
        return cls(**config)


_NO_RATE = message(
    "MultiOptimizer",
    "no `learning_rate`, as each optimizer has its own",
    "`learning_rate`",
    "Use that of one of `optimizers`.",
)
