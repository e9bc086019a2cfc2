"""JAX at its best: a whole epoch is one compiled scan, its state donated."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, Network, Training

_POLICY = os.environ.get("DENSEKIT_BENCHMARK_POLICY", "float32")
# Products in fewer bits, on weights that keep all of them.
_COMPUTE = jnp.bfloat16 if _POLICY == "mixed_bfloat16" else None
if _POLICY == "float64":
    jax.config.update("jax_enable_x64", True)
_FLOAT = jnp.float64 if _POLICY == "float64" else jnp.float32

# Dropout masks and shuffles from the fast generator.
jax.config.update("jax_default_prng_impl", "unsafe_rbg")


def version() -> str:
    return jax.__version__


def device() -> str:
    return jax.devices()[0].device_kind


_HIDDEN = {"relu": jax.nn.relu, "gelu": partial(jax.nn.gelu, approximate=False), "tanh": jnp.tanh}


def logits(w: Network, weights: Any, x: Any, key: Any = None, moments: Any = None) -> Any:
    """Sums before the output; means and variances of the batch are added to `moments`."""
    if _COMPUTE is not None:
        weights, x = jax.tree.map(lambda a: a.astype(_COMPUTE), (weights, x))
    for kernel, bias, *norm in weights[:-1]:
        x = x @ kernel + bias
        if norm:
            wide = x.astype(_FLOAT)
            mean, variance = wide.mean(0), wide.var(0)
            if moments is not None:
                moments.append((mean, variance))
            scale = jax.lax.rsqrt(variance + 1e-3) * norm[0]
            x = (wide * scale + (norm[1] - mean * scale)).astype(x.dtype)
        x = _HIDDEN[w.activation](x)
        if w.dropout and key is not None:
            key, draw = jax.random.split(key)
            kept = jax.random.bernoulli(draw, jnp.float32(1 - w.dropout), x.shape)
            x = jnp.where(kept, x / (1 - w.dropout), 0)
    z = x @ weights[-1][0] + weights[-1][1]
    return z.astype(_FLOAT)


def output(w: Network, z: Any) -> Any:
    return {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}.get(w.output, lambda v: v)(z)


def loss(w: Training, weights: Any, x: Any, y: Any, key: Any) -> Any:
    """The loss, and the moments of the batch."""
    moments: list[Any] = []
    z = logits(w, weights, x, key, moments)
    if w.output == "softmax":
        picked = jnp.take_along_axis(z, y[:, None], -1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(z, -1) - picked), moments
    if w.output == "sigmoid":
        return jnp.mean(jax.nn.softplus(z) - y * z), moments
    return jnp.mean((z - y) ** 2), moments


def step(w: Training, x: Any, y: Any, state: Any, rows: Any) -> Any:
    weights, m, v, t, running, key = state
    key, draw = jax.random.split(key)
    g, moments = jax.grad(partial(loss, w), has_aux=True)(weights, x[rows], y[rows], draw)
    running = jax.tree.map(lambda a, b: 0.99 * a + 0.01 * b, running, moments)
    t = t + 1
    if w.optimizer == "sgd":
        weights = jax.tree.map(lambda p, a: p - LEARNING_RATE * a, weights, g)
        return (weights, m, v, t, running, key), None
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    m = jax.tree.map(lambda a, b: a + (1 - BETA_1) * (b - a), m, g)
    v = jax.tree.map(lambda a, b: a + (1 - BETA_2) * (b * b - a), v, g)
    weights = jax.tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + EPSILON), weights, m, v)
    return (weights, m, v, t, running, key), None


def fresh(w: Training) -> Any:
    """Weights, both moments of Adam, its steps, running moments of batches, key."""
    pairs: list[Any] = list(w.weights())
    running: list[Any] = []
    if w.normalized:
        ones = [np.ones(n, np.float32) for n in w.widths[1:-1]]
        running = [(0 * one, one) for one in ones]
        pairs[:-1] = [(*p, one, 0 * one) for p, one in zip(pairs, ones, strict=False)]
    weights, running = jax.tree.map(lambda a: jnp.array(a, _FLOAT), (pairs, running))
    no_slots = w.optimizer == "sgd"
    zeros, again = ([] if no_slots else jax.tree.map(jnp.zeros_like, weights) for _ in range(2))
    return weights, zeros, again, _FLOAT(0), running, jax.random.key(0)


class Run:
    note = "whole batches only"

    def __init__(self, w: Training, x: Array, y: Array) -> None:
        self.w, self.x, self.y = w, jnp.asarray(x, _FLOAT), jnp.asarray(y)
        self.state = fresh(w)

        @partial(jax.jit, static_argnums=3, donate_argnums=2)
        def epoch(x: Any, y: Any, state: Any, rows: int) -> Any:
            key, draw = jax.random.split(state[-1])
            steps = rows // w.batch
            order = jax.random.permutation(draw, rows)[: steps * w.batch]
            state = (*state[:-1], key)
            return jax.lax.scan(partial(step, w, x, y), state, order.reshape(steps, w.batch))[0]

        self._epoch = epoch

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            self.state = self._epoch(self.x, self.y, self.state, rows)
        jax.block_until_ready(self.state)
        return k * (rows // self.w.batch) * self.w.batch

    def check(self, steps: int) -> Array:
        w = self.w.without_dropout()
        order = jnp.arange(steps * w.batch).reshape(steps, w.batch)
        state = jax.lax.scan(partial(step, w, self.x, self.y), fresh(w), order)[0]
        return np.asarray(output(w, logits(w, state[0], self.x[:64])))


def training(w: Training, x: Array, y: Array, threads: int) -> Run:
    return Run(w, x, y)


class Many:
    """Networks side by side, all on the same batches."""

    note = "vmap"

    def __init__(self, w: Training, x: Array, y: Array, members: int) -> None:
        self.w, self.x, self.y = w, jnp.asarray(x), jnp.asarray(y)
        one = fresh(w)
        self.state = jax.tree.map(lambda a: jnp.stack([a] * members), one)
        axes = jax.tree.map(lambda a: 0, one)

        @partial(jax.jit, static_argnums=4, donate_argnums=2)
        def epoch(x: Any, y: Any, state: Any, key: Any, rows: int) -> Any:
            steps = rows // w.batch
            order = jax.random.permutation(key, rows)[: steps * w.batch]
            together = jax.vmap(partial(step, w, x, y), in_axes=(axes, None))
            return jax.lax.scan(together, state, order.reshape(steps, w.batch))[0]

        self._epoch, self._keys = epoch, iter(jax.random.split(jax.random.key(1), 1 << 16))

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            self.state = self._epoch(self.x, self.y, self.state, next(self._keys), rows)
        jax.block_until_ready(self.state)
        return k * rows

    def check(self, steps: int) -> Array:
        return Run(self.w, np.asarray(self.x), np.asarray(self.y)).check(steps)


def many(w: Training, x: Array, y: Array, members: int) -> Many:
    return Many(w, x, y, members)


def on_device(w: Network, x: Array) -> Callable[[bool], None]:
    """Predicts a batch on the device; waits for it if told to."""
    weights, rows = jax.tree.map(jnp.array, w.weights()), jnp.asarray(x)
    call = jax.jit(lambda weights, x: output(w, logits(w, weights, x)))

    def run(wait: bool) -> None:
        y = call(weights, rows)
        if wait:
            jax.block_until_ready(y)

    return run


def inference(w: Network, x: Array, threads: int) -> dict[str, Any]:
    weights = jax.tree.map(jnp.array, w.weights())
    general = jax.jit(lambda weights, x: output(w, logits(w, weights, x)))
    special = jax.jit(lambda x: output(w, logits(w, weights, x)))
    return {
        "jit": lambda: np.asarray(general(weights, x)),
        "jit, weights inside": lambda: np.asarray(special(x)),
    }
