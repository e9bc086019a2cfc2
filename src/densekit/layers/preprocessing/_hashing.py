"""`Hashing`: strings and whole numbers to buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array, Config, PartialShape, TensorLike
from densekit.layers.preprocessing._base import Preprocessing
from densekit.layers.preprocessing._encoding import (
    checked_mode,
    encoded,
    encoded_shape,
)
from densekit.layers.preprocessing._hashes import checked_salt, hasher
from densekit.layers.preprocessing._text import buckets_of, texts_of
from densekit.ops._called_back import Result, by_numpy
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Hashing(Preprocessing):
    """Hashes values into buckets: ``hash(value) % num_bins``, the same buckets as in Keras.

    The hash is FarmHash64 or, with a salt, SipHash64 of the string; numbers are written out first,
    floats without what is behind the point.

    Args:
        num_bins: number of buckets, an integer >= 1.
        mask_value: a value for bucket 0, which then holds no other. Default: none.
        salt: one or two integers, the key of SipHash. Default: none, FarmHash.
        output_mode: "int", the bucket; "one_hot", "multi_hot" or "count" as in `CategoryEncoding`.
            Default: ``"int"``.
        sparse: must be False. Default: ``False``.
        dtype: of the output. Default: int64 for buckets, else `floatx`.

    Raises:
        ValueError: for `num_bins` below 1, another mode or salt, or buckets that are to be floats.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).ravel().tolist()
    [1, 0, 1, 1, 2]

    Reference: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (INDOCRYPT 2012).
    """

    _dk_reads_text = True

    def __init__(
        self,
        num_bins: int,
        mask_value: object = None,
        salt: object = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else settings.floatx()
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise ValueError(
                message("Hashing", "`num_bins` >= 1", describe(num_bins), "Pass e.g. 16.")
            )
        modes = ("int", "one_hot", "multi_hot", "count")
        self.output_mode = checked_mode("Hashing", output_mode, modes)
        if output_mode == "int" and self.dtype_policy.name not in ("int32", "int64"):
            raise ValueError(
                message("Hashing", "dtype int32 or int64", self.dtype_policy.name, "Leave it out.")
            )
        self.sparse = refuse_sparse("Hashing", sparse)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = checked_salt("Hashing", salt)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The buckets, as `output_mode` says."""
        buckets = by_numpy(self._dk_buckets, Result(inputs.shape, "int64"), inputs)
        return encoded(buckets, self.output_mode, self.num_bins, self.compute_dtype)

    def _dk_buckets(self, values: Array) -> Array:
        masks = self.mask_value is not None and self.num_bins > 1
        texts = texts_of(values, f"Hashing {self.name!r}")
        buckets = buckets_of(texts, hasher(self.salt), self.num_bins - int(masks))
        return np.where(values == self.mask_value, 0, buckets + 1) if masks else buckets

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the encoded buckets."""
        return encoded_shape(input_shape, self.output_mode, self.num_bins)

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The encoded buckets."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_bins": self.num_bins,
            "salt": self.salt,
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }
