"""Windows over a series."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras

windows = keras.utils.timeseries_dataset_from_array


@pytest.mark.parametrize("start", [None, 2])
@pytest.mark.parametrize("end", [None, 15])
@pytest.mark.parametrize(("stride", "rate", "length"), [(1, 1, 3), (2, 3, 2), (3, 2, 4)])
def test_windows_and_their_targets(
    start: int | None, end: int | None, stride: int, rate: int, length: int
) -> None:
    series, targets = np.arange(40).reshape(20, 2), np.arange(100, 120)
    made = windows(series, targets, length, stride, rate, 4, start_index=start, end_index=end)
    first, last = start or 0, end or 20
    expected = [
        (series[i : i + length * rate : rate], targets[i])
        for i in range(first, last, stride)
        if i + (length - 1) * rate < last
    ]
    found = [pair for x, y in made for pair in zip(x, y, strict=True)]
    assert len(found) == len(expected)
    for (x, y), (wanted, target) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, wanted)
        assert y == target


def test_without_targets_or_batches() -> None:
    batch = windows(np.arange(5), None, 2)[0]
    assert batch.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    single = windows(np.arange(5), np.arange(4), 2, batch_size=None)
    assert len(single) == 4
    x, y = single[1]
    assert (x.tolist(), int(y)) == ([1, 2], 1)


def test_epochs_are_shuffled_anew_and_alike_for_a_seed() -> None:
    first, second = (windows(np.arange(50), None, 2, shuffle=True, seed=3) for _ in range(2))
    orders = []
    for _ in range(2):
        first.on_epoch_begin(), second.on_epoch_begin()
        np.testing.assert_array_equal(first[0], second[0])
        orders.append(first[0][:, 0].tolist())
        assert sorted(orders[-1]) == list(range(49))
    assert orders[0] != orders[1]


def test_a_network_learns_from_windows() -> None:
    keras.utils.set_random_seed(0)
    series = np.sin(np.arange(300) / 5).astype("float32")
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    data = windows(series[:-1], series[8:], 8, batch_size=16, shuffle=True, seed=1)
    history = model.fit(data, epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.05 * history[0]
