"""What is measured: networks, data and starting weights, and the same mathematics in float64.

Letters: B batch rows, I inputs and O units of a layer, P all weights and biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Weights = list[tuple[Array, Array]]

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Network:
    """A stack of Dense layers: the hidden ones share an activation and a dropout rate."""

    name: str
    widths: tuple[int, ...]
    activation: str = "relu"
    output: str = "softmax"  # or "sigmoid", "linear"
    dropout: float = 0.0
    normalized: bool = False  # each hidden layer, before its activation, over the batch

    @property
    def products(self) -> int:
        """Multiply-adds of a forward pass over one row."""
        return sum(i * o for i, o in zip(self.widths, self.widths[1:], strict=False))

    @property
    def parameters(self) -> int:
        return self.products + sum(self.widths[1:])

    def weights(self) -> Weights:
        """Glorot-uniform kernels and zero biases, float32: every peer starts from these."""
        rng = np.random.default_rng(1)
        result = []
        for i, o in zip(self.widths, self.widths[1:], strict=False):
            limit = math.sqrt(6 / (i + o))
            kernel = (rng.random((i, o), dtype=np.float32) * 2 - 1) * np.float32(limit)
            result.append((kernel, np.zeros(o, np.float32)))
        return result

    def inputs(self, rows: int, seed: int = 2) -> Array:
        return np.random.default_rng(seed).standard_normal((rows, self.widths[0]), np.float32)


@dataclass(frozen=True)
class Training(Network):
    """Adam unless it says another, shuffled every epoch, the loss that fits the output."""

    optimizer: str = "adam"  # or "sgd"
    rows: int = 10_000
    batch: int = 32
    check_steps: int = 20
    memory: bool = False  # report resident memory as well

    @property
    def loss(self) -> str:
        return {
            "softmax": "sparse_categorical_crossentropy",
            "sigmoid": "binary_crossentropy",
            "linear": "mean_squared_error",
        }[self.output]

    @property
    def flops_per_step(self) -> int:
        """Products of a step: forward, weight gradients, and input gradients but the first."""
        first = self.widths[0] * self.widths[1]
        return 4 * self.batch * self.products + 2 * self.batch * (self.products - first)

    def data(self) -> tuple[Array, Array]:
        """Rows and targets that a random linear teacher gives: classes are int32."""
        x = self.inputs(self.rows)
        teacher = np.random.default_rng(3).standard_normal(
            (self.widths[0], self.widths[-1]), np.float32
        )
        z = x @ (teacher / np.float32(math.sqrt(self.widths[0])))
        if self.output == "softmax":
            return x, z.argmax(-1).astype(np.int32)
        if self.output == "sigmoid":
            return x, (z > 0).astype(np.float32)
        return x, np.tanh(z)

    def without_dropout(self) -> Training:
        """The variant whose result does not depend on the random generator."""
        return replace(self, dropout=0.0)


@dataclass(frozen=True)
class Inference(Network):
    """Predictions for a few rows; weights and input stay in the caches."""

    rows: int = 1

    @property
    def flops_per_call(self) -> int:
        return 2 * self.rows * self.products


TRAINING = [
    Training("tabular", (20, 32, 16, 1), output="sigmoid", rows=10_000, batch=32),
    Training("digits", (784, 128, 64, 10), rows=20_000, batch=32),
    Training("mid", (784, 512, 512, 10), rows=6_400, batch=128, check_steps=5),
    Training("wide", (1024, 2048, 2048, 2048, 10), rows=1_280, batch=256, check_steps=2),
    Training("deep", (64,) + (64,) * 12 + (10,), "gelu", dropout=0.1, rows=6_400, batch=64),
    Training(
        "big-tabular", (20, 64, 64, 1), output="linear", rows=1_000_000, batch=256, memory=True
    ),
]

_SMALL, _DIGITS, _WIDE = (4, 16, 8, 3), (784, 128, 64, 10), (1024, 2048, 2048, 2048, 10)

INFERENCE = [
    Inference("small-1", _SMALL, rows=1),
    Inference("digits-1", _DIGITS, rows=1),
    Inference("wide-1", _WIDE, rows=1),
    Inference("digits-64", _DIGITS, rows=64),
    Inference("wide-64", _WIDE, rows=64),
    Inference("digits-4096", _DIGITS, rows=4096),
]

# The same network in many widths: calls of one row and of 64, steps of 64 rows.
BY_WIDTH = ("1 row", "64 rows", "training")
SIZES = [16, 32, 64, 100, 128, 256, 512, 1024, 2048]


def by_width(kind: str, width: int) -> Training | Inference:
    """``width-width-width-10``, named ``training@256``."""
    widths = (width, width, width, 10)
    if kind == "training":
        rows = max(256, min(6_400, (1 << 20) // width))
        return Training(f"{kind}@{width}", widths, rows=rows, batch=64, check_steps=2)
    return Inference(f"{kind}@{width}", widths, rows=int(kind.split()[0]))


def of_all_widths() -> list[Training | Inference]:
    """Those by width."""
    return [by_width(kind, width) for kind in BY_WIDTH for width in SIZES]


OTHERS = [
    "import",
    "process",
    "own-steps",
    "own-layers",
    "small-calls",
    "many",
    "callers",
    "widths",
    "sweep",
    "costs",
]
CALLERS = ["small-1", "digits-1", "digits-64", "digits-4096"]  # called by several threads at once


def find(name: str) -> Training | Inference:
    if "@" in name:
        kind, width = name.split("@")
        return by_width(kind, int(width))
    return next(w for w in [*TRAINING, *INFERENCE] if w.name == name)


def title(w: Network) -> str:
    """The shape in words: ``20-32-16-1``, repeated widths counted."""
    parts: list[str] = []
    run = 0
    for i, width in enumerate(w.widths):
        run += 1
        if i + 1 < len(w.widths) and w.widths[i + 1] == width:
            continue
        parts.append(f"{width}" if run < 4 else f"{run} x {width}")
        if 1 < run < 4:
            parts[-1] = "-".join([str(width)] * run)
        run = 0
    return "-".join(parts)


# The same in float64: what a peer's numbers are compared with.


def predict(w: Network, weights: Weights, x: Array) -> Array:
    """The network's output in float64."""
    return _forward(w, [(k.astype(np.float64), b.astype(np.float64)) for k, b in weights], x)[-1]


