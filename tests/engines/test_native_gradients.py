"""Every native op and loss: the backward against central differences of the forward, in float64."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import _native

from . import native_plans as plans
from .native_plans import ACTIVATION_PARAMETERS, NAN, add_dense, check_gradients, mlp, new_plan

# Not for any number, flat by decree, or too steep: contracts/test_native_ops.py has them.
ELSEWHERE = set(
    [
        "log",
        "log2",
        "log10",
        "log1p",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "arcsin",
        "arccos",
        "arctanh",
        "tan",
        "stop_gradient",
    ]
)
ACTIVATIONS = sorted(set(_native.testing.activation_kinds()) - ELSEWHERE)


def data(rng: np.random.Generator, n: int = 6, width: int = 4, out: int = 3) -> list[np.ndarray]:
    return [rng.standard_normal((n, width)), rng.standard_normal((n, out))]


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_dense_with_each_activation(kind: str, rng: np.random.Generator) -> None:
    x, _ = data(rng)
    out = 3 if kind == "glu" else 6
    built = mlp([4, 5, 6], rng, hidden="tanh", last=kind)
    check_gradients(built, [x], [rng.standard_normal((6, out))])


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activation_on_its_own(kind: str, rng: np.random.Generator) -> None:
    x, _ = data(rng)
    built = new_plan()
    h = add_dense(built, built.plan.input(4), (4, 6), rng)
    y = plans.activation(
        built.plan, h, kind, ACTIVATION_PARAMETERS.get(kind, []), 3 if kind != "glu" else 6
    )
    built.plan.output(y)
    out = 3 if kind == "glu" else 6
    built.plan.loss(0, "mean_squared_error", [], out)
    built.plan.finalize()
    check_gradients(built, [x], [rng.standard_normal((6, out))])


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("loss", "last"), [("binary_crossentropy", "sigmoid"), ("categorical_crossentropy", "softmax")]
)
def test_crossentropies(
    loss: str, last: str, smoothing: float, fuse: bool, rng: np.random.Generator
) -> None:
    x, _ = data(rng)
    target = np.eye(3)[rng.integers(0, 3, 6)] if last == "softmax" else rng.random((6, 3))
    built = mlp(
        [4, 5, 3], rng, last=last, loss=loss, loss_parameters=[0, smoothing, 1e-7], fuse=fuse
    )
    assert ("+ loss" in _native.testing.describe(built.plan)[-1]) == fuse
    weights = rng.random(6)
    check_gradients(built, [x], [target], weights=[weights])


@pytest.mark.parametrize("fuse", [True, False])
def test_sparse_crossentropy_with_an_ignored_class(fuse: bool, rng: np.random.Generator) -> None:
    x, _ = data(rng)
    labels = np.array([0, 2, -1, 1, -1, 0])
    built = mlp(
        [4, 3],
        rng,
        last="softmax",
        loss="sparse_categorical_crossentropy",
        loss_parameters=[0, -1.0, 1e-7],
        fuse=fuse,
    )
    check_gradients(built, [x], [labels])


@pytest.mark.parametrize(
    ("loss", "parameters"),
    [
        ("mean_squared_error", []),
        ("mean_absolute_error", []),
        ("binary_crossentropy", [1.0, 0.1, 1e-7]),
        ("categorical_crossentropy", [1.0, 0.1, 1e-7]),
        ("sparse_categorical_crossentropy", [1.0, NAN, 1e-7]),
    ],
)
def test_losses_of_linear_outputs(
    loss: str, parameters: list[float], rng: np.random.Generator
) -> None:
    x, target = data(rng)
    if "crossentropy" in loss:
        target = np.eye(3)[rng.integers(0, 3, 6)]
    if loss.startswith("sparse"):
        target = rng.integers(0, 3, 6)
    built = mlp([4, 5, 3], rng, loss=loss, loss_parameters=parameters)
    check_gradients(built, [x], [target])


@pytest.mark.parametrize(("loss", "parameters"), [("dice", [1e-7]), ("tversky", [0.3, 0.7, 1e-7])])
def test_losses_of_the_whole_batch(
    loss: str, parameters: list[float], rng: np.random.Generator
) -> None:
    """Beside a loss of rows on the same output, whose gradient comes first."""
    x, target = data(rng)
    built = new_plan()
    built.plan.output(add_dense(built, built.plan.input(4), (4, 3), rng, "sigmoid"))
    built.plan.loss(0, loss, parameters, 0, 0.5)
    built.plan.loss(0, "mean_squared_error", [], 3)
    built.plan.finalize()
    check_gradients(built, [x], [target, target])
    total, whole, rows = plans.gradients(built, [x], [target, target])[0]
    y = built.predict(x, 3)
    assert whole == pytest.approx(
        float(_native.testing.loss(loss, parameters, *flat(target, y))[0])
    )
    assert total == pytest.approx(0.5 * whole + rows)


def flat(*arrays: np.ndarray) -> list[np.ndarray]:
    return [a.reshape(1, -1) for a in arrays]


def test_the_fused_pair_agrees_with_the_two_steps(rng: np.random.Generator) -> None:
    x, _ = data(rng)
    labels = rng.integers(0, 3, 6)
    results = []
    for fuse in (True, False):
        built = mlp(
            [4, 3],
            np.random.default_rng(2),
            last="softmax",
            loss="sparse_categorical_crossentropy",
            loss_parameters=[0, NAN, 1e-7],
            fuse=fuse,
        )
        losses, d_parameters, d_inputs = plans.gradients(built, [x], [labels])
        results.append([losses, *d_parameters, *d_inputs])
    for fused, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "kind", ["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]
)
def test_branches_merge(kind: str, rng: np.random.Generator) -> None:
    x, target = data(rng)
    built = new_plan()
    plan = built.plan
    inputs = plan.input(4)
    branches = [add_dense(built, inputs, (4, 6), rng, "tanh") for _ in range(3)]
    if kind == "subtract":
        branches = branches[:2]
    if kind == "concatenate":
        # (2, 3) per sample, joined along the last axis.
        merged = plans.concatenate(plan, [*branches, branches[0]], [3, 3, 3, 3])
    else:
        of_many = kind in ("add", "average")
        merged = branches[0] if not of_many else plans.merge(plan, kind, branches)
        for branch in [] if of_many else branches[1:]:
            merged = plans.merge(plan, kind, [merged, branch])
    width = 24 if kind == "concatenate" else 6
    plan.output(add_dense(built, merged, (width, 3), rng))
    plan.output(branches[0])  # read by a loss of its own, too
    plan.loss(0, "mean_squared_error", [], 3)
    plan.loss(1, "mean_squared_error", [], 6, 0.3)
    plan.finalize()
    check_gradients(built, [x], [target, rng.standard_normal((6, 6))])


def test_a_value_merged_with_itself(rng: np.random.Generator) -> None:
    x, target = data(rng)
    for kind in ("add", "multiply", "average", "maximum"):
        built = new_plan()
        h = add_dense(built, built.plan.input(4), (4, 3), rng, "tanh")
        built.plan.output(plans.merge(built.plan, kind, [h, h]))
        built.plan.loss(0, "mean_squared_error", [], 3)
        built.plan.finalize()
        check_gradients(built, [x], [target])


def test_shared_layer_applied_twice_and_to_rows(rng: np.random.Generator) -> None:
    built = new_plan()
    plan = built.plan
    w, b = rng.standard_normal((4, 4)) / 2, rng.standard_normal(4)
    built.parameters += [w, b]
    kernel, bias = plan.parameter(w, True), plan.parameter(b, True)
    h = plans.dense(plan, plan.input(12), kernel, bias, 4, 4, "tanh", [])  # three rows a sample
    h = plans.dense(plan, h, kernel, bias, 4, 4, "tanh", [])
    plan.output(h)
    plan.loss(0, "mean_squared_error", [], 4)
    plan.finalize()
    assert plan.flops_per_sample() == 2 * 2 * 3 * 16
    x, target = rng.standard_normal((5, 3, 4)), rng.standard_normal((5, 3, 4))
    check_gradients(built, [x], [target], weights=[rng.random((5, 3))])
    rows = np.tanh(np.tanh(x @ w + b) @ w + b)
    losses, _, _ = plans.gradients(built, [x], [target])
    np.testing.assert_allclose(losses, np.mean((rows - target) ** 2), rtol=1e-12)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_reductions(reduction: str, rng: np.random.Generator) -> None:
    x, target = data(rng)
    weight = rng.random(6)
    built = new_plan()
    built.plan.output(add_dense(built, built.plan.input(4), (4, 3), rng))
    built.plan.loss(0, "mean_squared_error", [], 3, 0.5, reduction)
    built.plan.finalize()
    rows = np.mean((x @ built.parameters[0] + built.parameters[1] - target) ** 2, axis=1)
    divisor = {"sum_over_batch_size": 6.0, "sum": 1.0, "mean_with_sample_weight": weight.sum()}
    expected = np.sum(rows * weight) / divisor[reduction]
    losses, _, _ = plans.gradients(built, [x], [target], weights=[weight])
    np.testing.assert_allclose(losses, [0.5 * expected, expected], rtol=1e-12)
    check_gradients(built, [x], [target], weights=[weight])


def test_affine_dropout_and_activity(rng: np.random.Generator) -> None:
    x, target = data(rng)
    built = new_plan()
    plan = built.plan
    h = plans.affine(plan, plan.input(4), rng.random(4) + 0.5, [0.3], 4)
    h = add_dense(built, h, (4, 5), rng, "tanh")
    plans.activity(plan, h, 0.1, 0.2)
    h = plans.dropout(plan, h, 0.4)
    plan.output(add_dense(built, h, (5, 3), rng))
    plan.loss(0, "mean_squared_error", [], 3)
    plan.finalize()
    check_gradients(built, [x], [target], counters=[9])
    check_gradients(built, [x], [target], counters=[9], training=False)
    assert plans.total_loss(built, [x], [target], counters=[9]) != plans.total_loss(
        built, [x], [target], counters=[10]
    )


def test_penalties_are_part_of_total_and_gradient(rng: np.random.Generator) -> None:
    x, target = data(rng)
    built = new_plan()
    plan = built.plan
    h = add_dense(built, plan.input(4), (4, 5), rng, "tanh")
    plan.output(add_dense(built, h, (5, 3), rng))
    plan.loss(0, "mean_squared_error", [], 3)
    plan.set_regularizer(0, "l1l2", [0.01, 0.02])
    plan.set_regularizer(2, "orthogonal", [0.1, 1.0])
    last = built.parameters[3]
    plan.set_host_regularizer(3, lambda: (float(np.sum(last**3)), 3 * last**2))
    plan.finalize()
    check_gradients(built, [x], [target])
    losses, _, _ = plans.gradients(built, [x], [target])
    w = built.parameters[0]
    orthogonal, _ = _native.testing.regularizer("orthogonal", [0.1, 1.0], built.parameters[2])
    penalty = 0.01 * np.abs(w).sum() + 0.02 * np.sum(w**2) + orthogonal + np.sum(last**3)
    np.testing.assert_allclose(losses[0] - losses[1], penalty, rtol=1e-12)


def test_an_unused_branch_has_zero_gradient(rng: np.random.Generator) -> None:
    x, target = data(rng)
    built = new_plan()
    inputs = built.plan.input(4)
    built.plan.output(add_dense(built, inputs, (4, 3), rng))
    built.plan.output(add_dense(built, inputs, (4, 2), rng))  # no loss
    built.plan.loss(0, "mean_squared_error", [], 3)
    built.plan.finalize()
    _, d_parameters, _ = plans.gradients(built, [x], [target])
    assert np.all(d_parameters[2] == 0) and np.all(d_parameters[3] == 0)
    assert np.any(d_parameters[0] != 0)


def test_the_gradient_check_can_fail(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, target = data(rng)
    built = mlp([4, 3], rng)
    right = plans.gradients

    def wrong(*args: object, **kwargs: object) -> object:
        losses, d_parameters, d_inputs = right(*args, **kwargs)  # type: ignore[arg-type]
        return losses, [1.001 * g for g in d_parameters], d_inputs

    monkeypatch.setattr(plans, "gradients", wrong)
    with pytest.raises(AssertionError):
        check_gradients(built, [x], [target])
