"""Files exchanged with Keras, both ways: same predictions, same state, same layout."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras as K
import numpy as np
import pytest

import densekit as D
from densekit._core import tree
from densekit.saving._config import without_recent

BOTH = [pytest.param(K, D, id="keras-to-densekit"), pytest.param(D, K, id="densekit-to-keras")]
# Two float32 evaluations of nets this small differ by the order of a few sums.
TOLERANCE = 64 * np.finfo("float32").eps


def register(lib):
    """The same custom layer and function for either library."""

    class Scale(lib.layers.Layer):
        def __init__(self, start=2.0, **kwargs) -> None:
            super().__init__(**kwargs)
            self.start = start

        def build(self, input_shape) -> None:
            self.factor = self.add_weight(
                shape=(input_shape[-1],), initializer=lib.initializers.Constant(self.start)
            )

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "start": self.start}

    class Tower(lib.Model):
        def __init__(self, units=3, **kwargs) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.first = lib.layers.Dense(units)
            self.rest = [Scale(), lib.layers.Dense(units), [lib.layers.Dense(units)]]
            self.named = {"b": lib.layers.Dense(units), "a": lib.layers.Dropout(0.5)}
            self._last = lib.layers.Dense(1)

        def call(self, inputs):
            x = self.rest[1](self.rest[0](self.first(inputs)))
            return self._last(self.named["a"](self.named["b"](self.rest[2][0](x))))

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    def cube(x):
        return x * x * x

    return {"Scale": Scale, "Tower": Tower, "cube": cube}


CUSTOM = {lib: register(lib) for lib in (K, D)}


def sequential(lib):
    L = lib.layers
    return lib.Sequential(
        [
            lib.Input((4,)),
            L.Dense(
                6,
                activation="relu",
                name="hidden",
                kernel_regularizer=lib.regularizers.L1L2(0.01, 0.02),
                kernel_constraint=lib.constraints.MaxNorm(2.0),
                bias_initializer=lib.initializers.Constant(0.5),
            ),
            L.Dropout(0.3, seed=3),
            L.LeakyReLU(negative_slope=0.1),
            L.Activation("tanh"),
            L.Dense(3, activation="softmax"),
        ],
        name="net",
    )


def shared(lib):
    L = lib.layers
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    dense = L.Dense(6, activation="gelu")
    p = L.Dense(1, name="p")(L.Add()([dense(a), dense(b)]))
    q = L.Dense(2, name="q")(L.Concatenate()([dense(b), a]))
    return lib.Model({"a": a, "b": b}, {"p": p, "q": q}, name="shared")


def nested(lib):
    L = lib.layers
    inner = lib.Sequential([lib.Input((4,)), L.Dense(3), L.PReLU()], name="inner")
    x = lib.Input((4,))
    branch = lib.Model(x, L.Dense(3, use_bias=False)(x), name="branch")
    y = lib.Input((4,))
    joined = L.Average()([inner(y), branch(y)])
    deeper = lib.Sequential([lib.Input((3,)), lib.Sequential([L.Dense(2)])], name="deeper")
    return lib.Model(y, [deeper(joined), joined], name="outer")


def custom(lib):
    L, own = lib.layers, CUSTOM[lib]
    return lib.Sequential(
        [lib.Input((4,)), own["Scale"](3.0), L.Dense(2, activation=own["cube"])], name="custom"
    )


def subclass(lib):
    model = CUSTOM[lib]["Tower"](units=5)
    model(np.zeros((1, 4), "float32"))
    return model


def with_ops(lib):
    L, ops = lib.layers, lib.ops
    x = lib.Input((4,), name="x")
    h = L.Dense(4, name="h")(x)
    y = ops.concatenate([ops.sum(h, axis=-1, keepdims=True), x[:, 1:3], h * 2.0 - x], axis=-1)
    return lib.Model(x, L.Dense(2, name="o")(ops.relu(y)))


def deep_input(lib):
    L = lib.layers
    return lib.Sequential(
        [lib.Input((2, 3)), L.Flatten(), L.Reshape((3, 2)), L.Dense(4), L.Rescaling(0.5, 1.0)]
    )


BUILDERS = [sequential, shared, nested, custom, subclass, with_ops, deep_input]


def data(builder, rng):
    if builder is deep_input:
        return rng.normal(size=(5, 2, 3)).astype("float32")
    x = rng.normal(size=(5, 4)).astype("float32")
    return {"a": x, "b": x + 1} if builder is shared else x


def randomize(model, rng) -> None:
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape).astype("float32"))


def assert_close(first, second) -> None:
    a, b = tree.flatten(first), tree.flatten(second)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        scale = max(1.0, float(np.abs(y).max(initial=0)))
        np.testing.assert_allclose(x, y, rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize(("one", "other"), BOTH)
@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("extension", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_models_cross(builder, one, other, extension, tmp_path, rng) -> None:
    if extension == ".h5" and builder in (subclass, with_ops, nested):
        extension = ".keras"  # Keras itself cannot read these back from the legacy format
    model = builder(one)
    randomize(model, rng)
    path = str(tmp_path / f"m{extension}")
    model.save(path)
    loaded = other.models.load_model(path, custom_objects=CUSTOM[other])
    x = data(builder, rng)
    assert_close(loaded(x), model(x))
    assert [v.shape for v in loaded.weights] == [v.shape for v in model.weights]


@pytest.mark.parametrize(("one", "other"), BOTH)
@pytest.mark.parametrize("builder", BUILDERS)
def test_weights_cross(builder, one, other, tmp_path, rng) -> None:
    model, target = builder(one), builder(other)
    randomize(model, rng)
    path = str(tmp_path / "m.weights.h5")
    model.save_weights(path)
    target.load_weights(path)
    assert_close(target.get_weights(), model.get_weights())


def train(model, lib, rng, optimizer, epochs=2):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = rng.normal(size=(16, 4)).astype("float32"), rng.integers(0, 3, 16)
    model.fit(x, y, epochs=epochs, verbose=0)
    return x, y


@pytest.mark.parametrize(("one", "other"), BOTH)
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_optimizer_state_and_compile_arguments_cross(name, one, other, tmp_path, rng) -> None:
    options = {"SGD": {"momentum": 0.9, "nesterov": True}, "RMSprop": {"centered": True}}
    model = sequential(one)
    optimizer = getattr(one.optimizers, name)(0.01, clipnorm=1.0, **options.get(name, {}))
    x, y = train(model, one, rng, optimizer)
    path = str(tmp_path / "m.keras")
    model.save(path)
    loaded = other.models.load_model(path)
    assert_close(
        [np.asarray(v.value) for v in loaded.optimizer.variables],
        [np.asarray(v.value) for v in model.optimizer.variables],
    )
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    theirs, ours = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (loaded, model))
    assert theirs.keys() == ours.keys()
    np.testing.assert_allclose(list(theirs.values()), list(ours.values()), rtol=1e-5)
    assert loaded.get_compile_config() == model.get_compile_config()


@pytest.mark.parametrize(("one", "other"), BOTH)
def test_learning_rate_schedules_cross(one, other, tmp_path, rng) -> None:
    model = sequential(one)
    schedule = one.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    train(model, one, rng, one.optimizers.SGD(schedule))
    path = str(tmp_path / "m.keras")
    model.save(path)
    loaded = other.models.load_model(path)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(
        float(model.optimizer.learning_rate), rel=1e-6
    )


def layout(data: bytes):
    """Paths, shapes, dtypes and attributes of a weight file."""
    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda n, o: found.update(
                {n: (getattr(o, "shape", None), str(getattr(o, "dtype", "")), dict(o.attrs))}
            )
        )
    return found


@pytest.mark.parametrize("builder", BUILDERS)
def test_weight_files_have_the_same_layout(builder, tmp_path) -> None:
    files = []
    for lib in (K, D):
        lib.utils.clear_session(free_memory=False)
        model = builder(lib)
        if builder is sequential:
            model.compile("adam", "mse")
            model.optimizer.build(model.trainable_variables)
        model.save_weights(str(tmp_path / "m.weights.h5"))
        files.append(layout((tmp_path / "m.weights.h5").read_bytes()))
    theirs, ours = files
    extra = {path for path in ours if path not in theirs}
    assert [p for p in extra if "seed_generator" not in p and "_shuffle_state" not in p] == []
    assert {path: ours[path] for path in theirs} == theirs


def plain(value):
    """A config without what is new on each save."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k != "shared_object_id"}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


