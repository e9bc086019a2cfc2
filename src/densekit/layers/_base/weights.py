"""The variables of a layer: creating, listing, reading, writing and storing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from densekit import constraints, initializers, regularizers
from densekit._core.dtypes import is_float_dtype, standardize_dtype
from densekit._core.errors import message
from densekit._core.frames import filters_traceback
from densekit._core.name_scope import in_scope
from densekit._core.types import Array, ArrayLike, Config, Store
from densekit._core.variable import Variable
from densekit.layers._base.call import call_context
from densekit.layers._base.dtypes import TypedByPolicy
from densekit.layers._base.losses import sublayers
from densekit.layers._base.tracking import Tracker
from densekit.ops._keras_tensor import standardize_shape


class WeightOwner(TypedByPolicy):
    """The part of `Layer` that owns variables."""

    name: str
    built: bool
    _tracker: Tracker
    _trainable: bool
    _dk_path: str | None

    def add_weight(
        self,
        *args: object,
        shape: Sequence[int | None] | None = None,
        initializer: object = None,
        dtype: object = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: object = None,
        constraint: object = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a variable that belongs to this layer.

        Args:
            *args: `shape`, `initializer` and `dtype` may go without their names.
            shape: fully known shape. Default: ``()``, a scalar.
            initializer: name, object, array or callable. Default: ``"glorot_uniform"`` for float
                types, else ``"zeros"``.
            dtype: element type. Default: the layer's `variable_dtype`.
            trainable: whether optimizers update it. Default: ``True``.
            autocast: whether mixed precision reads it in the compute dtype. Default: ``True``.
            regularizer: penalty on it, part of `losses`. Default: none.
            constraint: applied by the optimizer after each update. Default: none.
            aggregation: kept for configs. Default: ``"none"``.
            overwrite_with_gradient: kept for Keras' sake. Default: ``False``.
            name: last part of the variable's path. Default: numbered ``variable``.

        Raises:
            ValueError: if the layer is already built, or a shape entry is None.
        """
        if args:
            shape, initializer, dtype = _merged(args, (shape, initializer, dtype))
        dtype = self.variable_dtype if dtype is None else standardize_dtype(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if is_float_dtype(dtype) else "zeros"
        name = name or None
        variable = Variable(
            initializers.get(initializer),
            shape=() if shape is None else standardize_shape(shape),  # type: ignore[arg-type]  # refuses None
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            aggregation=aggregation,
            name=name,
            path=self._dk_path_of(name),
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
        )
        if variable.path.endswith("/"):
            variable.path += variable.name
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._tracker.add(variable)
        if not self._trainable:
            variable.trainable = False
        return variable

    def add_variable(
        self,
        shape: Sequence[int | None],
        initializer: object,
        dtype: object = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: object = None,
        constraint: object = None,
        name: str | None = None,
    ) -> Variable:
        """`add_weight` by its older name."""
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
        )

    def _dk_path_of(self, name: str | None) -> str:
        context = call_context.get()
        if context is None:
            path = (self.built and self._dk_path) or in_scope(self.name)
        else:
            path = context.path()
        if context is not None and context.owner is not self:
            path += f"/{self.name}"
        return f"{path}/{name or ''}"

    def _dk_collect(self, own: Iterable[Variable], of_layer: str) -> list[Variable]:
        """Own variables, then those of sub-layers, each once."""
        found = {id(v): v for v in own}
        for layer in self._tracker.layers:
            for v in getattr(layer, of_layer):
                found.setdefault(id(v), v)
        return list(found.values())

    def _dk_own_weights(self) -> list[Variable]:
        return self._tracker.trainable_variables + self._tracker.non_trainable_variables

    @property
    def weights(self) -> list[Variable]:
        """Variables of this layer and its sub-layers, without the state of seed generators."""
        return self._dk_collect(self._dk_own_weights(), "weights")

    @property
    def trainable_weights(self) -> list[Variable]:
        """Weights that optimizers update; none if ``trainable`` is False."""
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """Weights that optimizers leave alone."""
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def variables(self) -> list[Variable]:
        """All state: weights and the state of seed generators."""
        seeds = [generator.state for generator in self._tracker.seed_generators]
        return self._dk_collect(self._dk_own_weights() + seeds, "variables")

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """`non_trainable_weights` and the state of seed generators."""
        return [v for v in self.variables if not v.trainable] if self._trainable else self.variables

    @property
    def trainable(self) -> bool:
        """Whether optimizers may update the layer; setting it reaches all sub-layers."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = bool(value)
        self.__dict__["_trainable"] = value
        for v in self._tracker.trainable_variables:
            v.trainable = value
        for layer in self._tracker.layers:
            layer.trainable = value
        self._tracker.flags_changed()

    def mark_trainable(self, value: bool) -> None:
        """Set the flag of this layer alone: its sub-layers have theirs from their own configs."""
        self.__dict__["_trainable"] = bool(value)
        for v in self._tracker.trainable_variables:
            v.trainable = bool(value)
        self._tracker.flags_changed()

    def get_trainable_config(self, config: Config) -> list[bool] | None:
        """Flags of the layer and its sub-layers, for files; None where `config` tells them."""
        flags = [self._trainable, *(layer.trainable for layer in sublayers(self))]
        untold = not self._trainable and "trainable" not in config
        return flags if untold or any(flag != self._trainable for flag in flags) else None

    def trainable_from_config(self, flags: object) -> None:
        """Set flags that `get_trainable_config` gave, if the sub-layers are those it listed."""
        layers = [self, *sublayers(self)]
        if isinstance(flags, list) and len(flags) == len(layers):
            for layer, flag in zip(layers, flags, strict=True):
                layer.mark_trainable(flag is not False)

    def get_weights(self) -> list[Array]:
        """Copies of the values of `weights`."""
        return [v.numpy() for v in self.weights]

    @filters_traceback
    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite the values of `weights`, all or, if one does not fit, none.

        Raises:
            ValueError: if count or shapes differ from those of `weights`, or one is no numbers.
        """
        variables = self.weights
        if not isinstance(weights, list | tuple | np.ndarray):
            weights = list(weights)
        if len(variables) != len(weights):
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}.set_weights",
                    f"{len(variables)} weights",
                    f"a weight list of length {len(weights)}",
                    "Pass one array per entry of `weights`, in that order.",
                )
            )
        self._dk_check_values("set_weights", variables, weights)
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Number of scalars in `weights`.

        Raises:
            ValueError: if the layer is not built.
        """
        if not self.built:
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}.count_params",
                    "a built layer",
                    "one without weights yet",
                    "Call it on data or `layer.build(input_shape)`.",
                )
            )
        return sum(v.size for v in self.weights)

    def save_own_variables(self, store: Store) -> None:
        """Write the layer's own weights to `store` under "0", "1", ..."""
        for index, variable in enumerate(self._dk_own_weights()):
            store[str(index)] = variable

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote.

        Raises:
            ValueError: if the number of values is not the number of own weights.
        """
        variables = self._dk_own_weights()
        if len(store.keys()) != len(variables):
            unbuilt = not variables and not self.built
            hint = "The file belongs to another layer."
            if unbuilt:
                hint = "Give it a `build` method that creates all of its state."
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    f"{len(variables)} variables {[v.name for v in variables]}"
                    + (" (it was never built)" if unbuilt else ""),
                    f"{len(store.keys())} in the file",
                    hint,
                )
            )
        values = [store[str(index)] for index in range(len(variables))]
        self._dk_check_values("load_own_variables", variables, values)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def _dk_check_values(
        self, method: str, variables: list[Variable], values: Sequence[Any]
    ) -> None:
        """Refuse before anything is overwritten."""
        for variable, value in zip(variables, values, strict=True):
            if np.shape(value) != variable.shape:
                raise ValueError(
                    message(
                        f"{type(self).__name__} {self.name!r}.{method}",
                        f"shape {variable.shape} for {variable.path!r}",
                        f"shape {np.shape(value)}",
                        "Pass arrays in the order of `weights`.",
                    )
                )
            dtype = getattr(value, "dtype", None) or np.asarray(value).dtype
            if getattr(dtype, "kind", "f") in "cOSUmM":
                raise ValueError(
                    message(
                        f"{type(self).__name__} {self.name!r}.{method}",
                        f"numbers for {variable.path!r}",
                        f"dtype {dtype}",
                        "Pass arrays of floats.",
                    )
                )


def _merged(args: tuple[Any, ...], named: tuple[Any, ...]) -> tuple[Any, ...]:
    """Positional arguments of `add_weight` put beside those given by name."""
    if isinstance(args[0], str):
        raise ValueError(
            f"`name` must be passed as a keyword argument, got add_weight({args[0]!r}, ...). "
            f"Use: add_weight(shape=..., name={args[0]!r})."
        )
    names = ("shape", "initializer", "dtype")
    if len(args) > len(names):
        raise TypeError(f"add_weight() takes at most 3 positional arguments, got {len(args)}.")
    for name, value in zip(names[: len(args)], named, strict=False):
        if value is not None:
            raise ValueError(f"add_weight() got `{name}` twice. Pass it once.")
    return (*args, *named[len(args) :])
