"""Every native op, forward and backward: the same bits on any number of threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contracts.test_native_ops import SAMPLES

import densekit as keras
from densekit import layers, ops
from densekit.engines import lower_graph, native

THREADS = (1, 2, 3, 5)
ROWS, A_MODEL = 150, 24  # of the batch; ops in a model
TABLE = Path(__file__).parents[2] / "native" / "ops" / "table.inl"
Function = Callable[[Any], Any]


class Formulas(layers.Layer):
    """Weights made of others, and state that follows the batch."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(4, 200), initializer="glorot_uniform")
        self.g = self.add_weight(shape=(200,), initializer="ones")
        self.mean = self.add_weight(shape=(4,), initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(x, axis=(0, 1)))
        w = self.w * self.g / ops.norm(self.w, axis=0)
        self.add_loss(0.01 * ops.sum(ops.square(w)))
        return ops.tanh(ops.matmul(ops.matmul(x - self.mean, w), ops.transpose(self.w)))


def numbers(x: Any) -> Any:
    return ops.cast(ops.clip(ops.floor(4 + 4 * ops.tanh(x[..., 0])), 0, 7), "int32")


# Ops that no function of one value says.
LAYERS: dict[str, Function] = {
    "affine": lambda x: layers.Rescaling([0.5, 1.0, 1.5, 2.0], 0.1)(x),
    "merge": lambda x: layers.Multiply()([x, layers.Dense(4)(x)]),
    "dropout": lambda x: layers.Dropout(0.3, seed=1)(x),
    "noise": lambda x: layers.GaussianNoise(0.3, seed=2)(x),
    "activity": lambda x: layers.ActivityRegularization(0.01, 0.01)(x),
    "normalization": lambda x: layers.LayerNormalization()(x),
    "batch_normalization": lambda x: layers.BatchNormalization()(x),
    "renormalization": lambda x: layers.BatchNormalization(renorm=True)(x),
    "embedding": lambda x: layers.Embedding(8, 5)(numbers(x)),
    "concatenate": lambda x: layers.Concatenate()([x, layers.Dense(3)(x)]),
    "einsum, entries": lambda x: layers.EinsumDense("abc,bcd->abd", (3, 5), bias_axes="bd")(x),
    "einsum, transposed": lambda x: layers.EinsumDense("abc,dc->abd", (3, 5))(x),
    "einsum, several": lambda x: layers.EinsumDense("abc,cde->adbe", (2, 3, 4))(x),
    "formulas": lambda x: Formulas()(x),
    "spectral": lambda x: layers.SpectralNormalization(layers.Dense(90))(x),
    "ternary": lambda x: layers.TernaryDense(90)(x),
}
EVERY: list[Function] = [*(f for fs in SAMPLES.values() for f in fs), *LAYERS.values()]
GROUPS = [EVERY[i : i + A_MODEL] for i in range(0, len(EVERY), A_MODEL)]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = native.get_threads()
    yield
    native.set_threads(before)


def model_of(functions: list[Function]) -> Any:
    keras.utils.set_random_seed(3)
    x = keras.Input((3, 4))
    inner = layers.Dense(4, "tanh")(x)
    found = [layers.Flatten()(ops.cast(f(inner), "float32")) for f in functions]
    y = layers.Dense(4)(layers.Dense(60)(ops.nan_to_num(ops.concatenate(found, axis=-1))))
    model = keras.Model(x, y)
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    return model


def trained(model: Any, start: list[Any], count: int) -> list[Any]:
    native.set_threads(count)
    for variable, value in zip(model.variables, start, strict=True):
        variable.assign(value)
    model.optimizer.iterations.assign(0)
    draw = np.random.default_rng(0)
    x = draw.uniform(-0.9, 0.9, (2 * ROWS, 3, 4)).astype("float32")
    y = draw.normal(size=(2 * ROWS, 4)).astype("float32")
    losses = model.fit(x, y, ROWS, shuffle=False, verbose=0).history["loss"]
    return [losses, *model.get_weights(), model.predict(x, ROWS, verbose=0)]


@pytest.mark.parametrize("group", range(len(GROUPS)))
def test_bits_do_not_depend_on_threads(group: int) -> None:
    model = model_of(GROUPS[group])
    start = [variable.numpy() for variable in model.variables]  # seeds among them
    wanted = trained(model, start, THREADS[0])
    (engine,) = [e for key, e in model._dk_runtime._engines.items() if key[0] == "train"]
    assert engine.builder.host_reasons == []
    for count in THREADS[1:]:
        for one, other in zip(wanted, trained(model, start, count), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_every_op_of_the_table_is_looked_at() -> None:
    met = {
        op.kind
        for functions in GROUPS
        for op in lower_graph(model_of(functions)._dk_graph(), "float32", True).ops
    }
    known = set(re.findall(r"^DENSEKIT_OP\((\w+)\)", TABLE.read_text(), re.MULTILINE))
    assert known - met == {"dense_int8"}  # of models that were quantized, which do not train
