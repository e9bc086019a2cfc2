"""Training on the native engine against a reference in NumPy: updates, constraints, host parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from densekit import _native

from . import native_plans as plans
from .native_plans import Array, Built, add_dense, mlp, new_plan

N = 24


def data(rng: np.random.Generator, n: int = N) -> tuple[Array, Array]:
    return rng.standard_normal((n, 4)), rng.standard_normal((n, 3))


class Reference:
    """Keras' order of an update, one array at a time, on gradients of the plan itself."""

    def __init__(self, parameters: list[Array], rule: Callable[..., Array], **options: Any) -> None:
        self.w = [p.copy() for p in parameters]
        self.slots: list[dict[str, Array]] = [{} for _ in parameters]
        self.ema = [np.zeros_like(p) for p in parameters]
        self.sum = [np.zeros_like(p) for p in parameters]
        self.rule, self.options = rule, options

    def clip(self, grads: list[Array]) -> list[Array]:
        o = self.options
        if norm := o.get("clip_norm", 0):
            return [g * norm / max(np.linalg.norm(g), norm) for g in grads]
        if norm := o.get("global_clip_norm", 0):
            total = np.sqrt(sum(np.sum(g**2) for g in grads))
            return [g * norm / max(total, norm) for g in grads]
        if value := o.get("clip_value", 0):
            return [np.clip(g, -value, value) for g in grads]
        return grads

    def step(self, iteration: int, rate: float, grads: list[Array]) -> None:
        o = self.options
        steps = o.get("accumulation_steps", 1)
        updates = (iteration + 1) % steps == 0
        made = iteration // steps  # updates so far, which Keras calls iterations
        if steps > 1:
            for s, g in zip(self.sum, grads, strict=True):
                s += g
            grads = [s / steps for s in self.sum]
        if updates:
            for i, g in enumerate(self.clip(grads)):
                self.w[i] -= self.w[i] * o.get("weight_decay", 0.0) * rate
                self.w[i] -= self.rule(self.slots[i], made + 1, rate, g)
                self.sum[i][...] = 0
        momentum = o.get("ema_momentum", -1.0)
        if momentum < 0:
            return
        every = o.get("ema_overwrite_frequency", 0)
        for w, ema in zip(self.w, self.ema, strict=True):
            m = momentum if made else 0.0
            ema[...] = m * ema + (1 - m) * w
            if every and (made + 1) % every == 0:
                w[...] = ema


def slot(slots: dict[str, Array], name: str, g: Array) -> Array:
    return slots.setdefault(name, np.zeros_like(g))


def sgd(momentum: float, nesterov: bool) -> Callable[..., Array]:
    def rule(slots: dict[str, Array], _step: int, rate: float, g: Array) -> Array:
        if not momentum:
            return rate * g
        m = slot(slots, "m", g)
        m[...] = momentum * m - rate * g
        return -(momentum * m - rate * g) if nesterov else -m.copy()

    return rule


def rmsprop(rho: float, momentum: float, epsilon: float, centered: bool) -> Callable[..., Array]:
    def rule(slots: dict[str, Array], _step: int, rate: float, g: Array) -> Array:
        v, a = slot(slots, "v", g), slot(slots, "a", g)
        v[...] = rho * v + (1 - rho) * g**2
        a[...] = rho * a + (1 - rho) * g
        increment = rate * g / np.sqrt(v - (a**2 if centered else 0) + epsilon)
        if not momentum:
            return increment
        m = slot(slots, "m", g)
        m[...] = momentum * m + increment
        return m.copy()

    return rule


def adam(beta_1: float, beta_2: float, epsilon: float, amsgrad: bool) -> Callable[..., Array]:
    def rule(slots: dict[str, Array], step: int, rate: float, g: Array) -> Array:
        m, v, top = (slot(slots, name, g) for name in ("m", "v", "top"))
        m += (g - m) * (1 - beta_1)
        v += (g**2 - v) * (1 - beta_2)
        top[...] = np.maximum(top, v)
        alpha = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        return alpha * m / (np.sqrt(top if amsgrad else v) + epsilon)

    return rule


RULES: list[tuple[str, list[float], int, Callable[..., Array]]] = [
    ("sgd", [0, 0], 0, sgd(0, False)),
    ("sgd", [0.9, 0], 1, sgd(0.9, False)),
    ("sgd", [0.9, 1], 1, sgd(0.9, True)),
    ("rmsprop", [0.9, 0, 1e-7, 0], 1, rmsprop(0.9, 0, 1e-7, False)),
    ("rmsprop", [0.9, 0.5, 1e-3, 1], 3, rmsprop(0.9, 0.5, 1e-3, True)),
    ("rmsprop", [0.9, 0, 1e-3, 1], 2, rmsprop(0.9, 0, 1e-3, True)),
    ("adam", [0.9, 0.99, 1e-7, 0], 2, adam(0.9, 0.99, 1e-7, False)),
    ("adam", [0.9, 0.99, 1e-7, 1], 3, adam(0.9, 0.99, 1e-7, True)),
]


