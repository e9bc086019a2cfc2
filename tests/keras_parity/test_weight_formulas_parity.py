"""Formulas of weights alone inside own layers train natively, as Keras trains them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit

MASK = (np.arange(20).reshape(4, 5) % 3 > 0).astype("float32")


def own(k: Any, shapes: dict[str, tuple[int, ...]], formula: Any) -> Any:
    class Own(k.layers.Layer):
        def build(self, shape: Any) -> None:
            for name, size in shapes.items():
                setattr(self, name, self.add_weight(shape=size, name=name))
            self.u = self.add_weight(shape=(1, 5), name="u", trainable=False)

        def call(self, x: Any, training: bool = False) -> Any:
            return formula(self, k.ops, x, training)

    return Own()


def normalized(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    w = layer.v * layer.g / ops.norm(layer.v, axis=0)
    return ops.matmul(x, w) + ops.softplus(layer.g) * ops.mean(layer.v)


def masked(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    return ops.tanh(ops.matmul(x, layer.w * MASK))


def symmetric(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    w = layer.s + ops.transpose(layer.s)
    gram = ops.matmul(ops.transpose(w), w) - ops.eye(4)
    layer.add_loss(0.1 * ops.sum(ops.square(gram)))
    layer.add_loss(0.01 * ops.mean(ops.abs(layer.s)))
    return ops.matmul(ops.relu(ops.matmul(x, w)), layer.w)


def tied(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    hidden = ops.tanh(ops.matmul(x, layer.w))
    return ops.matmul(ops.matmul(hidden, ops.transpose(layer.w)), layer.w[:, ::-1])


def factored(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    w = ops.einsum("ij,jk->ik", layer.a, layer.b)
    w = ops.concatenate([w[:2], ops.exp(-w[2:])], axis=0)
    return ops.matmul(x, ops.softmax(w, axis=-1)) + ops.var(w, axis=0)


def spectral(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    w, u = ops.convert_to_tensor(layer.w), layer.u.value
    v = ops.normalize(ops.matmul(u, ops.transpose(w)), axis=-1)
    u = ops.normalize(ops.matmul(v, w), axis=-1)
    u, v = ops.stop_gradient(u), ops.stop_gradient(v)
    if training:
        layer.u.assign(u)
    return ops.matmul(x, w / ops.matmul(ops.matmul(v, w), ops.transpose(u))) + layer.u * 0.1


def counted(layer: Any, ops: Any, x: Any, training: bool) -> Any:
    y = ops.matmul(x, layer.w)
    if training:
        layer.u.assign(0.9 * layer.u + 0.1 * ops.mean(y, axis=0, keepdims=True))
    return y * ops.where(ops.abs(layer.w[0]) > 0.3, layer.w[1], 1.0)


OWN: dict[str, tuple[dict[str, tuple[int, ...]], Any]] = {
    "weight normalization": ({"v": (4, 5), "g": (5,)}, normalized),
    "masked kernel": ({"w": (4, 5)}, masked),
    "symmetric kernel, orthogonality": ({"s": (4, 4), "w": (4, 5)}, symmetric),
    "tied kernel": ({"w": (4, 5)}, tied),
    "product of kernels": ({"a": (4, 2), "b": (2, 5)}, factored),
    "spectral norm": ({"w": (4, 5)}, spectral),
    "running mean": ({"w": (4, 5)}, counted),
}


def renormalized(k: Any) -> Any:
    clipping = {"rmax": 1.5, "rmin": 0.5, "dmax": 0.5}
    return k.layers.BatchNormalization(renorm=True, renorm_clipping=clipping, momentum=0.8)


def reversible(k: Any) -> Any:
    class Own(k.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.table = k.layers.ReversibleEmbedding(5, 4, tie_weights=True, logit_soft_cap=3.0)

        def build(self, shape: Any) -> None:
            self.table.build()

        def call(self, x: Any) -> Any:
            return self.table(x, reverse=True)

    return Own()


def regularized(k: Any) -> Any:
    """The wrapper assigns the kernel: the penalty is that of the new one."""
    return k.layers.SpectralNormalization(k.layers.Dense(5, kernel_regularizer="l2"), 2)


def regularized_in_python(k: Any) -> Any:
    class Own(k.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(4, 5), regularizer=k.regularizers.L1L2(0.1, 0.2))

        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                self.w.assign(0.5 * self.w + 0.0 * k.ops.mean(x))
            return k.ops.matmul(x, self.w)

    return Own()


LAYERS = {
    "SpectralNormalization of a regularized layer": regularized,
    "a regularized weight that is assigned in Python": regularized_in_python,
    "BatchNormalization that renormalizes": renormalized,
    "SpectralNormalization": lambda k: k.layers.SpectralNormalization(k.layers.Dense(5), 2),
    "ReversibleEmbedding": reversible,
}


def trained(k: Any, name: str) -> list[Any]:
    draw = np.random.RandomState(0)
    layer = own(k, *OWN[name]) if name in OWN else LAYERS[name](k)
    model = k.Sequential([k.Input((4,)), layer, k.layers.Dense(2)])
    for weight in sorted(model.weights, key=lambda w: w.path.split("/")[-2:]):
        values = 0.5 * draw.normal(size=weight.shape)
        weight.assign(np.abs(values) if "std" in weight.path or "var" in weight.path else values)
    x, y = draw.normal(size=(20, 4)).astype("float32"), draw.normal(size=(20, 2)).astype("float32")
    model.compile(k.optimizers.Adam(0.05), "mse")
    if k is densekit and not name.endswith("in Python"):
        assert "0 of" in model.explain_plan(), model.explain_plan()
    losses = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
    found = [np.asarray(weight) for weight in model.weights]
    return [losses, *found, np.asarray(model(x))]


@pytest.mark.parametrize("name", [*OWN, *LAYERS])
def test_training_is_that_of_keras(name: str) -> None:
    for ours, theirs in zip(trained(densekit, name), trained(keras, name), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
