"""Losses of users: followed into the plan, the same numbers as their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import losses, ops

Array = np.ndarray[Any, Any]


class Margin(losses.Loss):
    """An own class with a number that may change."""

    def __init__(self, delta: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Any:
        e = ops.abs(y_true - y_pred)
        return ops.mean(
            ops.where(e < self.delta, 0.5 * ops.square(e), self.delta * e - 0.5), axis=-1
        )


def squares(y_true: Any, y_pred: Any) -> Any:
    return ops.square(y_true - y_pred)


LOSSES: dict[str, Callable[[], Any]] = {
    "function": lambda: lambda t, p: ops.mean(squares(t, p) * ops.abs(p), axis=-1),
    "elements": lambda: squares,
    "mean": lambda: lambda t, p: 0.5 * ops.mean(squares(t, p)) + 0.1 * ops.mean(ops.abs(p)) + 1,
    "sum": lambda: lambda t, p: -ops.sum(squares(t, p)) / -3.0 - ops.sum(p),
    "class": Margin,
    "class sum": lambda: Margin(reduction="sum"),
    "class weighted": lambda: Margin(0.7, reduction="mean_with_sample_weight"),
    "root": lambda: lambda t, p: ops.sqrt(ops.mean(squares(t, p))),
    "built-in inside": lambda: lambda t, p: losses.huber(t, p) + ops.mean(p, axis=-1) ** 2,
}
ON_HOST: dict[str, tuple[Callable[[], Any], str]] = {
    "numpy": (lambda: lambda t, p: ops.mean(abs(t - p) * np.asarray(len(p))), "symbolic"),
}


def trained(make: Callable[[], Any], engine: str, weighted: bool, rng: Any) -> Any:
    x, y = rng.standard_normal((40, 5)), rng.standard_normal((40, 3))
    weight = rng.random(40) if weighted else None
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)]
    )
    model.set_weights([rng.standard_normal(w.shape) * 0.4 for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.01), make(), metrics=["mae"], engine=engine)
    history = model.fit(
        x, y, sample_weight=weight, batch_size=16, epochs=2, shuffle=False, verbose=0
    ).history
    return model, history, model.evaluate(x, y, sample_weight=weight, verbose=0)


def plan_of(model: Any) -> Any:
    engines = model._dk_runtime._engines
    return next(e for key, e in engines.items() if key[0] == "train").builder


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", [*LOSSES, *ON_HOST])
def test_followed_losses_are_their_definitions(name: str, weighted: bool) -> None:
    make = LOSSES[name] if name in LOSSES else ON_HOST[name][0]
    if weighted and name in ("mean", "sum", "root", *ON_HOST):
        return
    found = [
        trained(make, engine, weighted, np.random.default_rng(1))
        for engine in ("native", "reference")
    ]
    (model, *numbers), (other, *wanted) = found
    plan = plan_of(model)
    assert bool(plan.losses) == (name in LOSSES)
    assert not plan.loss_reasons or ON_HOST[name][1] in plan.loss_reasons[0]
    for key, values in wanted[0].items():
        np.testing.assert_allclose(numbers[0][key], values, rtol=1e-5)
    np.testing.assert_allclose(numbers[1], wanted[1], rtol=1e-5)
    for mine, reference in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-5)


def test_one_number_for_the_batch_takes_no_weights(rng: Any) -> None:
    with pytest.raises(ValueError, match="no sample weights"):
        trained(LOSSES["mean"], "native", True, rng)


def test_a_number_set_later_counts(rng: Any) -> None:
    loss = Margin(0.5)
    model, _, _ = trained(lambda: loss, "native", False, rng)
    x, y = np.ones((4, 5), np.float32), np.zeros((4, 3), np.float32)
    for delta in (0.5, 0.1, 2.0):
        loss.delta = delta
        wanted = float(loss(y, model(x)))
        assert model.test_on_batch(x, y)[0] == pytest.approx(wanted, rel=1e-5)


def test_targets_of_another_shape(rng: Any) -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.square(y_pred - y_true), axis=-1)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.0), loss)
    x = rng.standard_normal((8, 2)).astype("float32")
    for width in (3, 1, 3):
        y = rng.standard_normal((8, width)).astype("float32")
        wanted = ((np.asarray(model(x)) - y) ** 2).mean()
        history = model.fit(x, y, verbose=0, batch_size=8).history["loss"]
        assert history[0] == pytest.approx(wanted, rel=1e-5)
        assert model.train_on_batch(x, y) == pytest.approx(wanted, rel=1e-5)


def test_several_outputs_share_targets(rng: Any) -> None:
    x = keras.Input((2,))
    model = keras.Model(x, [keras.layers.Dense(1, name="a")(x), keras.layers.Dense(1, name="b")(x)])
    model.compile(keras.optimizers.SGD(0.0), [squares, "mse"], loss_weights=[2.0, 0.5])
    data = rng.standard_normal((6, 2)).astype("float32")
    y = [rng.standard_normal((6, 1)).astype("float32") for _ in range(2)]
    history = model.fit(data, y, verbose=0, batch_size=6).history
    a, b = (((np.asarray(p) - t) ** 2).mean() for p, t in zip(model(data), y, strict=True))
    assert history["loss"][0] == pytest.approx(2 * a + 0.5 * b, rel=1e-5)
    assert history["a_loss"][0] == pytest.approx(a, rel=1e-5)
    assert not plan_of(model).loss_reasons


def kl(z: Any) -> Any:
    return -0.5 * ops.mean(z - ops.square(z) - ops.exp(z) + 1)


class Adding(keras.layers.Layer):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.inner = keras.layers.Dense(3)

    def build(self, shape: Any) -> None:
        self.inner.build(shape)

    def call(self, x: Any) -> Any:
        h = self.inner(x)
        if self.kind == "mean":
            self.add_loss(kl(h))
        elif self.kind == "sum":
            self.add_loss(0.01 * ops.sum(ops.abs(h)))
        else:
            self.add_loss(ops.mean(ops.square(h), axis=-1))
        return h


class AddingModel(keras.Model):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.first = keras.layers.Dense(3)
        self.kind = kind

    def call(self, x: Any) -> Any:
        h = self.first(x)
        self.add_loss(kl(h) if self.kind == "model" else ops.sum(ops.abs(h)) * 0.01)
        return h


@pytest.mark.parametrize("kind", ["mean", "sum", "rows", "model", "model sum"])
def test_added_losses_are_followed(kind: str) -> None:
    found = []
    for engine in ("native", "reference"):
        rng = np.random.default_rng(2)
        x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 3))
        if kind.startswith("model"):
            model: Any = AddingModel(kind)
            model(x[:2])
        else:
            model = keras.Sequential([keras.Input((4,)), Adding(kind)])
        model.set_weights([rng.standard_normal(w.shape) * 0.4 for w in model.get_weights()])
        model.compile(keras.optimizers.SGD(0.05), "mse", engine=engine)
        history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
        if engine == "native":
            assert not plan_of(model).has_host_nodes
        found.append((history["loss"], model.evaluate(x, y, verbose=0), model.get_weights()))
        model(x)
        assert len(model.losses) == 1
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)
    for mine, other in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)
