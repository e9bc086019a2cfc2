"""Formulas on what models give, inside a tape: noted op by op, and run natively as a whole."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import engines, ops
from densekit.engines.formulas import FormulaProgram
from densekit.ops import _formula_steps
from densekit.ops._deferred import DeferredBox, DeferredTruth
from densekit.ops._formula_steps import Step
from densekit.training import _recorded_call

RNG = np.random.default_rng(0)
ROWS = 6
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = RNG.normal(size=(ROWS, 2)).astype("float32")
ACTIONS = np.array([0, 1, 1, 0, 1, 0])
CHOSEN = np.eye(2, dtype="float32")[ACTIONS]
RETURNS = RNG.normal(size=ROWS).astype("float32")
WEIGHTS = RNG.uniform(size=ROWS).astype("float32")


def huber(y: Any) -> Any:
    error = ops.abs(Y - y)
    return ops.mean(ops.where(error < 1, error**2 / 2, error - 0.5))


def dqn(y: Any) -> Any:
    worth = ops.sum(y * CHOSEN, axis=1)
    return ops.mean(ops.square(worth - RETURNS))


def policy_gradient(y: Any) -> Any:
    log_probabilities = ops.log_softmax(y)
    picked = ops.sum(log_probabilities * CHOSEN, axis=-1)
    entropy = -ops.mean(ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1))
    return -ops.mean(picked * RETURNS) - 0.01 * entropy


# Those that run as a whole.
FORMULAS: dict[str, Callable[[Any], Any]] = {
    "mean square": lambda y: ops.mean(ops.square(y - Y)),
    "operators": lambda y: ops.mean((y - Y) ** 2),
    "from the other side": lambda y: ops.mean((Y - y) ** 2),
    "reflected": lambda y: ops.sum(1.0 / (2.0 + y * y) - 3 * y),
    "weighted rows": lambda y: ops.sum(ops.mean((y - Y) ** 2, axis=-1) * WEIGHTS),
    "huber": huber,
    "dqn": dqn,
    "policy gradient": policy_gradient,
    "one hot inside": lambda y: ops.mean(ops.sum(y * ops.one_hot(ACTIONS, 2), axis=1)),
    "picked": lambda y: ops.mean(
        ops.square(ops.take_along_axis(y, ACTIONS[:, None], axis=1)[:, 0] - RETURNS)
    ),
    "picked from the end": lambda y: ops.sum(ops.take_along_axis(y, -1 - ACTIONS[:, None], -1)),
    "columns": lambda y: ops.mean(y[:, 0] * RETURNS) + ops.mean(y[:, 1:] ** 2),
    "mean of the output": lambda y: ops.mean(y),
    "two ends of one value": lambda y: ops.mean(y * y) - ops.sum(y) / 3,
    "stopped": lambda y: ops.mean(y * ops.stop_gradient(ops.exp(y))),
    "clipped": lambda y: ops.mean(ops.minimum(ops.clip(y, -0.5, 0.5) * 2, y)),
    "numbers of numbers": lambda y: ops.mean(y) * ops.mean(y * y) / (ops.sum(y * y) + 1),
    "built-in loss": lambda y: keras.losses.Huber()(Y, y),
    "a loss as a function": lambda y: ops.mean(
        keras.losses.binary_crossentropy(CHOSEN, ops.sigmoid(y))
    ),
    "an op made of others": lambda y: ops.mean(ops.hypot(y, Y)),
    "loss and more": lambda y: keras.losses.MeanSquaredError()(Y, y) * 0.5 + ops.mean(ops.abs(y)),
    "loss of a formula": lambda y: keras.losses.MeanSquaredError()(Y, ops.tanh(y)),
    "classes": lambda y: keras.losses.SparseCategoricalCrossentropy(from_logits=True)(ACTIONS, y),
    "sums": lambda y: keras.losses.MeanAbsoluteError(reduction="sum")(Y, y),
    "sorted": lambda y: ops.mean(ops.sort(y, axis=-1)[:, 0] ** 2),
}

# Those that do not: numbers of the batch that meet rows, rows that meet, another dtype.
OTHERS: dict[str, Callable[[Any], Any]] = {
    "normalized": lambda y: ops.mean(((y - ops.mean(y)) / ops.std(y)) ** 3),
    "over the batch": lambda y: ops.sum(ops.max(y, axis=0)),
    "products of rows": lambda y: ops.mean(ops.matmul(y, ops.transpose(y))),
    "wider": lambda y: ops.mean((y - Y.astype("float64")) ** 2),
    "stacked": lambda y: ops.mean(ops.stack([y, y * 2], axis=1) ** 2),
    "method": lambda y: (y * y).mean(),
    "number of one row": lambda y: y[0, 0] * 2.0,
    "several results": lambda y: ops.mean(ops.unstack(y, axis=1)[0] * ops.top_k(y, 1)[0][:, 0]),
    "lists of results": lambda y: (
        ops.sum(ops.qr(y)[1] ** 2) + ops.mean(ops.meshgrid(y[0], y[1])[0])
    ),
    "running sum over the batch": lambda y: ops.mean(ops.cumsum(ops.sum(y, axis=1), axis=-1)),
    "another byte order": lambda y: ops.mean((y - Y.astype(">f4")) ** 2),
}


def network(dtype: str = "float32") -> Any:
    layers = [keras.layers.Dense(8, "tanh", dtype=dtype), keras.layers.Dense(2, dtype=dtype)]
    return keras.Sequential([keras.Input((3,), dtype=dtype), *layers])


@contextmanager
def op_by_op() -> Iterator[None]:
    """Inside, no op waits."""
    kind: Any = type(engines.engine_kind("native"))
    lowers = kind.lowers_formula
    kind.lowers_formula = lambda self, steps: False
    forget()
    try:
        yield
    finally:
        kind.lowers_formula = lowers
        forget()


def forget() -> None:
    """No formula has been met yet."""
    _recorded_call._formulas().start = Step(None, (), 0, (), None)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The programs that were run."""
    run: list[Any] = []
    original = FormulaProgram.run

    def noted(self: Any, *given: Any) -> Any:
        run.append(self)
        return original(self, *given)

    monkeypatch.setattr(FormulaProgram, "run", noted)
    return run