def follow(
    built: Built, reference: Reference, x: Array, y: Array, steps: int = 6, tolerance: float = 1e-9
) -> None:
    """Trains both a step at a time; gradients come from a plan set to the reference's weights."""
    rows = np.arange(N).reshape(-1, 8)
    for iteration in range(steps):
        batch = rows[iteration % len(rows)]
        _, grads, _ = plans.gradients(built, [x[batch]], [y[batch]])
        built.train(x, y, index=batch, iteration=iteration)
        reference.step(iteration, 0.05, grads)
        for mine, theirs in zip(built.parameters, reference.w, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "parameters", "slots", "rule"), RULES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "clip_value": 0.05},
        {"clip_norm": 0.2},
        {"global_clip_norm": 0.3, "weight_decay": 0.01},
        {"accumulation_steps": 3, "clip_norm": 0.2, "ema_momentum": 0.8},
        {"ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    ],
    ids=lambda o: "-".join(o) or "plain",
)
def test_optimizers(
    kind: str,
    parameters: list[float],
    slots: int,
    rule: Callable[..., Array],
    options: dict[str, Any],
    rng: np.random.Generator,
) -> None:
    x, y = data(rng)
    built = mlp([4, 5, 3], rng, optimizer=(kind, parameters), **options)
    reference = Reference(built.parameters, rule, **options)
    averages = [np.zeros_like(p) for p in built.parameters]
    sums = [np.zeros_like(p) for p in built.parameters]
    for i, p in enumerate(built.parameters):
        state = [np.zeros_like(p) for _ in range(slots)]
        built.plan.set_slots(i, state, averages[i], sums[i], True)
    follow(built, reference, x, y)
    if "ema_momentum" in options:
        np.testing.assert_allclose(averages[0], reference.ema[0], rtol=1e-9)


def test_a_parameter_may_be_excluded_from_decay(rng: np.random.Generator) -> None:
    x, y = data(rng)
    built = mlp([4, 3], rng, optimizer=("sgd", [0, 0]), weight_decay=0.5)
    built.plan.set_slots(1, [], None, None, False)
    before = built.parameters[1].copy()
    _, grads, _ = plans.gradients(built, [x], [y])
    built.train(x, y, batch_size=N)
    np.testing.assert_allclose(built.parameters[1], before - 0.05 * grads[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("non_neg", []),
        ("clip", [-0.1, 0.2]),
        ("max_norm", [0.3, 0, 1e-7]),
        ("min_max_norm", [0.2, 0.4, 1.0, 1, 1e-7]),
        ("unit_norm", [0, 1e-7]),
    ],
)
@pytest.mark.parametrize("options", [{}, {"ema_momentum": 0.5, "ema_overwrite_frequency": 2}])
def test_constraints_hold_after_every_update(
    kind: str, parameters: list[float], options: dict[str, Any], rng: np.random.Generator
) -> None:
    x, y = data(rng)
    built = new_plan()
    built.plan.output(add_dense(built, built.plan.input(4), (4, 3), rng))
    built.plan.loss(0, "mean_squared_error", [], 3)
    built.plan.set_constraint(0, kind, parameters)
    built.plan.set_optimizer("sgd", [0, 0], **options)
    built.plan.finalize()
    built.slots_for(0)
    for i, p in enumerate(built.parameters):
        built.plan.set_slots(i, [], np.zeros_like(p), None, True)
    w = built.parameters[0]
    for iteration in range(4):
        built.train(x, y, batch_size=N, iteration=iteration, rate=0.3)
        again = _native.testing.constraint(kind, parameters, w)
        np.testing.assert_allclose(again, w, rtol=1e-6, atol=1e-12)
    free = mlp([4, 3], np.random.default_rng(7))
    assert not np.allclose(
        _native.testing.constraint(kind, parameters, free.parameters[0]), free.parameters[0]
    )


