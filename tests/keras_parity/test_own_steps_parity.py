"""Steps of several updates, made natively, give the numbers of the same steps in Keras on JAX."""

from __future__ import annotations

from typing import Any

import jax
import keras
import numpy as np
import pytest

import densekit
from densekit import ops
from densekit.training import _step_follower

ROWS, STEPS, LATENT, PENALTY = 16, 12, 3, 10.0
DRAW = np.random.default_rng(4)
REAL = DRAW.normal(size=(ROWS * STEPS, 2)).astype("float32")
NOISE = DRAW.normal(size=(3, ROWS * STEPS, LATENT)).astype("float32")
SHARE = DRAW.uniform(size=(2, ROWS * STEPS, 1)).astype("float32")


def networks(k: Any) -> list[Any]:
    """A critic and a generator, with the same weights in both libraries."""
    made = []
    for features, activation, units in ((2, "silu", 1), (LATENT, "relu", 2)):
        layers = [k.layers.Dense(8, activation), k.layers.Dense(units, use_bias=units > 1)]
        made.append(k.Sequential([k.Input((features,)), *layers]))
    draw = np.random.RandomState(0)
    for model in made:
        model.set_weights([0.5 * draw.normal(size=w.shape) for w in model.get_weights()])
    return made


class Ours(densekit.Model):
    def __init__(self) -> None:
        super().__init__()
        self.critic, self.generator = networks(densekit)
        self.c_optimizer = densekit.optimizers.RMSprop(1e-3)
        self.g_optimizer = densekit.optimizers.Adam(1e-3, beta_1=0.5)

    def train_step(self, data: Any) -> Any:
        real, first, second, third, one, other = data[0]
        for noise, share in ((first, one), (second, other)):
            with densekit.GradientTape() as tape:
                drawn = self.generator(noise, training=True)
                between = real + share * (drawn - real)
                with densekit.GradientTape() as inner:
                    inner.watch(between)
                    score = self.critic(between, training=True)
                slope = ops.sqrt(ops.sum(ops.square(inner.gradient(score, between)), axis=1))
                distance = ops.mean(self.critic(drawn, training=True)) - ops.mean(
                    self.critic(real, training=True)
                )
                loss = distance + PENALTY * ops.mean((slope - 1.0) ** 2)
            variables = self.critic.trainable_variables
            self.c_optimizer.apply(tape.gradient(loss, variables), variables)
        with densekit.GradientTape() as tape:
            of_generator = -ops.mean(
                self.critic(self.generator(third, training=True), training=True)
            )
        variables = self.generator.trainable_variables
        self.g_optimizer.apply(tape.gradient(of_generator, variables), variables)
        return {"critic": loss, "generator": of_generator}


def by_keras() -> list[Any]:
    critic, generator = networks(keras)
    c_optimizer = keras.optimizers.RMSprop(1e-3)
    g_optimizer = keras.optimizers.Adam(1e-3, beta_1=0.5)
    c_optimizer.build(critic.trainable_variables)
    g_optimizer.build(generator.trainable_variables)
    k = keras.ops

    def score(c: Any, x: Any) -> Any:
        return critic.stateless_call(c, [], x)[0]

    def drawn_by(g: Any, noise: Any) -> Any:
        return generator.stateless_call(g, [], noise)[0]

    def of_critic(c: Any, g: Any, real: Any, noise: Any, share: Any) -> Any:
        drawn = drawn_by(g, noise)
        between = real + share * (drawn - real)
        gradient = jax.grad(lambda x: k.sum(score(c, x)))(between)
        slope = k.sqrt(k.sum(k.square(gradient), axis=1))
        distance = k.mean(score(c, drawn)) - k.mean(score(c, real))
        return distance + PENALTY * k.mean((slope - 1.0) ** 2)

    @jax.jit
    def step(c: Any, g: Any, c_state: Any, g_state: Any, real: Any, noise: Any, share: Any) -> Any:
        for i in range(2):
            gradients = jax.grad(of_critic)(c, g, real, noise[i], share[i])
            c, c_state = c_optimizer.stateless_apply(c_state, gradients, c)
        gradients = jax.grad(lambda g: -k.mean(score(c, drawn_by(g, noise[2]))))(g)
        g, g_state = g_optimizer.stateless_apply(g_state, gradients, g)
        return c, g, c_state, g_state

    parts = critic.trainable_variables, generator.trainable_variables
    held = [[v.value for v in part] for part in parts]
    held += [[v.value for v in part.variables] for part in (c_optimizer, g_optimizer)]
    for i in range(STEPS):
        rows = slice(i * ROWS, (i + 1) * ROWS)
        held = list(step(*held, REAL[rows], NOISE[:, rows], SHARE[:, rows]))
    return [np.asarray(w) for part in held[:2] for w in part]


def test_a_gradient_penalty_is_that_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_step_follower, "FIRST_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_STEPS", 2)
    model = Ours()
    model.compile()
    model.fit((REAL, *NOISE, *SHARE), batch_size=ROWS, shuffle=False, verbose=0)
    assert model.train_function.follower.reason == ""
    found = [*model.critic.get_weights(), *model.generator.get_weights()]
    for one, other in zip(found, by_keras(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-4)
