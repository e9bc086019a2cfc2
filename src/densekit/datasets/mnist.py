"""70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

import numpy as np

from densekit.datasets._fetching import Pair, kept

_HASH = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str = "mnist.npz") -> tuple[Pair, Pair]:
    """Handwritten digits, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: `x_train` (60000, 28, 28) and `x_test` (10000, 28, 28), uint8 from 0 (paper) to 255
    (ink); labels (60000,) and (10000,), uint8 from 0 to 9.

    Args:
        path: name of the file in ``~/.keras/datasets``. Default: ``"mnist.npz"``.

    Raises:
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.mnist.load_data()  # doctest: +SKIP

    Reference: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits",
    CC BY-SA 3.0.
    """
    with np.load(kept("mnist.npz", path, _HASH), allow_pickle=False) as file:
        return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])
