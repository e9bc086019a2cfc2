"""`StringLookup`: strings to whole numbers."""

from __future__ import annotations

from typing import Any

from densekit._core.registry import export
from densekit._core.text import as_strings
from densekit._core.types import Array, Config
from densekit.layers.preprocessing._index_lookup import IndexLookup


@export("keras.layers")
class StringLookup(IndexLookup):
    """Maps strings to their index in a vocabulary, or back.

    Index 0 is the mask token if there is one and the output are indices, then come
    `num_oov_indices` for unknown strings, then the vocabulary.

    Args:
        max_tokens: largest size of the vocabulary, special tokens included. Default: none.
        num_oov_indices: indices for unknown strings, which are hashed into them; with 0 they are
            an error. Default: ``1``.
        mask_token: string that stands for a missing input. Default: none.
        oov_token: what unknown indices mean if `invert`. Default: ``"[UNK]"``.
        vocabulary: strings, or the path of a file with one a line. Default: none, `adapt` finds
            them.
        idf_weights: weight of each string, for "tf_idf". Default: none.
        invert: whether indices are turned into strings. Default: ``False``.
        output_mode: "int", the index; "one_hot", "multi_hot" or "count" as in `CategoryEncoding`;
            "tf_idf", the count times the weight ``log(1 + rows / (1 + rows with it))``. Default:
            ``"int"``.
        pad_to_max_tokens: whether rows have `max_tokens` entries. Default: ``False``.
        sparse: must be False. Default: ``False``.
        encoding: of inputs that are bytes. Default: ``"utf-8"``.
        name: name of the layer. Default: numbered after the class.
        salt: key of SipHash for unknown strings. Default: none, FarmHash.
        oov_method: "floormod" or "farmhash": strings are hashed by both. Default: ``"floormod"``.

    Raises:
        ValueError: for arguments that contradict each other, inputs that are no strings, or unknown
            ones if ``num_oov_indices=0``.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.StringLookup(vocabulary=["a", "b", "c"])
    >>> layer([["a", "c"], ["z", "b"]]).tolist()
    [[1, 3], [0, 2]]
    """

    vocabulary_dtype = "string"
    _dk_reads_text = True

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: object = None,
        idf_weights: object = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: object = None,
        oov_method: str = "floormod",
        **kwargs: Any,
    ) -> None:
        self.__dict__["encoding"] = encoding  # the vocabulary is read with it
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
        return as_strings(values, f"StringLookup {self.name!r}", self.__dict__["encoding"])

    def get_config(self) -> Config:
        """The constructor's arguments; what `adapt` found is the vocabulary."""
        config = {**super().get_config(), "encoding": self.__dict__["encoding"]}
        del config["vocabulary_dtype"]
        return config
