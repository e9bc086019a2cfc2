"""Strings as inputs of models: looked up inside, in every method and after files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import densekit as keras

layers = keras.layers
WORDS = ["red", "green", "blue"]
DRAWN = np.random.RandomState(0)
COLOURS = np.array([*WORDS, "a colour that is long"])[DRAWN.randint(0, 4, 48)]
SIZES = DRAWN.normal(size=(48, 2)).astype("float32")
TARGETS = DRAWN.normal(size=(48, 1)).astype("float32")


def head(x: Any) -> Any:
    x = layers.Dense(4, "tanh", kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    return layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(2))(x)


def compiled(inputs: Any, outputs: Any) -> Any:
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def lookup() -> Any:
    return layers.StringLookup(vocabulary=WORDS, output_mode="one_hot")


def vectorization(**arguments: Any) -> Any:
    return layers.TextVectorization(vocabulary=["red", "colour", "long"], **arguments)


def embedded(x: Any) -> Any:
    x = layers.Embedding(8, 3, embeddings_initializer=keras.initializers.RandomNormal(seed=3))(x)
    return layers.Flatten()(x)


PARTS: dict[str, Any] = {
    "lookup": (lookup, None),
    "indices": (lambda: layers.StringLookup(vocabulary=WORDS), embedded),
    "hashing": (lambda: layers.Hashing(5, output_mode="one_hot"), None),
    "buckets": (lambda: layers.Hashing(5, mask_value="red", salt=7), embedded),
    "words": (lambda: vectorization(output_mode="tf_idf", idf_weights=[0.2, 0.3, 0.4]), None),
    "word indices": (lambda: vectorization(output_sequence_length=3), embedded),
}


def both(name: str) -> tuple[Any, Any, Any]:
    """A model with the layer inside, one without it, and what the layer makes of the strings."""
    make, after = PARTS[name]
    layer = make()
    found = layer(COLOURS[:, None])
    x = keras.Input((1,), dtype="string")
    inside = layer(x)
    z = keras.Input(found.shape[1:], dtype=found.dtype.name)
    after = after or (lambda x: x)
    return compiled(x, head(after(inside))), compiled(z, head(after(z))), found


@pytest.mark.parametrize("name", PARTS)
def test_looking_up_inside_is_looking_up_before(name: str) -> None:
    inside, outside, found = both(name)
    fits = []
    for model, x in ((inside, COLOURS), (outside, found)):
        keras.utils.set_random_seed(3)
        fits.append(
            model.fit(x, TARGETS, epochs=3, batch_size=20, validation_split=0.25, verbose=0).history
        )
    assert fits[0] == fits[1]
    given = COLOURS[:, None]
    for a, b in zip(inside.get_weights(), outside.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    wanted = outside.predict(found, verbose=0)
    for got in (
        inside.predict(COLOURS, verbose=0),
        inside.predict(given, batch_size=7, verbose=0),
        inside.predict_on_batch(given),
        inside(given),
    ):
        np.testing.assert_array_equal(got, wanted)
    assert inside.evaluate(COLOURS, TARGETS, verbose=0) == outside.evaluate(
        found, TARGETS, verbose=0
    )
    assert inside.train_on_batch(given, TARGETS) == outside.train_on_batch(found, TARGETS)
    assert inside.test_on_batch(given, TARGETS) == outside.test_on_batch(found, TARGETS)


@pytest.mark.parametrize("name", PARTS)
def test_files_hold_models_with_strings(name: str, tmp_path: Any) -> None:
    inside, _, _ = both(name)
    inside.fit(COLOURS, TARGETS, verbose=0)
    inside.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras")
    assert again.inputs[0].dtype == "string"
    np.testing.assert_array_equal(again(COLOURS), inside(COLOURS))
    assert again.fit(COLOURS, TARGETS, verbose=0).history.keys() == {"loss", "mae"}
    cloned = keras.models.clone_model(inside)
    cloned.set_weights(inside.get_weights())
    np.testing.assert_array_equal(cloned(COLOURS), inside(COLOURS))


FORMS: dict[str, Any] = {
    "array": COLOURS,
    "two axes": COLOURS[:, None],
    "objects": COLOURS.astype(object),
    "bytes": np.char.encode(COLOURS),
    "column": pd.Series(COLOURS),
    "categories": pd.Series(COLOURS).astype("category"),
    "frame": pd.DataFrame({"colour": COLOURS}),
    "named": {"colour": COLOURS},
    "named column": {"colour": pd.Series(COLOURS)},
}


def mixed() -> Any:
    colour = keras.Input((1,), dtype="string", name="colour")
    return compiled(colour, head(lookup()(colour)))


@pytest.mark.parametrize("form", FORMS)
def test_strings_come_as_anything(form: str) -> None:
    model, x = mixed(), FORMS[form]
    wanted = model(COLOURS)
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    np.testing.assert_array_equal(model(x), wanted)
    history = model.fit(x, TARGETS, validation_split=0.25, shuffle=False, verbose=0).history
    other = mixed()
    wanted = other.fit(COLOURS, TARGETS, validation_split=0.25, shuffle=False, verbose=0).history
    assert history == wanted


def test_streams_of_strings() -> None:
    model, whole = mixed(), mixed()
    batches = [({"colour": COLOURS[i : i + 16]}, TARGETS[i : i + 16]) for i in range(0, 48, 16)]

    def endless() -> Any:
        while True:
            yield from batches

    history = model.fit(endless(), steps_per_epoch=3, epochs=2, verbose=0).history
    wanted = whole.fit(COLOURS, TARGETS, epochs=2, batch_size=16, shuffle=False, verbose=0).history
    assert history == wanted
    got = model.predict(endless(), steps=2, verbose=0)
    np.testing.assert_array_equal(got, model.predict(COLOURS[:32], verbose=0))
    assert model.evaluate(endless(), steps=3, verbose=0) == pytest.approx(
        model.evaluate(COLOURS, TARGETS, batch_size=16, verbose=0)
    )


def test_beside_numbers_and_crossed() -> None:
    colour = keras.Input((1,), dtype="string", name="colour")
    size = keras.Input((2,), name="size")
    number = keras.Input((1,), dtype="int32", name="number")
    crossed = layers.HashedCrossing(6, output_mode="one_hot")([colour, number])
    parts = layers.Concatenate()([lookup()(colour), size, crossed])
    model = compiled({"colour": colour, "size": size, "number": number}, head(parts))
    numbers = np.arange(48) % 3
    data = {"colour": COLOURS, "size": SIZES, "number": numbers}
    history = model.fit(data, TARGETS, epochs=20, verbose=0).history["loss"]
    assert history[-1] < history[0]
    buckets = layers.HashedCrossing(6, output_mode="one_hot")((COLOURS, numbers))
    x = np.concatenate([lookup()(COLOURS), SIZES, buckets], axis=1)
    for layer in model.layers[-2:]:
        x = layer(x)
    np.testing.assert_allclose(model.predict(data, verbose=0), x, rtol=1e-5, atol=1e-6)


TEXTS = np.array(["foo bar", "bar baz", "baz bada boom"])


@pytest.mark.parametrize("arguments", [{"ngrams": (1, 2)}, {"output_mode": "tf_idf"}])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_texts_of_any_length(arguments: Any, shape: Any, tmp_path: Any) -> None:
    model = keras.Sequential(
        [keras.Input(shape, dtype="string"), layers.TextVectorization(**arguments)]
    )
    model.layers[0].adapt(TEXTS)
    wanted = model.layers[0](TEXTS)
    model.save(tmp_path / "it.keras")
    for one in (model, keras.saving.load_model(tmp_path / "it.keras")):
        np.testing.assert_array_equal(one(TEXTS), wanted)
        np.testing.assert_array_equal(one.predict(TEXTS, verbose=0), wanted)


@pytest.mark.parametrize("masked", [True, False])
def test_texts_of_any_length_train(masked: bool) -> None:
    words = layers.TextVectorization()
    words.adapt(TEXTS)
    x = keras.Input((), dtype="string")
    vectors = layers.Embedding(10, 4, mask_zero=masked)(words(x))
    model = compiled(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(vectors)))
    losses = model.fit(TEXTS, np.arange(3.0), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert "follows from the data" in model.explain_plan()
    assert model.predict(TEXTS[:2], verbose=0).shape == (2, 1)


@pytest.mark.parametrize("with_input", [True, False])
@pytest.mark.parametrize("name", ["lookup", "hashing", "words"])
def test_sequential(name: str, with_input: bool, tmp_path: Any) -> None:
    begin = [keras.Input((1,), dtype="string")] if with_input else []
    model = keras.Sequential([*begin, PARTS[name][0](), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(COLOURS[:, None], TARGETS, verbose=0)
    assert model.inputs[0].dtype == "string"
    model.save(tmp_path / "it.keras")
    again = keras.saving.load_model(tmp_path / "it.keras")
    np.testing.assert_array_equal(again(COLOURS[:, None]), model(COLOURS[:, None]))


def test_subclasses_and_layers_of_users() -> None:
    class Length(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return np.char.str_len(inputs).astype("float32") / 20

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.length, self.lookup, self.dense = Length(), lookup(), layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(keras.ops.concatenate([self.length(inputs), self.lookup(inputs)], -1))

    model = Own()
    model.compile("sgd", "mse")
    x = COLOURS[:, None]
    before = model.fit(x, TARGETS, verbose=0).history["loss"][0]
    assert model.evaluate(x, TARGETS, verbose=0) < before
    wanted = model.dense(np.concatenate([np.char.str_len(x) / 20, lookup()(x)], axis=1))
    np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-5)


def test_steps_of_users() -> None:
    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            assert x.dtype.kind == "U"
            with keras.GradientTape() as tape:
                loss = keras.ops.mean((self(x, training=True) - y) ** 2)
            self.optimizer.apply(tape.gradient(loss, self.trainable_weights))
            return {"mse": loss}

    x = keras.Input((1,), dtype="string")
    model = Own(x, head(lookup()(x)))
    model.compile(keras.optimizers.Adam(0.01))
    losses = model.fit(COLOURS[:, None], TARGETS, epochs=10, verbose=0).history["mse"]
    assert losses[-1] < losses[0]


def test_strings_come_out() -> None:
    x = keras.Input((1,), dtype="int64")
    words = layers.StringLookup(vocabulary=WORDS, invert=True)(x)
    assert words.dtype == "string"
    model = keras.Model(x, [words, layers.Rescaling(2.0)(keras.ops.cast(x, "float32"))])
    numbers = np.array([[1], [3], [0], [9]])
    for outputs in (model.predict(numbers, batch_size=3, verbose=0), model(numbers)):
        assert outputs[0].tolist() == [["red"], ["blue"], ["[UNK]"], ["[UNK]"]]
        assert outputs[1].ravel().tolist() == [2, 6, 0, 18]


def test_the_reference_engine_reads_strings() -> None:
    x = keras.Input((1,), dtype="string")
    histories = []
    for engine in ("native", "reference"):
        model = keras.Model(x, head(lookup()(x)))
        model.compile("sgd", "mse", engine=engine)
        histories.append(model.fit(COLOURS, TARGETS, shuffle=False, verbose=0).history["loss"])
        assert model.predict(COLOURS, verbose=0).shape == (48, 1)
    np.testing.assert_allclose(*histories, rtol=1e-5)


def test_what_is_no_string_is_refused() -> None:
    model = mixed()
    for method in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="strings"):
            method(np.ones((4, 1)))
        with pytest.raises(ValueError, match="strings"):
            method(np.array(["red", None, "blue"], object))
    numbers = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    for method in (numbers, lambda x: numbers.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="numbers"):
            method(COLOURS[:, None])
    with pytest.raises(ValueError, match="numbers"):
        layers.Dense(1)(COLOURS[:, None])
    with pytest.raises(ValueError, match="one of"):
        layers.Dense(1, dtype="string")
