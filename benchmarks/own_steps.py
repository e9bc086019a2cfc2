"""Training steps that users write, as each library has it: seconds of a step, as JSON.

own_steps.py PEER SECONDS THREADS      started by run.py

A network 4-64-64-2 with batch 64: mean squared error with Adam, and a DQN update (the worth of the
action taken, towards a given target). And one call of `train_on_batch` of 20-32-16-1, batch 32.
Each peer's step is written as its manual does: densekit on a tape, Keras on JAX as a jitted
function of its state, PyTorch eager and compiled.
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
TARGETS = RNG.normal(size=64).astype("float32")
SMALL_X = RNG.normal(size=(32, 20)).astype("float32")
SMALL_Y = RNG.normal(size=(32, 1)).astype("float32")


def network(keras, widths: tuple[int, ...]):
    """A stack of Dense layers with relu between them."""
    *hidden, last = widths[1:]
    layers = [keras.layers.Dense(units, "relu") for units in hidden]
    return keras.Sequential([keras.Input((widths[0],)), *layers, keras.layers.Dense(last)])


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
        variables, chosen = model.trainable_variables, ops.one_hot(ACTIONS, 2)

        def step() -> object:
            with keras.GradientTape() as tape:
                worth = ops.sum(model(X, training=True) * chosen, axis=1)
                loss = ops.mean((worth - TARGETS) ** 2)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        return step

    return {"regression": regression_step(), "dqn": dqn_step(), "on batch": on_batch(keras)}


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

    chosen = np.eye(2, dtype="float32")[ACTIONS]
    return {
        "regression": jitted(lambda y_pred: ops.mean(ops.square(y_pred - Y))),
        "dqn": jitted(
            lambda y_pred: ops.mean(ops.square(ops.sum(y_pred * chosen, axis=1) - TARGETS))
        ),
        "on batch": on_batch(keras),
    }


def torch_steps(threads: int) -> dict[str, Step]:
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y, targets = map(torch.from_numpy, (X, Y, TARGETS))
    actions = torch.from_numpy(ACTIONS)[:, None]

    def step_of(loss_of: Callable, compiled: bool) -> Step:
        model = nn.Sequential(
            *(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        )
        optimizer = torch.optim.Adam(model.parameters())
        value = torch.compile(lambda: loss_of(model(x))) if compiled else lambda: loss_of(model(x))

        def step() -> object:
            optimizer.zero_grad()
            loss = value()
            loss.backward()
            optimizer.step()
            return loss

        return step

    formulas = {
        "regression": lambda y_pred: ((y_pred - y) ** 2).mean(),
        "dqn": lambda y_pred: ((y_pred.gather(1, actions)[:, 0] - targets) ** 2).mean(),
    }
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
    print(json.dumps({name: seconds_of(step, at_least) for name, step in steps.items()}))


if __name__ == "__main__":
    main()
