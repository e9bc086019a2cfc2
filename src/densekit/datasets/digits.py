"""1,797 handwritten digits of 8x8 pixels; source and licence in digits.attribution.md."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_TEST_EVERY = 5


def load_data() -> tuple[Digits, Digits]:
    """Handwritten digits in the form of Keras' datasets: `(x_train, y_train), (x_test, y_test)`.

    Formula: sorted by label, in the order of the source among equal labels, every fifth image is a
    test image. So the split is always the same and each digit has its share; both parts are in the
    order of the source. One writer may have digits in both parts.

    Shapes: `x_train` (1437, 8, 8) and `x_test` (360, 8, 8), uint8 from 0 (paper) to 16 (ink);
    `y_train` (1437,) and `y_test` (360,), uint8 from 0 to 9. The arrays are fresh in each call.

    Example:

    >>> from densekit.datasets import digits
    >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1437, 8, 8), (360, 8, 8), 16)
    >>> print(y_train[:5], y_test[:5])
    [1 3 5 6 7] [0 2 4 7 1]

    Reference: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, doi:10.24432/C50P49 (the test set), CC BY 4.0.
    """
    with resources.files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as d:
        images, labels = d["images"], d["labels"]
    is_test = np.zeros(len(labels), bool)
    is_test[np.argsort(labels, kind="stable")[::_TEST_EVERY]] = True
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])
