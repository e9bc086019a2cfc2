"""What `StringLookup` and `IntegerLookup` share: a vocabulary, and the index of each token.

What it learns is counted in `_token_counts.py`; the rules of special tokens are here.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.scope import on_trial
from densekit._core.types import Array, ArrayLike, Config, PartialShape, Store, TensorLike
from densekit.layers.preprocessing._base import Preprocessing
from densekit.layers.preprocessing._encoding import checked_mode, encoded, encoded_shape
from densekit.layers.preprocessing._hashes import checked_salt, hasher
from densekit.layers.preprocessing._lookup_options import Options, check_options, refuse_path
from densekit.layers.preprocessing._text import buckets_of
from densekit.layers.preprocessing._token_counts import Token, TokenCounts
from densekit.ops._called_back import Result, by_numpy
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._dispatch import is_tracer
from densekit.ops._keras_tensor import KerasTensor

VOCABULARY = "vocabulary.txt"

_DROPPED = np.iinfo(np.int64).max  # the index of masked tokens that are not to be counted


class IndexLookup(Preprocessing):
    """Base of lookups. Index 0 is the mask if there is one, then come the unknown, then tokens."""

    vocabulary_dtype: str

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Token,
        vocabulary: Any,
        idf_weights: object,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: object,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        size = kwargs.pop("vocabulary_size", None)
        is_given = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        super().__init__(**kwargs)
        mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        self.output_mode = checked_mode(
            where, mode, ("int", "one_hot", "multi_hot", "count", "tf_idf")
        )
        check_options(
            where,
            Options(
                vocabulary_dtype=self.vocabulary_dtype,
                output_mode=self.output_mode,
                max_tokens=max_tokens,
                pad_to_max_tokens=bool(pad_to_max_tokens),
                num_oov_indices=num_oov_indices,
                oov_method=oov_method,
                invert=bool(invert),
                has_vocabulary=vocabulary is not None,
                has_weights=idf_weights is not None,
                has_salt=salt is not None,
            ),
        )
        self.sparse = refuse_sparse(where, sparse)
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = oov_method
        self.salt = checked_salt(where, salt)
        self._dk_is_given = bool(is_given)
        self._dk_announced = size or 0  # by a file whose vocabulary is read after the layers
        self.input_vocabulary: object = None
        self.input_idf_weights: object = None
        self._dk_tokens = self._dk_read([])
        self._dk_idf: Array | None = None
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _dk_read(self, values: object) -> Array:
        """Tokens as an array of the vocabulary's type."""
        raise NotImplementedError

    @property
    def vocabulary_is_given(self) -> bool:
        """Whether the constructor was told the vocabulary, so that nothing is learnt."""
        return self._dk_is_given

    @property
    def compute_dtype(self) -> str:
        """Type of the tokens."""
        return self.vocabulary_dtype

    @property
    def _dk_oov_start(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _dk_token_start(self) -> int:
        return self._dk_oov_start + self.num_oov_indices

    def vocabulary_size(self) -> int:
        """Number of indices, those of mask and unknown tokens included."""
        return len(self._dk_tokens) + self._dk_token_start

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Token]:
        """The tokens by index, with those for mask and unknown or without."""
        special = [self.mask_token] * self._dk_oov_start + [self.oov_token] * self.num_oov_indices
        return [*(special if include_special_tokens else []), *self._dk_tokens.tolist()]

    @property
    def idf_weights(self) -> Array | None:
        """The weight of each index for "tf_idf", once there is a vocabulary."""
        return None if self._dk_idf is None else self._dk_idf.copy()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens in order of their indices, and their weights for "tf_idf".

        Args:
            vocabulary: tokens, or the path of a file with one a line. Mask and unknown tokens may
                lead it.
            idf_weights: a weight for each; only for "tf_idf".

        Raises:
            ValueError: for an empty vocabulary, one with repeated or reserved tokens, one larger
                than `max_tokens`, or weights that do not fit.
        """
        where = f"{type(self).__name__} {self.name!r}"
        if isinstance(vocabulary, str):
            try:
                with open(vocabulary, encoding="utf-8") as file:
                    vocabulary = file.read().splitlines()
            except FileNotFoundError as error:
                raise ValueError(
                    message(
                        where,
                        "a file of tokens",
                        f"{vocabulary!r}, which does not exist",
                        "Write it.",
                    )
                ) from error
        given = list(vocabulary.tolist() if hasattr(vocabulary, "tolist") else vocabulary)
        special = self.get_vocabulary()[: self._dk_token_start]
        leads = bool(special) and given[: len(special)] == special
        tokens = self._dk_read(given[len(special) :] if leads else given)
        known = set(tokens.tolist())
        reserved = [self.mask_token, *([self.oov_token] if self.invert else [])]
        wrong = {
            "a vocabulary that is not empty": not given,
            "each token once": len(known) < len(tokens),
            f"the reserved tokens {special} at the start": any(
                t is not None and t in known for t in reserved
            ),
            f"at most max_tokens={self.max_tokens} tokens": self.max_tokens is not None
            and len(tokens) + self._dk_token_start > self.max_tokens,
            "`idf_weights` for 'tf_idf', one for each token": (self.output_mode == "tf_idf")
            != (idf_weights is not None)
            or (idf_weights is not None and np.shape(idf_weights) != (len(given),)),
        }
        for expected, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(message(where, expected, describe(given), "Set another one."))
        self._dk_keep(tokens, given, idf_weights, 0 if leads else self._dk_token_start)

    def _dk_keep(self, tokens: Array, given: object, weights: ArrayLike | None, front: int) -> None:
        self._dk_tokens = tokens
        self._dk_order = np.argsort(tokens)
        self._dk_sorted = tokens[self._dk_order]
        self.input_vocabulary = given
        if weights is not None:
            weights = np.asarray(weights, settings.floatx())
            self.input_idf_weights = weights.tolist()
            self._dk_idf = np.concatenate([np.full(front, weights.mean(), weights.dtype), weights])

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Take the tokens of `data`, the most frequent first, as the vocabulary.

        Args:
            data: an array, list or column; or an iterable of batches of them. For "tf_idf" each
                row is a document.
            steps: how many batches to look at. Default: all.

        Raises:
            ValueError: if the vocabulary was given to the constructor.
        """
        self.reset_state()
        whole = isinstance(data, list | tuple) or hasattr(data, "__array__")
        if whole:
            rows = self._dk_read(data)
            self.update_state(rows[:, None] if rows.ndim == 1 else rows)
        else:
            for batch in islice(data, steps):
                self.update_state(batch)
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Count the tokens of one batch more; `finalize_state` makes the vocabulary."""
        if self._dk_is_given:
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}.adapt",
                    "a layer without `vocabulary`",
                    "one whose vocabulary was given",
                    "Leave it out.",
                )
            )
        self._dk_counts.add(np.atleast_2d(self._dk_read(data)), self.output_mode == "tf_idf")

    def finalize_state(self) -> None:
        """Make the vocabulary from what was counted."""
        special = (self.mask_token, self.oov_token)
        if not self._dk_counts.has_any(unless=special):
            return
        room = None if self.max_tokens is None else self.max_tokens - self._dk_token_start
        tokens = self._dk_counts.most_frequent(room, unless=special)
        weights = None
        if self.output_mode == "tf_idf":
            weights = self._dk_counts.inverse_document_frequencies(tokens)
        self._dk_keep(self._dk_read(tokens), tokens, weights, self._dk_token_start)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._dk_counts = TokenCounts()

    def _dk_indices(self, values: Array) -> Array:
        found, places = np.unique(values, return_inverse=True)
        known = np.zeros(found.shape, bool)
        index = np.zeros(found.shape, np.int64)
        if len(self._dk_tokens):
            at = np.searchsorted(self._dk_sorted, found).clip(max=len(self._dk_tokens) - 1)
            known = self._dk_sorted[at] == found
            index = self._dk_order[at] + self._dk_token_start
        masked = np.zeros(found.shape, bool)
        if self.mask_token is not None:
            masked = found == self.mask_token
        unknown = ~known & ~masked
        if self.num_oov_indices == 0 and unknown.any() and not on_trial():
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    "tokens of the vocabulary only, as num_oov_indices=0",
                    describe(found[unknown][0]),
                    "Set num_oov_indices=1.",
                )
            )
        bucket = np.zeros(found.shape, np.int64)
        if self.num_oov_indices > 1:
            if found.dtype.kind != "U" and self.oov_method == "floormod":
                bucket = found % self.num_oov_indices
            else:
                bucket = buckets_of(found.astype(str), hasher(self.salt), self.num_oov_indices)
        index = np.where(unknown, bucket + self._dk_oov_start, index)
        index = np.where(masked, 0 if self.output_mode == "int" else _DROPPED, index)
        return index[places].reshape(values.shape)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The indices, as `output_mode` says; the tokens of indices if `invert`."""
        if self.invert:
            table = self._dk_read([*self.get_vocabulary(), self.oov_token])

            def tokens(places: Array) -> Array:
                inside = (places >= 0) & (places < len(table))
                return table[np.where(inside, places, -1).astype(np.int64)]

            return by_numpy(tokens, Result(np.shape(inputs), table.dtype.name), inputs)
        given = inputs if is_tracer(inputs) else self._dk_read(inputs)
        indices = by_numpy(
            lambda values: self._dk_indices(self._dk_read(values)),
            Result(given.shape, "int64"),
            given,
        )
        if self.output_mode == "int":
            return indices
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        depth = self._dk_depth
        if depth is None:
            raise RuntimeError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    "a vocabulary, as rows are as long as it",
                    "none",
                    "Call `adapt(data)` or pass `vocabulary`.",
                )
            )
        rows = encoded(indices, mode, depth, settings.floatx())
        if self.output_mode != "tf_idf":
            return rows
        if self._dk_idf is None:
            raise ValueError(
                message(type(self).__name__, "`idf_weights`", "none", "Call `adapt(data)`.")
            )
        return rows * np.pad(self._dk_idf, (0, depth - len(self._dk_idf)))

    @property
    def _dk_depth(self) -> int | None:
        """Entries of a row; None before there is a vocabulary."""
        if self.pad_to_max_tokens and self.max_tokens:
            return self.max_tokens
        return self._dk_known_size

    @property
    def _dk_known_size(self) -> int | None:
        """Size of the vocabulary, None before there is one."""
        return self.vocabulary_size() if len(self._dk_tokens) else self._dk_announced or None

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the encoded indices."""
        return encoded_shape(input_shape, self.output_mode, self._dk_depth)

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The encoded indices: int64, or `floatx` where they are rows; tokens if `invert`."""
        dtype = "int64" if self.output_mode == "int" else settings.floatx()
        dtype = self.vocabulary_dtype if self.invert else dtype
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=dtype)

    def save_own_variables(self, store: Store) -> None:
        """Write the weights of the indices for "tf_idf"."""
        if self._dk_idf is not None:
            store["idf_weights"] = self._dk_idf

    def load_own_variables(self, store: Store) -> None:
        """Read what `save_own_variables` wrote."""
        if self.output_mode == "tf_idf" and "idf_weights" in store.keys():  # noqa: SIM118
            self._dk_idf = np.asarray(store["idf_weights"], settings.floatx())

    def save_assets(self, dir_path: str) -> None:
        """Write the vocabulary that `adapt` found to ``vocabulary.txt``, one token a line."""
        if not self._dk_is_given and len(self._dk_tokens):
            lines = map(str, self.get_vocabulary())
            (Path(dir_path) / VOCABULARY).write_text("\n".join(lines), "utf-8")

    def load_assets(self, dir_path: str | None) -> None:
        """Read what `save_assets` wrote, unless the vocabulary is known from the config."""
        if dir_path is None or len(self._dk_tokens):
            return
        path = Path(dir_path) / VOCABULARY
        if path.exists():
            lines = path.read_text("utf-8").splitlines()
            while lines and lines[-1] == "":
                lines.pop()
            tokens = self._dk_read(lines).tolist()
            weights = self._dk_idf
            self.set_vocabulary(tokens, None if weights is None else weights[: len(tokens)])

    def get_config(self) -> Config:
        """The constructor's arguments; what `adapt` found is the vocabulary."""
        adapted = self.input_vocabulary is not None and not self._dk_is_given
        return {
            **super().get_config(),
            **({"has_input_vocabulary": False} if adapted else {}),
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": self.input_idf_weights,
            "vocabulary": self.input_vocabulary,
            "vocabulary_size": self._dk_known_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`; a config never names a file to read.

        Raises:
            ValueError: if the vocabulary is a path.
        """
        refuse_path(cls.__name__, config)
        return cls(**config)
