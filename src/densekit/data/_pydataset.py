"""`PyDataset`: batches by number, made when they are needed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from densekit._core.errors import message
from densekit._core.registry import export


@export("keras.utils")
class PyDataset:
    """Base of data that is made batch by batch, such as files read from disk.

    A subclass defines `__len__`, the number of batches, and ``__getitem__(index)``, which returns
    ``x``, ``(x, y)`` or ``(x, y, sample_weight)``. Iterating over it gives the batches of one
    epoch. With ``shuffle=True`` `fit` takes the batches of
    an epoch in a new order.

    Args:
        workers: how many threads or processes make batches while others are trained on. They come
            in order all the same. Default: 1, which with threads means none: a batch is made when
            it is wanted.
        use_multiprocessing: processes in place of threads: for ``__getitem__`` that computes in
            Python. Started anew for each epoch, they see what `on_epoch_end` has changed. A
            process that dies ends the run with an error. Default: ``False``.
        max_queue_size: how many batches are made or wait at a time. Default: 10.

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

    # As the class has them, for subclasses whose constructor does not call this one.
    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

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

    def __iter__(self) -> Iterator[Any]:
        """The batches in order: those of one epoch, or without end where there is no number."""
        has_number = hasattr(self, "__len__") or type(self).num_batches is not PyDataset.num_batches
        count = self.num_batches if has_number else None
        return map(self.__getitem__, itertools.count() if count is None else range(count))

    @property
    def num_batches(self) -> int | None:
        """Number of batches of an epoch, which a subclass gives by `__len__`; one that overrides
        this property and returns None has no end.
        """
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            message(
                type(self).__name__,
                "a method `__len__`, the number of batches",
                "none",
                "Define it, or a property `num_batches` that is None for a data set without end.",
            )
        )

    def on_epoch_begin(self) -> None:
        """Called before each epoch, and before the first batch is looked at for its shapes."""

    def on_epoch_end(self) -> None:
        """Called after each epoch, and, as in Keras, once before the first."""


def works_ahead(dataset: PyDataset) -> bool:
    """Whether batches are to be made by workers."""
    return dataset.workers > 1 or (dataset.use_multiprocessing and dataset.workers > 0)
