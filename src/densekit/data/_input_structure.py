"""Inputs in another structure than a model's: a dict for a list, a list for a dict."""

from __future__ import annotations

from collections.abc import Sequence

from densekit._core.errors import describe, message
from densekit._core.frames import warn

_MISMATCH = "The structure of `inputs` doesn't match the expected structure"  # filters look for it


def in_structure(
    x: object, structure: object, names: Sequence[str], where: str, quiet: bool = False
) -> object:
    """The inputs `x` picked from a dict by name; anything else as it is.

    Where a model takes a dict, a list is read in the order of its sorted keys, with a warning.

    Args:
        structure: of the model's inputs.
        names: of the inputs, in order.
        quiet: whether to leave the warnings out.

    Raises:
        ValueError: for a dict that lacks an input, and for a list where the keys of the model's
            dict are not sorted, so that it may be read either way.
    """
    keys = list(structure) if isinstance(structure, dict) else list(names)
    if isinstance(x, dict):
        missing = [key for key in keys if key not in x]
        if missing:
            raise ValueError(
                message(
                    where,
                    f"a dict with the keys {keys}",
                    f"the keys {list(x)}",
                    f"Missing data for input {missing[0]!r}: add it.",
                )
            )
        picked = {key: x[key] for key in keys}
        if not isinstance(structure, dict):
            return list(picked.values())
        if len(x) > len(keys) and not quiet:
            surplus = [key for key in x if key not in structure]
            warn(f"{_MISMATCH} of {where}: no input takes {surplus}. Leave them out.")
        return picked
    if isinstance(structure, dict) and len(keys) > 1:
        if keys != sorted(keys):
            raise ValueError(
                message(
                    where,
                    f"a dict with the keys {keys}",
                    describe(x),
                    "Pass them by name: the keys are not sorted, so their order is not clear.",
                )
            )
        if not quiet:
            warn(f"{_MISMATCH} of {where}: {keys} are taken by position. Pass a dict of these.")
    return x
