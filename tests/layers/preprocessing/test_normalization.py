"""`Normalization`: adapting to data of any kind, and plans that follow the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import densekit as keras

ROWS = np.array([[1.0, 10.0], [3.0, 30.0], [8.0, 2.0], [4.0, 6.0]])


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Two batches with targets."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return ROWS[2 * index : 2 * index + 2], np.ones(2)


DATA: dict[str, Any] = {
    "array": lambda: ROWS,
    "integers": lambda: ROWS.astype("int16"),
    "frame": lambda: pd.DataFrame({"a": ROWS[:, 0].astype(int), "b": ROWS[:, 1]}),
    "list": lambda: [ROWS[:1], ROWS[1:]],
    "generator": lambda: iter([ROWS[:3], ROWS[3:], ROWS[:0]]),
    "pairs": lambda: [(ROWS[:1], 0), (ROWS[1:], 1)],
    "dataset": Batches,
}


@pytest.mark.parametrize("kind", DATA)
def test_adapts_to(kind: str) -> None:
    layer = keras.layers.Normalization()
    layer.adapt(DATA[kind]())
    np.testing.assert_allclose(layer.adapt_mean.numpy(), ROWS.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.adapt_variance.numpy(), ROWS.var(0), rtol=1e-6)
    y = layer(ROWS)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-6)


def test_large_means_lose_no_digits() -> None:
    rows = 1e8 + np.arange(0, 800, 8.0).reshape(100, 1)
    layer = keras.layers.Normalization()
    layer.adapt([rows[i : i + 7] for i in range(0, 100, 7)])
    np.testing.assert_allclose(layer.adapt_variance.numpy(), rows.var(0), rtol=1e-6)
    wanted = layer(rows)
    model = keras.Sequential([keras.Input((1,)), layer])
    assert np.unique(wanted).size == 100
    np.testing.assert_allclose(model.predict(rows, verbose=0), wanted, rtol=1e-6)


def test_plans_follow_the_weights() -> None:
    layer = keras.layers.Normalization()
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = ROWS.astype("float32")
    keras_of = [np.array([1.0, 2.0]), np.array([4.0, 9.0]), np.array(0)]

    def check() -> None:
        wanted = layer(x) @ model.layers[-1].kernel.numpy() + model.layers[-1].bias.numpy()
        for y in (model(x), model.predict(x, verbose=0), model.predict_on_batch(x)):
            np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
        loss = model.evaluate(x, x[:, :1], verbose=0)
        np.testing.assert_allclose(loss, np.mean((wanted - x[:, :1]) ** 2), rtol=1e-5)

    check()
    layer.adapt(x)
    check()
    model.fit(x, x[:, :1], verbose=0)
    check()
    layer.set_weights(keras_of)
    check()
    model.set_weights([2 * w for w in model.get_weights()])
    check()
    layer.adapt_mean.assign([0.0, 7.0])
    check()
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    np.testing.assert_allclose(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_it_runs_natively() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Normalization()])
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "[python]" not in "".join(lines)


def test_a_failed_adapt_changes_nothing() -> None:
    layer = keras.layers.Normalization()
    with pytest.raises(ValueError, match="at least one row"):
        layer.adapt([])
    assert not layer.built
    layer.adapt(ROWS)
    before = layer.get_weights()
    with pytest.raises(ValueError, match="shape"):
        layer.adapt([ROWS, np.ones((3, 3))])
    with pytest.raises(TypeError, match="iterable"):
        layer.adapt(3)
    with pytest.raises(TypeError, match="arrays"):
        layer.adapt([[1.0, 2.0]])
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="Drop them"):
        keras.layers.Normalization(mean=0.0, variance=1.0).adapt(ROWS)