def truth(w: Network) -> dict[str, Array]:
    """What `check` of a worker compares with: predictions, by where epsilon stands."""
    if isinstance(w, Training):
        x, y = w.data()
        steps = w.check_steps
        return {"early": train(w, x, y, steps), "late": train(w, x, y, steps, late_epsilon=True)}
    assert isinstance(w, Inference)
    return {"early": predict(w, w.weights(), w.inputs(w.rows))}


def train(w: Training, x: Array, y: Array, steps: int, late_epsilon: bool = False) -> Array:
    """Predictions for the first 64 rows after Adam steps on consecutive batches, in float64.

    Args:
        w: the network; its dropout is ignored.
        x: rows.
        y: targets.
        steps: batches to train on.
        late_epsilon: epsilon joins after the bias correction, as PyTorch has it; Keras and the
            paper's remark on efficiency have it before.
    """
    weights = [(k.astype(np.float64), b.astype(np.float64)) for k, b in w.weights()]
    flat = [p for pair in weights for p in pair]
    m, v = [np.zeros_like(p) for p in flat], [np.zeros_like(p) for p in flat]
    for t in range(1, steps + 1):
        rows = slice((t - 1) * w.batch, t * w.batch)
        gradients = _gradients(w, weights, x[rows], y[rows])
        rate = LEARNING_RATE * math.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        epsilon = EPSILON * math.sqrt(1 - BETA_2**t) if late_epsilon else EPSILON
        for p, g, mean, square in zip(flat, gradients, m, v, strict=True):
            mean += (1 - BETA_1) * (g - mean)
            square += (1 - BETA_2) * (g * g - square)
            p -= rate * mean / (np.sqrt(square) + epsilon)
    return _forward(w, weights, x[:64])[-1]


def _erf(z: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(z)


def _hidden(kind: str, z: Array) -> Array:
    return np.maximum(z, 0) if kind == "relu" else z * (1 + _erf(z / math.sqrt(2))) / 2


def _hidden_slope(kind: str, z: Array) -> Array:
    if kind == "relu":
        return (z > 0).astype(np.float64)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return (1 + _erf(z / math.sqrt(2))) / 2 + z * density


def _output(kind: str, z: Array) -> Array:
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-z))
    if kind == "softmax":
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)
    return z


def _forward(w: Network, weights: Weights, x: Array) -> list[Array]:
    """[x, z1, z2, ..., y]: the sums before each hidden activation, then the output."""
    values, h = [x.astype(np.float64)], x.astype(np.float64)
    for kernel, bias in weights[:-1]:
        values.append(h @ kernel + bias)
        h = _hidden(w.activation, values[-1])
    values.append(_output(w.output, h @ weights[-1][0] + weights[-1][1]))
    return values


def _gradients(w: Training, weights: Weights, x: Array, y: Array) -> list[Array]:
    values = _forward(w, weights, x)
    dz = values[-1].copy()  # softmax and sigmoid with their cross-entropy: p - y
    if w.output == "softmax":
        dz[np.arange(len(y)), y] -= 1
        dz /= len(y)
    else:
        dz -= y
        dz *= (2 if w.output == "linear" else 1) / dz.size
    gradients: list[Array] = []
    for layer in reversed(range(len(weights))):
        h = values[layer] if layer == 0 else _hidden(w.activation, values[layer])
        gradients = [h.T @ dz, dz.sum(0), *gradients]
        if layer:
            dz = (dz @ weights[layer][0].T) * _hidden_slope(w.activation, values[layer])
    return gradients
