"""The rows of single batches: all of them, in order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class AllRows:
    """The numbers of the rows of a batch, the same array for batches of the same size."""

    def __init__(self) -> None:
        self._rows = np.arange(0, dtype=np.int64)

    def of(self, rows: int) -> npt.NDArray[np.int64]:
        """``0 .. rows - 1``."""
        if len(self._rows) != rows:
            self._rows = np.arange(rows, dtype=np.int64)
        return self._rows
