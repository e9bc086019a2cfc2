"""A model's engines are made once, and again only after a change of its own."""

from __future__ import annotations

import gc
import resource
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import engines
from densekit.layers import Dense, Dropout

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.ones((8, 3), "float32")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Weak references to the engines that were made."""
    engines_made: list[Any] = []
    init = engines.NativeEngine.__init__

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        engines_made.append(weakref.ref(self))
        init(self, *args, **kwargs)

    monkeypatch.setattr(engines.NativeEngine, "__init__", counted)
    return engines_made


def network(*extra: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), Dense(16, "relu"), *extra, Dense(3)])
    model.compile("adam", "mse")
    return model


def use(model: Any) -> None:
    model(X)
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict(X, verbose=0)


def new_functional(shared: Any) -> Any:
    x = keras.Input((4,))
    return keras.Model(x, Dense(2)(shared(x)))


OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "another model's trainable": lambda model, other: setattr(other, "trainable", False),
    "another model's rate": lambda model, other: setattr(other.layers[1], "rate", 0.1),
    "another model's layer": lambda model, other: other.pop(),
    "another model is compiled": lambda model, other: other.compile("sgd", "mae"),
    "another model is built": lambda model, other: use(network()),
    "a model around it is built": lambda model, other: new_functional(model).predict(X, verbose=0),
    "a model around a layer is built": lambda model, other: new_functional(model.layers[0]),
    "a thousand models come and go": lambda model, other: [network() for _ in range(1000)],
    "an attribute that nothing reads": lambda model, other: setattr(model, "note", "seen"),
    "new values": lambda model, other: model.set_weights([w + 1 for w in model.get_weights()]),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_model_is_nobody_elses_business(
    made: list[Any], change: Callable[[Any, Any], Any]
) -> None:
    model, other = network(), network(Dropout(0.5))
    use(model)
    use(other)
    change(model, other)
    del made[:]
    use(model)
    assert made == []


def test_a_change_of_its_own_makes_new_engines(made: list[Any]) -> None:
    model = network(Dropout(0.5))
    use(model)
    before = model(X)
    del made[:]
    model.layers[0].activation = keras.activations.tanh
    use(model)
    assert len(made) == 3
    assert (model(X) != before).any()


def test_toggling_trainable_keeps_a_plan_for_each_pattern(made: list[Any]) -> None:
    """The rhythm of a GAN: two models, one inside the other, frozen and thawed in turn."""
    critic = network()
    whole = keras.Sequential([keras.Input((4,)), Dense(4), critic])
    whole.compile("adam", "mse")
    for step in range(3):
        if step == 1:
            del made[:]
        critic.trainable = True
        critic.train_on_batch(X, Y)
        critic.trainable = False
        before = critic.get_weights()
        whole.train_on_batch(X, Y)
        assert all(map(np.array_equal, before, critic.get_weights()))
    assert len(made) == 0


class Noting(keras.layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x: Any) -> Any:
        self.last = 1 if getattr(self, "last", 0) == 2 else 2
        self.seen = x
        return x * self.factor


def test_what_a_layer_notes_in_its_call_drops_no_plan(made: list[Any]) -> None:
    model = network(Noting())
    use(model)
    model.fit(X, Y, epochs=3, verbose=0)
    assert len(made) == 3
    assert model.layers[1].last in (1, 2)


class Scaled(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = Dense(3, kernel_initializer="ones")
        self.scale = 1.0

    def call(self, x: Any) -> Any:
        return self.dense(x) * self.scale


def test_an_attribute_that_the_call_of_a_model_reads_is_followed_anew() -> None:
    model = Scaled()
    before = model.predict(X, verbose=0)
    model.scale = 2.0
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * before, rtol=1e-6)


def test_a_dropped_model_frees_its_engines(made: list[Any]) -> None:
    shared = Dense(4)
    shared.build((None, 16))
    model = network(shared)
    use(model)
    assert len(made) == 3
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert [engine() for engine in made] == [None, None, None]


def test_an_engine_that_is_replaced_is_freed(made: list[Any]) -> None:
    model = network(Dropout(0.5))
    use(model)
    old = list(made)
    model.layers[1].rate = 0.25
    use(model)
    gc.collect()
    assert [engine() for engine in old] == [None, None, None]


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_models_that_come_and_go_leave_no_memory() -> None:
    def round_trip() -> None:
        model = keras.Sequential([keras.Input((256,)), Dense(512), Dense(256)])
        model.compile("adam", "mse")
        x = np.ones((8, 256), "float32")
        model.train_on_batch(x, x)
        model(x)

    def rounds(n: int) -> int:
        for _ in range(n):
            round_trip()
            gc.collect()  # at once: what waits to be collected is no leak
        return resident()

    gc.freeze()  # what other tests left behind is not looked through in every round
    try:
        before = rounds(10)
        grown = rounds(60) - before
    finally:
        gc.unfreeze()
    assert grown < 20 << 20  # each has 3 MB of weights and slots: leaks give 180


class Remembering(keras.Model):
    """A `call` that reads some of its attributes, and a step that sets others."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = Dense(8, "relu"), Dense(3)
        self.scale, self.flag = 1.0, False
        self.seen: list[Any] = []
        self.sizes = [2.0]

    def call(self, inputs: Any) -> Any:
        hidden = self.hidden(inputs) * self.scale
        if self.flag:
            hidden = hidden * self.sizes[0]
        return self.out(hidden)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = keras.ops.mean((y_pred - y) ** 2)
        self.optimizer.apply(
            tape.gradient(loss, self.trainable_variables), self.trainable_variables
        )
        self.last = x
        self.count = getattr(self, "count", 0) + 1
        self.seen.append(float(loss))
        return {"loss": loss}


