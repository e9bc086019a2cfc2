"""60,000 colour images of 32x32 pixels in a hundred classes."""

from __future__ import annotations

from densekit._core.errors import describe, message
from densekit.datasets._cifar import batch, extracted
from densekit.datasets._fetching import Pair

_HASH = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Pair, Pair]:
    """Colour images, fetched once: `(x_train, y_train), (x_test, y_test)`.

    Shapes: `x_train` (50000, 32, 32, 3) and `x_test` (10000, 32, 32, 3), uint8; labels (50000, 1)
    and (10000, 1).

    Args:
        label_mode: ``"fine"``: 100 classes; ``"coarse"``: the 20 groups of these. Default:
            ``"fine"``.

    Raises:
        ValueError: for an unknown `label_mode`.
        OSError: if it cannot be fetched.

    Example:

    >>> import densekit as keras
    >>> (x_train, y_train), _ = keras.datasets.cifar100.load_data()  # doctest: +SKIP

    Reference: A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    if label_mode not in ("fine", "coarse"):
        expected = "'fine' or 'coarse' as `label_mode`"
        raise ValueError(message("load_data", expected, describe(label_mode), "Pass one."))
    folder = extracted("cifar-100-python-target", "cifar-100-python.tar.gz", _HASH)
    labels = f"{label_mode}_labels"
    train, test = (batch(folder / "cifar-100-python" / n, labels) for n in ("train", "test"))
    return train, test
