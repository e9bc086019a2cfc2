"""Data that are no plain numbers: what is missing becomes NaN; how to encode the rest is said.

pandas is never imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.errors import message
from densekit._core.types import Array

if TYPE_CHECKING:
    from densekit.data._table_types import HasDtype, Series

# Rows that are converted at a time: their source and their copy stay in the cache of a core.
BLOCK_ROWS = 1024
NUMBER_KINDS = "biuf"
_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


def are_numbers(values: Iterable[object]) -> bool:
    """Whether Python objects are all numbers; text is none."""
    return all(isinstance(value, _NUMBERS) for value in values)


def lacks_values(series: Series) -> bool:
    """Whether a column of pandas is of a nullable type of numbers, and values are missing."""
    dtype = series.dtype
    nullable = not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "O") in NUMBER_KINDS
    return nullable and bool(series.hasnans)


def filled_with_nan(series: Series, dtype: np.dtype[np.generic]) -> Array:
    """The values of a column that `lacks_values`."""
    return np.asarray(series.to_numpy(dtype, na_value=np.nan))


def objects_as_numbers(objects: Array, dtype: np.dtype[np.generic]) -> Array | None:
    """Python objects as numbers, NaN for ``None`` and ``pandas.NA``; None if some are neither."""
    numbers = np.empty(objects.shape, dtype)
    for start in range(0, len(objects), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        part = objects[rows]
        if not are_numbers(part.flat):
            part = _without_missing(part)
            if not are_numbers(part.flat):
                return None
        numbers[rows] = part
    return numbers


def _without_missing(objects: Array) -> Array:
    """A copy with NaN in place of what stands for nothing."""
    pandas = sys.modules.get("pandas")
    missing = {id(None), id(getattr(pandas, "NA", None))}
    copy = objects.copy()
    for place, value in np.ndenumerate(objects):
        if id(value) in missing:
            copy[place] = np.nan
    return copy


def not_numbers(what: str, source: HasDtype, column: object = None) -> ValueError:
    """The error for data that hold no numbers, with the line that encodes them.

    Args:
        what: the argument, ``"x"``, ``"y"`` or ``"sample_weight"``.
        source: the array, or the column of a table.
        column: name of the column in the table; None: `source` is the argument itself.
    """
    where = f"`{what}`" if column is None else f"`{what}` column {column!r}"
    name = getattr(source, "name", None)
    if column is None and name is not None:
        where += f" {name!r}"
    variable = what if column is None else f"{what}[{column!r}]"
    kind, action = _encoding(what, variable, source, column)
    return ValueError(message(where, "numbers", f"{kind} (invalid dtype: {source.dtype})", action))


def _encoding(what: str, variable: str, source: HasDtype, column: object) -> tuple[str, str]:
    """Of which kind the data are, and what to type."""
    dtype = source.dtype
    kind = getattr(dtype, "kind", "O")
    pandas = hasattr(source, "dt") or hasattr(source, "iloc")
    if kind == "M":
        elapsed = f"({variable} - {variable}.min())"
        return "times", f"Say {variable} = {_seconds(elapsed, pandas)}."
    if kind == "m":
        return "durations", f"Say {variable} = {_seconds(variable, pandas)}."
    if kind == "c":
        return "complex numbers", f"Pass {variable}.real and {variable}.imag as two columns."
    if kind == "V" and getattr(dtype, "names", None):
        return "records", "Pass an array of one type, e.g. by structured_to_unstructured."
    if what == "y":
        categories = dtype.name == "category"
        unique = f"classes, {variable} = np.unique({variable}, return_inverse=True)"
        return "categories" if categories else _name(source), f"Encode labels by {unique}."
    if dtype.name == "category":
        indicators = _indicators(what, column)
        return (
            "categories",
            f"Encode them by {variable} = {variable}.cat.codes, or by {indicators}.",
        )
    if _are_written_numbers(source):
        if not pandas:
            return "numbers written as text", f"Read them by {variable}.astype('float32')."
        return "numbers written as text", f"Read them by {variable} = pd.to_numeric({variable})."
    if what == "sample_weight":
        return _name(source), "Pass one number for each sample."
    if pandas:
        return _name(source), f"Encode them by {_indicators(what, column)}."
    return _name(source), "Encode each column, e.g. by np.unique(column, return_inverse=True)[1]."


def _seconds(duration: str, pandas: bool) -> str:
    return f"{duration}.dt.total_seconds()" if pandas else f"{duration} / np.timedelta64(1, 's')"


def _indicators(what: str, column: object) -> str:
    if column is None:
        return f"{what} = pd.get_dummies({what}, dtype=float)"
    return f"{what} = pd.get_dummies({what}, columns=[{column!r}], dtype=float)"


def _samples(source: HasDtype) -> list[object]:
    """Some of the values, missing ones left out."""
    first = np.asarray(source[:100]).ravel()
    return [v for v in first if v is not None and type(v).__name__ != "NAType" and v == v][:20]


def _name(source: HasDtype) -> str:
    return "text" if any(isinstance(v, str | bytes) for v in _samples(source)) else "objects"


def _are_written_numbers(source: HasDtype) -> bool:
    samples = _samples(source)
    written = [v for v in samples if isinstance(v, str | bytes | np.number | float)]
    if not samples or len(written) < len(samples):
        return False
    try:
        for value in written:
            float(value)
    except ValueError:
        return False
    return True