def test_what_a_step_notes_on_the_model_drops_no_plan(made: list[Any]) -> None:
    model = Remembering()
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=2, verbose=0)
    model.predict(X, verbose=0)
    count = len(made)
    model.fit(X, Y, batch_size=2, epochs=3, verbose=0)
    model.predict(X, verbose=0)
    assert len(made) == count
    assert model.count == 16 and len(model.seen) == 16


def test_what_the_call_reads_counts() -> None:
    model = Remembering()
    before = model.predict(X, verbose=0)
    bias = model.out.bias.numpy()
    model.scale = 2.0
    np.testing.assert_allclose(model.predict(X, verbose=0) - bias, 2 * (before - bias), rtol=1e-5)
    model.sizes[0] = 3.0
    model.flag = True  # now it reads another one
    np.testing.assert_allclose(model.predict(X, verbose=0) - bias, 6 * (before - bias), rtol=1e-5)
    model.sizes[0] = 4.0
    np.testing.assert_allclose(model.predict(X, verbose=0) - bias, 8 * (before - bias), rtol=1e-5)
    model.other = model.sizes  # under another name it is the same list
    model.other[0] = 5.0
    np.testing.assert_allclose(model.predict(X, verbose=0) - bias, 10 * (before - bias), rtol=1e-5)
    assert type(model) is Remembering


class _Scale:
    def __init__(self) -> None:
        self.by = 1.0


SCALE = _Scale()
OFFSET = 0.0
TABLE = np.ones(3, "float32")


def _helper(h: Any) -> Any:
    return h * SCALE.by


class Around(keras.Model):
    """Its `call` reads what no layer owns."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = Dense(3, kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        return _helper(self.dense(x)) * TABLE + OFFSET


class OfClass(keras.layers.Layer):
    factor = 1.0

    def call(self, x: Any) -> Any:
        return x * self.factor


def _by_layers(*layers: Any) -> Callable[[], Any]:
    return lambda: keras.Sequential(
        [keras.Input((4,)), Dense(3, kernel_initializer="ones"), *layers]
    )


def _activation(x: Any) -> Any:
    return keras.ops.tanh(x) * SCALE.by


def _set_offset(value: float) -> None:
    global OFFSET
    OFFSET = value


CAPTURED: dict[str, tuple[Callable[[], Any], Callable[[float], None]]] = {
    "object": (Around, lambda value: setattr(SCALE, "by", value)),
    "global": (Around, lambda value: _set_offset(value - 1)),
    "array": (Around, lambda value: TABLE.__setitem__(1, value)),
    "class": (_by_layers(OfClass()), lambda value: setattr(OfClass, "factor", value)),
    "activation": (
        _by_layers(keras.layers.Activation(_activation)),
        lambda value: setattr(SCALE, "by", value),
    ),
    "Lambda": (
        _by_layers(keras.layers.Lambda(lambda x: x * SCALE.by)),
        lambda value: setattr(SCALE, "by", value),
    ),
}


def _by_tape(model: Any) -> Any:
    with keras.GradientTape() as tape:
        loss = keras.ops.mean((model(X, training=True) - Y) ** 2)
    return np.concatenate([np.ravel(g) for g in tape.gradient(loss, model.trainable_variables)])


USES: dict[str, Callable[[Any], Any]] = {
    "call": lambda model: model(X),
    "predict": lambda model: model.predict(X, verbose=0),
    "evaluate": lambda model: model.evaluate(X, Y, verbose=0),
    "test_on_batch": lambda model: model.test_on_batch(X, Y),
    "train_on_batch": lambda model: model.train_on_batch(X, Y),
    "fit": lambda model: model.fit(X, Y, verbose=0).history["loss"],
    "tape": _by_tape,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(("model_of", "change"), CAPTURED.values(), ids=CAPTURED)
def test_what_calls_read_outside_of_layers_counts_at_once(
    model_of: Callable[[], Any], change: Callable[[float], None], use: Callable[[Any], Any]
) -> None:
    def prepared() -> Any:
        model = model_of()
        model(X)
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    model = prepared()
    before = [np.asarray(use(model)) for _ in range(3)][-1]
    try:
        change(3.0)
        expected, changed = np.asarray(use(prepared())), np.asarray(use(model))
    finally:
        change(1.0)
    np.testing.assert_allclose(changed, expected, rtol=1e-6)
    assert (changed != before).any()
    np.testing.assert_array_equal(model(X), prepared()(X))


def test_what_an_own_loss_reads_counts_at_once() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.abs(y_true - y_pred) * SCALE.by, axis=-1)

    class Next(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            SCALE.by += 1

    model = network()
    model.compile(keras.optimizers.SGD(0.0), loss)
    try:
        history = model.fit(X, Y, epochs=3, callbacks=[Next()], verbose=0).history["loss"]
        first = history[0]
        np.testing.assert_allclose(history, [first, 2 * first, 3 * first], rtol=1e-5)
        np.testing.assert_allclose(model.test_on_batch(X, Y), 4 * first, rtol=1e-5)
    finally:
        SCALE.by = 1.0


class EndsWithALayer(Scaled):
    def call(self, x: Any) -> Any:
        return self.dense(x * self.scale)


def test_the_last_activation_is_found_after_a_call_was_followed_anew() -> None:
    """Layers forget calls that were only followed."""
    model = EndsWithALayer()
    model.compile("sgd", "mse")
    model(X)
    model.scale = 2.0
    expected = np.mean((model(X) - Y) ** 2)
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), expected, rtol=1e-5)
