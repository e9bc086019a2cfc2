"""Names of columns: kept by the model, and held against every frame that comes later."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest

import densekit as keras

rng = np.random.default_rng(0)
FRAME = pd.DataFrame(rng.normal(size=(40, 3)).astype("float32"), columns=["age", "sex", "pay"])
MOVED = FRAME[["pay", "age", "sex"]]
Y = FRAME["age"] - 2 * FRAME["pay"]


def model_on(frame=FRAME, shape=(3,)):
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(frame, Y, verbose=0)
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return self.batches[number]


CALLS = {
    "predict": lambda m, x: m.predict(x, verbose=0),
    "call": lambda m, x: np.asarray(m(x)),
    "predict_on_batch": lambda m, x: m.predict_on_batch(x),
    "predict_stream": lambda m, x: m.predict(Batches((x,)), verbose=0),
    "evaluate": lambda m, x: m.evaluate(x, Y, verbose=0),
    "test_on_batch": lambda m, x: m.test_on_batch(x, Y),
}


@pytest.mark.parametrize("name", CALLS)
def test_columns_in_another_order_are_put_right(name):
    model, call = model_on(), CALLS[name]
    np.testing.assert_array_equal(call(model, MOVED), call(model, FRAME))
    assert not np.array_equal(call(model, MOVED.to_numpy()), call(model, FRAME))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (FRAME.drop(columns="sex"), "no column 'sex'"),
        (FRAME.assign(tax=0.0), "also 'tax'"),
        (FRAME.rename(columns={"sex": "sexx"}), "Rename 'sexx' to 'sex'"),
    ],
)
def test_a_missing_or_extra_column_is_named(name, frame, text):
    with pytest.raises(ValueError, match=text):
        CALLS[name](model_on(), frame)


def test_fit_on_another_order_trains_the_same():
    first, second = model_on(), model_on()
    second.set_weights(first.get_weights())
    for model, x in ((first, FRAME), (second, MOVED)):
        model.fit(x, Y, shuffle=False, validation_split=0.25, verbose=0)
        model.train_on_batch(x, Y)
    np.testing.assert_array_equal(first.get_weights()[0], second.get_weights()[0])


def test_a_failed_fit_keeps_no_names():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="shape"):
        model.fit(FRAME[["age", "sex"]], Y, verbose=0)
    model.fit(MOVED, Y, verbose=0)
    assert list(model._dk_known_columns.names.values()) == [["pay", "age", "sex"]]


def test_a_model_built_on_a_frame_knows_its_columns():
    model = keras.Sequential([keras.layers.Dense(1)])
    expected = model(FRAME)
    np.testing.assert_array_equal(model(MOVED), expected)


def test_a_step_on_a_frame_knows_its_columns():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(FRAME, Y)
    np.testing.assert_array_equal(
        model.predict(MOVED, verbose=0), model.predict(FRAME.to_numpy(), verbose=0)
    )


def test_frames_from_a_stream_are_known():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(Batches((FRAME, Y), (MOVED, Y)), verbose=0)
    with pytest.raises(ValueError, match="no column"):
        model.predict(FRAME.drop(columns="pay"), verbose=0)


def test_several_inputs_each_have_their_names():
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b")
    both = keras.layers.Concatenate()([a, b])
    model = keras.Model([a, b], keras.layers.Dense(1)(both))
    model.compile("sgd", "mse")
    left, right = FRAME[["age", "sex"]], FRAME[["pay"]]
    model.fit([left, right], Y, verbose=0)
    expected = model.predict([left, right], verbose=0)
    np.testing.assert_array_equal(
        model.predict({"b": right, "a": left[["sex", "age"]]}, verbose=0), expected
    )
    with pytest.raises(ValueError, match="input 'b'"):
        model.predict([left, right.rename(columns={"pay": "wage"})], verbose=0)


def test_numbered_columns_and_arrays_go_by_position():
    model = model_on(pd.DataFrame(FRAME.to_numpy()))
    model.predict(MOVED, verbose=0)
    model_on().predict(FRAME.to_numpy(), verbose=0)


@pytest.mark.parametrize("form", ["m.keras", "m.h5", "json", "clone", "pickle"])
def test_files_and_copies_keep_the_names(form, tmp_path):
    model = model_on()
    if form == "json":
        copy = keras.models.model_from_json(model.to_json())
    elif form == "clone":
        copy = keras.models.clone_model(model)
    elif form == "pickle":
        copy = pickle.loads(pickle.dumps(model))
    else:
        model.save(tmp_path / form)
        copy = keras.models.load_model(tmp_path / form)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(MOVED, verbose=0), model.predict(FRAME, verbose=0))


@pytest.mark.parametrize("config", [3, {"x": "age"}, {"x": [1]}])
def test_a_file_with_other_things_for_names_is_refused(config):
    given = json.loads(model_on().to_json())
    given["columns_config"] = config
    with pytest.raises(ValueError, match="columns of a model"):
        keras.models.model_from_json(json.dumps(given))


TARGETS = pd.DataFrame({"low": -FRAME["age"], "high": FRAME["age"] + 1.0})


@pytest.mark.parametrize("form", ["same", "m.keras", "m.h5", "json", "clone"])
def test_columns_of_targets_are_known_too(form, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(FRAME, TARGETS, validation_split=0.25, verbose=0)
    copy = model
    if form == "json":
        copy = keras.models.model_from_json(model.to_json())
    elif form == "clone":
        copy = keras.models.clone_model(model)
    elif form != "same":
        model.save(tmp_path / form)
        copy = keras.models.load_model(tmp_path / form)
    copy.set_weights(model.get_weights())
    expected = model.evaluate(FRAME, TARGETS, verbose=0)
    moved = TARGETS[["high", "low"]]
    assert copy.evaluate(FRAME, moved, verbose=0) == expected
    assert copy.test_on_batch(FRAME, moved) == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"output .* no column 'low'"):
        copy.evaluate(FRAME, TARGETS[["high"]], verbose=0)
