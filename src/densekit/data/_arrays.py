"""One column of data from whatever users hand in: arrays, tables, sparse matrices, lists."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard, overload

import numpy as np

from densekit import engines
from densekit._core import settings, tree
from densekit._core.errors import describe, message
from densekit._core.foreign import as_numpy, is_exporter
from densekit._core.text import as_strings, holds_text
from densekit._core.types import Array, Operand
from densekit.data._encoding import (
    BLOCK_ROWS,
    NUMBER_KINDS,
    are_numbers,
    filled_with_nan,
    lacks_values,
    not_numbers,
    objects_as_numbers,
)
from densekit.data._tables import named_columns
from densekit.ops._dispatch import is_tracer

if TYPE_CHECKING:
    from densekit.data._table_types import Frame, HasDtype, Series, SparseMatrix

_SMALL = 4  # bytes of an element up to which its type is kept


def as_array(value: object, what: str, dtype: str | None = None) -> Array:
    """One column of data: an array of numbers with at least the batch axis.

    Args:
        what: what error texts call it.
        dtype: type of the numbers where a table or a sparse matrix must be converted; None:
            `floatx`.
    """
    if type(value) is np.ndarray:
        return _checked(value, what, dtype)
    if is_tracer(value):
        traced: Any = value  # as good as an array
        return traced  # type: ignore[no-any-return]
    return _checked(_read(value, what, dtype or settings.floatx()), what, dtype)


def _checked(value: Array, what: str, dtype: str | None) -> Array:
    if value.dtype.kind not in NUMBER_KINDS:
        if value.dtype.name == "bfloat16":
            return value.astype(np.float32)
        numbers = None
        if value.dtype.kind == "O":
            numbers = objects_as_numbers(value, np.dtype(dtype or settings.floatx()))
        if numbers is None:
            raise not_numbers(what, value)
        value = numbers
    if value.ndim == 0:
        raise ValueError(
            message(f"`{what}`", "an array with a batch axis", "a scalar", "Add an axis: a[None].")
        )
    return value


def as_arrays(
    value: object, what: str, dtype: str | None = None, lists: int = 0, text: bool = False
) -> Any:
    """Every column of a structure, each converted once; as Keras has it, a pandas Series has a
    second axis.

    Args:
        what, dtype: as for `as_array`.
        lists: how many columns may come as lists of numbers, as for `numbers_as_arrays`; 0: none.
        text: whether columns may hold strings.
    """
    if text and holds_text(value):
        return as_strings(value, f"`{what}`")
    if type(value) is np.ndarray or is_sparse(value):  # some of the latter are dicts as well
        return as_array(value, what, dtype)

    def one(leaf: object) -> Array | SparseRows | None:
        if leaf is None or isinstance(leaf, SparseRows):
            return leaf
        is_text = text and holds_text(leaf)
        array = as_strings(leaf, f"`{what}`") if is_text else as_array(leaf, what, dtype)
        return array[:, None] if _is_series(leaf) else array

    return tree.map_structure(one, numbers_as_arrays(value, lists) if lists else value)


def _read(value: object, what: str, dtype: str) -> Any:
    if isinstance(value, SparseRows):
        return value
    if is_sparse(value):
        if what != "x":
            raise ValueError(
                message(
                    f"`{what}`",
                    "an array",
                    f"a sparse matrix {value.shape}",
                    f"Pass {what}.toarray(); only inputs may be sparse.",
                )
            )
        return SparseRows(value, dtype)
    if _is_frame(value):
        return _read_frame(value, what, np.dtype(dtype))
    if _is_series(value):
        return _read_series(value, what, np.dtype(dtype))
    if isinstance(value, str | bytes):  # a leaf of a list
        raise not_numbers(what, np.asarray([value]))
    if not is_exporter(value):
        raise ValueError(
            message(
                f"`{what}`",
                "an array, or a list or dict of arrays",
                f"unrecognized data type: {describe(value)}",
                "Convert it by np.asarray(...).",
            )
        )
    columns = named_columns(value)
    if columns:
        return _read_table(columns, what, np.dtype(dtype))
    dtypes: Iterable[object] | None = getattr(value, "dtypes", None)
    if isinstance(dtypes, Iterable):  # of another library's table, maybe with nothing in common
        kinds = {getattr(kind, "kind", "O") for kind in dtypes}
        return np.asarray(value, np.float64 if kinds and kinds <= set("biuf") else None)
    return as_numpy(value)


# Tables


def _is_pandas(value: object, kind: str) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def _is_frame(value: object) -> TypeGuard[Frame]:
    return _is_pandas(value, "DataFrame")


def _is_series(value: object) -> TypeGuard[Series]:
    return _is_pandas(value, "Series")


def _read_series(series: Series, what: str, dtype: np.dtype[np.generic]) -> Array:
    if lacks_values(series):
        return filled_with_nan(series, dtype)
    values: Array | None = np.asarray(series)
    if values is not None and values.dtype.kind == "O":
        values = objects_as_numbers(values, dtype)
    if values is None or values.dtype.kind not in NUMBER_KINDS:
        raise not_numbers(what, series)
    return values


def _read_frame(frame: Frame, what: str, dtype: np.dtype[np.generic]) -> Array:
    """The frame's own memory, if that is one block; else one new array, filled in blocks of rows,
    so that no column is converted twice and no other table is made on the way.
    """
    if _is_one_block(frame):
        return np.asarray(frame)
    columns = [_column(frame.iloc[:, j], what, name) for j, name in enumerate(frame.columns)]
    table = np.empty(frame.shape, _type_of_table(columns, what, dtype))
    for j, column in enumerate(columns):
        if column is None:
            table[:, j] = filled_with_nan(frame.iloc[:, j], table.dtype)
    _fill(table, columns, what, frame.columns, lambda j: frame.iloc[:, j])
    return table


def _read_table(named: list[tuple[str, Array]], what: str, dtype: np.dtype[np.generic]) -> Array:
    """One new array of the columns of a table of polars or Arrow."""
    names = [name for name, _ in named]
    columns: list[Array | None] = [np.asarray(column) for _, column in named]
    for name, column in zip(names, columns, strict=True):
        if column is not None and column.dtype.kind not in NUMBER_KINDS + "O":
            raise not_numbers(what, column, name)
    table = np.empty((len(named[0][1]), len(names)), _type_of_table(columns, what, dtype))
    _fill(table, columns, what, names, columns.__getitem__)
    return table


def _type_of_table(
    columns: list[Array | None], what: str, dtype: np.dtype[np.generic]
) -> np.dtype[np.generic]:
    """`dtype`, or that of labels."""
    kinds = {"f" if column is None else column.dtype.kind for column in columns}
    labels = what in ("y", "sample_weight") and kinds and kinds <= set("biu")
    return np.dtype(np.int64) if labels else dtype


def _fill(
    table: Array,
    columns: list[Array | None],
    what: str,
    names: Sequence[object],
    source: Callable[[int], HasDtype | None],
) -> None:
    """Write the columns that are there into a table, block by block of rows.

    Args:
        source: gives the column of a number as users know it, for error texts.
    """
    for start in range(0, len(table), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        for j, column in enumerate(columns):
            if column is None:
                continue
            part: Array | None = column[rows]
            if column.dtype.kind == "O":
                part = objects_as_numbers(column[rows], table.dtype)
                if part is None:
                    told = source(j)
                    raise not_numbers(what, column if told is None else told, names[j])
            table[rows, j] = part


def _is_one_block(frame: Frame) -> bool:
    """Whether the columns are those of one array of numbers: then its first row is a view."""
    if not frame.shape[1]:
        return False
    row = np.asarray(frame.iloc[:1])
    return row.dtype.kind in NUMBER_KINDS and np.may_share_memory(
        row, np.asarray(frame.iloc[:1, 0])
    )


def _column(series: Series, what: str, name: object) -> Array | None:
    """The memory of a column of a frame, of numbers or objects; None if it lacks values."""
    if lacks_values(series):
        return None
    values = np.asarray(series)
    if values.dtype.kind not in NUMBER_KINDS + "O":
        raise not_numbers(what, series, name)
    return values


# Lists


def numbers_as_arrays(value: object, count: int = 1) -> object:
    """`value` with lists of numbers, nested or not, made arrays.

    Args:
        count: how many arrays are expected: a list of so many lists of numbers is not one array.
    """
    if isinstance(value, dict):
        return {key: numbers_as_arrays(part) for key, part in value.items()}
    if not isinstance(value, list | tuple) or not value:
        return value
    if not (count > 1 and len(value) == count) and _is_number_list(value):
        array = np.asarray(value)
        return array.astype(settings.floatx()) if array.dtype.kind == "f" else array
    parts = [numbers_as_arrays(part) for part in value]
    if all(a is b for a, b in zip(parts, value, strict=True)):
        return value
    return parts


def _is_number_list(value: Sequence[object]) -> bool:
    if isinstance(value[0], list | tuple):
        return all(isinstance(v, list | tuple) and v and _is_number_list(v) for v in value)
    return are_numbers(value)


# Sparse matrices


def is_sparse(value: object) -> TypeGuard[SparseMatrix]:
    """Whether `value` is a matrix or array of `scipy.sparse`."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