def test_penalties_train(rng: np.random.Generator) -> None:
    x, y = data(rng)
    for buffered in (False, True):
        built = new_plan()
        built.plan.output(add_dense(built, built.plan.input(4), (4, 3), rng))
        built.plan.loss(0, "mean_squared_error", [], 3)
        built.plan.set_regularizer(0, "l1l2", [0.01, 0.02])
        built.plan.set_optimizer("sgd", [0, 0], global_clip_norm=1e9 if buffered else 0.0)
        built.plan.finalize()
        reference = Reference(built.parameters, sgd(0, False))
        follow(built, reference, x, y)
        w = built.parameters[0]
        losses = built.train(x, y, batch_size=N, rate=0.0)
        penalty = 0.01 * np.abs(w).sum() + 0.02 * np.sum(w**2)
        np.testing.assert_allclose(losses[0, 0] - losses[0, 1], penalty, rtol=1e-9)


def host_square(built: Built, x: int, size: int, scale: Array) -> int:
    """y = scale * x^2 on the host, with a loss of its own, sum(y)."""
    saved: list[Array] = []

    def forward(training: bool, inputs: list[Array]) -> tuple[list[Array], float]:
        saved[:] = inputs
        y = scale * inputs[0] ** 2
        return [y], float(np.sum(y))

    def backward(d: list[Array]) -> tuple[list[Array | None], list[Array | None]]:
        g = d[0] + 1.0
        return [2 * scale * saved[0] * g], [np.sum(g * saved[0] ** 2, axis=0)]

    parameter = built.plan.parameter(scale, True)
    built.parameters.append(scale)
    return built.plan.host([x], [size], [parameter], forward, backward)[0]


def with_host_node(rng: np.random.Generator) -> Built:
    built = new_plan()
    h = add_dense(built, built.plan.input(4), (4, 5), rng, "tanh")
    h = host_square(built, h, 5, rng.random(5))
    built.plan.output(add_dense(built, h, (5, 3), rng))
    built.plan.loss(0, "mean_squared_error", [], 3)
    built.plan.set_optimizer("sgd", [0, 0])
    built.plan.finalize()
    return built


def test_host_nodes_train_and_predict(rng: np.random.Generator) -> None:
    x, y = data(rng)
    built = with_host_node(rng)
    plans.check_gradients(built, [x], [y])
    follow(built, Reference(built.parameters, sgd(0, False)), x, y)
    w, b, scale, w2, b2 = built.parameters
    expected = (scale * np.tanh(x @ w + b) ** 2) @ w2 + b2
    np.testing.assert_allclose(built.predict(x), expected, rtol=1e-12)
    assert any("host" in line for line in _native.testing.describe(built.plan))


def test_host_loss_regularizer_constraint(rng: np.random.Generator) -> None:
    x, y = data(rng)
    calls: list[tuple[Any, ...]] = []

    def loss(
        y_true: Array | None, y_pred: Array, weight: Array | None, need_gradient: bool
    ) -> tuple[float, Array | None]:
        assert y_true is not None and weight is not None
        calls.append((y_true.shape, weight.shape, need_gradient))
        e = (y_pred - y_true) * weight[:, None]
        return float(np.sum(e**2)), 2 * e * weight[:, None] if need_gradient else None

    built = new_plan()
    h = add_dense(built, built.plan.input(4), (4, 3), rng, "tanh")
    built.plan.output(h)
    built.plan.host_loss(0, loss, 0.5)
    built.plan.loss(0, "mean_squared_error", [], 3)
    w, b = built.parameters
    built.plan.set_host_regularizer(0, lambda: (float(np.sum(w**4)), 4 * w**3))
    built.plan.set_host_constraint(1, lambda: np.clip(b, -0.01, 0.01, out=b))
    built.plan.set_optimizer("sgd", [0, 0])
    built.plan.finalize()
    weight = rng.random(N)
    weights: list[Array | None] = [weight, None]
    plans.check_gradients(built, [x], [y, y], weights=weights)
    losses = built.train(x, [y, y], batch_size=10, weights=weights)
    assert losses.shape == (3, 3) and np.all(np.abs(b) <= 0.01)
    assert calls[-1] == ((4, 3), (4,), True)
    test = np.zeros((1, 3))
    built.plan.evaluate([x], [y, y], weights, np.arange(N), N, [], [], test, [])
    assert calls[-1] == ((N, 3), (N,), False)
    e = (np.tanh(x @ w + b) - y) * weight[:, None]
    np.testing.assert_allclose(test[0, 1], np.sum(e**2), rtol=1e-12)
    total = 0.5 * test[0, 1] + test[0, 2] + np.sum(w**4)
    np.testing.assert_allclose(test[0, 0], total, rtol=1e-12)


