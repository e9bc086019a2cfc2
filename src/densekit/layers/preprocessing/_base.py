"""What the layers share that prepare data: they take arrays, lists and columns of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from densekit import ops
from densekit._core.dtypes import table_dtype
from densekit._core.errors import describe, message
from densekit.layers._base.layer import Layer
from densekit.layers._base.shapes import is_tensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


def as_array(data: object) -> Any:
    """`data` as an array; a table by its columns."""
    if isinstance(data, np.ndarray) or ops.is_tensor(data):
        return data
    return np.asarray(data, table_dtype(data))


def is_whole(data: object) -> bool:
    """Whether `data` is one array or table, not an iterable of batches."""
    return ops.is_tensor(data) or (hasattr(data, "shape") and hasattr(data, "__array__"))


def batches(data: object, where: str) -> Iterator[Any]:
    """The inputs in an array or table, or in an iterable of batches, ``x`` or ``(x, y, ...)``.

    Raises:
        TypeError: if `data` is neither.
    """
    if is_whole(data):
        yield np.asarray(as_array(data))
        return
    if not isinstance(data, Iterable):
        raise TypeError(
            message(
                f"{where}.adapt",
                "an array, a table or an iterable of batches",
                describe(data),
                "Pass e.g. a NumPy array.",
            )
        )
    for batch in data:
        yield batch[0] if isinstance(batch, tuple) else batch


class Preprocessing(Layer):
    """Base of layers that take what raw data come as: arrays, lists, columns of tables."""

    def __init__(self, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self._allow_non_tensor_positional_args = True
        self._convert_input_args = False

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self._dk_as_input(inputs), *args, **kwargs)

    def _dk_as_input(self, inputs: object) -> object:
        """What the user passed, as tensors."""
        if isinstance(inputs, list | tuple) and any(map(is_tensor, inputs)):
            return inputs  # several
        return inputs if is_tensor(inputs) else as_array(inputs)
