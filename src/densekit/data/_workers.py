"""Batches of a `PyDataset` made ahead of time, in order, by threads or processes."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from densekit._core.errors import message
from densekit.data._pydataset import PyDataset

_received: list[PyDataset] = []  # the data set of this process, if it is one of the workers


def made_ahead(dataset: PyDataset, indices: Iterable[int]) -> Iterator[object]:
    """The batches of those numbers, in that order.

    Up to `max_queue_size` of them are made or waiting while the caller trains. The workers live as
    long as the iteration, so processes see the data set as it was when the iteration began.

    Raises:
        RuntimeError: if a worker process dies. What ``__getitem__`` raises goes on to the caller,
            with its traceback.
    """
    most = max(1, dataset.max_queue_size)
    remaining = iter(indices)
    waiting: deque[Future[object]] = deque()
    pool, make = _workers(dataset)
    try:
        for index in itertools.islice(remaining, most):
            waiting.append(pool.submit(make, index))
        while waiting:
            batch = waiting.popleft().result()
            for index in itertools.islice(remaining, 1):
                waiting.append(pool.submit(make, index))
            yield batch
    except BrokenProcessPool as error:
        raise RuntimeError(
            message(
                f"{type(dataset).__name__}, {dataset.workers} worker processes",
                "processes that live as long as the epoch",
                "one that ended, maybe for want of memory",
                "Look at what it wrote above, or pass use_multiprocessing=False.",
            )
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _workers(dataset: PyDataset) -> tuple[Executor, Callable[[int], object]]:
    """A pool, and what its workers call to make the batch of a number."""
    if not dataset.use_multiprocessing:
        return ThreadPoolExecutor(dataset.workers, "densekit-data"), dataset.__getitem__
    # The system's usual way to start processes, as Keras does: where that is `fork`, the data set
    # need not be picklable.
    context = multiprocessing.get_context()
    pool = ProcessPoolExecutor(
        dataset.workers, mp_context=context, initializer=_receive, initargs=(dataset,)
    )
    return pool, _make


def _receive(dataset: PyDataset) -> None:
    _received[:] = [dataset]


def _make(index: int) -> object:
    return _received[0][index]
