"""`IntegerLookup`: whole numbers to small whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array
from densekit.layers.preprocessing._index_lookup import IndexLookup


@export("keras.layers")
class IntegerLookup(IndexLookup):
    """Maps whole numbers to their index in a vocabulary, or back.

    Index 0 is the mask token if there is one and the output are indices, then come
    `num_oov_indices` for unknown numbers, then the vocabulary.

    Args:
        max_tokens: largest size of the vocabulary, special tokens included. Default: none.
        num_oov_indices: indices for unknown numbers; with 0 they are an error. Default: ``1``.
        mask_token: number that stands for a missing input. Default: none.
        oov_token: what unknown indices mean if `invert`. Default: ``-1``.
        vocabulary: numbers, or the path of a file with one a line. Default: none, `adapt` finds
            them.
        vocabulary_dtype: must be ``"int64"``. Default: ``"int64"``.
        idf_weights: weight of each number, for "tf_idf". Default: none.
        invert: whether indices are turned into numbers. Default: ``False``.
        output_mode: as in `StringLookup`. Default: ``"int"``.
        sparse: must be False. Default: ``False``.
        pad_to_max_tokens: whether rows have `max_tokens` entries. Default: ``False``.
        oov_method: how unknown numbers share `num_oov_indices`: "floormod", by their remainder, or
            "farmhash". Default: ``"floormod"``.
        name: name of the layer. Default: numbered after the class.
        salt: key of SipHash for unknown numbers, beside "farmhash". Default: none.

    Raises:
        ValueError: for arguments that contradict each other, inputs that are no whole numbers, or
            unknown ones if ``num_oov_indices=0``.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.IntegerLookup(vocabulary=[12, 36, 1138])
    >>> layer([[12, 1138], [42, 36]]).tolist()
    [[1, 3], [0, 2]]
    """

    vocabulary_dtype = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: object = None,
        vocabulary_dtype: str = "int64",
        idf_weights: object = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: object = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ValueError(
                message("IntegerLookup", "int64", describe(vocabulary_dtype), "Leave it out.")
            )
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method,
            salt=salt,
            name=name,
            **kwargs,
        )

    def _dk_read(self, values: object) -> Array:
        numbers = np.asarray(values)
        if numbers.dtype.kind in "OUS" and numbers.size:  # lines of a file
            try:
                return numbers.astype(np.int64)
            except (TypeError, ValueError) as error:
                where = f"IntegerLookup {self.name!r}"
                raise ValueError(
                    message(where, "whole numbers", describe(numbers), "Use StringLookup.")
                ) from error
        return numbers.astype(np.int64)
