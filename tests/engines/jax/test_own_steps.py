"""Steps that users write without side effects are compiled on the JAX engine."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import densekit as keras

X = np.linspace(-1, 1, 60, dtype="float32").reshape(20, 3)
Y = X[:, :2] ** 2


class Own(keras.Sequential):
    """Keras' style on JAX: the state comes in, the new one goes out."""

    calls = 0

    def train_step(self, state: Any, data: Any) -> Any:
        type(self).calls += 1
        trainable, other, optimizer, metrics = state
        x, y = data

        def loss_of(trainable: Any, other: Any) -> Any:
            y_pred, other = self.stateless_call(trainable, other, x, training=True)
            return self.compute_loss(y=y, y_pred=y_pred), (y_pred, other)

        gradient_of = keras.value_and_grad(loss_of, has_aux=True)
        (loss, (y_pred, other)), gradients = gradient_of(trainable, other)
        trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
        logs, after = {}, []
        for metric in self.metrics:
            own, metrics = metrics[: len(metric.variables)], metrics[len(metric.variables) :]
            given = (loss,) if metric.name == "loss" else (y, y_pred)
            own = metric.stateless_update_state(own, *given)
            result = metric.stateless_result(own)
            logs |= result if isinstance(result, dict) else {metric.name: result}
            after += own
        return logs, (trainable, other, optimizer, after)


class Whole(keras.Sequential):
    """The package's own step, handed on."""

    def train_step(self, state: Any, data: Any) -> Any:
        return super().train_step(state, data)


def fitted(kind: Any, engine: str) -> Any:
    keras.utils.set_random_seed(5)
    model = kind(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, "tanh"),
            keras.layers.Dropout(0.25, seed=3),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2, "sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae", keras.metrics.AUC(name="auc")], engine=engine)
    history = model.fit(X, (Y > 0.3) * 1.0, batch_size=8, epochs=3, verbose=0).history
    return history, model.get_weights(), [v.numpy() for v in optimizer.variables]


@pytest.mark.parametrize("kind", [Own, Whole])
def test_compiled_and_plain_steps_agree(kind: Any) -> None:
    ours, theirs = (keras.tree.flatten(fitted(kind, engine)) for engine in ("native", "jax"))
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_a_step_is_traced_once_for_a_shape() -> None:
    Own.calls = 0
    fitted(Own, "jax")
    assert Own.calls == 2  # batches of 8 rows and of 4


def test_what_cannot_be_traced_runs_as_it_is_and_says_so() -> None:
    class Branching(Whole):
        def train_step(self, state: Any, data: Any) -> Any:
            if float(np.asarray(data[0]).sum()) > 1e9:
                raise AssertionError
            return super().train_step(state, data)

    with pytest.warns(UserWarning, match="train_step cannot be compiled .*: The numpy.ndarray"):
        branching = fitted(Branching, "jax")
    for one, two in zip(
        keras.tree.flatten(branching), keras.tree.flatten(fitted(Whole, "native")), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_value_and_grad_of_arrays_of_jax_is_theirs() -> None:
    square = keras.value_and_grad(lambda x: keras.ops.sum(x**2))
    value, gradient = jax.jit(square)(np.array([1.0, 2.0], "float32"))
    assert float(value) == 5.0
    assert gradient.tolist() == [2.0, 4.0]
