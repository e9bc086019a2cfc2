"""`Layer`: what every layer and model is."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from densekit import adapt, regularizers
from densekit._core.absent import advice_on_arguments
from densekit._core.captured_state import CapturedState
from densekit._core.dtype_policy import DTypePolicy, as_argument, get_dtype_policy
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.serialization import serialize_keras_object
from densekit._core.types import Config, Identifier
from densekit._core.variable import Variable
from densekit.layers._base.call import call_info, shapes_for
from densekit.layers._base.calling import CallOwner
from densekit.layers._base.losses import sublayers
from densekit.layers._base.shapes import shapes_of_arguments, specs_of
from densekit.layers._base.tracking import Tracker
from densekit.ops._symbolic import Operation

_ABSENT: Any = object()
_FLAGS = frozenset({"trainable", "_trainable"})  # a plan is kept for each pattern of flags


@export("keras.layers")
class Layer(CallOwner):
    """Base of all layers: state made in `build`, a formula in `call`.

    A subclass writes `__init__`, `build(input_shape)` (its weights), `call(inputs)` (the formula,
    on `keras.ops`) and `get_config`. Attributes that are variables, layers, metrics or seed
    generators are found by assignment, in lists and dicts too. A layer without a `lower` method
    trains as it is, through its definition; `lower(plan, x)` adds a native form.

    Args:
        activity_regularizer: penalty on the output, divided by the batch size. Default: none.
        trainable: whether optimizers update it. Default: ``True``.
        dtype: policy or dtype name. Default: the global policy, ``"float32"``.
        autocast: whether float inputs are cast to the compute dtype. Default: ``True``.
        name: unique in a model, without ``/``. Default: numbered class name.

    Raises:
        ValueError: for an unknown keyword, a bad name or a `trainable` that is no bool.

    Example:

    >>> import densekit as keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> Scale()(keras.ops.ones((2, 3))).shape
    (2, 3)
    """

    _dk_config_is_default = True  # this class' `get_config` is the automatic one
    _dk_form: adapt.Form | None = None  # of the main weight, where it is no variable

    def __init__(
        self,
        *,
        activity_regularizer: Identifier = None,
        trainable: bool = True,
        dtype: object = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                message(where, "`name`, a string without '/'", describe(name), "Rename it.")
            )
        input_dim = kwargs.pop("input_dim", None)
        input_shape = kwargs.pop("input_shape", None) if input_dim is None else (input_dim,)
        if kwargs:
            action = advice_on_arguments(type(self), kwargs)
            raise ValueError(message(where, "known arguments", f"{kwargs}", action))
        if not isinstance(trainable, bool):
            raise ValueError(
                message(where, "`trainable` to be a bool", describe(trainable), "Pass True.")
            )
        self._dk_ensure_tracker()
        Operation.__init__(self, name=name)
        self.__dict__["_dk_super_called"] = True
        if input_shape is not None:
            warn(
                "Do not pass an `input_shape`/`input_dim` argument to a layer: start the model "
                "with `keras.Input(shape)`."
            )
            self._input_shape_arg = tuple(input_shape)
        self._dtype_policy: DTypePolicy = get_dtype_policy(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self.built = False
        self.supports_masking = type(self).compute_mask is not Layer.compute_mask
        self.__dict__["_dk_makes_mask"] = self.supports_masking
        self._trainable = trainable
        self._dk_path: str | None = None
        self._input_spec: Any = None
        self._dk_build_shapes: Config | None = None
        self.__dict__["_dk_losses"] = []
        self._allow_non_tensor_positional_args = False
        self._convert_input_args = True
        self._dk_call_info = call_info(self.call)

    def _dk_ensure_tracker(self) -> Tracker:
        if "_tracker" not in self.__dict__:
            self.__dict__["_tracker"] = Tracker()
        return self._tracker

    def __setattr__(self, name: str, value: object) -> None:
        tracker = self._dk_ensure_tracker()
        value = tracker.track(value, name)
        before = self.__dict__.get(name, _ABSENT)
        object.__setattr__(self, name, value)
        if (
            self.__dict__.get("built")
            and self._dk_depends_on(name, value)
            and tracker.matters(before, value)
        ):
            tracker.changed()

    def _dk_version(self) -> int:
        """Another number after each change of what the layer computes, its parts included.

        So far as plans depend on it; what its code reads outside of them is looked at here.
        """
        tracker = self._tracker
        version = tracker.current()
        of, captured = tracker.captured
        if of == version:
            if captured is None or captured.hold():
                return version
            tracker.changed()
            version = tracker.current()
        captured = CapturedState(self._dk_flatten_layers())
        tracker.captured = version, captured or None
        return version

    def _dk_depends_on(self, name: str, value: object) -> bool:
        """Whether what the layer computes may follow from this attribute."""
        return name not in _FLAGS and not name.startswith("_dk_")

    def __delattr__(self, name: str) -> None:
        value = self.__dict__.get(name)
        object.__delattr__(self, name)
        if isinstance(value, Variable):
            self._tracker.discard(value)
        elif self._dk_depends_on(name, value) and self._tracker.matters(value, _ABSENT):
            self._tracker.changed()

    def __getstate__(self) -> Config:
        """A copy of a layer keeps its weights and leaves the graph it was called in."""
        return {**self.__dict__, "_inbound_nodes": [], "_dk_losses": []}

    @property
    def _dk_layers(self) -> list[Layer]:
        return self._tracker.layers

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        """For scripts that ask Keras' layers so; here nothing does."""
        return self._dk_flatten_layers(include_self, recursive)

    def _dk_flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list[Layer]:
        inner = list(sublayers(self)) if recursive else list(self._tracker.layers)
        return [self, *inner] if include_self else inner

    @property
    def metrics(self) -> list[Any]:
        """Metrics of this layer and its sub-layers."""
        return [*self._tracker.metrics, *(m for child in self._dk_layers for m in child.metrics)]

    @property
    def metrics_variables(self) -> list[Variable]:
        """Variables of `metrics`."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def path(self) -> str | None:
        """Names from the outermost layer down to this one, None before it is built."""
        return self._dk_path

    @property
    def quantization_mode(self) -> str | None:
        """``"int8"`` or ``"int4"``; None: weights are floats."""
        return self._dtype_policy.of_path(self._dk_path).quantization_mode

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: object = None
    ) -> None:
        """Keep the layer's main weight in fewer bits from now on.

        Args:
            mode: ``"int8"`` or ``"int4"``. Default: that of `config`.
            type_check: whether subclasses, which may compute something else, are refused.
                Default: ``True``.
            config: a `quantizers.QuantizationConfig`. Default: that of `mode`.

        Raises:
            NotImplementedError: if the layer has no such form.
            ValueError: for an unknown mode, or a layer that is not built or quantized already.

        Example:

        >>> import densekit as keras
        >>> layer = keras.layers.Dense(64)
        >>> layer.build((None, 784))
        >>> layer.quantize("int8")
        >>> [(v.name, v.dtype, v.shape) for v in layer.non_trainable_weights]
        [('kernel', 'int8', (784, 64)), ('kernel_scale', 'float32', (64,))]
        """
        adapt.quantize(self, mode, config, partial(self._dk_quantize, type_check=type_check))

    def _dk_quantize(self, config: object, type_check: bool) -> None:
        raise NotImplementedError(
            f"Layer {type(self).__name__} does not have a `quantize` method implemented."
        )

    @property
    def input_spec(self) -> Any:
        """What inputs must look like: an `InputSpec`, a structure of them, or None."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value: object) -> None:
        self._input_spec = value

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of the output for inputs of a shape, batch axis included."""
        raise NotImplementedError(
            f"Layer {type(self).__name__} should define `compute_output_shape(self, input_shape)`."
        )

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """`KerasTensor`s like what a call on `KerasTensor`s returns."""
        if not self._dk_knows_output_shape():
            return super().compute_output_spec(*args, **kwargs)
        arguments = dict(zip(self._dk_call_info.names, args, strict=False)) | kwargs
        shapes = shapes_of_arguments(arguments)
        method = self.compute_output_shape
        shape = method(**shapes_for(method, shapes, self._dk_call_info.names, type(self).__name__))
        return specs_of(shape, self.compute_dtype)

    def _dk_knows_output_shape(self) -> bool:
        """Whether a class wrote `compute_output_shape`."""
        return type(self).compute_output_shape is not Layer.compute_output_shape

    def get_config(self) -> Config:
        """The constructor's arguments, as plain data."""
        self._check_super_called()
        config = {"name": self.name, **self._auto_config()}
        config["trainable"] = self.trainable
        config["dtype"] = serialize_keras_object(self.dtype_policy)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return self._dk_accepted(config)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`.

        Raises:
            TypeError: if the constructor does not take it.
        """
        if isinstance(config.get("dtype"), dict):
            config = {**config, "dtype": as_argument(config["dtype"])}
        return super().from_config(config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"
