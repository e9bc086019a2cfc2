"""Optimizers whose steps others make: loss scaling, one optimizer a variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.optimizers import (
    SGD,
    Adam,
    LossScaleOptimizer,
    MultiOptimizer,
    OptimizerMap,
    ScheduleFreeAdamW,
)


def two() -> list[Any]:
    return [keras.Variable([1.0, 2.0], name="kernel"), keras.Variable([3.0], name="bias")]


def ones(variables: list[Any], factor: float = 1.0) -> list[Any]:
    return [np.full(v.shape, factor, "float32") for v in variables]


def regression(optimizer: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(optimizer, "mse", **options)
    return model


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    return x, np.sin(x.sum(1, keepdims=True)).astype("float32")


def test_the_scale_grows_halves_and_steps_are_left_out() -> None:
    ws = two()
    optimizer = LossScaleOptimizer(SGD(0.5), initial_scale=4.0, dynamic_growth_steps=2)
    assert optimizer.scale_loss(3.0) == 12.0
    seen = []
    for bad in (False, False, True, False, False):
        gradients = ones(ws, 8.0)
        if bad:
            gradients[0][1] = np.nan
        optimizer.apply(gradients, ws)
        seen.append((float(optimizer.dynamic_scale), int(optimizer.step_counter)))
    assert seen == [(4, 1), (8, 0), (4, 0), (4, 1), (8, 0)]
    assert int(optimizer.iterations) == 4
    # 8 / 4, 8 / 4, left out, 8 / 4, 8 / 4; each times 0.5
    np.testing.assert_array_equal(ws[0].numpy(), [-3.0, -2.0])
    assert float(optimizer.scale_loss(1.0)) == 8.0


def test_options_belong_to_the_inner_optimizer() -> None:
    with pytest.raises(ValueError, match="Set `clipnorm` on the inner optimizer"):
        LossScaleOptimizer(SGD(), clipnorm=1.0)
    LossScaleOptimizer(SGD(), clipnorm=None, use_ema=False)  # as old files say
    with pytest.raises(ValueError, match="foo"):
        LossScaleOptimizer(SGD(), foo=1)
    with pytest.raises(ValueError, match="loss_scale_factor"):
        LossScaleOptimizer(SGD(), dynamic=False)
    with pytest.raises(TypeError, match="an Optimizer"):
        LossScaleOptimizer("sgd")  # type: ignore[arg-type]
    for arguments in ({"initial_scale": 0.0}, {"dynamic_growth_steps": -1}):
        with pytest.raises(ValueError, match="LossScaleOptimizer"):
            LossScaleOptimizer(SGD(), **arguments)  # type: ignore[arg-type]
    inner = SGD(0.25, loss_scale_factor=8.0)
    outer = LossScaleOptimizer(inner)
    assert inner.loss_scale_factor is None
    outer.learning_rate = 0.5
    assert float(inner.learning_rate) == float(outer.learning_rate) == 0.5


def test_weight_decay_is_excluded_inside() -> None:
    ws = two()
    inner = SGD(1.0, weight_decay=0.5)
    optimizer = LossScaleOptimizer(inner, 1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply(ones(ws, 0.0), ws)
    assert [w.numpy().tolist() for w in ws] == [[0.5, 1.0], [3.0]]


def test_each_variable_has_its_optimizer() -> None:
    ws = two()
    sgd, adam = SGD(0.5), Adam(0.25)
    optimizer = MultiOptimizer(OptimizerMap(sgd, {"bias": adam}))
    optimizer.apply(ones(ws), ws)
    assert optimizer.optimizers == [adam, sgd]
    np.testing.assert_allclose(ws[0].numpy(), [0.5, 1.5])
    np.testing.assert_allclose(ws[1].numpy(), [2.75], rtol=1e-6)
    assert int(optimizer.iterations) == int(sgd.iterations) == int(adam.iterations) == 1
    with pytest.raises(AttributeError, match="each optimizer has its own"):
        optimizer.learning_rate  # noqa: B018
    with pytest.raises(AttributeError, match="optimizers"):
        optimizer.learning_rate = 1.0


def test_a_function_may_choose() -> None:
    ws = two()
    made = []

    def choose(variable: Any) -> Any:
        made.append(SGD(0.5 if variable.name == "bias" else 0.25))
        return made[-1]

    optimizer = MultiOptimizer(choose, loss_scale_factor=2.0)
    optimizer.apply(ones(ws, 2.0), ws)
    assert optimizer.optimizers == made
    assert [o.loss_scale_factor for o in made] == [2.0, 2.0]
    assert [w.numpy().tolist() for w in ws] == [[0.75, 1.75], [2.5]]
    for wrong in (lambda v: "sgd", lambda v: LossScaleOptimizer(SGD())):
        with pytest.raises(ValueError, match="wraps no other"):
            MultiOptimizer(wrong).build(ws)


def test_optimizer_map() -> None:
    sgd, adam, other = SGD(), Adam(), SGD(0.5)
    found = OptimizerMap(sgd, {"a/kernel": adam, "a/.*": other})
    assert found["a/kernel"] is adam
    assert found["a/bias"] is other
    assert found["b/a/bias"] is sgd is found.default_optimizer
    assert list(found) == ["a/kernel", "a/.*"]
    found[".*/bias"] = adam
    with pytest.raises(ValueError, match="one key at most"):
        found["a/bias"]
    del found[".*/bias"]
    assert len(found) == 2
    for key, value in (("a/.*", sgd), (3, sgd), ("c", "sgd"), ("c", LossScaleOptimizer(sgd))):
        with pytest.raises(ValueError, match="OptimizerMap"):
            found[key] = value  # type: ignore[index,assignment]
    for arguments in (("sgd",), (sgd, [adam])):
        with pytest.raises(TypeError, match="OptimizerMap"):
            OptimizerMap(*arguments)


def wrapped(kind: str) -> Any:
    if kind == "scaled":
        return LossScaleOptimizer(Adam(0.01), 4.0, 3)
    chosen = OptimizerMap(Adam(0.01), {".*bias": SGD(0.1, momentum=0.5)})
    many = MultiOptimizer(chosen)
    return many if kind == "many" else LossScaleOptimizer(many, 4.0, 3)


KINDS = ["scaled", "many", "many scaled"]


@pytest.mark.parametrize("kind", KINDS)
def test_configs_go_round(kind: str) -> None:
    optimizer = wrapped(kind)
    config = keras.optimizers.serialize(optimizer)
    revived = keras.optimizers.deserialize(config)
    assert type(revived) is type(optimizer)
    assert keras.optimizers.serialize(revived) == config


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(kind: str, tmp_path: Path) -> None:
    x, y = data()
    straight = regression(wrapped(kind))
    straight.fit(x, y, epochs=4, shuffle=False, verbose=0)
    first = regression(wrapped(kind))
    first.fit(x, y, epochs=2, shuffle=False, verbose=0)
    first.save(tmp_path / "model.keras")
    second = keras.saving.load_model(tmp_path / "model.keras")
    second.fit(x, y, epochs=2, shuffle=False, verbose=0)
    pairs = [*zip(straight.weights, second.weights, strict=True)]
    pairs += [*zip(straight.optimizer.variables, second.optimizer.variables, strict=True)]
    for one, other in pairs:
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.path)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_makes_the_steps_of_the_optimizers_inside(kind: str) -> None:
    """Scales are powers of 2: the numbers are those of the optimizers alone, to rounding."""
    x, y = data()
    model = regression(wrapped(kind))
    model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    own = regression(None)
    ws = own.trainable_variables
    clones = [Adam(0.01)] if kind == "scaled" else [SGD(0.1, momentum=0.5), Adam(0.01)]
    for _ in range(3):
        for start in (0, 32):
            with keras.GradientTape() as tape:
                rows = slice(start, start + 32)
                loss = keras.ops.mean(keras.ops.square(own(x[rows], training=True) - y[rows]))
            gradients = tape.gradient(loss, ws)
            for clone in clones:
                biases = isinstance(clone, SGD)
                clone.apply_gradients(
                    (g, w)
                    for g, w in zip(gradients, ws, strict=True)
                    if len(clones) == 1 or (w.name == "bias") == biases
                )
    for one, other in zip(model.weights, own.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=2e-6)
    assert int(model.optimizer.iterations) == 6
    if kind != "many":
        assert float(model.optimizer.dynamic_scale) == 16.0
        assert int(model.optimizer.step_counter) == 0


@pytest.mark.parametrize("kind", ["scaled", "many scaled"])
def test_fit_leaves_out_steps_whose_gradients_are_not_finite(kind: str) -> None:
    x, y = data()
    y[40] = np.inf
    model = regression(wrapped(kind))
    before = [w.numpy() for w in model.weights]
    with pytest.warns(RuntimeWarning, match="finite"):
        model.fit(x[32:], y[32:], verbose=0)
    for one, other in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)
    assert float(model.optimizer.dynamic_scale) == 2.0
    assert int(model.optimizer.iterations) == 0
    model.fit(x[:32], y[:32], verbose=0)
    assert int(model.optimizer.iterations) == 1
    assert int(model.optimizer.step_counter) == 1


def test_schedules_follow_the_steps_that_were_made() -> None:
    """A step left out does not count for the learning rate, inside one run of steps neither."""
    x = np.ones((4, 1), "float32")
    y = np.array([[1.0], [np.inf], [1.0], [1.0]], "float32")
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [0.5, 0.25, 0.0])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.zeros((1, 1), "float32")])
    model.compile(LossScaleOptimizer(SGD(rate), 1.0), "mse")
    with pytest.warns(RuntimeWarning, match="finite"):
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    # 0 + 0.5 * 2 * 1 = 1; left out; then the error is 0 and the last step has no rate.
    assert float(model.layers[0].kernel[0, 0]) == 1.0
    model.layers[0].set_weights([np.zeros((1, 1), "float32")])
    model.compile(LossScaleOptimizer(SGD(rate), 1.0), "mse")
    with pytest.warns(RuntimeWarning, match="finite"):
        model.fit(x[1:], y[1:], batch_size=1, shuffle=False, verbose=0)
    assert float(model.layers[0].kernel[0, 0]) == 1.0
    assert int(model.optimizer.iterations) == 2


def test_own_steps_scale() -> None:
    """The tape style of Keras: `scale_loss`, then `apply`."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def train_step(self, data: Any) -> Any:
            x, y = data
            with keras.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
                scaled = self.optimizer.scale_loss(loss)
            self.optimizer.apply(tape.gradient(scaled, self.trainable_variables))
            return {"loss": loss}

    x, y = data()
    models = []
    for optimizer in (SGD(0.1), LossScaleOptimizer(SGD(0.1))):
        keras.utils.set_random_seed(0)
        model = Own()
        model.build((None, 4))
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, "mse")
        model.fit(x, y, verbose=0)
        models.append(model)
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)


def test_averages_of_the_parts_are_swapped_in() -> None:
    x, y = data()
    inner = SGD(0.1, use_ema=True)
    model = regression(LossScaleOptimizer(inner))
    model.fit(x, y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])
    averages = [inner.native_ema(v).numpy() for v in model.trainable_variables]  # type: ignore[union-attr]
    for weight, average in zip(model.weights, averages, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average)


def test_schedule_free_starts_at_the_weights() -> None:
    w = keras.Variable([1.0, -2.0])
    optimizer = ScheduleFreeAdamW()
    optimizer.build([w])
    np.testing.assert_array_equal(optimizer.variables[2].numpy(), [1.0, -2.0])
    with pytest.raises(ValueError, match="beta_1"):
        ScheduleFreeAdamW(beta_1=0.0)
