"""Small plans on the native module, a gradient check, a host layer: for this folder's tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import densekit as keras
from densekit import _native

Array = NDArray[Any]
INF, NAN = float("inf"), float("nan")

# Parameters at which a formula is smooth at almost every point and every branch is taken.
ACTIVATION_PARAMETERS: dict[str, list[float]] = {
    "relu": [0.1, 1.5, 0.2],
    "elu": [1.3],
    "celu": [0.7],
    "gelu": [0.0],
    "squareplus": [4.0],
    "hard_shrink": [0.4],
    "soft_shrink": [0.4],
    "threshold": [0.3, -0.2],
}
PLAIN_RELU = [0.0, INF, 0.0]
CROSSENTROPY = {"binary": [0.0, 0.0, 1e-7], "sparse": [0.0, NAN, 1e-7]}


class Halve(keras.layers.Layer):
    """Runs in Python: it has no native form."""

    def call(self, inputs: Any) -> Any:
        return inputs * 0.5


def dense(
    plan: _native.Plan,
    x: Any,
    kernel: int,
    bias: int,
    in_features: int,
    out_features: int,
    activation: str = "linear",
    parameters: Sequence[float] = (),
) -> int:
    """``activation(x @ kernel + bias)``; `bias` is -1 for none."""
    weights = [kernel] if bias < 0 else [kernel, bias]
    sizes = {"in_features": [in_features], "out_features": [out_features]}
    numbers = {"activation_parameters": list(parameters)}
    return plan.op("dense", [x], weights, [], {"activation": activation}, sizes, numbers)[0]


def activation(
    plan: _native.Plan, x: int, kind: str, parameters: Sequence[float], width: int
) -> int:
    """A formula over rows of `width` elements."""
    numbers = {"activation_parameters": list(parameters)}
    names, widths = {"activation": kind}, {"width": [width]}
    return plan.op("activation", [x], [], [], names, widths, numbers)[0]


def dropout(plan: _native.Plan, x: int, rate: float) -> int:
    """`x` with elements zeroed in training."""
    return plan.op("dropout", [x], [], [], {}, {}, {"rate": [rate]})[0]


def affine(
    plan: _native.Plan, x: int, scale: Sequence[float], offset: Sequence[float], width: int
) -> int:
    """``x * scale + offset`` over rows of `width` elements."""
    numbers = {"scale": list(scale), "offset": list(offset)}
    return plan.op("affine", [x], [], [], {}, {"width": [width]}, numbers)[0]


def merge(plan: _native.Plan, kind: str, xs: Sequence[int]) -> int:
    """Values of equal size, elementwise."""
    return plan.op("merge", xs, [], [], {"merge": kind}, {}, {})[0]


def concatenate(plan: _native.Plan, xs: Sequence[int], inners: Sequence[int]) -> int:
    """Values joined; each gives ``inners[i]`` contiguous elements in turn."""
    return plan.op("concatenate", xs, [], [], {}, {"inners": inners}, {})[0]


def activity(plan: _native.Plan, x: int, l1: float, l2: float, linear: float = 0.0) -> None:
    """A penalty on values."""
    plan.op("activity", [x], [], [], {}, {}, {"l1": [l1], "l2": [l2], "linear": [linear]})


@dataclass
class Built:
    """A plan with the arrays it trains."""

    plan: _native.Plan
    dtype: str = "float64"
    parameters: list[Array] = field(default_factory=list)
    slots: list[list[Array]] = field(default_factory=list)

    def train(
        self,
        x: Array | list[Array],
        y: Array | list[Array | None],
        *,
        batch_size: int = 8,
        iteration: int = 0,
        rate: float = 0.05,
        weights: list[Array | None] | None = None,
        index: Array | None = None,
        counters: Sequence[int] = (),
        predictions: list[Array | None] | None = None,
    ) -> Array:
        """Losses of one pass over the rows (or `index`), shape (steps, 1 + losses)."""
        xs = x if isinstance(x, list) else [x]
        ys = y if isinstance(y, list) else [y]
        rows = np.arange(len(xs[0])) if index is None else index
        steps = -(-len(rows) // batch_size)
        losses = np.full((steps, 1 + len(ys)), np.nan)
        done = self.plan.train(
            xs,
            ys,
            weights or [None] * len(ys),
            rows.astype(np.int64),
            batch_size,
            iteration,
            np.full(steps, rate),
            [5] * len(counters),
            counters,
            losses,
            predictions or [],
        )
        assert done == steps == _native.testing.steps_done(self.plan)
        return losses

    def predict(self, x: Array | list[Array], out: int | None = None) -> Array:
        """The first output."""
        xs = x if isinstance(x, list) else [x]
        width = out if out is not None else self.parameters[-1].shape[0]
        y = np.full((len(xs[0]), width), np.nan, self.parameters[0].dtype)
        self.plan.predict(xs, len(xs[0]), [y])
        return y

    def slots_for(self, count: int, **kwargs: Any) -> None:
        """Zeroed optimizer slots for every parameter."""
        for i, p in enumerate(self.parameters):
            self.slots.append([np.zeros_like(p) for _ in range(count)])
            self.plan.set_slots(i, self.slots[-1], **kwargs)


def add_dense(
    built: Built,
    x: int,
    sizes: tuple[int, int],
    rng: np.random.Generator,
    activation: str = "linear",
    parameters: list[float] | None = None,
    bias: bool = True,
) -> int:
    """A dense layer with new weights."""
    w = (rng.standard_normal(sizes) / np.sqrt(sizes[0])).astype(built.dtype)
    kernel = built.plan.parameter(w, True)
    built.parameters.append(w)
    offset = -1
    if bias:
        b = (0.1 * rng.standard_normal(sizes[1])).astype(built.dtype)
        offset = built.plan.parameter(b, True)
        built.parameters.append(b)
    if parameters is None:
        parameters = ACTIVATION_PARAMETERS.get(activation, [])
    return dense(built.plan, x, kernel, offset, *sizes, activation, parameters)


def new_plan(dtype: str = "float64", fuse: bool | None = None) -> Built:
    """An empty plan."""
    return Built(_native.Plan(dtype, fuse), dtype)


def mlp(
    sizes: Sequence[int],
    rng: np.random.Generator,
    *,
    hidden: str = "tanh",
    last: str = "linear",
    loss: str = "mean_squared_error",
    loss_parameters: Sequence[float] = (),
    dtype: str = "float64",
    fuse: bool | None = None,
    optimizer: tuple[str, list[float]] | None = ("sgd", [0.0, 0.0]),
    **optimizer_options: Any,
) -> Built:
    """A finished multilayer perceptron with one loss."""
    built = new_plan(dtype, fuse)
    x = built.plan.input(sizes[0])
    for i, pair in enumerate(itertools.pairwise(sizes)):
        kind = last if i == len(sizes) - 2 else hidden
        x = add_dense(built, x, pair, rng, kind, PLAIN_RELU if kind == "relu" else None)
    width = sizes[-1] // 2 if last == "glu" else sizes[-1]
    built.plan.output(x)
    built.plan.loss(0, loss, list(loss_parameters), width)
    if optimizer is not None:
        built.plan.set_optimizer(*optimizer, **optimizer_options)
    built.plan.finalize()
    return built


def total_loss(built: Built, x: list[Array], y: list[Array | None], **options: Any) -> float:
    """The total of one batch of all rows."""
    return float(gradients(built, x, y, **options)[0][0])


def gradients(
    built: Built,
    x: list[Array],
    y: list[Array | None],
    weights: list[Array | None] | None = None,
    counters: Sequence[int] = (),
    training: bool = True,
) -> tuple[Array, list[Array], list[Array]]:
    """Losses, parameter gradients, input gradients."""
    keys = [5] * len(counters)
    return _native.testing.gradients(
        built.plan, x, y, weights or [None] * len(y), keys, counters, training
    )


def check_gradients(
    built: Built, x: list[Array], y: list[Array | None], tolerance: float = 1e-6, **options: Any
) -> None:
    """One random direction through all parameters and inputs against a central difference."""
    _, d_parameters, d_inputs = gradients(built, x, y, **options)
    rng = np.random.default_rng(11)
    for arrays, found in ((built.parameters, d_parameters), (x, d_inputs)):
        assert len(arrays) == len(found)
        for array, gradient in zip(arrays, found, strict=True):
            direction = rng.standard_normal(array.shape)
            value = directional(lambda: total_loss(built, x, y, **options), array, direction)
            expected = float(np.sum(direction * gradient.reshape(array.shape)))
            scale = np.linalg.norm(gradient) * np.linalg.norm(direction) + 1e-3
            assert abs(value - expected) <= tolerance * scale


def directional(f: Callable[[], float], array: Array, direction: Array, h: float = 1e-5) -> float:
    """(f(array + h d) - f(array - h d)) / 2h, changing the array in place and back."""
    before = array.copy()
    array[...] = before + h * direction
    up = f()
    array[...] = before - h * direction
    down = f()
    array[...] = before
    return (up - down) / (2 * h)
