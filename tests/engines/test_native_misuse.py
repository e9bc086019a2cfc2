"""Wrong ids, sizes, types and orders of calls: a sentence, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from densekit import _native

from . import native_plans as plans
from .native_plans import add_dense, mlp, new_plan

W = np.zeros((3, 2), "f")
ADAM = ("adam", [0.9, 0.999, 1e-7, 0.0])
NADAM = ("nadam", [0.9, 0.999, 1e-7])
ADAFACTOR = ("adafactor", [-0.8, 1e-30, 1e-3, 1.0])


def started() -> _native.Plan:
    """A plan with value 0 (3 elements) and parameters 0 (3, 2), 1 (2,)."""
    plan = _native.Plan("float32")
    plan.input(3)
    plan.parameter(W.copy(), True)
    plan.parameter(np.zeros(2, "f"), True)
    return plan


BUILDING: list[tuple[str, Callable[[_native.Plan], Any]]] = [
    ("no value 9", lambda p: plans.dense(p, 9, 0, 1, 3, 2)),
    ("no parameter 7", lambda p: plans.dense(p, 0, 7, 1, 3, 2)),
    ("expected parameter 0", lambda p: plans.dense(p, 0, 0, 1, 3, 5)),
    ("expected parameter 0", lambda p: plans.dense(p, 0, 0, 0, 3, 2)),
    ("multiple of in_features", lambda p: plans.dense(p, 0, 0, 1, 2, 2)),
    ("1 or more", lambda p: plans.dense(p, 0, 0, 1, 0, 2)),
    ("Unknown activation", lambda p: plans.dense(p, 0, 0, 1, 3, 2, "swoosh")),
    ("takes 3 parameters", lambda p: plans.dense(p, 0, 0, 1, 3, 2, "relu", [0.0])),
    ("even", lambda p: plans.activation(p, 0, "glu", [], 3)),
    ("does not divide", lambda p: plans.activation(p, 0, "tanh", [], 2)),
    ("no value -1", lambda p: plans.activation(p, -1, "tanh", [], 3)),
    ("rate", lambda p: plans.dropout(p, 0, 1.5)),
    ("rate", lambda p: plans.dropout(p, 0, float("nan"))),
    ("1 or 3", lambda p: plans.affine(p, 0, [1.0, 2.0], [0.0], 3)),
    ("Unknown merge", lambda p: plans.merge(p, "xor", [0, 0])),
    ("at least two", lambda p: plans.merge(p, "add", [0])),
    ("takes 2 values", lambda p: plans.merge(p, "subtract", [0, 0, 0])),
    ("equal sizes", lambda p: plans.merge(p, "add", [0, p.input(4)])),
    ("does not divide", lambda p: plans.concatenate(p, [0, 0], [2, 3])),
    ("as many inners", lambda p: plans.concatenate(p, [0, 0], [3])),
    ("before the joined", lambda p: plans.concatenate(p, [0, p.input(2)], [3, 1])),
    ("no value 5", lambda p: p.output(5)),
    ("no output", lambda p: p.loss(0, "mean_squared_error", [], 3)),
    ("no parameter 4", lambda p: p.host([0], [1], [4], len, len)),
    ("0 or more", lambda p: p.input(-1)),
    ("There is no parameter", lambda p: p.set_regularizer(5, "l1l2", [0.0, 0.0])),
    ("Unknown constraint", lambda p: p.set_constraint(0, "odd", [])),
    ("Unknown optimizer", lambda p: p.set_optimizer("magic", [])),
    ("accumulation_steps", lambda p: p.set_optimizer(*ADAM, accumulation_steps=0)),
    ("one element", lambda p: p.set_optimizer(*NADAM, product=np.ones(2, "f"))),
    ("three slots", lambda p: p.set_slots(0, [W.copy()] * 4)),
    ("as many elements", lambda p: p.set_slots(0, [np.zeros(5, "f")])),
    ("contiguous", lambda p: p.parameter(np.zeros((4, 4), "f")[:, ::2], True)),
    ("no output", lambda p: p.finalize()),
    ("not finished", lambda p: p.predict([W], 1, [W])),
    ("not finished", lambda p: p.set_call_shape([1], [1])),
]


@pytest.mark.parametrize(("message", "call"), BUILDING, ids=[m for m, _ in BUILDING])
def test_building(message: str, call: Callable[[_native.Plan], Any]) -> None:
    plan = started()
    with pytest.raises(ValueError, match=message):
        call(plan)
    plan.output(plans.dense(plan, 0, 0, 1, 3, 2))  # the plan is as good as before
    plan.finalize()
    out = np.ones((2, 2), "f")
    extra = [np.zeros((2, 4), "f")] if "equal sizes" in message else []
    extra = [np.zeros((2, 2), "f")] if "joined" in message else extra
    plan.predict([np.zeros((2, 3), "f"), *extra], 2, [out])
    assert np.all(out == 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.parameter([1.0, 2.0], True),
        lambda p: p.parameter(np.zeros(3), True),
        lambda p: p.parameter(np.zeros(3, ">f4"), True),
        lambda p: p.host([0], [1], [], None, len),
        lambda p: p.host_loss(0, 3),
        lambda p: p.set_host_constraint(0, "x"),
        lambda p: plans.dense(p, "a", 0, 1, 3, 2),
    ],
)
def test_wrong_types(call: Callable[[_native.Plan], Any]) -> None:
    with pytest.raises(TypeError):
        call(started())


def test_a_read_only_parameter_cannot_be_trained() -> None:
    w = W.copy()
    w.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        started().parameter(w, True)
    started().parameter(w, False)


def test_a_finished_plan_does_not_grow(rng: np.random.Generator) -> None:
    built = mlp([3, 2], rng)
    with pytest.raises(ValueError, match="finished"):
        built.plan.input(2)
    with pytest.raises(ValueError, match="finished"):
        built.plan.finalize()


def run(built: Any, **changed: Any) -> int:
    """Trains one epoch of four rows; keywords replace arguments."""
    arguments: dict[str, Any] = {
        "inputs": [np.zeros((4, 3))],
        "targets": [np.zeros((4, 2))],
        "weights": [None],
        "index": np.arange(4),
        "batch_size": 2,
        "iterations": 0,
        "learning_rates": np.zeros(2),
        "keys": [],
        "counters": [],
        "losses": np.zeros((2, 2)),
        "predictions": [],
    }
    return int(built.plan.train(**{**arguments, **changed}))


RUNNING: list[tuple[str, dict[str, Any]]] = [
    ("beyond its 4 rows", {"index": np.array([0, 4])}),
    ("0 or more", {"index": np.array([0, -1])}),
    ("contiguous", {"index": np.arange(8)[::2]}),
    ("batch_size", {"batch_size": 0}),
    ("1 inputs", {"inputs": []}),
    ("1 targets", {"targets": []}),
    ("expected 3 elements a row", {"inputs": [np.zeros((4, 4))]}),
    ("expected 2 elements a row", {"targets": [np.zeros(4)]}),
    ("beyond its 2 rows", {"targets": [np.zeros((2, 2))]}),
    ("beyond its 3 rows", {"weights": [np.zeros(3)]}),
    ("expected 1 elements", {"weights": [np.zeros((4, 2))]}),
    ("must be contiguous", {"inputs": [np.zeros((4, 6))[:, ::2]]}),
    ("scalar", {"inputs": [np.array(1.0)]}),
    ("too small", {"losses": np.zeros((1, 2))}),
    ("each step", {"learning_rates": np.zeros(1)}),
    ("a row for each row", {"predictions": [np.zeros((3, 2))]}),
    ("1 predictions", {"predictions": [None, None]}),
]


@pytest.mark.parametrize(("message", "changed"), RUNNING, ids=[m for m, _ in RUNNING])
def test_running(message: str, changed: dict[str, Any], rng: np.random.Generator) -> None:
    built = mlp([3, 2], rng)
    with pytest.raises(ValueError, match=message):
        run(built, **changed)
    assert run(built) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": [None]},
        {"targets": [None]},
        {"inputs": [[[1.0, 2.0, 3.0]]]},
        {"inputs": [np.zeros((4, 3), ">f8")]},
        {"inputs": [np.zeros((4, 3), "c16")]},
        {"inputs": [np.zeros((4, 3), object)]},
        {"index": np.arange(4, dtype="i4")},
        {"losses": np.zeros((2, 2), "f")},
        {"predictions": [np.zeros((4, 2), "f")]},
        {"keys": [-1]},
    ],
)
def test_running_with_wrong_types(changed: dict[str, Any], rng: np.random.Generator) -> None:
    with pytest.raises(TypeError):
        run(mlp([3, 2], rng), **changed)


def test_training_needs_an_optimizer_and_its_slots(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="no optimizer"):
        run(mlp([3, 2], rng, optimizer=None))
    built = mlp([3, 2], rng, optimizer=ADAM)
    with pytest.raises(ValueError, match="2 optimizer slots, got 0"):
        run(built)
    built.slots_for(2)
    assert run(built) == 2
    built.plan.set_optimizer("sgd", [0.0, 0.0], ema_momentum=0.9)
    built.slots_for(0)
    with pytest.raises(ValueError, match="moving average"):
        run(built)
    built.plan.set_optimizer("sgd", [0.0, 0.0], accumulation_steps=2)
    with pytest.raises(ValueError, match="accumulate"):
        run(built)
    built.plan.set_optimizer(*NADAM)
    built.slots_for(2)
    with pytest.raises(ValueError, match="product"):
        run(built)


def test_slots_of_another_optimizer_are_refused(rng: np.random.Generator) -> None:
    built = mlp([3, 2], rng, optimizer=ADAFACTOR)
    built.plan.set_slots(0, [np.zeros((3, 2)), np.zeros(3), np.zeros(2)])
    built.plan.set_slots(1, [np.zeros(2)])
    assert run(built) == 2
    built.plan.set_optimizer("adam", [*ADAM[1][:3], 1.0])  # amsgrad, of three whole slots
    with pytest.raises(ValueError, match="another optimizer"):
        run(built)
    built.slots_for(3)
    assert run(built) == 2
    built.plan.set_optimizer(*ADAFACTOR)
    with pytest.raises(ValueError, match="another optimizer"):
        run(built)


def test_a_loss_of_the_batch_takes_no_labels_plus_minus_targets_and_weights(
    rng: np.random.Generator,
) -> None:
    built = new_plan()
    built.plan.output(add_dense(built, built.plan.input(3), (3, 2), rng))
    for kind, parameters in (("hinge", []), ("sparse_categorical_crossentropy", [0, 0, 0])):
        with pytest.raises(ValueError, match="give a width"):
            built.plan.loss(0, kind, parameters, 0)
    built.plan.loss(0, "dice", [1e-7], 0)
    built.plan.set_optimizer("sgd", [0.0, 0.0])
    built.plan.finalize()
    with pytest.raises(ValueError, match="takes none"):
        run(built, weights=[np.ones(4)])
    assert run(built) == 2


def test_empty_chunks_do_nothing(rng: np.random.Generator) -> None:
    built = mlp([3, 2], rng)
    assert run(built, index=np.arange(0)) == 0
    built.plan.predict([np.zeros((0, 3))], 0, [np.zeros((0, 2))])


@pytest.mark.parametrize(
    "answer",
    [None, 3, ([], 0.0), ([np.zeros(5)], 0.0), (["x"], 0.0), ([np.zeros((4, 2))], "loss")],
)
def test_what_a_host_node_returns_is_checked(answer: Any, rng: np.random.Generator) -> None:
    plan = _native.Plan("float64")
    x = plan.input(2)
    plan.output(plan.host([x], [2], [], lambda training, inputs: answer, lambda d: (d, []))[0])
    plan.finalize()
    with pytest.raises((ValueError, TypeError)):
        plan.predict([np.zeros((4, 2))], 4, [np.zeros((4, 2))])


def test_a_plan_does_not_run_inside_itself(rng: np.random.Generator) -> None:
    plan = _native.Plan("float64")

    def forward(training: bool, inputs: list[Any]) -> Any:
        losses = np.zeros((1, 2))
        plan.evaluate(inputs, inputs, [None], np.arange(1), 1, [], [], losses, [])
        return inputs, 0.0

    plan.output(plan.host([plan.input(2)], [2], [], forward, lambda d: (d, []))[0])
    plan.loss(0, "mean_squared_error", [], 2)
    plan.finalize()
    x = np.zeros((1, 2))
    with pytest.raises(RuntimeError, match="already running"):
        plan.evaluate([x], [x], [None], np.arange(1), 1, [], [], np.zeros((1, 2)), [])


def test_unknown_dtype() -> None:
    with pytest.raises(ValueError, match="float16"):
        _native.Plan("float16")


def test_set_threads_needs_one() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        _native.set_threads(0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.matmul(W, W),
        lambda: _native.testing.loss("mean_squared_error", [], W, W[:1]),
        lambda: _native.testing.loss(
            "sparse_categorical_crossentropy", [0, -1, 0], np.array([0, 1, 2]), W
        ),
        lambda: _native.testing.loss_from_logits("mean_squared_error", [], W, W),
        lambda: _native.testing.activation("glu", [], np.zeros((2, 3))),
        lambda: _native.testing.activation_gradient("tanh", [], W, W[:1]),
        lambda: _native.testing.dropout(W, 2.0, 0, 0),
        lambda: _native.testing.philox(0, 0, -1),
        lambda: _native.permutation(0, 0, -1, 1),
        lambda: _native.permutation(0, 0, 2**32, 1),
        lambda: _native.permutation(0, 0, 5, 0),
        lambda: _native.testing.regularizer("l1l2", [1.0], W),
    ],
)
def test_single_formulas(call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):
        call()
