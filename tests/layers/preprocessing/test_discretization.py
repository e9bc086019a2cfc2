"""`Discretization`: boundaries from data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import densekit as keras


def test_bins_hold_equal_shares() -> None:
    data = np.random.default_rng(1).normal(size=4000)
    layer = keras.layers.Discretization(num_bins=5)
    layer.adapt(data)
    shares = np.bincount(layer(data), minlength=5) / data.size
    np.testing.assert_allclose(shares, 0.2, atol=0.02)
    frame = keras.layers.Discretization(num_bins=5)
    frame.adapt(pd.Series(data))
    assert frame.bin_boundaries == layer.bin_boundaries


def test_adapt_begins_anew_and_counts_steps() -> None:
    layer = keras.layers.Discretization(num_bins=3)
    layer.adapt(np.arange(90.0))
    first = layer.bin_boundaries
    layer.adapt(np.arange(1000.0))
    layer.adapt((np.arange(90.0) for _ in range(10**9)), steps=1)
    assert layer.bin_boundaries == first


def test_boundaries_are_of_the_inputs_type() -> None:
    layer = keras.layers.Discretization([0.1, 0.7])
    assert layer(np.float32([0.1, 0.7])).tolist() == [1, 2]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="one of"):
        keras.layers.Discretization()
    with pytest.raises(ValueError, match="one of"):
        keras.layers.Discretization([1.0], num_bins=2)
    with pytest.raises(ValueError, match="output_mode"):
        keras.layers.Discretization([1.0], output_mode="tf_idf")
    with pytest.raises(ValueError, match="sparse"):
        keras.layers.Discretization([1.0], output_mode="count", sparse=True)
    with pytest.raises(ValueError, match="num_bins"):
        keras.layers.Discretization([1.0]).adapt(np.ones(3))
    with pytest.raises(ValueError, match="adapt"):
        keras.layers.Discretization(num_bins=2)(np.ones(3))
