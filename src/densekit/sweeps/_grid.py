"""What members of a sweep differ in: points of a grid, and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from itertools import product

import numpy as np

from densekit._core import tree
from densekit._core.engine import Index
from densekit._core.errors import describe, message

Point = dict[str, object]


def points_of(grid: object) -> list[Point]:
    """The points of a list of dicts, or all combinations of a dict of lists.

    Raises:
        ValueError: for a grid without points, or one that is neither.
    """
    if isinstance(grid, Mapping):
        names = list(grid)
        points = [
            dict(zip(names, values, strict=True))
            for values in product(*(_values(name, grid[name]) for name in names))
        ]
    elif isinstance(grid, Iterable) and not isinstance(grid, str):
        points = [dict(one) if isinstance(one, Mapping) else _refuse(one) for one in grid]
    else:
        points = [_refuse(grid)]
    if not points:
        raise ValueError(
            message("fit_many `grid`", "at least one point", "none", "Pass e.g. [{}].")
        )
    return points


def _values(name: str, values: object) -> Iterable[object]:
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping):
        return values
    raise ValueError(
        message(
            f"fit_many `grid` key {name!r}",
            "a list of values",
            describe(values),
            f"Write {{{name!r}: [...]}}.",
        )
    )


def _refuse(one: object) -> Point:
    raise ValueError(
        message(
            "fit_many `grid`",
            "a list of dicts, or a dict of lists",
            describe(one),
            'Write e.g. {"units": [16, 32]}.',
        )
    )


def seeds_of(seeds: object, n: int) -> list[int | None]:
    """A seed for each of `n` members: given, counted up from one, or None for all.

    Raises:
        ValueError: for another number of seeds.
    """
    if seeds is None:
        return [None] * n
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        return [int(seeds) + i for i in range(n)]
    found = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else None
    whole = found is not None and all(
        isinstance(s, int | np.integer) and not isinstance(s, bool) for s in found
    )
    if found is None or not whole or len(found) != n:
        got = describe(seeds) if found is None or not whole else f"{len(found)} seeds"
        raise ValueError(
            message(
                "fit_many `seeds`",
                f"an integer, or one for each of {n} members",
                got,
                "Pass e.g. seeds=0.",
            )
        )
    return [int(seed) for seed in found]


def rows_of(rows: object, n: int, data: object, what: str) -> list[Index | None]:
    """The rows for each of `n` members: an array for all, or a sequence with one for each.

    Raises:
        ValueError: for another number of them, for rows that the data do not have, or for data that
            have no rows.
    """
    if rows is None:
        return [None] * n
    leaf = next((one for one in tree.flatten(data) if one is not None), ())
    if not isinstance(leaf, Sized):
        raise ValueError(message("fit_many `x`", "arrays", describe(leaf), "Use np.asarray."))
    if isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype != object:
        return [_index(rows, len(leaf), what)] * n
    found = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, str) else []
    if len(found) != n:
        got = f"{len(found)} of them" if found else describe(rows)
        expected = f"an array of row numbers, or one for each of {n} members"
        raise ValueError(message(f"fit_many `{what}`", expected, got, "Pass a list of arrays."))
    return [_index(one, len(leaf), what) for one in found]


def _index(rows: object, count: int, what: str) -> Index:
    array = np.asarray(rows)
    if array.dtype == bool and array.shape == (count,):
        array = np.flatnonzero(array)
    whole = array.ndim == 1 and array.size and array.dtype.kind in "iu"
    if not whole or array.min() < 0 or array.max() >= count:
        raise ValueError(
            message(
                f"fit_many `{what}`",
                f"numbers of rows, 0 to {count - 1}, or a mask of {count}",
                describe(rows),
                "Look where they are made.",
            )
        )
    return array.astype(np.int64)
