"""70,000 pictures of clothes of 28x28 pixels."""

from __future__ import annotations

import gzip

import numpy as np

from densekit._core.types import Array
from densekit.datasets._fetching import Pair, kept


def load_data() -> tuple[Pair, Pair]:
    """Pictures of ten kinds of clothes, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: those of `mnist`. Labels: T-shirt, trousers, pullover, dress, coat, sandal, shirt,
    sneaker, bag, ankle boot.

    Raises:
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.fashion_mnist.load_data()  # doctest: +SKIP

    Reference: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747, MIT
    licence.
    """
    return _part("train"), _part("t10k")


def _part(name: str) -> Pair:
    labels = _bytes(f"{name}-labels-idx1-ubyte.gz", 8)
    images = _bytes(f"{name}-images-idx3-ubyte.gz", 16)
    return images.reshape(len(labels), 28, 28), labels


def _bytes(name: str, header: int) -> Array:
    """What stands behind the header of a file of the format IDX."""
    with gzip.open(kept(name, name, None, "datasets/fashion-mnist")) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header).copy()
