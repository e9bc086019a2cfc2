"""Round trips through files; a failed save or load changes nothing."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import densekit as keras
from densekit._core import tree

L = keras.layers


class Scale(L.Layer):
    """A custom layer with a weight and an argument."""

    def __init__(self, start=2.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape) -> None:
        self.factor = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.start), name="f"
        )

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {**super().get_config(), "start": self.start}


class Block(L.Layer):
    """A layer that keeps layers in every kind of container."""

    def __init__(self, units=3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = L.Dense(units)
        self.rest = [L.Dense(units), (L.Dense(units),)]
        self.named = {"b": L.Dense(units), "a": L.Dropout(0.2, seed=1)}
        self._hidden = L.Dense(units)

    def _all(self):
        return [self.first, self.rest[0], self.rest[1][0], self.named["b"], self._hidden]

    def build(self, input_shape) -> None:
        for layer in self._all():
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], self.units)

    def call(self, inputs, training=None):
        for layer in self._all():
            inputs = layer(inputs)
        return self.named["a"](inputs, training=training)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Tower(keras.Model):
    """A subclassed model."""

    def __init__(self, units=3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.block = Block(units)
        self.head = L.Dense(1)

    def call(self, inputs, training=None):
        return self.head(self.block(inputs, training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


CUSTOM = {"Scale": Scale, "Block": Block, "Tower": Tower}


def sequential():
    return keras.Sequential(
        [keras.Input((4,)), L.Dense(5, activation="relu", name="hid"), L.Dropout(0.3), L.Dense(3)]
    )


def shared_layer():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = L.Dense(6)
    return keras.Model({"a": a, "b": b}, L.Add()([dense(a), dense(b)]))


def several_outputs():
    a = keras.Input((4,))
    hidden = L.Dense(3, activation="tanh")(a)
    return keras.Model(a, {"p": L.Dense(1)(hidden), "q": L.Dense(2)(hidden)})


def nested():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3), Scale()], name="inner")
    x = keras.Input((4,))
    branch = keras.Model(x, L.Dense(3)(x), name="branch")
    y = keras.Input((4,))
    return keras.Model(y, L.Concatenate()([inner(y), branch(y), inner(y)]))


def custom_layer():
    return keras.Sequential([keras.Input((4,)), Scale(3.0), L.Dense(2)])


def subclass():
    model = Tower()
    model(np.zeros((1, 4), "float32"))
    return model


def with_ops():
    x = keras.Input((4,))
    return keras.Model(x, keras.ops.concatenate([L.Dense(2)(x), x[:, :2] * 2.0], axis=-1))


BUILDERS = [
    sequential,
    shared_layer,
    several_outputs,
    nested,
    custom_layer,
    subclass,
    with_ops,
]


def arguments(model, rng):
    x = rng.normal(size=(3, 4)).astype("float32")
    return {"a": x, "b": x + 1} if isinstance(getattr(model, "input", None), dict) else x


def assert_same(first, second) -> None:
    for a, b in zip(tree.flatten(first), tree.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)


def randomize(model, rng) -> None:
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape).astype(variable.dtype))


FORMATS = [
    (builder, extension)
    for builder in BUILDERS
    for extension in (".keras", ".h5", "")
    if (builder, extension) != (subclass, ".h5")  # the legacy format knows no build shapes
]


@pytest.mark.parametrize(("builder", "extension"), FORMATS)
def test_model_round_trip(builder, extension, tmp_path, rng) -> None:
    model = builder()
    randomize(model, rng)
    path = tmp_path / f"model{extension}"
    model.save(path, zipped=False if extension == "" else None)
    loaded = keras.models.load_model(path, custom_objects=CUSTOM)
    x = arguments(model, rng)
    assert_same(model(x), loaded(x))
    assert type(loaded) is type(model)


@pytest.mark.parametrize("builder", BUILDERS)
def test_weights_round_trip(builder, tmp_path, rng) -> None:
    model, other = builder(), builder()
    randomize(model, rng)
    model.save_weights(tmp_path / "w.weights.h5")
    other.load_weights(tmp_path / "w.weights.h5")
    assert_same(model.get_weights(), other.get_weights())


def test_a_shared_layer_of_two_nested_models_stays_shared(tmp_path) -> None:
    dense = L.Dense(3)
    x, y, z = (keras.Input((4,)) for _ in range(3))
    one, two = keras.Model(x, dense(x)), keras.Model(y, dense(y))
    model = keras.Model(z, L.Add()([one(z), two(z)]))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert len(loaded.weights) == len(model.weights) == 2


def test_members_are_stored_uncompressed_in_keras_order(tmp_path) -> None:
    sequential().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        infos = archive.infolist()
        assert [i.filename for i in infos] == ["metadata.json", "config.json", "model.weights.h5"]
        assert {i.compress_type for i in infos} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")


def test_state_of_dropout_survives(tmp_path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dropout(0.5, seed=3)])
    x = np.ones((8, 4), "float32")
    model(x, training=True)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model(x, training=True), loaded(x, training=True))


@pytest.mark.parametrize("name", ["m.keras", "w.weights.h5", "old.h5"])
def test_a_failing_writer_leaves_the_old_file(name, tmp_path, monkeypatch) -> None:
    model = sequential()
    path = tmp_path / name
    save = model.save_weights if name.startswith("w") else model.save
    save(path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    for writer in ("_entries", "_h5"):
        monkeypatch.setattr(f"densekit.saving.{writer}.put_array", fail)
    with pytest.raises(OSError, match="disk full"):
        save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


def test_a_file_that_does_not_fit_changes_nothing(tmp_path, rng) -> None:
    wide = keras.Sequential([keras.Input((4,)), L.Dense(5), L.Dense(9)])
    wide.save_weights(tmp_path / "w.weights.h5")
    model = keras.Sequential([keras.Input((4,)), L.Dense(5), L.Dense(2)])
    before = model.get_weights()
    with pytest.raises(ValueError, match="1 objects could not be loaded"):
        model.load_weights(tmp_path / "w.weights.h5")
    assert_same(before, model.get_weights())
    with pytest.warns(UserWarning, match="could not be loaded"):
        model.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    assert_same(model.layers[0].get_weights(), wide.layers[0].get_weights())
    assert_same(before[2:], model.get_weights()[2:])


def test_objects_to_skip_stay(tmp_path, rng) -> None:
    model, other = sequential(), sequential()
    randomize(model, rng)
    before = other.layers[0].get_weights()
    model.save_weights(tmp_path / "w.weights.h5")
    keras.saving.load_weights(other, tmp_path / "w.weights.h5", objects_to_skip=[other.layers[0]])
    assert_same(before, other.layers[0].get_weights())
    assert_same(model.layers[-1].get_weights(), other.layers[-1].get_weights())


def test_weights_come_out_of_a_whole_model(tmp_path, rng) -> None:
    model, other = sequential(), sequential()
    randomize(model, rng)
    model.save(tmp_path / "m.keras")
    other.load_weights(tmp_path / "m.keras")
    assert_same(model.get_weights(), other.get_weights())


def test_legacy_weights_by_name_and_by_order(tmp_path, rng) -> None:
    model = sequential()
    randomize(model, rng)
    model.save(tmp_path / "m.h5")
    by_name = keras.Sequential([keras.Input((4,)), L.Dense(5, name="hid"), L.Dense(8, name="new")])
    untouched = by_name.layers[1].get_weights()
    by_name.load_weights(tmp_path / "m.h5", by_name=True)
    assert_same(by_name.layers[0].get_weights(), model.layers[0].get_weights())
    assert_same(by_name.layers[1].get_weights(), untouched)
    by_order = sequential()
    by_order.load_weights(tmp_path / "m.h5")
    assert_same(by_order.get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="weights of shapes"):
        by_name.load_weights(tmp_path / "m.h5")
    with pytest.warns(UserWarning, match="Skipped"):
        by_name.load_weights(tmp_path / "m.h5", skip_mismatch=True)


def test_compiled_state_comes_back(tmp_path, rng) -> None:
    model = sequential()
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 3)).astype("float32")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert_same(
        [v.numpy() for v in model.optimizer.variables],
        [v.numpy() for v in loaded.optimizer.variables],
    )
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    model.fit(x, y, shuffle=False, verbose=0)
    loaded.fit(x, y, shuffle=False, verbose=0)
    assert_same(model.get_weights(), loaded.get_weights())
    bare = keras.models.load_model(tmp_path / "m.keras", compile=False)
    assert not bare.compiled


def test_bfloat16_weights(tmp_path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2, dtype="bfloat16")])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.weights[0].dtype == "bfloat16"
    assert_same(model.get_weights(), loaded.get_weights())


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m, p: m.save(p / "m.txt"), ValueError),
        (lambda m, p: m.save(p / "m.keras", zipped=False), ValueError),
        (lambda m, p: m.save_weights(p / "m.h5"), ValueError),
        (lambda m, p: m.load_weights(p / "m.txt"), ValueError),
        (lambda m, p: m.load_weights(p / "none.weights.h5"), FileNotFoundError),
        (lambda m, p: m.load_weights(p / "x.weights.h5", by_name=True), ValueError),
        (lambda m, p: keras.models.load_model(p / "none.keras"), ValueError),
        (lambda m, p: keras.models.load_model(p / "none.txt"), ValueError),
        (lambda m, p: keras.models.load_model(p / "none.h5"), FileNotFoundError),
        (lambda m, p: keras.models.load_model(3), ValueError),
        (lambda m, p: keras.Sequential([L.Dense(1)]).save_weights(p / "a.weights.h5"), ValueError),
        (lambda m, p: keras.Sequential([L.Dense(1)]).load_weights(p / "a.weights.h5"), ValueError),
    ],
)
def test_misuse_is_refused(call, error, tmp_path) -> None:
    with pytest.raises(error):
        call(sequential(), tmp_path)


def test_overwrite_false_keeps_an_existing_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "m.keras"
    path.write_text("mine")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(FileExistsError):
        sequential().save(path, overwrite=False)
    assert path.read_text() == "mine"


def test_unknown_custom_class_is_named(tmp_path) -> None:
    custom_layer().save(tmp_path / "m.keras")
    with pytest.raises(TypeError, match="Scale"):
        keras.models.load_model(tmp_path / "m.keras")
    with keras.saving.custom_object_scope({"Scale": Scale}):
        assert keras.models.load_model(tmp_path / "m.keras").layers[0].start == 3.0


def test_an_unbuilt_model_saves_its_config(tmp_path) -> None:
    keras.Sequential([L.Dense(2)]).save(tmp_path / "m.keras")
    assert not keras.models.load_model(tmp_path / "m.keras").built


def test_layers_of_a_subclass_are_named_by_layers_first(tmp_path) -> None:
    """As in Keras, whose files both ways name them so, whatever attributes hold them."""

    class Tower(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rest = [L.Dense(3, name="a"), L.Dense(2, name="b")]
            self.outputs = L.Dense(1, name="c")  # a name that models of graphs have

        def call(self, x):
            for layer in self.rest:
                x = layer(x)
            return self.outputs(x)

    model = Tower()
    model(np.ones((2, 4), "float32"))
    path = tmp_path / "it.weights.h5"
    model.save_weights(path)
    with h5py.File(path) as file:
        assert set(file["layers"]) == {"dense", "dense_1", "dense_2"}
        assert "rest" not in file and "outputs" not in file


def test_save_format_is_passed_over_where_the_extension_says_it(tmp_path) -> None:
    model = sequential()
    for name, given in (("a.h5", "h5"), ("a.keras", "keras"), ("b.keras", "tf")):
        with pytest.warns(UserWarning, match="save_format is deprecated"):
            model.save(tmp_path / name, save_format=given)
        assert (tmp_path / name).is_file()
    with pytest.raises(ValueError, match="save_format='tf' is deprecated"):
        model.save(tmp_path / "folder", save_format="tf")
    assert not (tmp_path / "folder").exists()


def test_unknown_arguments_of_save_are_a_value_error(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for save in (model.save, lambda *a, **k: keras.saving.save_model(model, *a, **k)):
        with pytest.raises(ValueError, match="invalid_arg"):
            save(tmp_path / "model.keras", invalid_arg="hello")
    assert not (tmp_path / "model.keras").exists()
