"""Training steps that users write, as each library has it: seconds of a step, as JSON.

own_steps.py PEER SECONDS THREADS      started by run.py

A network 4-64-64-2 with batch 64: mean squared error with Adam, and a DQN update (the worth of the
action taken, towards what a second network says of the next state). The first also as `train_step`
inside `fit`, and the second so in `fit` and `train_on_batch`. And one call of `train_on_batch` of
20-32-16-1, batch 32. And steps of a W-GAN on a plane, batch 64, five updates of a critic 2-64-64-1
and one of a generator 4-64-64-2, without and with gradient penalty, and of the GAN of Keras' guide:
densekit's inside `fit`, those of Keras a function of their state that is called in a loop. Each
peer's step is written as its manual does: densekit on a tape, Keras on JAX as a jitted function of
its state, PyTorch eager and compiled.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

Step = Callable[[], object]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 2)).astype("float32")
ACTIONS = RNG.integers(2, size=64)
REWARDS = RNG.normal(size=64).astype("float32")
AFTER = RNG.normal(size=(64, 4)).astype("float32")
DISCOUNT = 0.99
STEPS = 200  # of an epoch in `fit`
SMALL_X = RNG.normal(size=(32, 20)).astype("float32")
SMALL_Y = RNG.normal(size=(32, 1)).astype("float32")


def network(keras, widths: tuple[int, ...]):
    """A stack of Dense layers with relu between them."""
    *hidden, last = widths[1:]
    layers = [keras.layers.Dense(units, "relu") for units in hidden]
    return keras.Sequential([keras.Input((widths[0],)), *layers, keras.layers.Dense(last)])


def in_fit(keras, kind: type) -> Step:
    """An epoch of a model with a `train_step` of its own; counted as so many steps."""
    inner = network(keras, (4, 64, 64, 2))
    model = kind(inner.inputs, inner.outputs)
    model.compile("adam", "mse")
    x, y = np.tile(X, (STEPS, 1)), np.tile(Y, (STEPS, 1))
    return lambda: model.fit(x, y, batch_size=64, verbose=0)


def dqn(keras, kind: type):
    """A model that learns by a `train_step` of its own from what a slower one says."""
    inner = network(keras, (4, 64, 64, 2))
    model = kind(inner.inputs, inner.outputs)
    model.compile("adam")
    return model


def dqn_in_fit(keras, kind: type) -> Step:
    """An epoch of it; counted as so many steps."""
    model, many = dqn(keras, kind), (STEPS,)
    states, after = np.tile(X, (STEPS, 1)), np.tile(AFTER, (STEPS, 1))
    y = np.tile(ACTIONS, many), np.tile(REWARDS, many), after
    return lambda: model.fit(states, y, batch_size=64, verbose=0)


def dqn_on_batch(keras, kind: type) -> Step:
    model = dqn(keras, kind)
    return lambda: model.train_on_batch(X, (ACTIONS, REWARDS, AFTER))


PLANE = RNG.normal(size=(64, 2)).astype("float32")
LATENT, CRITIC_STEPS, PENALTY = 4, 5, 10.0


def adversaries(keras):
    """A critic and a generator, with their optimizers."""
    critic, generator = network(keras, (2, 64, 64, 1)), network(keras, (LATENT, 64, 64, 2))
    return critic, generator, keras.optimizers.RMSprop(1e-4), keras.optimizers.RMSprop(1e-4)


def adversaries_in_fit(keras, kind: type) -> Step:
    """An epoch of two networks that train against each other; counted as so many steps."""
    model = kind()
    model.critic, model.generator, model.c_optimizer, model.g_optimizer = adversaries(keras)
    model.seeds = keras.random.SeedGenerator(1)
    model.compile()
    real = np.tile(PLANE, (STEPS, 1))
    return lambda: model.fit(real, batch_size=64, verbose=0)


def on_batch(keras) -> Step:
    model = network(keras, (20, 32, 16, 1))
    model.compile("adam", "mse")
    return lambda: model.train_on_batch(SMALL_X, SMALL_Y)


def densekit_steps() -> dict[str, Step]:
    import densekit as keras
    from densekit import ops

    def regression_step() -> Step:
        model, optimizer = network(keras, (4, 64, 64, 2)), keras.optimizers.Adam()
        loss_of = keras.losses.MeanSquaredError()
        variables = model.trainable_variables

        def step() -> object:
            with keras.GradientTape() as tape:
                loss = loss_of(Y, model(X, training=True))
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        return step

    def dqn_step() -> Step:
        model, optimizer = network(keras, (4, 64, 64, 2)), keras.optimizers.Adam()
        slower, actions = network(keras, (4, 64, 64, 2)), ACTIONS[:, None]
        variables = model.trainable_variables

        def step() -> object:
            targets = REWARDS + DISCOUNT * ops.max(slower(AFTER), axis=1)
            with keras.GradientTape() as tape:
                worth = ops.take_along_axis(model(X, training=True), actions, axis=1)[:, 0]
                loss = ops.mean((worth - targets) ** 2)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        return step

    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    slower = network(keras, (4, 64, 64, 2))

    class DQN(keras.Model):
        def train_step(self, data):
            states, (actions, rewards, after) = data
            targets = rewards + DISCOUNT * ops.max(slower(after), axis=1)
            with keras.GradientTape() as tape:
                worths = self(states, training=True)
                worth = ops.take_along_axis(worths, actions[:, None], axis=1)[:, 0]
                loss = ops.mean((worth - targets) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    class WGAN(keras.Model):
        def loss_of_critic(self, real, drawn):
            scores = self.critic(drawn, training=True)
            return ops.mean(scores) - ops.mean(self.critic(real, training=True))

        def noise(self, real):
            return keras.random.normal((ops.shape(real)[0], LATENT), seed=self.seeds)

        def train_step(self, real):
            for _ in range(CRITIC_STEPS):
                drawn = self.generator(self.noise(real), training=True)
                with keras.GradientTape() as tape:
                    loss = self.loss_of_critic(real, drawn)
                variables = self.critic.trainable_variables
                self.c_optimizer.apply(tape.gradient(loss, variables), variables)
            noise = self.noise(real)
            with keras.GradientTape() as tape:
                drawn = self.generator(noise, training=True)
                other = -ops.mean(self.critic(drawn, training=True))
            variables = self.generator.trainable_variables
            self.g_optimizer.apply(tape.gradient(other, variables), variables)
            return {"critic": loss, "generator": other}

    class Penalised(WGAN):
        def loss_of_critic(self, real, drawn):
            share = keras.random.uniform((ops.shape(real)[0], 1), seed=self.seeds)
            between = real + share * (drawn - real)
            with keras.GradientTape() as tape:
                tape.watch(between)
                score = self.critic(between, training=True)
            slope = ops.sqrt(ops.sum(ops.square(tape.gradient(score, between)), axis=1) + 1e-12)
            penalty = ops.mean(ops.square(slope - 1.0))
            return super().loss_of_critic(real, drawn) + PENALTY * penalty

    class GAN(WGAN):
        measure = keras.losses.BinaryCrossentropy(from_logits=True)

        def train_step(self, real):
            rows = ops.shape(real)[0]
            both = ops.concatenate([self.generator(self.noise(real)), real], axis=0)
            labels = ops.concatenate([ops.ones((rows, 1)), ops.zeros((rows, 1))], axis=0)
            labels += 0.05 * keras.random.uniform(ops.shape(labels), seed=self.seeds)
            with keras.GradientTape() as tape:
                loss = self.measure(labels, self.critic(both))
            variables = self.critic.trainable_variables
            self.c_optimizer.apply(tape.gradient(loss, variables), variables)
            noise, misleading = self.noise(real), ops.zeros((rows, 1))
            with keras.GradientTape() as tape:
                other = self.measure(misleading, self.critic(self.generator(noise)))
            variables = self.generator.trainable_variables
            self.g_optimizer.apply(tape.gradient(other, variables), variables)
            return {"critic": loss, "generator": other}

    return {
        "wgan in fit": adversaries_in_fit(keras, WGAN),
        "wgan-gp in fit": adversaries_in_fit(keras, Penalised),
        "gan in fit": adversaries_in_fit(keras, GAN),
        "regression": regression_step(),
        "dqn": dqn_step(),
        "in fit": in_fit(keras, Own),
        "dqn in fit": dqn_in_fit(keras, DQN),
        "dqn on batch": dqn_on_batch(keras, DQN),
        "on batch": on_batch(keras),
    }


def keras_steps() -> dict[str, Step]:
    import jax
    import keras
    from keras import ops

    def jitted(loss_of: Callable) -> Step:
        model, optimizer = network(keras, (4, 64, 64, 2)), keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)

        def value(trainable, other):
            y_pred, other = model.stateless_call(trainable, other, X, training=True)
            return loss_of(y_pred), other

        @jax.jit
        def step(trainable, other, state):
            (loss, other), gradients = jax.value_and_grad(value, has_aux=True)(trainable, other)
            trainable, state = optimizer.stateless_apply(state, gradients, trainable)
            return loss, trainable, other, state

        held = [
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            [v.value for v in optimizer.variables],
        ]

        def run() -> object:
            loss, *held[:] = step(*held)
            return jax.block_until_ready(loss)

        return run

    slower = network(keras, (4, 64, 64, 2))
    actions = ACTIONS[:, None]

    def dqn_loss(y_pred: object) -> object:
        targets = REWARDS + DISCOUNT * ops.max(slower(AFTER), axis=1)
        worth = ops.take_along_axis(y_pred, actions, axis=1)[:, 0]
        return ops.mean(ops.square(worth - targets))

    class Own(keras.Model):
        def value(self, trainable, other, x, y):
            y_pred, other = self.stateless_call(trainable, other, x, training=True)
            return self.compute_loss(x, y, y_pred), other

        def train_step(self, state, data):
            trainable, other, optimizer, metrics = state
            x, y = data
            gradients = jax.value_and_grad(self.value, has_aux=True)
            (loss, other), gradients = gradients(trainable, other, x, y)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            return {"loss": loss}, (trainable, other, optimizer, metrics)

    class DQN(keras.Model):
        def value(self, trainable, other, data):
            states, (taken, rewards, after), *_ = data
            worths, other = self.stateless_call(trainable, other, states, training=True)
            targets = rewards + DISCOUNT * ops.max(slower(after), axis=1)
            worth = ops.take_along_axis(worths, taken[:, None], axis=1)[:, 0]
            return ops.mean(ops.square(worth - targets)), other

        def train_step(self, state, data):
            trainable, other, optimizer, metrics = state
            gradients = jax.value_and_grad(self.value, has_aux=True)
            (loss, other), gradients = gradients(trainable, other, data)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            return {"loss": loss}, (trainable, other, optimizer, metrics)

    def stateless(loss_of_critic: Callable, loss_of_generator: Callable, critic_steps: int) -> Step:
        """Two networks that train against each other, as one function of all values."""
        critic, generator, c_optimizer, g_optimizer = adversaries(keras)
        c_optimizer.build(critic.trainable_variables)
        g_optimizer.build(generator.trainable_variables)

        def drawn(g: list, key: object) -> object:
            noise = jax.random.normal(key, (64, LATENT))
            return generator.stateless_call(g, [], noise, training=True)[0]

        def score(c: list, x: object) -> object:
            return critic.stateless_call(c, [], x, training=True)[0]

        def of_critic(c: list, g: list, real: object, key: object) -> object:
            first, second = jax.random.split(key)
            return loss_of_critic(lambda x: score(c, x), real, drawn(g, first), second)

        def of_generator(g: list, c: list, key: object) -> object:
            return loss_of_generator(score(c, drawn(g, key)))

        @jax.jit
        def step(c, g, c_state, g_state, key, real):
            for _ in range(critic_steps):
                key, own = jax.random.split(key)
                loss, gradients = jax.value_and_grad(of_critic)(c, g, real, own)
                c, c_state = c_optimizer.stateless_apply(c_state, gradients, c)
            key, own = jax.random.split(key)
            other, gradients = jax.value_and_grad(of_generator)(g, c, own)
            g, g_state = g_optimizer.stateless_apply(g_state, gradients, g)
            return (loss, other), c, g, c_state, g_state, key

        held = [
            [v.value for v in critic.trainable_variables],
            [v.value for v in generator.trainable_variables],
            [v.value for v in c_optimizer.variables],
            [v.value for v in g_optimizer.variables],
            jax.random.PRNGKey(0),
        ]

        def run() -> object:
            losses, *held[:] = step(*held, PLANE)
            return jax.block_until_ready(losses)

        return run

    def distance(score: Callable, real: object, drawn: object, key: object) -> object:
        return ops.mean(score(drawn)) - ops.mean(score(real))

    def penalised(score: Callable, real: object, drawn: object, key: object) -> object:
        between = real + jax.random.uniform(key, (64, 1)) * (drawn - real)
        gradient = jax.grad(lambda x: ops.sum(score(x)))(between)
        slope = ops.sqrt(ops.sum(ops.square(gradient), axis=1) + 1e-12)
        penalty = ops.mean(ops.square(slope - 1.0))
        return distance(score, real, drawn, key) + PENALTY * penalty

    measure = keras.losses.BinaryCrossentropy(from_logits=True)

    def told_apart(score: Callable, real: object, drawn: object, key: object) -> object:
        both = ops.concatenate([jax.lax.stop_gradient(drawn), real], axis=0)
        labels = ops.concatenate([ops.ones((64, 1)), ops.zeros((64, 1))], axis=0)
        return measure(labels + 0.05 * jax.random.uniform(key, (128, 1)), score(both))

    def misled(scores: object) -> object:
        return measure(ops.zeros((64, 1)), scores)

    return {
        "wgan in fit": stateless(distance, lambda scores: -ops.mean(scores), CRITIC_STEPS),
        "wgan-gp in fit": stateless(penalised, lambda scores: -ops.mean(scores), CRITIC_STEPS),
        "gan in fit": stateless(told_apart, misled, 1),
        "regression": jitted(lambda y_pred: ops.mean(ops.square(y_pred - Y))),
        "dqn": jitted(dqn_loss),
        "in fit": in_fit(keras, Own),
        "dqn in fit": dqn_in_fit(keras, DQN),
        "dqn on batch": dqn_on_batch(keras, DQN),
        "on batch": on_batch(keras),
    }


def torch_steps(threads: int) -> dict[str, Step]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y, rewards, after = map(torch.from_numpy, (X, Y, REWARDS, AFTER))
    actions = torch.from_numpy(ACTIONS)[:, None]

    def stack() -> nn.Module:
        return nn.Sequential(
            *(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        )

    slower = stack()

    def step_of(loss_of: Callable, compiled: bool) -> Step:
        model = stack()
        optimizer = torch.optim.Adam(model.parameters())
        value = torch.compile(lambda: loss_of(model(x))) if compiled else lambda: loss_of(model(x))

        def step() -> object:
            optimizer.zero_grad()
            loss = value()
            loss.backward()
            optimizer.step()
            return loss

        return step

    def dqn_loss(y_pred: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            targets = rewards + DISCOUNT * slower(after).max(1).values
        return ((y_pred.gather(1, actions)[:, 0] - targets) ** 2).mean()

    formulas = {"regression": lambda y_pred: ((y_pred - y) ** 2).mean(), "dqn": dqn_loss}
    steps = {name: step_of(formula, False) for name, formula in formulas.items()}
    return steps | {f"{name} compiled": step_of(f, True) for name, f in formulas.items()}


def seconds_of(step: Step, at_least: float) -> float | None:
    """The best mean of a step over some runs; None if it cannot be run here."""
    try:
        for _ in range(20):
            step()
    except Exception as error:  # a compiler may be missing
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return None
    start = time.perf_counter()
    step()
    count = max(1, int(at_least / max(time.perf_counter() - start, 1e-6)))
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(count):
            step()
        best = min(best, (time.perf_counter() - start) / count)
    return best


def main() -> None:
    peer, at_least, threads = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    makers = {"densekit": densekit_steps, "keras-jax": keras_steps}
    steps = torch_steps(threads) if peer == "torch" else makers[peer]()
    found = {name: seconds_of(step, at_least) for name, step in steps.items()}
    in_fit = ["in fit", "dqn in fit"]
    if peer == "densekit":
        in_fit += ["wgan in fit", "wgan-gp in fit", "gan in fit"]
    for name in in_fit:
        if found.get(name):
            found[name] /= STEPS
    print(json.dumps(found))


if __name__ == "__main__":
    main()
