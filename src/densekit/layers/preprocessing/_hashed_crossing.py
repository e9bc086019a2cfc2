"""`HashedCrossing`: combinations of features to buckets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.text import as_strings
from densekit._core.types import Array, Config, PartialShape, TensorLike
from densekit.layers._base.shapes import is_tensor
from densekit.layers.preprocessing._base import Preprocessing, as_array
from densekit.layers.preprocessing._encoding import (
    checked_mode,
    encoded,
    encoded_shape,
)
from densekit.layers.preprocessing._hashes import combined_fingerprint64, farm_fingerprint64
from densekit.ops._called_back import Result, by_numpy
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._dispatch import is_tracer
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import FurtherOptions

_KEY = 0xDECAFCAFFE  # where TensorFlow begins, so that the buckets are those of Keras


@export("keras.layers")
class HashedCrossing(Preprocessing):
    """Hashes combinations of features into buckets: ``hash(features) % num_bins``, as Keras does.

    The hash of a string is its FarmHash64, a whole number is its own; they are mixed in order.

    Shapes:
        inputs: two or more of one shape, ``(batch,)``, ``(batch, 1)`` or ``()``; outputs: of that
        shape, "one_hot" with `num_bins` numbers for each.

    Args:
        num_bins: number of buckets, an integer >= 1.
        output_mode: "int", the bucket, or "one_hot", a row for each. Default: ``"int"``.
        sparse: must be False. Default: ``False``.
        name: name of the layer. Default: numbered after the class.
        dtype: of the output. Default: int64 for buckets, else `floatx`.

    Raises:
        ValueError: for one input alone, inputs of several shapes, or floats.

    Example:

    >>> import densekit as keras, numpy as np
    >>> letters = np.array(["A", "B", "A", "B", "A"])
    >>> numbers = np.array([101, 101, 101, 102, 102])
    >>> keras.layers.HashedCrossing(num_bins=5)((letters, numbers)).tolist()
    [1, 4, 1, 1, 3]
    """

    _dk_reads_text = True

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: object = None,
        **kwargs: Unpack[FurtherOptions],
    ) -> None:
        if dtype is None:
            dtype = "int64" if output_mode == "int" else settings.floatx()
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.sparse = refuse_sparse("HashedCrossing", sparse)
        self.output_mode = checked_mode("HashedCrossing", output_mode, ("int", "one_hot"))
        if not isinstance(num_bins, int | np.integer) or num_bins < 1:
            raise ValueError(
                message("HashedCrossing", "`num_bins` >= 1", describe(num_bins), "Pass e.g. 16.")
            )
        self.num_bins = int(num_bins)

    def _dk_as_input(self, inputs: object) -> object:
        if not isinstance(inputs, list | tuple):
            return inputs
        return [x if is_tensor(x) else as_array(x) for x in inputs]

    def call(self, inputs: Sequence[TensorLike]) -> TensorLike:
        """The buckets, as `output_mode` says."""
        self._dk_check_several(inputs)
        columns = [x if is_tracer(x) else np.asarray(x) for x in inputs]
        self._dk_check_shapes([x.shape for x in columns])
        buckets = by_numpy(self._dk_buckets, Result(columns[0].shape, "int64"), *columns)
        return encoded(buckets, self.output_mode, self.num_bins, self.compute_dtype)

    def _dk_buckets(self, *columns: Array) -> Array:
        rows = list(zip(*map(self._dk_fingerprints, columns), strict=True))
        cross = partial(combined_fingerprint64, _KEY)
        known = {row: cross(row) % self.num_bins for row in set(rows)}
        return np.array([known[row] for row in rows], np.int64).reshape(columns[0].shape)

    def _dk_fingerprints(self, column: Array) -> list[int]:
        if column.dtype.kind in "biu":
            return [int(value) for value in column.ravel().astype(np.int64)]
        if column.dtype.kind in "fc":
            self._dk_refuse("integer or string inputs", describe(column), "Round them first.")
        texts = as_strings(column, f"HashedCrossing {self.name!r}")
        found, places = np.unique(texts.ravel(), return_inverse=True)
        hashes = [farm_fingerprint64(str(text).encode()) for text in found]
        return [hashes[place] for place in places]

    def _dk_check_several(self, inputs: object) -> None:
        if not isinstance(inputs, list | tuple) or len(inputs) < 2:
            self._dk_refuse("a list of at least two inputs", describe(inputs), "Pass (a, b).")

    def _dk_check_shapes(self, shapes: Sequence[PartialShape]) -> None:
        rank = len(shapes[0])
        if rank > 2 or (rank == 2 and shapes[0][-1] != 1):
            self._dk_refuse(
                "inputs of shape (), (batch,) or (batch, 1)", f"{shapes[0]}", "Reshape them."
            )
        if any(shape != shapes[0] for shape in shapes):
            self._dk_refuse("inputs of one shape", f"{list(shapes)}", "Reshape them.")

    def _dk_refuse(self, expected: str, got: str, action: str) -> None:
        raise ValueError(message(f"HashedCrossing {self.name!r}", expected, got, action))

    def compute_output_shape(self, input_shape: Sequence[PartialShape]) -> PartialShape:
        """The shape of the buckets of inputs of these shapes."""
        self._dk_check_several(input_shape)
        shapes = [tuple(shape) for shape in input_shape]
        self._dk_check_shapes(shapes)
        return encoded_shape(shapes[0], self.output_mode, self.num_bins)

    def compute_output_spec(self, inputs: Sequence[TensorLike]) -> KerasTensor:
        """The encoded buckets."""
        self._dk_check_several(inputs)
        shape = self.compute_output_shape([x.shape for x in inputs])
        return KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype,
        }
