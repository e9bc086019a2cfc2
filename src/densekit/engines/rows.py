"""Arrays that the native core reads row by row, where they are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from densekit._core.dtypes import STRING, data_dtype
from densekit._core.engine import Chunk, Measure, Output
from densekit._core.initial_value import aligned_empty
from densekit._core.types import Array, Operand


class Missing:
    """The column of an optional input that was given as None.

    Args:
        shape: of an array that would be there, batch axis included.
    """

    dtype = np.dtype("V1")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ndim = len(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Operand) -> Missing:
        picked = range(len(self))[rows] if isinstance(rows, slice) else rows
        return Missing((len(picked), *self.shape[1:]))


def is_missing(column: object) -> bool:
    """Whether an optional input was given as None."""
    return isinstance(column, Missing)


READABLE_TYPES = "?bBhHiIlLqQefd"  # dtypes the core reads as they are

_COPIED_BYTES = 1 << 20

# A chunk of steps is one native call, after which metrics, the progress bar and Ctrl-C get their
# turn. Its length follows from the model and the data alone, not from the clock: results never
# depend on how fast the machine is. 30 ms at 200 GFLOP/s, 0.3 s at a tenth of that, and small
# enough for the caches of NumPy. Weights that move to the threads for a call cost up to 0.4 ms of
# it: Zen 4, a step of 784-128-64-10, batch 32, takes 104 us in chunks of 2 GFLOP, 101.5 us in
# chunks of 6, 100 us in chunks of 20.
_CHUNK_FLOPS = 6e9
_CHUNK_ROWS = 32768


def is_readable(column: object) -> bool:
    """Whether the core can read the rows where they are, or need not: strings it never reads."""
    if not isinstance(column, np.ndarray):
        return is_missing(column)
    if column.dtype.kind == "U":
        return True
    if column.dtype.char not in READABLE_TYPES or not column.dtype.isnative:
        return False
    size = column.itemsize
    for n, stride in zip(column.shape[:0:-1], column.strides[:0:-1], strict=True):
        if n != 1 and stride != size:
            return False
        size *= n
    return True


def readable(column: Array) -> Array:
    """`column`, or a copy that the core can read."""
    if is_readable(column):
        return column
    known = column.dtype.char in READABLE_TYPES
    return np.ascontiguousarray(column, column.dtype.newbyteorder("=") if known else np.float64)


def rows_at_once(columns: Sequence[Array]) -> int:
    """How many rows to copy at a time of columns that the core cannot read: few enough for a cache
    of the second level, and many calls' worth of work.
    """
    row: int = sum(8 * math.prod(column.shape[1:]) for column in columns)
    return max(1, _COPIED_BYTES // max(row, 1))


def without_text(column: Array) -> Array:
    """`column`, or zeros in place of strings."""
    if column.dtype.kind != "U":
        return column
    return np.zeros((len(column), math.prod(column.shape[1:])), np.bool_)


class PredictsRows(ABC):
    """What engines share that have `outputs` and `predict_into`, and read rows where they lie."""

    outputs: Sequence[Output]
    flops_per_sample: int
    asks_for_seeds = False  # anew for each step

    @property
    def chunk_rows(self) -> float:
        """How many rows keep it busy between two turns of metrics, progress bar and Ctrl-C."""
        if self.asks_for_seeds:
            return 0.0
        return min(_CHUNK_ROWS, _CHUNK_FLOPS / max(3 * self.flops_per_sample, 1))

    def take_along(self, measures: Sequence[Measure], chunk: Chunk) -> Sequence[Measure]:
        """None of the metrics: predictions tell."""
        return ()

    def forget_data(self) -> None:  # noqa: B027 - nothing is kept
        """The data set that chunks came from is done with."""

    @abstractmethod
    def predict_into(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        """Write the outputs of `n` rows."""

    def predict(self, inputs: list[Array], n: int) -> list[Array]:
        """Outputs of `n` rows, one array per output, in the shapes and dtypes of the model's."""
        outputs = self.empty_outputs(n)
        self.predict_into(inputs, n, outputs)
        return outputs

    def predict_masked(self, inputs: list[Array], n: int) -> list[Array] | None:
        """None: only a call of the definition hands masks on."""
        return None

    def empty_outputs(self, n: int) -> list[Array]:
        """Room for the outputs of `n` rows; strings are objects, as their length is open.

        It starts on a cache line, as JAX wants memory that it takes without a copy.
        """
        return [
            np.empty((n, *y.sample_shape), object)
            if y.dtype == STRING
            else aligned_empty((n, *y.sample_shape), data_dtype(y.dtype))
            for y in self.outputs
        ]
