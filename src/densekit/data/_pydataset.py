"""`PyDataset`: batches by number, made when they are needed."""

from __future__ import annotations

from typing import Any

from densekit._core.errors import message
from densekit._core.registry import export


@export("keras.utils")
class PyDataset:
    """Base of data that is made batch by batch, such as files read from disk.

    A subclass defines `__len__`, the number of batches, and ``__getitem__(index)``, which returns
    ``x``, ``(x, y)`` or ``(x, y, sample_weight)``. With ``shuffle=True`` `fit` takes the batches of
    an epoch in a new order.

    Args:
        workers, use_multiprocessing, max_queue_size: kept for Keras' signature: batches are made
            one after the other.

    Raises:
        NotImplementedError: if a subclass leaves `__getitem__` out.

    Example:

    >>> import densekit as keras, numpy as np
    >>> class Ones(keras.utils.PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return np.ones((8, 2)), np.ones(8)
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> model.fit(Ones(), verbose=0).params["steps"]
    3
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(
            message(
                type(self).__name__, "a method `__getitem__(self, index)`", "none", "Define it."
            )
        )

    @property
    def num_batches(self) -> int | None:
        """Number of batches of an epoch, None if there is no end."""
        try:
            return len(self)  # type: ignore[arg-type]
        except TypeError:
            return None

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""
