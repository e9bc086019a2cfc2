"""Layers that prepare data, against those of Keras that need no TensorFlow."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import densekit

CLASSES = np.array([[0, 3], [1, 1], [2, 0], [3, 9]])
NUMBERS = np.array([[0.5, -1.0], [3.0, 0.2], [0.0, 0.7], [-4.0, 1.0]], "float32")

ENCODINGS: list[tuple[dict[str, Any], Any]] = [
    ({"output_mode": mode}, inputs)
    for mode in ("one_hot", "multi_hot", "count")
    for inputs in (CLASSES, CLASSES[:, :1], CLASSES[:, 0], CLASSES[0, 0], [[1, 2], [3, 3]])
]


def both(name: str, arguments: dict[str, Any]) -> list[Any]:
    return [getattr(k.layers, name)(name="it", **arguments) for k in (densekit, keras)]


def same(ours: Any, theirs: Any, inputs: Any, **call: Any) -> None:
    got, wanted = ours(inputs, **call), np.asarray(theirs(inputs, **call))
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    assert json.dumps(ours.get_config()) == json.dumps(theirs.get_config())


@pytest.mark.parametrize(("arguments", "inputs"), ENCODINGS)
def test_category_encoding(arguments: Any, inputs: Any) -> None:
    same(*both("CategoryEncoding", {"num_tokens": 4, **arguments}), inputs)


def test_weights_of_counts() -> None:
    layers = both("CategoryEncoding", {"num_tokens": 4, "output_mode": "count"})
    same(*layers, CLASSES, count_weights=np.arange(8.0).reshape(4, 2))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("boundaries", [[0.0, 0.7], [-1.0]])
def test_discretization(mode: str, boundaries: Any) -> None:
    for inputs in (NUMBERS, NUMBERS[:, :1], NUMBERS[:, 0], NUMBERS.astype("int32")):
        same(*both("Discretization", {"bin_boundaries": boundaries, "output_mode": mode}), inputs)


@pytest.mark.parametrize(("bins", "epsilon"), [(4, 0.01), (3, 0.1), (10, 0.3)])
def test_quantiles(bins: int, epsilon: float, rng: Any) -> None:
    layers = both("Discretization", {"num_bins": bins, "epsilon": epsilon})
    for size in (700, 20, 1):
        batch = rng.normal(size=(size, 2))
        for layer in layers:
            layer.update_state(batch)
    for layer in layers:
        layer.finalize_state()
    assert layers[0].bin_boundaries == layers[1].bin_boundaries
    same(*layers, rng.normal(size=(50, 2)).astype("float32"))


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None, (-1, 1), 2])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_adapts(axis: Any, invert: bool, rng: Any) -> None:
    rows = rng.normal(3.0, 2.0, size=(20, 3, 2)).astype("float32")
    ours, theirs = both("Normalization", {"axis": axis, "invert": invert})
    for layer in (ours, theirs):
        layer.adapt(rows)  # of iterables Keras would need TensorFlow
    same(ours, theirs, rows)
    assert ours.get_build_config() == theirs.get_build_config()
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mean": 1.0, "variance": 4.0},
        {"mean": [1.0, 2.0], "variance": [4.0, 0.0]},
        {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 9.0, 1.0], "axis": 1},
        {"mean": [1.0, 2.0], "variance": [4.0, 9.0], "axis": (1, 2), "invert": True},
    ],
)
def test_normalization_is_told(arguments: Any, rng: Any) -> None:
    same(*both("Normalization", arguments), rng.normal(size=(4, 3, 2)).astype("float32"))


ERRORS: dict[str, Any] = {
    "tokens": lambda k: k.layers.CategoryEncoding(),
    "no tokens": lambda k: k.layers.CategoryEncoding(0),
    "mode": lambda k: k.layers.CategoryEncoding(3, output_mode="int"),
    "weights": lambda k: k.layers.CategoryEncoding(3)(CLASSES, count_weights=CLASSES),
    "bins": lambda k: k.layers.Discretization(),
    "both bins": lambda k: k.layers.Discretization([1.0], 2),
    "bins below 0": lambda k: k.layers.Discretization(num_bins=-1),
    "bins mode": lambda k: k.layers.Discretization([1.0], output_mode="x"),
    "not adapted": lambda k: k.layers.Discretization(num_bins=2)(NUMBERS),
    "adapt given": lambda k: k.layers.Discretization([1.0]).adapt(NUMBERS),
    "mean alone": lambda k: k.layers.Normalization(mean=1.0),
    "mean shapes": lambda k: k.layers.Normalization(mean=[1.0], variance=[1.0, 2.0]),
    "mean rank": lambda k: k.layers.Normalization(mean=[[1.0]], variance=[[1.0]]),
    "axis": lambda k: k.layers.Normalization(axis=3).build((None, 2)),
    "axis unknown": lambda k: k.layers.Normalization(axis=1).build((None, None, 2)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_type_is_that_of_keras(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        ERRORS[name](keras)
    with pytest.raises(theirs.type):
        ERRORS[name](densekit)


@pytest.mark.parametrize("writer", ["densekit", "keras"])
def test_files_go_both_ways(writer: str, tmp_path: Any, rng: Any) -> None:
    k = {"densekit": densekit, "keras": keras}[writer]
    numbers, classes = k.Input((2,)), k.Input((1,), dtype="int32")
    normalization = k.layers.Normalization()
    normalization.adapt(NUMBERS)
    parts = [
        normalization(numbers),
        k.layers.Discretization([0.0, 0.7], output_mode="multi_hot")(numbers),
        k.layers.CategoryEncoding(4)(classes),
    ]
    model = k.Model([numbers, classes], k.layers.Dense(2)(k.layers.Concatenate()(parts)))
    model.save(tmp_path / "it.keras")
    rows = [NUMBERS, np.array([[0], [3], [1], [2]])]
    y = [
        np.asarray(one.saving.load_model(tmp_path / "it.keras").predict(rows, verbose=0))
        for one in (densekit, keras)
    ]
    np.testing.assert_allclose(y[0], y[1], rtol=1e-5, atol=1e-5)
