"""One column of data from whatever users hand in: arrays, tables, sparse matrices, lists."""

from __future__ import annotations

import itertools
import mmap
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit import engines
from densekit._core import settings, tree
from densekit._core.errors import describe, message

Array = npt.NDArray[Any]

# Rows that are converted at a time: their source and their copy stay in the cache of a core.
_BLOCK_ROWS = 1024
_SMALL = 4  # bytes of an element up to which its type is kept


def as_array(value: Any, what: str, dtype: str | None = None) -> Array:
    """One column of data: an array of numbers with at least the batch axis.

    Args:
        what: what error texts call it.
        dtype: type of the numbers where a table or a sparse matrix must be converted; None:
            `floatx`.
    """
    array: Array = value
    if type(value) is not np.ndarray:
        array = _read(value, what, dtype or settings.floatx())
    return _checked(array, what, dtype)


def _checked(value: Array, what: str, dtype: str | None) -> Array:
    if value.dtype.kind not in "biuf":
        if value.dtype.name == "bfloat16":
            return value.astype(np.float32)
        if value.dtype.kind == "O" and _holds_numbers(value):
            return _copied(value, np.dtype(dtype or settings.floatx()))
        raise ValueError(
            message(
                f"`{what}`",
                "numbers",
                f"invalid dtype: {value.dtype}",
                "Encode text and categories as numbers, e.g. np.unique(a, return_inverse=True)[1].",
            )
        )
    if value.ndim == 0:
        raise ValueError(
            message(f"`{what}`", "an array with a batch axis", "a scalar", "Add an axis: a[None].")
        )
    return value


def as_arrays(value: Any, what: str, dtype: str | None = None, lists: int = 0) -> Any:
    """Every column of a structure, each converted once; as Keras has it, a pandas Series has a
    second axis.

    Args:
        what, dtype: as for `as_array`.
        lists: how many columns may come as lists of numbers, as for `numbers_as_arrays`; 0: none.
    """
    if type(value) is np.ndarray or is_sparse(value):  # some of the latter are dicts as well
        return as_array(value, what, dtype)

    def one(leaf: Any) -> Any:
        if leaf is None or isinstance(leaf, SparseRows):
            return leaf
        array = as_array(leaf, what, dtype)
        return array[:, None] if _is_pandas(leaf, "Series") else array

    return tree.map_structure(one, numbers_as_arrays(value, lists) if lists else value)


def _read(value: Any, what: str, dtype: str) -> Any:
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
    if _is_pandas(value, "DataFrame"):
        return _read_frame(value, what, np.dtype(dtype))
    if _is_pandas(value, "Series"):
        return _read_series(value, what, np.dtype(dtype))
    if not hasattr(value, "__array__"):
        raise ValueError(
            message(
                f"`{what}`",
                "an array, or a list or dict of arrays",
                f"unrecognized data type: {describe(value)}",
                "Convert it by np.asarray(...).",
            )
        )
    dtypes: Any = getattr(value, "dtypes", None)
    if hasattr(dtypes, "__iter__"):  # of another library's table, maybe with nothing in common
        kinds = {getattr(kind, "kind", "O") for kind in dtypes}
        return np.asarray(value, np.float64 if kinds and kinds <= set("biuf") else None)
    return np.asarray(value)


# Tables


def _is_pandas(value: Any, kind: str) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def _read_series(series: Any, what: str, dtype: np.dtype[Any]) -> Array:
    array = np.asarray(series)
    if array.dtype.kind in "biuf":
        return array
    _check_numbers(array, f"`{what}`" if series.name is None else f"`{what}` {series.name!r}")
    return _copied(array, dtype)


def _read_frame(frame: Any, what: str, dtype: np.dtype[Any]) -> Array:
    """The frame's own memory, if that is one block; else one new array, filled in blocks of rows,
    so that no column is converted twice and no other table is made on the way.
    """
    columns = [np.asarray(frame.iloc[:, j]) for j in range(frame.shape[1])]
    if _are_one_block(columns):
        return np.asarray(frame)
    for name, column in zip(frame.columns, columns, strict=True):
        if column.dtype.kind not in "biuf":
            _check_numbers(column, f"`{what}` column {name!r}")
    kinds = {column.dtype.kind for column in columns}
    if what in ("y", "sample_weight") and kinds and kinds <= set("biu"):
        dtype = np.dtype(np.int64)  # labels
    table = np.empty(frame.shape, dtype)
    for start in range(0, len(table), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        for j, column in enumerate(columns):
            table[rows, j] = column[rows]
    return table


def _are_one_block(columns: Sequence[Array]) -> bool:
    """Whether columns are those of one array, at equal distances."""
    if not columns or columns[0].dtype.kind not in "biuf":
        return False
    first = columns[0]
    addresses = [column.__array_interface__["data"][0] for column in columns]
    steps = {b - a for a, b in itertools.pairwise(addresses)}
    return len(steps) < 2 and all(
        c.dtype == first.dtype and c.strides == first.strides for c in columns
    )


def _check_numbers(column: Array, where: str) -> None:
    if column.dtype.kind != "O" or not _holds_numbers(column):
        missing = column.dtype.kind == "O" and any(type(v).__name__ == "NAType" for v in column)
        raise ValueError(
            message(
                where,
                "numbers",
                "missing values" if missing else f"dtype {column.dtype}",
                "Fill them, e.g. by fillna()."
                if missing
                else "Encode text and categories as numbers, e.g. "
                "np.unique(a, return_inverse=True)[1].",
            )
        )


def _holds_numbers(objects: Array) -> bool:
    """Whether an array of Python objects holds nothing but numbers; text is none."""
    return all(isinstance(item, _NUMBERS) for item in objects.flat)


_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)


# Lists


def numbers_as_arrays(value: Any, count: int = 1) -> Any:
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


def _is_number_list(value: Any) -> bool:
    if isinstance(value[0], list | tuple):
        return all(isinstance(v, list | tuple) and v and _is_number_list(v) for v in value)
    return all(isinstance(v, _NUMBERS) for v in value)


# Sparse matrices


def is_sparse(value: Any) -> bool:
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

    def __init__(self, matrix: Any, dtype: str) -> None:
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

    def __getitem__(self, rows: Any) -> Array:
        part = self._matrix[rows]
        dense = np.zeros(part.shape, self.dtype)
        part.astype(self.dtype).toarray(out=dense)
        return dense


# Layouts


def readable_once(column: Any, dtype: str, is_input: bool) -> Any:
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


def _copied(column: Array, dtype: np.dtype[Any]) -> Array:
    copy = np.empty(column.shape, dtype)
    for start in range(0, len(copy), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        copy[rows] = column[rows]
    return copy


def _lies_in_a_file(column: Array) -> bool:
    base: Any = column
    while base is not None:
        if isinstance(base, mmap.mmap | np.memmap):
            return True
        base = getattr(base, "base", None)
    return False
