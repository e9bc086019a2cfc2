"""What is asked of the tables of pandas, polars and Arrow, which are never imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from densekit._core.types import Array, Operand


class ColumnType(Protocol):
    """The type of a column: of NumPy, or of the other package."""

    @property
    def name(self) -> str:
        """What it is called."""


class HasDtype(Protocol):
    """An array, or a column of a table."""

    @property
    def dtype(self) -> ColumnType:
        """Its type."""

    def __getitem__(self, key: Operand, /) -> object: ...


class Series(HasDtype, Protocol):
    """A column of pandas."""

    @property
    def hasnans(self) -> bool:
        """Whether values are missing."""

    def to_numpy(self, dtype: np.dtype[np.generic], *, na_value: float) -> Array:
        """The values, with something in place of those that are missing."""


class Frame(Protocol):
    """A table of pandas, or one that is read like it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def columns(self) -> Sequence[object]:
        """Names of the columns."""

    @property
    def iloc(self) -> Positions:
        """Parts by their place."""


class Positions(Protocol):
    """Parts of a table by their place."""

    def __getitem__(self, key: Operand, /) -> Series: ...


class ArrowTable(Protocol):
    """A ``Table`` or ``RecordBatch`` of Arrow."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""

    def column(self, index: int) -> Array:
        """A column, which NumPy can read."""

    def select(self, names: list[str]) -> ArrowTable:
        """Some columns."""


class PolarsTable(Protocol):
    """A table of polars."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""

    def to_series(self, index: int) -> Array:
        """A column, which NumPy can read."""


class SparseMatrix(Protocol):
    """A matrix of `scipy.sparse`."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Element type."""

    @property
    def format(self) -> str:
        """How it is kept."""

    def tocsr(self) -> SparseMatrix:
        """Kept by rows."""

    def astype(self, dtype: np.dtype[np.generic]) -> SparseMatrix:
        """With elements of another type."""

    def toarray(self, *, out: Array) -> Array:
        """All elements."""

    def __getitem__(self, rows: Operand, /) -> SparseMatrix: ...
