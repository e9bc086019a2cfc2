"""20,640 blocks of houses in California in 1990, and their median value."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import describe, message
from densekit.datasets._fetching import Pair, check_split, kept, split

_HASH = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
_SMALL = 600  # rows


def load_data(
    version: str = "large",
    path: str = "california_housing.npz",
    test_split: float = 0.2,
    seed: int | None = 113,
) -> tuple[Pair, Pair]:
    """Values of houses, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: `x` (rows, 8), `y` (rows,), in dollars; float32; 20,640 rows in all, or 600. Columns:
    longitude, latitude, median age, rooms, bedrooms, people, households, median income.

    Args:
        version: ``"large"``, or ``"small"``: the first 600 rows. Default: ``"large"``.
        path: name of the file in ``~/.keras/datasets``. Default: ``"california_housing.npz"``.
        test_split: share of the rows that is the test set, ``0 <= test_split < 1``. Default: 0.2.
        seed: of the order of the rows, in which they are split. Default: 113.

    Raises:
        ValueError: for an unknown `version`, or a `test_split` out of range.
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> data = keras.datasets.california_housing.load_data(version="small")  # doctest: +SKIP

    Reference: R. Pace and R. Barry, "Sparse spatial autoregressions", Statistics and Probability
    Letters, 1997.
    """
    check_split(test_split)
    if version not in ("small", "large"):
        raise ValueError(
            message("load_data", "'small' or 'large' as `version`", describe(version), "Pass one.")
        )
    rows = _SMALL if version == "small" else None
    with np.load(kept("california_housing.npz", path, _HASH), allow_pickle=False) as file:
        return split(file["x"][:rows], file["y"][:rows], test_split, seed)
