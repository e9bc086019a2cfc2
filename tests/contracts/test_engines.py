"""Engines agree: the same fit gives the same weights, losses and predictions, to rounding.

`DENSEKIT_ENGINE=reference pytest tests/contracts` runs the other contracts by definitions alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import constraints, losses, optimizers, regularizers
from densekit._core.registry import components
from densekit._core.seeds import permutation
from densekit.engines import engine_kind, engine_names

from . import samples
from .compare import assert_close
from .test_layers_contract import SAMPLES as LAYERS
from .test_layers_contract import create, rows_of
from .test_optimizers_contract import WRAPPERS
from .test_preprocessing_contract import PREPROCESSING

ROWS, CLASSES, EPOCHS, BATCH = 8, 4, 2, 3
OTHERS = [name for name in engine_names() if name != "native"]
STEPS = EPOCHS * -(-ROWS // BATCH)

LAYER_CASES = [
    pytest.param(name, arguments, shape, id=f"{name}-{i}")
    for name, entries in LAYERS.items()
    for i, (arguments, shape) in enumerate(entries)
]
LOSS_CASES = [(name, s) for name, entries in samples.LOSSES.items() for s in entries]
OPTIMIZERS = [n for n in components("keras.optimizers") if n not in ("Optimizer", "OptimizerMap")]


def pairs(jax: str = "float64") -> Any:
    """Every other engine in both types; JAX, which takes its time to compile, in one."""
    found = [
        (name, kind)
        for name in OTHERS
        for kind in ("float64", "float32")
        if name != "jax" or kind == jax
    ]
    return pytest.mark.parametrize(("other", "floats"), found, indirect=["floats"])


@pytest.fixture(params=["float64", "float32"])
def floats(request: pytest.FixtureRequest) -> Iterator[str]:
    keras.config.set_floatx(request.param)
    yield request.param
    keras.config.set_floatx("float32")


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def follow(engine: str, make: Any, x: Any, y: Any, single: bool = True, **fit: Any) -> list[Any]:
    """Everything a fit, an evaluation, a single batch if asked, and a prediction leave behind."""
    keras.utils.set_random_seed(5)
    model, arguments = make()
    model.compile(**arguments, engine=engine)
    before = model.evaluate(x, y, verbose=0, batch_size=BATCH, return_dict=True)
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, **fit).history
    step = model.train_on_batch(x, y, return_dict=True) if single else {}
    predictions = model.predict(x, verbose=0), model(x), model.predict_on_batch(x)
    weights = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    return [before, history, step, *predictions, weights]


def agree(other: str, floats: str, make: Any, x: Any, y: Any, **fit: Any) -> None:
    """Each of some tens of roundings of a step may be handed on by those that follow.

    NumPy rounds for both native host nodes and the reference. JAX rounds products of weights that
    are float32 in any policy, as those of low rank are, in another order.
    """
    ours, theirs = (keras.tree.flatten(follow(e, make, x, y, **fit)) for e in ("native", other))
    assert len(ours) == len(theirs)
    if other == "jax" and any(getattr(one, "dtype", None) == np.float32 for one in ours):
        floats = "float32"
    for one, two in zip(ours, theirs, strict=True):
        size = max(1.0, float(np.max(np.abs(one), initial=0)))
        assert_close(two, one, ulps=64 * (STEPS + 1), scale=size, dtype=floats, what=other)


def unless_compiled(other: str) -> dict[str, bool]:
    """JAX compiles a single batch anew: optimizers and penalties have one there, not each case."""
    return {"single": other != "jax"}


def small(last: str = "linear", **dense: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(5, activation="tanh", **dense),
            keras.layers.Dropout(0.25, seed=2),
            keras.layers.Dense(CLASSES, activation=last),
        ]
    )


def data(floats: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    return rng.normal(size=(ROWS, 3)).astype(floats), rng.normal(size=(ROWS, CLASSES)).astype(
        floats
    )


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pairs()
@pytest.mark.parametrize(("name", "arguments", "shape"), LAYER_CASES)
def test_layers(name: str, arguments: Any, shape: Any, floats: str, other: str) -> None:
    rng = np.random.default_rng(7)
    shapes = shape if isinstance(shape, list) else [shape]
    x = rows_of(shapes, ROWS, rng, floats)
    seeds = {"seed": 3} if "seed" not in arguments and "rate" in arguments else {}

    def make() -> Any:
        inputs = [keras.Input(s) for s in shapes]
        mixed = [keras.layers.Dense(s[-1])(one) for s, one in zip(shapes, inputs, strict=True)]
        y = create(name, {**arguments, **seeds})(mixed if isinstance(shape, list) else mixed[0])
        y = keras.layers.Dense(CLASSES)(keras.layers.Flatten()(y))
        optimizer = keras.optimizers.SGD(0.01, global_clipnorm=1.0)
        how = {"optimizer": optimizer, "loss": "mse", "metrics": ["mae"]}
        return keras.Model(inputs, y), how

    agree(other, floats, make, x, data(floats)[1], **unless_compiled(other))


NUMERIC = [
    pytest.param(name, arguments, inputs, id=f"{name}-{i}")
    for name, entries in PREPROCESSING.items()
    for i, (arguments, inputs) in enumerate(entries)
    if inputs.dtype.kind != "U"
]


@pairs("float32")
@pytest.mark.parametrize(("name", "arguments", "inputs"), NUMERIC)
def test_layers_that_prepare_data(
    name: str, arguments: Any, inputs: Any, floats: str, other: str
) -> None:
    def make() -> Any:
        kind = "float32" if inputs.dtype.kind == "f" else "int32"
        given = keras.Input(inputs.shape[1:], dtype=kind)
        prepared = getattr(keras.layers, name)(**arguments)(given)
        y = keras.layers.Dense(CLASSES)(keras.ops.cast(prepared, "float32"))
        return keras.Model(given, y), {"optimizer": "sgd", "loss": "mse"}

    rows = np.resize(inputs, (ROWS, *inputs.shape[1:]))
    y = np.ones((ROWS, *make()[0].output_shape[1:]), "float32")
    agree(other, floats, make, rows, y)


@pairs("float32")
@pytest.mark.parametrize(("name", "sample"), LOSS_CASES)
def test_losses(name: str, sample: samples.LossSample, floats: str, other: str) -> None:
    y = np.resize(samples.loss_inputs(sample, floats)[0], (ROWS, CLASSES))
    if sample.targets == "labels":
        y = np.arange(ROWS) % CLASSES
    last = {"real": "linear", "positive": "softplus", "probability": "sigmoid"}
    loss = getattr(losses, name)

    def make() -> Any:
        model = small(last.get(sample.predictions, "softmax"))
        return model, {"optimizer": keras.optimizers.SGD(0.01), "loss": loss(**sample.arguments)}

    agree(other, floats, make, data(floats)[0], y, **unless_compiled(other))


@pytest.mark.parametrize("name", [name for name, entries in samples.LOSSES.items() if entries])
def test_losses_are_as_exact_as_the_model(name: str) -> None:
    """Those of a model in float64 in float64, whatever `floatx` is."""
    sample = samples.LOSSES[name][0]
    y = np.resize(samples.loss_inputs(sample, "float64")[0], (ROWS, CLASSES))
    if sample.targets == "labels":
        y = np.arange(ROWS) % CLASSES
    last = {"real": "linear", "positive": "softplus", "probability": "sigmoid"}

    def trained(engine: str) -> Any:
        keras.utils.set_random_seed(5)
        inputs = keras.Input((3,), dtype="float64")
        activation = last.get(sample.predictions, "softmax")
        outputs = keras.layers.Dense(CLASSES, activation, dtype="float64")(inputs)
        model = keras.Model(inputs, outputs)
        loss = getattr(losses, name)(**sample.arguments)
        model.compile(keras.optimizers.SGD(0.01), loss, engine=engine)
        model.train_on_batch(data("float64")[0], y)
        return model.get_weights()

    for ours, theirs in zip(trained("native"), trained("reference"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pairs()
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01, "clipnorm": 0.5, "use_ema": True}])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, options: Any, floats: str, other: str) -> None:
    def make() -> Any:
        rate = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)
        inner = name if name not in WRAPPERS else "Adam"
        known = getattr(optimizers, inner)().get_config()
        epsilon = {"epsilon": 0.1} if "epsilon" in known else {}
        optimizer = getattr(optimizers, inner)(rate, **epsilon, **options)
        if name == "LossScaleOptimizer":
            optimizer = optimizers.LossScaleOptimizer(optimizer, 8.0, 3)
        if name == "MultiOptimizer":
            other = optimizers.SGD(lambda: 0.01, momentum=0.5)
            chosen = optimizers.OptimizerMap(optimizer, {".*kernel": other})
            optimizer = optimizers.MultiOptimizer(chosen)
        return small(), {"optimizer": optimizer, "loss": "mse", "metrics": ["mse"]}

    agree(other, floats, make, *data(floats))


@pairs("float32")
@pytest.mark.parametrize(
    ("room", "name", "arguments"),
    [
        (room, name, arguments)
        for room, table in (
            (regularizers, samples.REGULARIZERS),
            (constraints, samples.CONSTRAINTS),
        )
        for name, entries in table.items()
        for arguments in entries
    ],
)
def test_penalties_and_constraints(
    room: Any, name: str, arguments: Any, floats: str, other: str
) -> None:
    place = "kernel_regularizer" if room is regularizers else "kernel_constraint"

    def make() -> Any:
        return small(**{place: getattr(room, name)(**arguments)}), {"loss": "mse"}

    agree(other, floats, make, *data(floats))


def test_weights_of_samples_several_outputs_and_accumulation(floats: str, other: str) -> None:
    x, y = data(floats)

    def make() -> Any:
        given = keras.Input((3,))
        hidden = keras.layers.Dense(4, activation="relu")(given)
        outputs = [keras.layers.Dense(CLASSES, name=n)(hidden) for n in ("a", "b")]
        arguments = {
            "optimizer": keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
            "loss": ["mse", "mae"],
            "loss_weights": [1.0, 0.5],
        }
        return keras.Model(given, outputs), arguments

    weights = np.linspace(0.5, 1.5, ROWS)
    agree(other, floats, make, x, [y, y], sample_weight=[weights, weights])


@pytest.mark.parametrize(("n", "block"), [(0, 1), (1, 1), (1000, 1000), (1000, 32), (77, 100)])
def test_orders(n: int, block: int, other: str) -> None:
    for kind in (engine_kind("native"), engine_kind(other)):
        np.testing.assert_array_equal(kind.permutation(9, 4, n, block), permutation(9, 4, n, block))


def test_a_difference_is_noticed(other: str) -> None:
    """One more step, and nothing agrees."""

    def make() -> Any:
        made.append(None)
        return small(), {"optimizer": keras.optimizers.SGD(0.1 * len(made)), "loss": "mse"}

    made: list[None] = []
    with pytest.raises(AssertionError):
        agree(other, "float32", make, *data("float32"))


def test_a_model_without_rows(floats: str, other: str) -> None:
    class Mean(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(CLASSES)

        def call(self, x: Any) -> Any:
            return keras.ops.mean(self.dense(x), axis=0, keepdims=True)

    def make() -> Any:
        model = Mean()
        model.build((None, 3))
        return model, {"optimizer": "adam", "loss": "mse"}

    agree(other, floats, make, *data(floats))


def test_a_batch_size_in_the_input_is_a_hint(other: str) -> None:
    def make() -> Any:
        model = keras.Sequential([keras.Input((3,), batch_size=5), keras.layers.Dense(CLASSES)])
        return model, {"optimizer": "sgd", "loss": "mse"}

    agree(other, "float32", make, *data("float32"))


def test_losses_that_a_layer_adds_alone(floats: str, other: str) -> None:
    class Scaled(keras.layers.Dense):
        def call(self, inputs: Any) -> Any:
            y = super().call(inputs)
            self.add_loss(keras.ops.mean(keras.ops.square(y - 1.0)))
            return y

    def make() -> Any:
        model = keras.Sequential([keras.Input((3,)), Scaled(CLASSES)])
        return model, {"optimizer": "sgd"}

    agree(other, floats, make, data(floats)[0], None)


def test_own_steps(floats: str, other: str) -> None:
    class Own(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with keras.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables))
            return {"loss": loss}

    def make() -> Any:
        return Own(small().layers), {"optimizer": keras.optimizers.SGD(0.01), "loss": "mse"}

    agree(other, floats, make, *data(floats))


def test_the_reference_needs_no_native_core() -> None:
    script = """
import sys
sys.modules["densekit._native"] = None
import densekit as keras, numpy as np
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)])
model.compile("adam", "mse", metrics=["mae"], engine="reference")
x = np.ones((8, 3), "float32")
history = model.fit(x, np.ones((8, 4)), epochs=2, validation_split=0.25, verbose=0).history
model.evaluate(x, np.ones((8, 4)), verbose=0)
class Own(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)
own = Own([keras.Input((3,)), keras.layers.Dense(4)])
own.compile("adam", "mse", engine="reference")
own.fit(x, np.ones((8, 4)), verbose=0)
keras.config.set_engine("reference")
with keras.GradientTape() as tape:
    loss = keras.losses.MeanSquaredError()(np.ones((8, 4), "float32"), model(x, training=True))
weights = model.trainable_variables
model.optimizer.apply(tape.gradient(loss, weights), weights)
print(len(history["val_mae"]), model.predict(x, verbose=0).shape, model(x).shape)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.stdout.split("\n")[0] == "2 (8, 4) (8, 4)", run.stderr
