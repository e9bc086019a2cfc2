"""Tables with named columns: which names a model was trained on, and frames put in that order.

Neither pandas, polars nor pyarrow is ever imported: a table is known by what it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeGuard, cast

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.types import Array

if TYPE_CHECKING:
    from densekit.data._table_types import ArrowTable, HasDtype, PolarsTable


class KnownColumns:
    """Names of the columns of each input, or target, that was a frame when a model first met one.

    Args:
        kind: what the frames are, for error texts: ``"input"`` or ``"output"``.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.names: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self.names)

    def remember(self, x: object, input_names: Sequence[str]) -> None:
        """Keep the names of the frames among the inputs `x`, the first time there are some."""
        if not self.names:
            found = {name: column_names(leaf) for name, leaf in _by_input(x, input_names)}
            self.names = {name: names for name, names in found.items() if names is not None}

    def arrange(self, x: object, input_names: Sequence[str], where: str) -> object:
        """The inputs `x` with the columns of their frames in the known order.

        Raises:
            ValueError: for a column that is missing, is not known, or is there twice.
        """
        if not self.names:
            return x
        if isinstance(x, dict):
            return {
                key: arranged(leaf, self.names.get(key), f"{where} {self._kind} {key!r}")
                for key, leaf in x.items()
            }
        inputs = iter(input_names)

        def arrange(leaf: object) -> object:
            name = next(inputs, "")
            return arranged(leaf, self.names.get(name), f"{where} {self._kind} {name!r}")

        return tree.map_structure(arrange, x)

    def get_config(self) -> dict[str, list[str]]:
        """The names as plain data."""
        return {name: list(names) for name, names in self.names.items()}

    def load_config(self, config: object) -> None:
        """Take over what `get_config` gave.

        Raises:
            ValueError: for anything but lists of strings by the name of an input.
        """
        if not isinstance(config, dict) or not all(
            isinstance(names, list) and all(isinstance(name, str) for name in names)
            for names in config.values()
        ):
            raise ValueError(
                message(
                    "columns of a model",
                    "lists of names by input",
                    describe(config),
                    "Save the model again.",
                )
            )
        self.names = {name: list(names) for name, names in config.items()}


def column_names(table: object) -> list[str] | None:
    """Names of the columns of a frame; None for what is no frame or numbers its columns."""
    if _is_arrow(table):
        names = list(table.column_names)
    elif hasattr(table, "columns") and hasattr(table, "dtypes"):
        names = list(table.columns)
    else:
        return None
    return names if names and all(isinstance(name, str) for name in names) else None


def arranged(table: object, wanted: list[str] | None, where: str) -> object:
    """A frame with its columns in the order of the names `wanted`; anything else as it is.

    Raises:
        ValueError: for a column that is missing, is not wanted, or is there twice.
    """
    names = None if wanted is None else column_names(table)
    if wanted is None or names is None or names == wanted:
        return table
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted]
    twice = [name for name in wanted if names.count(name) > 1]
    if missing or extra or twice:
        raise ValueError(
            message(
                where,
                f"the {len(wanted)} columns it was trained on",
                _faults(missing, extra, twice),
                _action(missing, extra),
            )
        )
    return table.select(wanted) if _is_arrow(table) else cast("HasDtype", table)[wanted]


def named_columns(table: object) -> list[tuple[str, Array]]:
    """Names and columns of a table of polars or Arrow; none for anything else."""
    if _is_arrow(table):
        return [(name, table.column(i)) for i, name in enumerate(table.column_names)]
    if _is_polars(table):
        return [(name, table.to_series(i)) for i, name in enumerate(table.columns)]
    return []


def _is_arrow(table: object) -> TypeGuard[ArrowTable]:
    """Whether `table` is a ``Table`` or ``RecordBatch`` of Arrow."""
    return hasattr(table, "column_names") and hasattr(table, "select")


def _is_polars(table: object) -> TypeGuard[PolarsTable]:
    return hasattr(table, "columns") and hasattr(table, "to_series")


def _by_input(x: object, input_names: Sequence[str]) -> Iterable[tuple[str, object]]:
    if isinstance(x, dict):
        return ((str(key), leaf) for key, leaf in x.items())
    return zip(input_names, tree.flatten(x), strict=False)


def _faults(missing: list[str], extra: list[str], twice: list[str]) -> str:
    parts = [
        f"{fault} {', '.join(map(repr, names[:5]))}{' and more' if len(names) > 5 else ''}"
        for fault, names in (("no column", missing), ("also", extra), ("twice", twice))
        if names
    ]
    return "a table with " + ", ".join(parts)


def _action(missing: list[str], extra: list[str]) -> str:
    if missing and extra:
        from difflib import get_close_matches  # slow to load, and a mistake alone needs it

        near = get_close_matches(missing[0], extra, n=1)
        if near:
            return f"Rename {near[0]!r} to {missing[0]!r}, or pass an array to go by position."
    if missing:
        return f"Add {missing[0]!r}, or pass an array to go by position."
    return f"Drop {extra[0]!r}." if extra else "Drop the second one."