def step(model: Any, formula: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
    with keras.GradientTape() as tape:
        loss = formula(model(X, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), gradients


def close(found: Any, expected: Any, dtype: str = "float32") -> None:
    # Sums of ROWS * 2 terms, taken through two layers of 8: some tens of roundings.
    limit = 64 * float(np.finfo(dtype).eps)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_runs_as_a_whole(name: str, programs: list[Any]) -> None:
    model = network()
    with op_by_op():
        expected = step(model, FORMULAS[name])
    assert not programs
    results = [step(model, FORMULAS[name]) for _ in range(3)]
    assert len(programs) == 3
    assert programs[0] is programs[2]
    for loss, gradients in results:
        close([loss, *gradients], [expected[0], *expected[1]])
        assert loss == results[0][0]
        assert all(np.array_equal(g, h) for g, h in zip(gradients, results[0][1], strict=True))


@pytest.mark.parametrize("name", OTHERS)
def test_other_formulas_run_op_by_op(name: str, programs: list[Any]) -> None:
    model = network()
    with op_by_op():
        expected = step(model, OTHERS[name])
    for _ in range(2):
        loss, gradients = step(model, OTHERS[name])
        close([loss, *gradients], [expected[0], *expected[1]])
    assert not programs


def test_float64(programs: list[Any]) -> None:
    model = network("float64")
    x, y = X.astype("float64"), Y.astype("float64")

    def formula() -> Any:
        with keras.GradientTape() as tape:
            loss = ops.mean(ops.square(model(x, training=True) - y))
        return [loss, *tape.gradient(loss, model.trainable_variables)]

    with op_by_op():
        expected = [np.asarray(v) for v in formula()]
    close([np.asarray(v) for v in formula()], expected, "float64")
    assert len(programs) == 1


def test_the_numbers_of_each_step_count() -> None:
    """A program is kept, what goes into it is not."""
    model = network()
    for scale in (1.0, 2.0, 3.0):
        targets = Y * np.float32(scale)

        def formula(y: Any, targets: Any = targets) -> Any:
            loss = ops.mean((y - targets) ** 2)
            targets *= 0  # what is the user's may change as soon as it was used
            return loss

        found = step(model, formula)
        with op_by_op():
            expected = step(model, lambda y, s=scale: ops.mean((y - Y * np.float32(s)) ** 2))
        close([found[0], *found[1]], [expected[0], *expected[1]])


def test_numbers_in_a_formula_count() -> None:
    model = network()
    losses = [step(model, lambda y, k=k: ops.mean(y * k))[0] for k in (2, 2.0, -1.0, 0.0, -0.0)]
    with op_by_op():
        expected = step(model, lambda y: ops.mean(y))[0]
    np.testing.assert_allclose(losses, [2 * expected, 2 * expected, -expected, 0, 0], rtol=1e-5)


def test_more_branches_than_are_kept(programs: list[Any]) -> None:
    model = network()
    with op_by_op():
        whole = step(model, lambda y: ops.mean(y))[0]
    for k in range(40):
        factor = 1.0 + k / 7
        loss, gradients = step(model, lambda y, f=factor: ops.mean(y * f))
        np.testing.assert_allclose(loss, factor * whole, rtol=1e-4)
        assert len(gradients) == 4
    assert 0 < len(programs) < 40


def test_a_branch_that_comes_back_takes_the_place_of_another(programs: list[Any]) -> None:
    forget()
    model = network()
    for k in range(20):
        step(model, lambda y, f=1.5 + k: ops.mean(y * f))
    made = len(set(programs))
    for _ in range(4):
        loss, _gradients = step(model, lambda y: ops.mean(y * 99.0))
    assert len(set(programs)) == made + 1
    with op_by_op():
        close([loss], [step(model, lambda y: ops.mean(y * 99.0))[0]])
    # Many that take turns are not looked at again and again.
    for _ in range(12):
        for k in range(24):
            step(model, lambda y, f=1.5 + k: ops.mean(y * f))
    assert len(set(programs)) < made + 40
    forget()


@pytest.mark.parametrize("look", ["before", "after", "in between"])
def test_values_can_be_looked_at(look: str) -> None:
    model = network()
    with keras.GradientTape() as tape:
        y = model(X, training=True)
        squares = (y - Y) ** 2
        if look == "in between":
            assert squares.numpy().shape == (ROWS, 2)
            assert np.asarray(squares._value).max() < 100
        loss = ops.mean(squares)
        if look == "before":
            assert float(loss) > 0
    gradients = tape.gradient(loss, model.trainable_variables)
    expected = np.mean((np.asarray(model(X)) - Y) ** 2)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    np.testing.assert_allclose(np.array(squares), (np.asarray(model(X)) - Y) ** 2, rtol=1e-4)
    with op_by_op():
        close(gradients, step(model, lambda y: ops.mean((y - Y) ** 2))[1])


def test_values_are_those_of_the_weights_before_the_update() -> None:
    model, optimizer = network(), keras.optimizers.SGD(10.0)
    before = np.asarray(model(X))
    with keras.GradientTape(persistent=True) as tape:
        y = model(X, training=True)
        error = y - Y
        loss = ops.mean(error**2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    assert not np.allclose(model(X), before)
    np.testing.assert_allclose(np.array(error), before - Y, rtol=1e-4, atol=1e-6)
    again = tape.gradient(loss, model.trainable_variables)
    assert all(np.array_equal(g, h) for g, h in zip(gradients, again, strict=True))


def test_errors_come_where_they_belong() -> None:
    model = network()
    for _ in range(2):
        with keras.GradientTape():
            y = model(X, training=True)
            with pytest.raises(ValueError, match="broadcast"):
                y - np.ones((ROWS, 5), "float32")
            with pytest.raises(ValueError, match="label"):
                keras.losses.SparseCategoricalCrossentropy()(np.full(ROWS, 7), ops.softmax(y))


def test_shape_and_type_are_known_without_a_value() -> None:
    model = network()
    for _ in range(2):
        with keras.GradientTape():
            y = model(X, training=True)
            means = ops.mean(y, axis=-1)
            assert means.shape == (ROWS,) and means.ndim == 1 and means.dtype == np.float32
            assert type(means) is DeferredBox and not means._is_known
            assert type(means < 0) is DeferredTruth


def test_truths_are_arrays_for_all_else() -> None:
    model = network()
    expected = np.asarray(model(X)) < 0
    with keras.GradientTape():
        low = model(X, training=True) < 0
    assert np.array_equal(low, expected)
    assert np.array_equal(~low, ~expected)
    assert np.array_equal(low & True, expected)
    assert low.sum() == expected.sum() and len(low) == ROWS and low.dtype == bool
    assert np.array_equal(np.where(low, 1, 0), expected)
    assert bool(low[0, 0]) == expected[0, 0]
    assert low.any() == expected.any()


def test_two_models_in_one_formula(programs: list[Any]) -> None:
    critic, generator = network(), network()
    noise = RNG.normal(size=(ROWS, 3)).astype("float32")

    def losses() -> list[Any]:
        with keras.GradientTape() as tape:
            loss = ops.mean(critic(noise, training=True)) - ops.mean(generator(X, training=True))
        both = [*critic.trainable_variables, *generator.trainable_variables]
        return [loss, *tape.gradient(loss, both)]

    with op_by_op():
        expected = [np.asarray(v) for v in losses()]
    close([np.asarray(v) for v in losses()], expected)
    assert len(programs) == 1


def test_a_model_on_another_one() -> None:
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    encoder = network()

    def losses() -> list[Any]:
        with keras.GradientTape() as tape:
            code = encoder(X, training=True)
            loss = ops.mean((decoder(code * 2.0, training=True) - X) ** 2) + ops.mean(code**2)
        both = [*encoder.trainable_variables, *decoder.trainable_variables]
        return [loss, *tape.gradient(loss, both)]

    with op_by_op():
        expected = [np.asarray(v) for v in losses()]
    for _ in range(2):
        close([np.asarray(v) for v in losses()], expected)


def test_nothing_is_kept_alive() -> None:
    """Boxes, and the memory of a recorded batch, go with the last name, without the collector."""
    model = network()
    step(model, FORMULAS["dqn"])
    gc.collect()
    gc.disable()
    try:
        with keras.GradientTape() as tape:
            loss = ops.mean(model(X, training=True) * 2.0)
        seen = weakref.ref(loss._formula)
        del loss, tape
        assert seen() is None
    finally:
        gc.enable()


def test_the_number_of_steps_that_are_remembered_has_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_formula_steps, "_MOST_STEPS", 8)
    forget()
    model = network()
    with op_by_op():
        expected = {name: step(model, formula) for name, formula in FORMULAS.items()}
    for _ in range(2):
        for name, formula in FORMULAS.items():
            loss, gradients = step(model, formula)
            close([loss, *gradients], [expected[name][0], *expected[name][1]])
    forget()


def test_a_stateless_call_with_the_present_values_is_native(
    programs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()

    def loss_of(trainable: Any, other: Any) -> tuple[Any, Any]:
        y, other = model.stateless_call(trainable, other, X, training=True)
        return ops.mean((y - Y) ** 2), other

    def gradients(values: Any) -> list[Any]:
        (loss, other), found = keras.value_and_grad(loss_of, has_aux=True)(values, [])
        assert other == []
        return [loss, *found]

    present = [v.numpy() for v in model.trainable_variables]
    found = gradients(present)
    assert len(programs) == 1
    with op_by_op():
        close(found, gradients(present))
    others = [value + 1 for value in present]  # these are computed by the definition
    away = gradients(others)
    assert len(programs) == 1
    model.set_weights(others)
    close(away, gradients(others))
    assert len(programs) == 2


def test_gradients_by_what_comes_up_in_a_formula(programs: list[Any]) -> None:
    model = network()
    with keras.GradientTape(persistent=True) as tape:
        y = model(X, training=True)
        error = y - Y
        loss = ops.mean(error**2)
    by_error, by_output = tape.gradient(loss, [error, y])
    assert not programs
    np.testing.assert_allclose(by_error, 2 * np.asarray(error) / error.size, rtol=1e-5)
    assert np.array_equal(by_error, by_output)
    close(tape.gradient(loss, y), by_output)
    rows = tape.gradient(error, model.trainable_variables)
    with op_by_op():
        close(rows, step(model, lambda y: ops.sum(y - Y))[1])
    jacobian = tape.jacobian(ops.mean(error, axis=0), model.trainable_variables[-1])
    np.testing.assert_allclose(jacobian, np.eye(2), atol=1e-6)
