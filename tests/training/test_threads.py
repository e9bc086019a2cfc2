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
