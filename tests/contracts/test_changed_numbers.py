"""A number that is set after the first fit counts from the next step on, wherever it stands.

Each is compared with a fresh object made with that number, in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.contracts import samples
from tests.contracts.test_layers_contract import SAMPLES, made
from tests.contracts.test_metrics_contract import METRICS, create, data
from tests.contracts.test_optimizers_contract import OPTIMIZERS, OPTIONS

import densekit as keras

RNG = np.random.default_rng(3)
X = RNG.normal(size=(12, 3)).astype("float32")
Y = RNG.uniform(0.1, 0.9, size=(12, 4)).astype("float32")

# Numbers that decide shapes or which state there is, or are read once, when weights are made.
STRUCTURE = {
    "axis",
    "axes",
    "groups",
    "n",
    "seed",
    "units",
    "ignore_class",
    "input_dim",
    "output_dim",
    "lora_rank",
}
STRUCTURE |= {"learning_rate", "initial_accumulator_value"}
READ_ONCE = {"ActivityRegularization.l1", "ActivityRegularization.l2"}  # make a regularizer
READ_ONCE |= {"Normalization.mean", "Normalization.variance"}  # are properties, of weights as well
READ_ONCE |= {"Masking.mask_value"}  # no output of a dense layer equals it: tests/layers has a case


def numbers(obj: Any) -> Iterator[tuple[str, list[Any]]]:
    """Names and other values of the numbers that an object can be given."""
    for name, value in obj.get_config().items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(value, int):
                yield name, [value + 1]
            elif value:
                more = [1.5 * value, 1e-3 * value] if value < 0.65 else []
                yield name, [0.5 * value, *more, *([1e-3] if value < 1e-6 else [])]


def remade(obj: Any, name: str, value: Any) -> Any:
    return type(obj).from_config({**obj.get_config(), name: value})


def cases(made: Iterator[tuple[str, Any]]) -> list[Any]:
    """One case for each number of each class: with every config in which it has a value."""
    found: dict[str, tuple[Any, str, list[Any]]] = {}
    for kind, obj in made:
        for name, values in numbers(obj):
            key = f"{kind}.{name}"
            if name not in STRUCTURE and key not in READ_ONCE:
                tries = found.setdefault(key, (type(obj), name, []))[2]
                tries.extend((obj.get_config(), value) for value in values)
    return [pytest.param(*case, id=key) for key, case in found.items()]


def fit(model: Any, x: Any = X, y: Any = Y) -> list[Any]:
    """Two epochs of three steps; losses and weights."""
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return [history.history["loss"], model.evaluate(x, y, verbose=0), *model.get_weights()]


def check(run: Callable[[Any, Any, str], list[Any]], tries: list[Any]) -> None:
    """Set or fresh: the same; and the number matters in one of the configs."""
    for config, value in tries:
        found, wanted = run(config, value, "set"), run(config, value, "fresh")
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        unchanged = run(config, value, "unchanged")
        if any(np.any(np.asarray(a) != b) for a, b in zip(found, unchanged, strict=True)):
            return
    raise AssertionError(f"none of {tries} changes anything")


def dense(**arguments: Any) -> Any:
    keras.utils.set_random_seed(1)
    arguments.setdefault("kernel_initializer", keras.initializers.RandomUniform(-2.0, 2.0))
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "sigmoid", **arguments)])


# ---- Optimizers


def optimizers() -> Iterator[tuple[str, Any]]:
    for name, cls in OPTIMIZERS.items():
        if name in ("SGD", "RMSprop"):
            yield name, cls(0.1, momentum=0.5)
        if name == "Muon":  # of other polynomials, one step of the iteration stays finite
            yield name, cls(0.1, ns_steps=1)
        if name == "ScheduleFreeAdamW":
            yield name, cls(0.1, warmup_steps=100)
        for options in OPTIONS[1:]:
            yield name, cls(0.1, **options)


@pytest.mark.parametrize(("cls", "name", "tries"), cases(optimizers()))
def test_optimizer(cls: Any, name: str, tries: list[Any]) -> None:
    def run(config: Any, value: Any, how: str) -> list[Any]:
        model = dense()
        optimizer = cls.from_config(config)
        model.compile(optimizer, "mse", loss_weights=100.0)
        fit(model)
        if how == "set":
            setattr(optimizer, name, value)
        elif how == "fresh":
            fresh = remade(optimizer, name, value)
            fresh.build(model.trainable_variables)
            fresh.set_weights([v.numpy() for v in optimizer.variables])
            model.compile(fresh, "mse", loss_weights=100.0)
        return fit(model)

    check(run, tries)


@pytest.mark.parametrize("name", ["weight_decay", "clipnorm", "clipvalue", "global_clipnorm"])
def test_an_option_that_was_off(name: str) -> None:
    def run(_: Any, value: Any, how: str) -> list[Any]:
        model = dense()
        optimizer = keras.optimizers.SGD(0.1)
        model.compile(optimizer, "mse")
        fit(model)
        if how == "set":
            setattr(optimizer, name, value)
        elif how == "fresh":
            model.compile(keras.optimizers.SGD(0.1, **{name: value}), "mse")
        return fit(model)

    check(run, [({}, 0.01)])


@pytest.mark.parametrize("name", ["use_ema", "gradient_accumulation_steps", "momentum"])
def test_an_option_that_needs_state_is_refused(name: str) -> None:
    model = dense()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    fit(model)
    before = model.get_weights()
    setattr(model.optimizer, name, {"use_ema": True, "momentum": 0.5}.get(name, 2))
    with pytest.raises(ValueError, match="new optimizer"):
        model.fit(X, Y, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


# ---- Penalties, bounds and losses


def of_room(room: str, table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, arguments in table.items():
        for each in arguments:
            yield name, getattr(getattr(keras, room), name)(**each)


@pytest.mark.parametrize("place", ["kernel_regularizer", "activity_regularizer"])
@pytest.mark.parametrize(
    ("cls", "name", "tries"), cases(of_room("regularizers", samples.REGULARIZERS))
)
def test_regularizer(cls: Any, name: str, tries: list[Any], place: str) -> None:
    check(on_weights(cls, name, place), tries)


@pytest.mark.parametrize(
    ("cls", "name", "tries"), cases(of_room("constraints", samples.CONSTRAINTS))
)
def test_constraint(cls: Any, name: str, tries: list[Any]) -> None:
    check(on_weights(cls, name, "kernel_constraint"), tries)


def on_weights(cls: Any, name: str, place: str) -> Callable[[Any, Any, str], list[Any]]:
    def run(config: Any, value: Any, how: str) -> list[Any]:
        made = cls.from_config(config)
        other = remade(made, name, value) if how == "fresh" else made
        first, model = dense(**{place: made}), dense(**{place: other})
        first.compile("sgd", "mse")
        fit(first)
        if how == "set":
            setattr(made, name, value)
            return fit(first)
        model.set_weights(first.get_weights())
        model.compile("sgd", "mse")
        return fit(model)

    return run


def losses() -> Iterator[tuple[str, Any]]:
    for name, table in samples.LOSSES.items():
        for sample in table:
            if sample.targets != "labels" and not sample.arguments.get("from_logits"):
                yield name, getattr(keras.losses, name)(**sample.arguments)


@pytest.mark.parametrize(("cls", "name", "tries"), cases(losses()))
def test_loss(cls: Any, name: str, tries: list[Any]) -> None:
    def run(config: Any, value: Any, how: str) -> list[Any]:
        model, loss = dense(), cls.from_config(config)
        model.compile("sgd", loss)
        fit(model)
        if how == "set":
            setattr(loss, name, value)
        elif how == "fresh":
            model.compile("sgd", remade(loss, name, value))
        return fit(model)

    check(run, tries)
    config, value = tries[0]
    changed = cls.from_config(config)
    setattr(changed, name, value)
    assert changed.get_config()[name] == value
    assert changed(Y, Y[::-1] * 0.5) == remade(changed, name, value)(Y, Y[::-1] * 0.5)


# ---- Metrics


def metrics() -> Iterator[tuple[str, Any]]:
    for name in METRICS:
        yield name, create(name, **({"k": 2} if "TopK" in name else {}))


# Decide how many numbers are kept.
COUNTED = {"num_thresholds", "num_classes", "class_id", "top_k"}


@pytest.mark.parametrize(
    ("cls", "name", "tries"), [c for c in cases(metrics()) if c.values[1] not in COUNTED]
)
def test_metric(cls: Any, name: str, tries: list[Any]) -> None:
    def run(config: Any, value: Any, how: str) -> list[Any]:
        y_true, y_pred, weights = data(cls.__name__)
        metric = cls.from_config(config)
        metric.update_state(y_true, y_pred, weights)
        if how == "set":
            setattr(metric, name, value)
        elif how == "fresh":
            metric = remade(metric, name, value)
        metric.reset_state()
        metric.update_state(y_true, y_pred, weights)
        return [metric.result()]

    check(run, tries)


# ---- Layers


def layers() -> Iterator[tuple[str, Any]]:
    for name, table in SAMPLES.items():
        for arguments, shape in table:
            if isinstance(shape, tuple) and len(shape) < 3:  # those of `network`, below
                yield name, getattr(keras.layers, name)(**made(arguments))


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize(("cls", "name", "tries"), cases(layers()))
def test_layer(cls: Any, name: str, tries: list[Any]) -> None:
    def network(layer: Any) -> Any:
        keras.utils.set_random_seed(1)
        inner = keras.layers.Dense(6, name="inner")  # the config has a name given by counting
        after = [keras.layers.Reshape((2, 3)), layer, keras.layers.Flatten()]
        last = keras.layers.Dense(4, name="last")
        model = keras.Sequential([keras.Input((3,)), inner, *after, last])
        model.compile("sgd", "mse")
        return model

    def run(config: Any, value: Any, how: str) -> list[Any]:
        keras.utils.set_random_seed(1)  # initializers draw their seeds when they are made
        layer = cls.from_config(config)
        first = network(layer)
        fit(first)
        first.predict(X, verbose=0)
        if how == "set":
            setattr(layer, name, value)
            return [*fit(first), first.predict(X, verbose=0), first(X)]
        model = network(remade(layer, name, value) if how == "fresh" else layer)
        for own, other in zip(model.variables, first.variables, strict=True):
            own.assign(other.numpy())
        return [*fit(model), model.predict(X, verbose=0), model(X)]

    check(run, tries)


class Own(keras.layers.Layer):
    """A user's layer whose ops are followed into the plan, its numbers as constants."""

    def __init__(self, read: Callable[[Any], Any], held: Any) -> None:
        super().__init__()
        self.read, self.held = read, held

    def call(self, inputs: Any) -> Any:
        return keras.ops.tanh(inputs * self.read(self.held)) + 1.0


HOLDERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[..., None]]] = {
    "attribute": (float, lambda held: held, lambda own, new: setattr(own, "held", new)),
    "array": (
        lambda number: np.full(3, number, "float32"),
        lambda held: held,
        lambda own, new: setattr(own, "held", np.full(3, new, "float32")),
    ),
    "list": (lambda n: [n], lambda held: held[0], lambda own, new: own.held.__setitem__(0, new)),
    "dict": (
        lambda number: {"by": number},
        lambda held: held["by"],
        lambda own, new: own.held.update(by=new),
    ),
    "layer": (
        lambda number: keras.layers.LeakyReLU(number),
        lambda held: held(np.float32(-1.0)),
        lambda own, new: setattr(own.held, "negative_slope", new),
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_own_layer(holder: str) -> None:
    hold, read, set_to = HOLDERS[holder]

    def network(number: float) -> Any:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), Own(read, hold(number)), *dense().layers])
        model.compile("sgd", "mse")
        return model

    def results(model: Any) -> list[Any]:
        called = [
            model.predict(X, verbose=0),
            np.asarray(model(X)),
            model.evaluate(X, Y, verbose=0),
        ]
        return [*called, *fit(model), model.predict(X, verbose=0)]

    def run(_: Any, value: float, how: str) -> list[Any]:
        first = network(0.5)
        assert "Python:" not in first.explain_plan()
        results(first)
        if how == "set":
            set_to(first.layers[0], value)
        if how != "fresh":
            return results(first)
        model = network(value)
        model.set_weights(first.get_weights())
        return results(model)

    check(run, [({}, 0.25)])