class SparseRows:
    """A sparse matrix as a column of data: rows asked for come as a dense array.

    Args:
        matrix: of two axes, in any format; one that gives no rows is brought into CSR.
        dtype: type of the dense rows.
    """

    ndim = 2

    def __init__(self, matrix: SparseMatrix, dtype: str) -> None:
        if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
            raise ValueError(
                message(
                    "`x`",
                    "a sparse matrix of numbers with two axes",
                    f"shape {matrix.shape}, dtype {matrix.dtype}",
                    "Pass x.toarray().",
                )
            )
        self._matrix = matrix if matrix.format == "csr" else matrix.tocsr()
        self.shape: tuple[int, int] = matrix.shape
        self.dtype = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, rows: slice) -> SparseRows:
        """Some rows, sparse as they are."""
        return SparseRows(self._matrix[rows], self.dtype.name)

    def __getitem__(self, rows: Operand) -> Array:
        part = self._matrix[rows]
        dense = np.zeros(part.shape, self.dtype)
        part.astype(self.dtype).toarray(out=dense)
        return dense


# Layouts


@overload
def readable_once(column: Array, dtype: str, is_input: bool) -> Array: ...
@overload
def readable_once(column: Array | None, dtype: str, is_input: bool) -> Array | None: ...
def readable_once(column: Array | None, dtype: str, is_input: bool) -> Array | None:
    """`column`, or one copy of it that the core can read: made in blocks of rows, in the plan's
    type if that is not larger than its own.

    What lies in a file, or is sparse, stays where it is: its rows are read block by block.
    """
    if column is None or isinstance(column, SparseRows):
        return column
    if engines.is_readable(column) or _lies_in_a_file(column):
        return column
    own = column.dtype
    keep = own.itemsize <= _SMALL or (own.kind in "iu" and not is_input)
    if keep and own.char in engines.READABLE_TYPES:
        return _copied(column, own.newbyteorder("="))
    return _copied(column, np.dtype(dtype))


def _copied(column: Array, dtype: np.dtype[np.generic]) -> Array:
    copy = np.empty(column.shape, dtype)
    for start in range(0, len(copy), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        copy[rows] = column[rows]
    return copy


def _lies_in_a_file(column: Array) -> bool:
    base: object = column
    while base is not None:
        if isinstance(base, mmap.mmap | np.memmap):
            return True
        base = getattr(base, "base", None)
    return False
