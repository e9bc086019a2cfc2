"""Steps whose loss has derivatives by the inputs, of first and second order."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.followed_steps import RNG, assert_close

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")
POINTS = RNG.uniform(-1, 1, size=(64, 2)).astype("float32")


def surface(activation):
    def make():
        inputs = keras.Input((2,))
        x = keras.layers.Dense(12, activation)(inputs)
        return inputs, keras.layers.Dense(1)(keras.layers.Dense(6, "tanh")(x))

    return make


class Slopes(keras.Model):
    """The gradient by the inputs is wanted."""

    def train_step(self, x):
        with keras.GradientTape() as tape:
            with keras.GradientTape() as inner:
                inner.watch(x)
                u = self(x, training=True)
            slopes = inner.gradient(u, x)
            loss = ops.mean(ops.square(slopes - ops.sin(x))) + ops.mean(u**2)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))  # noqa: B905
        return {"residual": loss}


class Curvature(keras.Model):
    """``u'' + u' u = x``, by the first column of each derivative."""

    def train_step(self, x):
        with keras.GradientTape() as tape:
            with keras.GradientTape() as second:
                second.watch(x)
                with keras.GradientTape() as first:
                    first.watch(x)
                    u = self(x, training=True)
                slopes = first.gradient(u, x)
                along = slopes[:, :1]
            curvature = second.gradient(along, x)
            residual = curvature[:, :1] + along * u - x[:, :1]
            loss = ops.mean(ops.square(residual))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))  # noqa: B905
        return {"residual": loss}


class Heat(keras.Model):
    """``u_t = u_xx`` for columns that are joined before the network, and cut out behind it."""

    def train_step(self, points):
        x, t = points[:, :1], points[:, 1:]
        with keras.GradientTape() as tape:
            with keras.GradientTape() as second:
                second.watch(x)
                with keras.GradientTape(persistent=True) as first:
                    first.watch(x)
                    first.watch(t)
                    u = self(ops.concatenate([x, t], axis=1), training=True)
                u_x = first.gradient(u, x)
                u_t = first.gradient(u, t)
            u_xx = second.gradient(u_x, x)
            loss = ops.mean(ops.square(u_t - 0.1 * u_xx)) + ops.mean(ops.square(u - ops.sin(x)))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))  # noqa: B905
        return {"residual": loss}


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("kind", [Slopes, Curvature, Heat])
def test_derivatives_by_inputs_are_those_of_python(kind, activation):
    assert_close(kind, make=surface(activation), data=(POINTS,), rows=16)


def test_they_are_those_of_differences():
    """The loss of the native step is that of difference quotients."""
    keras.utils.set_random_seed(1)
    model = Slopes(*surface("tanh")())
    model.compile(keras.optimizers.SGD(0.0))
    for _ in range(4):
        found = model.fit(POINTS, batch_size=16, shuffle=False, verbose=0).history["residual"][0]
    step = 1e-2
    by_column = []
    for column in range(2):
        aside = np.zeros(2, "float32")
        aside[column] = step
        ahead, behind = (np.asarray(model(POINTS[-16:] + s * aside)) for s in (1, -1))
        by_column.append((ahead - behind)[:, 0] / (2 * step))
    slopes = np.stack(by_column, axis=1)
    u = np.asarray(model(POINTS[-16:]))
    wanted = np.mean((slopes - np.sin(POINTS[-16:])) ** 2) + np.mean(u**2)
    assert model.train_function.follower.reason == ""
    assert found == pytest.approx(wanted, rel=2e-3)
