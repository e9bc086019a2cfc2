"""The update pipeline around the formula."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.optimizers import SGD, Adam, AdamW, Optimizer


def one(value: float = 1.0, **kwargs: Any) -> Any:
    return keras.Variable(np.array([value], "float32"), **kwargs)


def gradient(value: float) -> Any:
    return [np.array([value], "float32")]


def test_order_of_a_step_worked_by_hand() -> None:
    # g = 8 / 2 (loss scale) = 4, clipped to 1; w = 2 - 2 * 0.5 * 0.1 = 1.9, then 1.9 - 0.1 = 1.8;
    # average: 1.8 (first step); constraint: at most 1.
    w = one(2.0, constraint=lambda v: np.minimum(v.value, 1.0))
    optimizer = SGD(0.1, loss_scale_factor=2.0, clipvalue=1.0, weight_decay=0.5, use_ema=True)
    optimizer.apply(gradient(8.0), [w])
    np.testing.assert_allclose(optimizer.native_ema(w).numpy(), [1.8], rtol=1e-6)
    assert w.numpy().tolist() == [1.0]
    # The second average mixes the updated weight before its projection: 1 * 0.95 - 0.1 = 0.85.
    optimizer.apply(gradient(8.0), [w])
    expected = 0.99 * 1.8 + 0.01 * 0.85
    np.testing.assert_allclose(optimizer.native_ema(w).numpy(), [expected], rtol=1e-6)


def test_constraints_hold_after_an_average_overwrites() -> None:
    positive = keras.constraints.NonNeg()
    w = one(-1.0, constraint=positive)
    optimizer = SGD(0.1, use_ema=True, ema_overwrite_frequency=1)
    optimizer.apply(gradient(0.0), [w])
    assert w.numpy().tolist() == [0.0]
    assert optimizer.native_ema(w).numpy().tolist() == [-1.0]
    optimizer.finalize_variable_values([w])
    assert w.numpy().tolist() == [0.0]


def test_slots_never_move() -> None:
    w = one()
    optimizer = Adam(0.1, amsgrad=True, use_ema=True, gradient_accumulation_steps=2)
    optimizer.build([w])
    before = [v.array.ctypes.data for v in optimizer.variables]
    for _ in range(4):
        optimizer.apply(gradient(1.0), [w])
    assert [v.array.ctypes.data for v in optimizer.variables] == before


@pytest.mark.parametrize(
    "value", [1, np.float32(0.5), np.float64(0.25), np.int64(2), np.array(0.5)]
)
def test_learning_rate_takes_any_number(value: Any) -> None:
    assert float(SGD(learning_rate=value).learning_rate) == float(value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"learning_rate": "fast"},
        {"learning_rate": True},
        {"learning_rate": None},
        {"clipnorm": 1.0, "clipvalue": 1.0},
        {"gradient_accumulation_steps": 1},
        {"gradient_accumulation_steps": 2.5},
        {"use_ema": True, "ema_momentum": 1.5},
        {"use_ema": True, "ema_overwrite_frequency": -1},
        {"momentum": 1.5},
        {"momentum": "much"},
        {"weight_decay": "some"},
        {"lr": 0.1},
    ],
)
def test_illegal_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="SGD"):
        SGD(**arguments)


def test_decay_of_old_keras_is_ignored_aloud() -> None:
    with pytest.warns(UserWarning, match="decay"):
        SGD(decay=0.1)  # type: ignore[call-arg]


def test_adamw_needs_its_decay() -> None:
    with pytest.raises(ValueError, match="weight_decay"):
        AdamW(weight_decay=None)  # type: ignore[arg-type]


def test_learning_rate_is_settable_unless_scheduled() -> None:
    optimizer = SGD(0.1)
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate.assign(0.25)
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    assert [v.path for v in optimizer.variables] == ["sgd/iteration"]
    with pytest.raises(TypeError, match="schedule"):
        optimizer.learning_rate = 0.1


def test_callable_learning_rate() -> None:
    optimizer = SGD(lambda: 1.0 / (1 + int(optimizer.iterations)))
    w = one(2.0)
    optimizer.apply(gradient(1.0), [w])
    optimizer.apply(gradient(1.0), [w])
    assert w.numpy().tolist() == [0.5]
    assert optimizer.learning_rates(0, 4).tolist() == [1.0, 1 / 2, 1 / 3, 1 / 4]
    assert int(optimizer.iterations) == 2


def test_learning_rates_of_a_chunk() -> None:
    constant = SGD(0.1).learning_rates(5, 3)
    assert constant.dtype == np.float64
    assert constant.tolist() == [float(np.float32(0.1))] * 3

    class Branching(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> float:
            return 1.0 if step < 2 else 0.5

    assert SGD(Branching()).learning_rates(1, 3).tolist() == [1.0, 0.5, 0.5]
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    expected = [float(schedule(step)) for step in (3, 4, 5)]
    assert SGD(schedule).learning_rates(3, 3).tolist() == expected


def test_a_failed_step_changes_nothing() -> None:
    w, b = one(), one(name="b")
    optimizer = Adam(0.1)
    optimizer.apply([*gradient(1.0), *gradient(1.0)], [w, b])
    state = [v.numpy() for v in [w, b, *optimizer.variables]]
    stranger = one(name="stranger")
    for grads, variables in (
        ([np.ones(1, "float32"), np.ones(2, "float32")], [w, b]),
        ([np.ones(1, "float32")], [stranger]),
        ([np.ones(1, "float32")], None),
        ([None, None], [w, b]),
    ):
        with pytest.raises(ValueError, match="adam: expected"):
            optimizer.apply(grads, variables)
    for before, after in zip(state, [w, b, *optimizer.variables], strict=True):
        np.testing.assert_array_equal(after.numpy(), before)


def test_variables_without_gradient_are_left_out_aloud() -> None:
    w, b = one(), one(name="b")
    with pytest.warns(UserWarning, match="no gradient for b"):
        SGD(1.0).apply([np.ones(1, "float32"), None], [w, b])
    assert (w.numpy().tolist(), b.numpy().tolist()) == ([0.0], [1.0])


def test_no_gradients_is_no_step() -> None:
    optimizer = SGD()
    optimizer.apply([])
    assert int(optimizer.iterations) == 0
    with pytest.raises(ValueError, match="not built"):
        optimizer.apply(gradient(1.0))


def test_apply_gradients_builds_and_counts() -> None:
    w = one()
    optimizer = SGD(1.0)
    assert int(optimizer.apply_gradients(zip(gradient(1.0), [w], strict=True))) == 1
    assert w.numpy().tolist() == [0.0]


def test_exclusion_from_weight_decay() -> None:
    kernel, bias = one(name="kernel"), one(name="bias")
    optimizer = AdamW(0.1, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bi"])
    assert [optimizer.weight_decay_of(v) for v in (kernel, bias)] == [1.0, 0.0]
    optimizer.exclude_from_weight_decay(var_list=[kernel])
    assert [optimizer.weight_decay_of(v) for v in (kernel, bias)] == [0.0, 1.0]
    optimizer.apply([*gradient(0.0), *gradient(0.0)], [kernel, bias])
    assert kernel.numpy().tolist() == [1.0]
    np.testing.assert_allclose(bias.numpy(), [0.9], rtol=1e-6)
    assert SGD().weight_decay_of(kernel) == 0.0


def test_global_clipping_shows_a_bad_gradient() -> None:
    w, b = one(), one(name="b")
    optimizer = SGD(1.0, global_clipnorm=1.0)
    optimizer.apply([*gradient(np.inf), *gradient(1.0)], [w, b])
    assert np.isnan(b.numpy()).all()


def test_clipping_leaves_zero_gradients_alone() -> None:
    for option in ("clipnorm", "global_clipnorm", "clipvalue"):
        w = one()
        SGD(1.0, **{option: 1.0}).apply(gradient(0.0), [w])  # type: ignore[arg-type]
        assert w.numpy().tolist() == [1.0]


def test_overwrite_with_gradient() -> None:
    w, scale = one(), one(name="scale")
    scale.overwrite_with_gradient = True
    optimizer = SGD(1.0, momentum=0.5)
    optimizer.apply([*gradient(1.0), *gradient(7.0)], [w, scale])
    assert (w.numpy().tolist(), scale.numpy().tolist()) == ([0.0], [7.0])
    assert optimizer.momentums[1] is None


def test_state_survives_copy_and_pickle() -> None:
    w = one()
    optimizer = Adam(0.1)
    optimizer.apply(gradient(1.0), [w])
    for copied, weight in (
        copy.deepcopy((optimizer, w)),
        pickle.loads(pickle.dumps((optimizer, w))),
    ):
        copied.apply(gradient(1.0), [weight])
        assert int(copied.iterations) == 2
        assert int(optimizer.iterations) == 1


def test_saved_state_of_another_length_is_refused_aloud() -> None:
    optimizer = Adam()
    with pytest.warns(UserWarning, match="expected 2 saved variables, got 3"):
        optimizer.load_own_variables({"0": 1, "1": 2, "2": 3})
    assert int(optimizer.iterations) == 0


def test_set_weights_checks_shapes_first() -> None:
    optimizer = SGD(0.1, momentum=0.5)
    optimizer.build([one()])
    with pytest.raises(ValueError, match="shape"):
        optimizer.set_weights([np.array(5), np.array(0.5), np.zeros(3)])
    assert int(optimizer.iterations) == 0
    optimizer.set_weights([np.array(5), np.array(0.5), np.ones(1)])
    assert int(optimizer.iterations) == 5


def test_state_before_super_init() -> None:
    class Hasty(Optimizer):
        def __init__(self) -> None:
            self.slot = one()

    with pytest.raises(RuntimeError, match="super"):
        Hasty()


def test_own_optimizer_with_state() -> None:
    class Momentum(Optimizer):
        def build(self, variables: Any) -> None:
            super().build(variables)
            self.slots = [self.add_variable_from_reference(v, name="m") for v in variables]
            self.scale = self.add_variable((), initializer="ones", name="scale")

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            m = self.slots[self._get_variable_index(variable)]
            self.assign_add(m, gradient)
            self.assign_sub(variable, m * learning_rate * self.scale)

    w = one()
    optimizer = Momentum(learning_rate=0.25)
    optimizer.apply(gradient(1.0), [w])
    optimizer.apply(gradient(1.0), [w])
    assert w.numpy().tolist() == [0.25]
    assert [v.name for v in optimizer.variables] == [
        "iteration", "learning_rate", "variable_m", "scale",
    ]  # fmt: skip
    assert optimizer.variables[2].path == "momentum/variable_m"


def test_float64_stays_float64() -> None:
    w = keras.Variable(np.array([1.0]), dtype="float64")
    optimizer = Adam(0.1)
    optimizer.apply([np.array([1e-3])], [w])
    assert {v.dtype for v in optimizer.variables[2:]} == {"float64"}
    alpha = float(np.float32(0.1)) * np.sqrt(1 - 0.999) / (1 - 0.9)
    m, v = (1 - 0.9) * 1e-3, (1 - 0.999) * 1e-6
    np.testing.assert_allclose(w.numpy(), [1 - alpha * m / (np.sqrt(v) + 1e-7)], rtol=1e-15)


def test_stateless_apply_leaves_the_variables_alone() -> None:
    w = one()
    optimizer = SGD(0.5)
    with pytest.raises(ValueError, match="built"):
        optimizer.stateless_apply([], gradient(1.0), [w.numpy()])
    optimizer.build([w])
    state = [v.numpy() for v in optimizer.variables]
    weights, state = optimizer.stateless_apply(state, gradient(1.0), [w.numpy()])
    assert (weights[0].tolist(), int(state[0])) == ([0.5], 1)
    assert (w.numpy().tolist(), int(optimizer.iterations)) == ([1.0], 0)
    with pytest.raises(ValueError, match="expected 2 `optimizer_variables`, got 1"):
        optimizer.stateless_apply(state[:1], gradient(1.0), weights)


def test_the_state_of_an_optimizer_that_is_not_built_cannot_be_set() -> None:
    weight = keras.Variable([1.0, 2.0])
    source, target = keras.optimizers.Adam(), keras.optimizers.Adam()
    source.build([weight])
    with pytest.raises(ValueError, match="not built"):
        target.set_weights(source.variables)
    target.build([weight])
    target.set_weights(source.variables)
