"""`Input` and `InputLayer`: where a graph begins."""

from __future__ import annotations

from typing import Any

from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape
from densekit.layers._base.layer import Layer
from densekit.ops._keras_tensor import KerasTensor, standardize_shape
from densekit.ops._symbolic import Node


@export("keras.layers")
class InputLayer(Layer):
    """The layer behind `Input`: it has an output and no input.

    Args:
        shape: shape of one sample, without the batch axis. Default: none.
        batch_size: fixed batch size. Default: any.
        dtype: element type. Default: `floatx`.
        sparse: whether sparse matrices are to come: they are made dense batch by batch, as they are
            without it. Default: ``False``.
        ragged: must be False or None. Default: none.
        batch_shape: shape with the batch axis, in place of `shape`. Default: none.
        input_tensor: a `KerasTensor` to use as the output. Default: a new one.
        optional: whether None may be fed. Default: ``False``.
        name: Default: numbered ``input_layer``.

    Raises:
        ValueError: if not exactly one of `shape` and `batch_shape` is given, or they differ from
            those of `input_tensor`.

    Example:

    >>> import densekit as keras
    >>> keras.layers.InputLayer(shape=(3,)).batch_shape
    (None, 3)
    """

    def __init__(
        self,
        shape: object = None,
        batch_size: int | None = None,
        dtype: object = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: object = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(name=name)
        if "input_shape" in kwargs:
            warn("Argument `input_shape` is deprecated: use `shape`.")
            shape = kwargs.pop("input_shape")
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        for flag, value in {**kwargs, "ragged": ragged}.items():
            if value or flag in kwargs:
                self._dk_refuse(f"no `{flag}`", describe(value), "Pass a dense tensor.")
        if input_tensor is not None:
            self._dk_check_tensor(input_tensor, shape, batch_size, batch_shape, dtype, sparse)
            sparse = input_tensor.sparse
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        elif (shape is None) == (batch_shape is None):
            self._dk_refuse(
                "one of `shape` and `batch_shape`", f"{shape}, {batch_shape}", "Pass one."
            )
        elif batch_size is not None and batch_shape is not None:
            self._dk_refuse("`batch_size` or `batch_shape`", "both", "Pass one.")
        elif shape is not None:
            batch_shape = (batch_size, *standardize_shape(shape))
        self._batch_shape = standardize_shape(batch_shape)
        self._dtype = standardize_dtype(dtype)
        self.sparse, self.ragged = bool(sparse), False
        self.optional = optional
        if input_tensor is None:
            input_tensor = KerasTensor(self._batch_shape, self._dtype, self.sparse, name=name)
        Node(self, (), {}, input_tensor)
        self.built = True

    def _dk_refuse(self, expected: str, got: str, action: str) -> None:
        raise ValueError(message("Input", expected, got, action))

    def _dk_check_tensor(
        self,
        tensor: Any,
        shape: Any,
        size: Any,
        batch_shape: Any,
        dtype: object,
        sparse: bool | None,
    ) -> None:
        if not isinstance(tensor, KerasTensor):
            self._dk_refuse("a KerasTensor as tensor", describe(tensor), "Pass a symbolic tensor.")
        given = {
            "shape": (shape, tensor.shape[1:]),
            "batch_size": (size, tensor.shape[:1]),
            "batch_shape": (batch_shape, tensor.shape),
            "dtype": (None if dtype is None else standardize_dtype(dtype), tensor.dtype),
            "sparse": (sparse, tensor.sparse),
        }
        for name, (value, own) in given.items():
            if value is None:
                continue
            value = (value,) if name == "batch_size" else value
            value = value if name in ("dtype", "sparse") else tuple(value)
            if value != own:
                self._dk_refuse(
                    f"`{name}` as that of the tensor, {own}", f"{value}", "Leave it out."
                )

    @property
    def batch_shape(self) -> PartialShape:
        """PartialShape with the batch axis."""
        return self._batch_shape

    @property
    def dtype(self) -> str:
        """Element type of the input."""
        return self._dtype

    def call(self) -> None:
        """Nothing: values are fed by the model."""

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.get_config())

    def get_config(self) -> Config:
        """The constructor's arguments."""
        names = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")
        return {name: getattr(self, name) for name in names}


def _revive(cls: type[InputLayer], config: Config) -> InputLayer:
    return cls.from_config(config)


@export("keras.layers")
def Input(
    shape: object = None,
    batch_size: int | None = None,
    dtype: object = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: object = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> Any:
    """A symbolic tensor to call layers on: the input of a model.

    Args:
        shape: shape of one sample, without the batch axis; None entries are of any size. Default:
            none.
        batch_size: fixed batch size. Default: any.
        dtype: element type. Default: `floatx`.
        sparse: whether sparse matrices are to come: they are made dense batch by batch, as they are
            without it. Default: ``False``.
        ragged: must be False or None. Default: none.
        batch_shape: shape with the batch axis, in place of `shape`. Default: none.
        name: name of the input layer. Default: numbered ``input_layer``.
        tensor: a `KerasTensor` to begin from. Default: a new one.
        optional: whether None may be fed. Default: ``False``.

    Raises:
        ValueError: if not exactly one of `shape` and `batch_shape` is given.

    Example:

    >>> import densekit as keras
    >>> x = keras.Input((3,))
    >>> keras.layers.Dense(2)(x).shape
    (None, 2)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        name=name,
        input_tensor=tensor,
        optional=optional,
    )
    return layer.output
