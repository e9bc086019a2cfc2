"""506 places around Boston in the 1970s, and the price of houses there."""

from __future__ import annotations

import numpy as np

from densekit.datasets._fetching import Pair, check_split, kept, split

_HASH = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str = "boston_housing.npz", test_split: float = 0.2, seed: int | None = 113
) -> tuple[Pair, Pair]:
    """Prices of houses, fetched once: `(x_train, y_train), (x_test, y_test)`.

    One of its columns assumes that people pay for segregation: it is here for old scripts.
    `california_housing` is the better choice.

    Shapes: `x` (rows, 13), `y` (rows,), in 1,000 dollars; float64; 404 and 102 rows by default.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"boston_housing.npz"``.
        test_split: share of the rows that is the test set, ``0 <= test_split < 1``. Default: 0.2.
        seed: of the order of the rows, in which they are split. Default: 113.

    Raises:
        ValueError: for a `test_split` out of range.
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.boston_housing.load_data()  # doctest: +SKIP

    Reference: D. Harrison and D. Rubinfeld, "Hedonic housing prices and the demand for clean air",
    Journal of Environmental Economics and Management, 1978.
    """
    check_split(test_split)
    with np.load(kept("boston_housing.npz", path, _HASH), allow_pickle=False) as file:
        return split(file["x"], file["y"], test_split, seed)
