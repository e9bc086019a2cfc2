"""Batches made by threads and processes: order, number at once, ends, faults."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
import pytest

import densekit as keras

# What JAX, loaded by other tests, and Python 3.12 say of processes that other threads run in.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*")
KINDS = [pytest.param(False, id="threads"), pytest.param(True, id="processes")]


class Numbered(keras.utils.PyDataset):
    """Batch `i` holds the number ``i / 1000``; even ones take longer to make."""

    def __init__(self, length: int = 12, **options: Any) -> None:
        super().__init__(**options)
        self.length = length
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.02 if index % 2 == 0 else 0)
        return np.full((4, 2), (index + 100 * self.epoch) / 1000, "float32"), np.ones(
            (4, 1), "float32"
        )

    def on_epoch_end(self) -> None:
        self.epoch += 1


def model() -> Any:
    built = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    built.compile("sgd", "mse")
    return built


@pytest.mark.parametrize("processes", KINDS)
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_predictions_come_in_order(workers: int, processes: bool) -> None:
    data = Numbered(workers=workers, use_multiprocessing=processes, max_queue_size=3)
    identity = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    identity.compile("sgd", "mse")
    numbers = identity.predict(data, verbose=0)[::4, 0] * 1000 % 100
    np.testing.assert_array_equal(np.rint(numbers), np.arange(12))


@pytest.mark.parametrize("processes", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_training_is_that_of_one_worker(shuffle: bool, processes: bool) -> None:
    weights = []
    for options in ({}, {"workers": 3, "use_multiprocessing": processes}):
        keras.utils.set_random_seed(4)
        trained = model()
        trained.fit(Numbered(**options), epochs=3, shuffle=shuffle, verbose=0)  # type: ignore[arg-type]
        weights.append(trained.get_weights())
    for one, several in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, several)


def test_no_more_batches_are_made_than_the_queue_holds() -> None:
    asked: list[int] = []
    ahead: list[int] = []

    class Counted(Numbered):
        def __getitem__(self, index: int) -> Any:
            asked.append(index)
            return super().__getitem__(index)

    class Ahead(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            time.sleep(0.05)
            ahead.append(max(asked) - batch)

    data = Counted(workers=2, max_queue_size=3)
    model().fit(data, verbose=0, shuffle=False, callbacks=[Ahead()])
    assert len(ahead) == 12
    assert 2 <= max(ahead) <= 3


def test_an_endless_set_stops_with_its_steps() -> None:
    class Endless(Numbered):
        @property
        def num_batches(self) -> None:
            return None

    before = threading.active_count()
    history = model().fit(Endless(workers=3), steps_per_epoch=5, epochs=2, verbose=0)
    assert history.params["steps"] == 5
    deadline = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before, "no worker outlives its run"


class Faulty(Numbered):
    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise KeyError("row 17 is gone")
        return super().__getitem__(index)


@pytest.mark.parametrize("processes", KINDS)
def test_what_a_batch_raises_ends_the_fit_with_its_traceback(processes: bool) -> None:
    with pytest.raises(KeyError, match="row 17 is gone") as caught:
        model().fit(Faulty(workers=2, use_multiprocessing=processes), verbose=0, shuffle=False)
    shown = "".join(str(part) for part in (caught.value.__cause__, caught.getrepr()))
    assert "in __getitem__" in shown or "row 17" in shown


class Dying(Numbered):
    def __getitem__(self, index: int) -> Any:
        if index == 5:
            os._exit(9)
        return super().__getitem__(index)


def test_a_worker_that_dies_ends_the_fit() -> None:
    with pytest.raises(RuntimeError, match="Dying, 2 worker processes"):
        model().fit(Dying(workers=2, use_multiprocessing=True), verbose=0, shuffle=False)


def test_processes_see_what_the_end_of_an_epoch_changed() -> None:
    data = Numbered(4, workers=2, use_multiprocessing=True)
    identity = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    identity.compile("sgd", "mse")
    first = identity.predict(data, verbose=0)[0, 0]
    second = identity.predict(data, verbose=0)[0, 0]
    assert second > first


def test_a_constructor_that_does_not_call_ours_has_one_worker() -> None:
    class Bare(keras.utils.PyDataset):
        def __init__(self) -> None:
            pass

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return np.ones((4, 2)), np.ones((4, 1))

    assert model().fit(Bare(), verbose=0).params["steps"] == 2