# ---- When


class Setter(keras.callbacks.Callback):
    """Sets a number when a hook is called."""

    def __init__(self, hook: str, obj: Any, name: str, value: Any) -> None:
        super().__init__()
        setattr(self, hook, lambda *args, **kwargs: setattr(obj, name, value))


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_begin"])
@pytest.mark.parametrize("what", ["optimizer", "loss", "regularizer", "constraint", "layer"])
def test_a_number_set_in_a_hook_counts_from_the_next_step(hook: str, what: str) -> None:
    def run(set_first: bool) -> list[Any]:
        model = dense(kernel_regularizer=keras.regularizers.L2(0.1), kernel_constraint="max_norm")
        model.add(keras.layers.LeakyReLU(0.5))
        layer, loss = model.layers[0], keras.losses.Huber()
        model.compile(keras.optimizers.Adam(0.1), loss)
        obj, name, value = {
            "optimizer": (model.optimizer, "beta_1", 0.5),
            "loss": (loss, "delta", 0.25),
            "regularizer": (layer.kernel_regularizer, "l2", 1.0),
            "constraint": (layer.kernel_constraint, "max_value", 0.5),
            "layer": (model.layers[1], "negative_slope", 0.125),
        }[what]
        if set_first:
            setattr(obj, name, value)
        setter = Setter(hook, obj, name, value)
        model.fit(X, Y - 0.5, epochs=2, shuffle=False, verbose=0, callbacks=[setter])
        return list(model.get_weights())

    np.testing.assert_equal(run(False), run(True))


def test_a_number_set_between_single_batches() -> None:
    model = dense()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(X, Y)
    model.optimizer.clipvalue = 1e-3
    before = model.get_weights()
    model.train_on_batch(X, Y)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert 0 < np.max(np.abs(new - old)) < 1.01e-3


def test_another_regularizer_on_a_variable() -> None:
    model = dense()
    model.compile("sgd", "mse")
    plain = model.evaluate(X, Y, verbose=0)
    kernel = model.layers[0].kernel
    kernel.regularizer = keras.regularizers.L2(1.0)
    penalty = float(np.sum(np.square(kernel.numpy())))
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(plain + penalty, rel=1e-6)
