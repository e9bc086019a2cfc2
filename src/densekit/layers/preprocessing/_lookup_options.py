"""What the options of lookups ask of one another."""

from __future__ import annotations

from typing import NamedTuple

from densekit._core.errors import describe, message
from densekit._core.types import Config


class Options(NamedTuple):
    """Options of `StringLookup` and `IntegerLookup`, or whether they were given."""

    vocabulary_dtype: str
    output_mode: str
    max_tokens: int | None
    pad_to_max_tokens: bool
    num_oov_indices: int
    oov_method: str
    invert: bool
    has_vocabulary: bool
    has_weights: bool
    has_salt: bool


def check_options(where: str, o: Options) -> None:
    """ValueError for options that are out of range or do not go together."""
    by_frequency = o.output_mode == "tf_idf"
    takes_salt = o.vocabulary_dtype == "string" or o.oov_method == "farmhash"
    for is_wrong, expected, got, action in (
        (
            o.max_tokens is not None and o.max_tokens <= 1,
            "`max_tokens` above 1",
            o.max_tokens,
            "Pass e.g. 1000.",
        ),
        (
            o.pad_to_max_tokens and o.max_tokens is None,
            "`max_tokens` beside `pad_to_max_tokens`",
            None,
            "Pass e.g. 1000.",
        ),
        (o.num_oov_indices < 0, "`num_oov_indices` >= 0", o.num_oov_indices, "Pass e.g. 1."),
        (
            o.oov_method not in ("floormod", "farmhash"),
            "`oov_method` 'floormod' or 'farmhash'",
            o.oov_method,
            "Pass one of them.",
        ),
        (
            o.invert and o.output_mode != "int",
            "`output_mode` 'int' beside `invert`",
            o.output_mode,
            "Leave it out.",
        ),
        (
            o.has_weights and not by_frequency,
            "`idf_weights` only for `output_mode` 'tf_idf'",
            o.output_mode,
            "Leave `idf_weights` out.",
        ),
        (
            by_frequency and o.has_vocabulary and not o.has_weights,
            "`idf_weights` beside a vocabulary for 'tf_idf'",
            None,
            "Pass a weight for each token.",
        ),
        (
            o.has_salt and not takes_salt,
            "`salt` only for strings or `oov_method` 'farmhash'",
            o.oov_method,
            "Leave `salt` out.",
        ),
    ):
        if is_wrong:
            raise ValueError(message(where, expected, describe(got), action))


def refuse_path(where: str, config: Config) -> None:
    """ValueError for a config that names a file to read."""
    if isinstance(config.get("vocabulary"), str):
        raise ValueError(
            message(
                f"{where}.from_config",
                "`vocabulary` as a list",
                "the path of a file outside of the model's",
                "Pass the path to the constructor, which you trust.",
            )
        )
