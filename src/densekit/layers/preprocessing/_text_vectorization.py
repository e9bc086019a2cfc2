"""`TextVectorization`: texts to indices of their words, or to rows that count them.

Long by its arguments: each step from text to row has one, and files and `adapt` go through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Self

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object
from densekit._core.text import as_strings
from densekit._core.types import Array, ArrayLike, Config, PartialShape, Store, TensorLike
from densekit.layers.preprocessing._base import Preprocessing
from densekit.layers.preprocessing._lookup_options import refuse_path
from densekit.layers.preprocessing._string_lookup import StringLookup
from densekit.layers.preprocessing._tokens import (
    SPLITS,
    STANDARDIZATIONS,
    Step,
    combined,
    padded,
    split,
    standardized,
)
from densekit.ops._keras_tensor import KerasTensor

_OF_LOOKUP = ("has_input_vocabulary", "max_tokens", "output_mode", "pad_to_max_tokens")


@export("keras.layers")
class TextVectorization(Preprocessing):
    """Turns texts into indices of their words, or into rows that say which words are there.

    Each text is standardized, split into tokens, combined into n-grams if asked, and looked up as
    by `StringLookup`: index 0 is padding, 1 an unknown token, then comes the vocabulary. Rows of
    "multi_hot", "count" and "tf_idf" have no entry for padding.

    Shapes:
        inputs: ``(batch,)`` or ``(batch, 1)``; outputs: ``(batch, tokens)``.

    Args:
        max_tokens: largest size of the vocabulary, special tokens included. Default: none.
        standardize: "lower_and_strip_punctuation", "lower" or "strip_punctuation", of ASCII; None;
            or a function of an array of strings. Default: ``"lower_and_strip_punctuation"``.
        split: "whitespace" or "character"; None; or a function of an array of strings that gives
            the tokens of each. Default: ``"whitespace"``.
        ngrams: n for runs of 1 to n tokens, or a tuple of their lengths. Default: none.
        output_mode: "int", indices of the tokens; "multi_hot", "count" or "tf_idf" as in
            `StringLookup`. Default: ``"int"``.
        output_sequence_length: tokens of a row of indices, cut or padded. Default: those of the
            longest text of a batch.
        pad_to_max_tokens: whether rows have `max_tokens` entries. Default: ``False``.
        vocabulary: strings, or the path of a file with one a line. Default: none, `adapt` finds
            them.
        idf_weights: weight of each string, for "tf_idf". Default: none.
        sparse: must be False. Default: ``False``.
        ragged: must be False. Default: ``False``.
        encoding: of inputs that are bytes. Default: ``"utf-8"``.
        name: name of the layer. Default: numbered after the class.

    Raises:
        ValueError: for arguments that contradict each other, or inputs that are no strings.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    >>> layer([["foo qux bar"], ["qux baz"]]).tolist()
    [[4, 1, 3, 0], [1, 2, 0, 0]]
    """

    _dk_reads_text = True

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Step = "lower_and_strip_punctuation",
        split: Step = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: ArrayLike | None = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        size = kwargs.pop("vocabulary_size", None)
        is_given = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        super().__init__(name=name, **kwargs)
        length = output_sequence_length
        widths = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        for is_wrong, expected, got in (
            (
                standardize is not None
                and not callable(standardize)
                and standardize not in STANDARDIZATIONS,
                f"`standardize`, one of {STANDARDIZATIONS}, a function or None",
                standardize,
            ),
            (
                split is not None and not callable(split) and split not in SPLITS,
                f"`split`, one of {SPLITS}, a function or None",
                split,
            ),
            (
                widths is not None
                and not (isinstance(widths, tuple) and all(isinstance(n, int) for n in widths)),
                "`ngrams`, an integer, a tuple of integers or None",
                ngrams,
            ),
            (
                length is not None and not isinstance(length, int),
                "`output_sequence_length`, an integer or None",
                length,
            ),
            (
                length is not None and output_mode != "int",
                "`output_sequence_length` must not be set if `output_mode` is not 'int'",
                length,
            ),
            (bool(ragged), "`ragged=False`", ragged),
        ):
            if is_wrong:
                raise ValueError(
                    message("TextVectorization", expected, describe(got), "Change that argument.")
                )
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_sequence_length = length
        self._dk_widths = widths
        self._dk_lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            sparse=sparse,
            encoding=encoding,
            has_input_vocabulary=is_given,
            vocabulary_size=size,
        )

    @property
    def vocabulary_is_given(self) -> bool:
        """Whether the constructor was told the vocabulary, so that nothing is learnt."""
        return self._dk_lookup_layer.vocabulary_is_given

    @property
    def compute_dtype(self) -> str:
        """Type of the texts."""
        return "string"

    def build(self, input_shape: PartialShape | None = None) -> None:
        """Nothing: the vocabulary is no weight."""

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the tokens of the texts in `data`, the most frequent first, as the vocabulary.

        Args:
            data: an array, list or column of texts; or an iterable of batches of them.
            batch_size: kept for Keras' signature.
            steps: how many batches to look at. Default: all.

        Raises:
            ValueError: if the vocabulary was given to the constructor.
        """
        self.reset_state()
        if isinstance(data, list | tuple) or hasattr(data, "__array__"):
            texts = self._dk_texts(data)
            self.update_state(texts[:, None] if texts.ndim == 1 else texts)
        else:
            for batch in islice(data, steps):
                self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Count the tokens of one batch more; `finalize_state` makes the vocabulary."""
        self._dk_lookup_layer.update_state(self._dk_tokens(data))

    def finalize_state(self) -> None:
        """Make the vocabulary from what was counted."""
        self._dk_lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._dk_lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by index, with those for padding and unknown or without."""
        return self._dk_lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """Number of indices, those of padding and unknown tokens included."""
        return self._dk_lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: ArrayLike | None = None) -> None:
        """Set the tokens in order of their indices: see `StringLookup.set_vocabulary`."""
        self._dk_lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def _dk_texts(self, data: object) -> Array:
        where = f"TextVectorization {self.name!r}"
        return as_strings(data, where, self._dk_lookup_layer.__dict__["encoding"])

    def _dk_tokens(self, data: object) -> Array:
        """The tokens of each text along a last axis, filled with ``""``."""
        where = f"TextVectorization {self.name!r}"
        texts = standardized(self._dk_texts(data), self.standardize, where)
        if self.split is None:
            if self._dk_widths is None:
                return texts
            shape = texts.shape[:-1]
            rows: list[list[str]] = texts.reshape(-1, *texts.shape[-1:]).tolist()
        else:
            if texts.ndim > 1:
                if texts.shape[-1] != 1:
                    raise ValueError(
                        message(
                            where,
                            "one axis, or a last one of size 1, to split texts",
                            f"shape {texts.shape}",
                            "Reshape them, or pass split=None.",
                        )
                    )
                texts = texts[..., 0]
            shape = texts.shape
            rows = split(texts.ravel(), self.split, where)
        if self._dk_widths is not None:
            rows = combined(rows, self._dk_widths)
        tokens = padded(rows, self.output_sequence_length)
        return tokens.reshape(*shape, tokens.shape[-1])

    def call(self, inputs: TensorLike) -> TensorLike:
        """The tokens of texts, as `output_mode` says."""
        tokens = self._dk_tokens(inputs)
        lookup, length = self._dk_lookup_layer, self.output_sequence_length
        if tokens.ndim == 1 and self.split is None and (lookup.output_mode != "int" or length):
            tokens = tokens[:, None]
        if length is not None:
            tokens = tokens[..., :length]
            missing = [(0, 0)] * (tokens.ndim - 1) + [(0, length - tokens.shape[-1])]
            tokens = np.pad(tokens, missing, constant_values="")
        return lookup.call(tokens)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The shape of the indices or rows; how many tokens a text has is open."""
        shape: PartialShape = tuple(input_shape)
        lookup = self._dk_lookup_layer
        if self.split is not None:
            shape = (*(shape[:-1] if len(shape) > 1 else shape), None)
        elif lookup.output_mode != "int" and len(shape) == 1:
            shape = (*shape, 1)
        if lookup.output_mode == "int" and self.output_sequence_length is not None:
            return (*(shape[:-1] if len(shape) > 1 else shape), self.output_sequence_length)
        if lookup.output_mode == "int" and self._dk_widths is not None:
            return (*shape[:-1], None)
        return lookup.compute_output_shape(shape)

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """Indices, int64, or rows of `floatx`."""
        is_int = self._dk_lookup_layer.output_mode == "int"
        shape = self.compute_output_shape(inputs.shape)
        return KerasTensor(shape, dtype="int64" if is_int else settings.floatx())

    def save_own_variables(self, store: Store) -> None:
        """Write the weights of the indices for "tf_idf"."""
        self._dk_lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote."""
        self._dk_lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary that `adapt` found to ``vocabulary.txt``."""
        self._dk_lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str | None) -> None:
        """Read what `save_assets` wrote."""
        self._dk_lookup_layer.load_assets(dir_path)

    def get_config(self) -> Config:
        """The constructor's arguments; what `adapt` found is the vocabulary."""
        lookup = self._dk_lookup_layer.get_config()
        inner = {key: lookup[key] for key in _OF_LOOKUP if key in lookup}
        return {
            **super().get_config(),
            **inner,
            "standardize": self.standardize,
            "split": self.split,
            "ngrams": self.ngrams,
            "output_sequence_length": self.output_sequence_length,
            "sparse": False,
            "ragged": False,
            "vocabulary": lookup["vocabulary"],
            "idf_weights": lookup["idf_weights"],
            "encoding": lookup["encoding"],
            "vocabulary_size": lookup["vocabulary_size"],
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`; a config never names a file to read.

        Raises:
            ValueError: if the vocabulary is a path.
        """
        refuse_path(cls.__name__, config)
        config = dict(config)
        for name in ("standardize", "split"):
            if isinstance(config.get(name), dict):
                config[name] = deserialize_keras_object(config[name])
        if isinstance(config.get("ngrams"), list):
            config["ngrams"] = tuple(config["ngrams"])
        return cls(**config)
