"""60,000 colour images of 32x32 pixels in ten classes."""

from __future__ import annotations

import numpy as np

from densekit.datasets._cifar import batch, extracted
from densekit.datasets._fetching import Pair

_HASH = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data() -> tuple[Pair, Pair]:
    """Colour images, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: `x_train` (50000, 32, 32, 3) and `x_test` (10000, 32, 32, 3), uint8; labels (50000, 1)
    and (10000, 1), uint8: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.

    Raises:
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.cifar10.load_data()  # doctest: +SKIP

    Reference: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    folder = extracted("cifar-10-batches-py-target", "cifar-10-python.tar.gz", _HASH)
    folder /= "cifar-10-batches-py"
    batches = [batch(folder / f"data_batch_{i}", "labels") for i in range(1, 6)]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    x_test, y_test = batch(folder / "test_batch", "labels")
    return (x, y.astype(np.uint8)), (x_test, y_test.astype(np.uint8))
