"""Runs on Python threads: each gives what it gives alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(96, 1)).astype("float32")


def build() -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def train(model: Any) -> list[bytes]:
    model.fit(X, Y, epochs=3, batch_size=8, verbose=0)
    return [w.tobytes() for w in model.get_weights()]


def seeded_run(seed: int) -> tuple[list[str], list[bytes]]:
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build()
    return [layer.name for layer in model.layers], train(model)


def in_threads(function: Callable[[Any], Any], values: list[Any], threads: int = 2) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, values))


def test_equal_seeded_runs_on_two_threads_are_equal() -> None:
    alone = seeded_run(5)
    for run in in_threads(seeded_run, [5] * 8):
        assert run == alone


def test_each_run_gives_what_it_gives_alone() -> None:
    seeds = [1, 2, 3, 4, 1, 2, 3, 4]
    alone = {seed: seeded_run(seed) for seed in set(seeds)}
    assert len({tuple(weights) for _, weights in alone.values()}) == 4
    for seed, run in zip(seeds, in_threads(seeded_run, seeds, 4), strict=True):
        assert run == alone[seed]


def test_a_seed_in_a_thread_leaves_the_main_one_alone() -> None:
    keras.utils.set_random_seed(7)
    first = keras.random.SeedGenerator().state.numpy()
    expected = keras.random.SeedGenerator().state.numpy()
    keras.utils.set_random_seed(7)
    assert (keras.random.SeedGenerator().state.numpy() == first).all()
    in_threads(seeded_run, [1])
    assert (keras.random.SeedGenerator().state.numpy() == expected).all()


def test_the_main_thread_draws_from_pythons_random() -> None:
    keras.utils.set_random_seed(7)
    first = keras.random.SeedGenerator().state.numpy()
    random.seed(7)
    assert (keras.random.SeedGenerator().state.numpy() == first).all()


def test_models_of_a_seeded_thread_may_be_fitted_on_others() -> None:
    def run(threads: int) -> list[list[bytes]]:
        keras.utils.set_random_seed(9)
        return in_threads(train, [build() for _ in range(6)], threads)

    once = run(1)
    assert run(1) == once
    assert run(3) == once
    assert len({tuple(weights) for weights in once}) == 6


def test_names_are_counted_in_each_thread() -> None:
    keras.utils.clear_session()
    barrier = Barrier(2)

    def names(_: int) -> list[str]:
        barrier.wait()
        return [keras.layers.Dense(1).name for _ in range(50)]

    one, two = in_threads(names, [0, 1])
    assert one == two == ["dense", *(f"dense_{i}" for i in range(1, 50))]
    assert keras.layers.Dense(1).name == "dense"


def test_clear_session_in_a_thread_is_that_threads() -> None:
    keras.utils.clear_session()
    keras.layers.Dense(1)
    in_threads(lambda _: keras.utils.clear_session(), [0])
    assert keras.layers.Dense(1).name == "dense_1"


def test_a_seed_that_is_no_integer_is_refused_in_threads_too() -> None:
    with pytest.raises(ValueError, match="integer"):
        in_threads(keras.utils.set_random_seed, ["1"])


class Meanwhile(keras.callbacks.Callback):
    """Calls a function on another thread after each step of a fit, and waits for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self.function = function
        self.found: list[BaseException | None] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        with ThreadPoolExecutor(1) as pool:
            self.found.append(pool.submit(self.function).exception())


@pytest.mark.parametrize("name", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_one_thread_at_a_time_trains_or_evaluates(name: str) -> None:
    model = build()
    silent = {} if "batch" in name else {"verbose": 0}
    other = Meanwhile(lambda: getattr(model, name)(X, Y, **silent))
    model.fit(X, Y, epochs=1, batch_size=48, verbose=0, callbacks=[other])
    assert [type(error) for error in other.found] == [RuntimeError] * 2
    assert "another thread" in str(other.found[0])
    getattr(model, name)(X, Y, **silent)  # free again


def test_a_model_is_free_after_a_fit_that_failed() -> None:
    model = build()
    with pytest.raises(ValueError):
        model.fit(X, Y[:5], verbose=0)
    assert in_threads(train, [model], 1)


@pytest.mark.parametrize("how", ["call", "predict", "predict_on_batch", "general call"])
def test_predictions_beside_a_fit_see_whole_steps(how: str) -> None:
    """Both layers move by one each step: a sum between two steps would be odd."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(512, use_bias=False, kernel_initializer="zeros"),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False),
        ]
    )
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: keras.ops.sum(-p, axis=-1))
    x = np.ones((4000, 1), "float32")
    one = x[:1]
    predict = {
        "call": lambda: model(one),
        "predict": lambda: model.predict(one, verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(one),
        "general call": lambda: model(one, training=False),
    }[how]
    predict()
    seen = []
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(model.fit, x, x, batch_size=1, epochs=3, verbose=0)
        while not fit.done():
            seen.append(float(np.ravel(predict())[0]))
        fit.result()
    assert seen and all(value % 512 == 0 for value in seen)
    assert seen == sorted(seen)
    assert float(np.ravel(predict())[0]) == 12000 * 512


def test_the_short_way_is_back_after_a_fit() -> None:
    model = build()
    model(X)
    short = model._dk_fast_call
    model.fit(X, Y, verbose=0)
    assert model._dk_fast_call is short