def test_host_optimizer(rng: np.random.Generator) -> None:
    x, y = data(rng)
    seen: list[tuple[int, float]] = []
    built = mlp([4, 3], rng, optimizer=None)

    def update(iteration: int, rate: float, grads: list[Array]) -> None:
        seen.append((iteration, rate))
        for w, g in zip(built.parameters, grads, strict=True):
            assert w.shape == g.shape
            w -= rate * g

    built.plan.set_host_optimizer(update)
    _, grads, _ = plans.gradients(built, [x], [y])
    expected = [w - 0.05 * g for w, g in zip(built.parameters, grads, strict=True)]
    built.train(x, y, batch_size=N, iteration=4)
    assert seen == [(4, 0.05)]
    for w, e in zip(built.parameters, expected, strict=True):
        np.testing.assert_allclose(w, e, rtol=1e-12)


@pytest.mark.parametrize("where", ["forward", "backward", "loss", "regularizer"])
def test_a_host_exception_leaves_the_step_undone(where: str, rng: np.random.Generator) -> None:
    x, y = data(rng)
    count = 0

    def maybe(place: str) -> None:
        nonlocal count
        count += place == where
        if place == where and count == 3:
            raise RuntimeError(f"no {where}")

    def forward(training: bool, inputs: list[Array]) -> tuple[list[Array], float]:
        maybe("forward")
        return inputs, 0.0

    def backward(d: list[Array]) -> tuple[list[Array | None], list[Array | None]]:
        maybe("backward")
        return d, []  # type: ignore[return-value]

    def loss(t: Array | None, p: Array, w: Array | None, g: bool) -> tuple[float, Array | None]:
        maybe("loss")
        return 0.0, np.zeros_like(p)

    def penalty() -> tuple[float, Array]:
        maybe("regularizer")
        return 0.0, np.ones_like(built.parameters[0])

    built = new_plan()
    h = add_dense(built, built.plan.input(4), (4, 3), rng)
    built.plan.output(built.plan.host([h], [3], [], forward, backward)[0])
    built.plan.host_loss(0, loss)
    built.plan.set_host_regularizer(0, penalty)
    built.plan.set_optimizer("sgd", [0, 0])
    built.plan.finalize()
    before = [p.copy() for p in built.parameters]
    with pytest.raises(RuntimeError, match=f"no {where}"):
        built.train(x, y, batch_size=8, rate=0.25)
    assert _native.testing.steps_done(built.plan) == 2
    np.testing.assert_allclose(built.parameters[0], before[0] - 2 * 0.25)
    built.train(x, y, batch_size=8)  # the plan is still usable


def test_the_penalty_is_counted_on_fixed_parameters_too(rng: np.random.Generator) -> None:
    x, y = data(rng)
    plan = _native.Plan("float64")
    w = rng.standard_normal((4, 3))
    plan.output(plans.dense(plan, plan.input(4), plan.parameter(w, False), -1, 4, 3))
    plan.loss(0, "mean_squared_error", [], 3)
    plan.set_regularizer(0, "l1l2", [0.5, 0.0])
    plan.set_optimizer("sgd", [0, 0])
    plan.finalize()
    before = w.copy()
    losses = Built(plan, parameters=[w]).train(x, y, batch_size=N)
    np.testing.assert_allclose(losses[0, 0] - losses[0, 1], 0.5 * np.abs(w).sum(), rtol=1e-12)
    assert np.array_equal(w, before)


@pytest.mark.parametrize("last", ["softmax", "log_softmax", "tanh"])
@pytest.mark.parametrize("units", [10, 70])
def test_long_runs_of_tall_kernels_are_single_steps(
    last: str, units: int, rng: np.random.Generator
) -> None:
    """A kernel of one panel or a few, moved for a run of many steps, does what it does in place."""
    x, y = rng.standard_normal((N, 2000)), rng.random((N, units))
    long, single = (mlp([2000, units], np.random.default_rng(0), last=last) for _ in range(2))
    losses = long.train(x, y, batch_size=4)
    for step in range(N // 4):
        rows = np.arange(4 * step, 4 * step + 4)
        one = single.train(x, y, batch_size=4, index=rows, iteration=step)
        assert one[0, 1] == losses[step, 1]
    for a, b in zip(long.parameters, single.parameters, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sums_over_a_whole_large_batch_keep_small_numbers(rng: np.random.Generator) -> None:
    y = (0.1 + 0.01 * rng.random((1, 1 << 22))).astype("f")
    loss = _native.testing.loss("dice", [1e-7], y, y)[0]
    exact = y.astype("d")
    assert loss == pytest.approx(1 - np.sum(exact * exact) / np.sum(exact), rel=1e-6)