@pytest.mark.parametrize("builder", [sequential, shared, nested, with_ops, deep_input])
def test_archives_hold_the_same_config(builder, tmp_path) -> None:
    texts = []
    for lib in (K, D):
        lib.utils.clear_session(free_memory=False)
        model = builder(lib)
        if builder is sequential:
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.save(str(tmp_path / "m.keras"))
        with zipfile.ZipFile(tmp_path / "m.keras") as archive:
            assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
            texts.append(archive.read("config.json"))
    theirs, ours = (plain(json.loads(text)) for text in texts)
    for config in (theirs, ours):
        _drop_masks(config)
    # Ours lack what an older Keras 3 would not know, where it has its default.
    assert ours == plain(without_recent(theirs)) and ours != theirs


def _drop_masks(value) -> None:
    """Keras notes ``mask=None`` in the calls of nested models; it says nothing."""
    if isinstance(value, dict):
        if "kwargs" in value and value["kwargs"].get("mask", 0) is None:
            del value["kwargs"]["mask"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _drop_masks(item)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_legacy_files_of_keras(tmp_path, rng) -> None:
    """Whole model and weights in HDF5, as Keras writes them today."""
    model = sequential(K)
    train(model, K, rng, "adam")
    path = str(tmp_path / "m.h5")
    model.save(path)
    loaded = D.models.load_model(path)
    x = rng.normal(size=(5, 4)).astype("float32")
    assert_close(loaded(x), model(x))
    assert_close(
        [v.numpy() for v in loaded.optimizer.variables],
        [np.asarray(v.value) for v in model.optimizer.variables],
    )
    other = sequential(D)
    other.load_weights(path)
    assert_close(other.get_weights(), model.get_weights())


@pytest.mark.parametrize(("writer", "reader"), BOTH)
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_layers_go_both_ways(writer, reader, zipped: bool, tmp_path) -> None:
    def notes(lib):
        class Notes(lib.layers.Layer):
            text = ""

            def call(self, inputs):
                return inputs

            def save_assets(self, dir_path) -> None:
                Path(dir_path, "text.txt").write_text(self.text)

            def load_assets(self, dir_path) -> None:
                self.text = Path(dir_path, "text.txt").read_text()

        return Notes

    made = [notes(writer)(name=f"notes_{i}") for i in range(2)]
    for i, layer in enumerate(made):
        layer.text = f"note {i}"
    model = writer.Sequential([writer.Input((2,)), *made])
    path = tmp_path / ("it.keras" if zipped else "it")
    model.save(path, zipped=zipped)
    again = reader.saving.load_model(path, custom_objects={"Notes": notes(reader)})
    assert [layer.text for layer in again.layers] == ["note 0", "note 1"]
