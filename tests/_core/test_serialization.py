"""Configs: the shapes Keras writes, and what is never read from them."""

from __future__ import annotations

import json

import keras as K
import numpy as np
import pytest

import densekit as D
from densekit._core.serialization import (
    deserialize_keras_object,
    deserialize_whole,
    serialize_keras_object,
    serialize_whole,
)

VALUES = [
    None,
    3,
    2.5,
    "text",
    True,
    [1, (2, "a")],
    {"a": [1, None]},
    b"bytes",
    slice(1, None, 2),
    Ellipsis,
    np.float32(0.5),
    np.int64(3),
    np.arange(6, dtype="int16").reshape(2, 3),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_are_written_as_keras_writes_them(value) -> None:
    ours, theirs = serialize_keras_object(value), K.saving.serialize_keras_object(value)
    assert json.dumps(ours) == json.dumps(theirs)
    back = deserialize_keras_object(json.loads(json.dumps(ours)))
    assert np.array_equal(back, value) if isinstance(value, np.ndarray) else True


OBJECTS = [
    lambda lib: lib.regularizers.L1L2(0.25, 0.5),
    lambda lib: lib.initializers.GlorotUniform(seed=3),
    lambda lib: lib.constraints.MaxNorm(2.0),
    lambda lib: lib.losses.MeanSquaredError(name="m"),
    lambda lib: lib.activations.relu,
    lambda lib: lib.losses.mean_squared_error,
    lambda lib: lib.layers.Dense(3, activation="relu", kernel_regularizer="l2", name="d"),
    lambda lib: lib.layers.Dropout(0.25, name="d"),
    lambda lib: lib.optimizers.SGD(lib.optimizers.schedules.CosineDecay(0.25, 10), name="s"),
    lambda lib: [lib.layers.Flatten(name="f"), {"a": lib.metrics.MeanSquaredError(name="m")}],
]


@pytest.mark.parametrize("make", OBJECTS)
def test_objects_are_written_as_keras_writes_them(make) -> None:
    ours = json.loads(json.dumps(serialize_keras_object(make(D))))
    assert ours == json.loads(json.dumps(K.saving.serialize_keras_object(make(K))))
    again = serialize_keras_object(deserialize_keras_object(ours))
    assert json.loads(json.dumps(again)) == ours


def test_registered_objects() -> None:
    @D.saving.register_keras_serializable("pack")
    class Thing:
        def get_config(self):
            return {"size": 3}

        @classmethod
        def from_config(cls, config):
            thing = cls()
            thing.size = config["size"]
            return thing

    @D.saving.register_keras_serializable("pack")
    def act(x):
        return x

    config = serialize_keras_object(Thing())
    assert config["registered_name"] == "pack>Thing" and config["class_name"] == "Thing"
    assert deserialize_keras_object(config).size == 3
    config = serialize_keras_object(act)
    assert config["config"] == "pack>act" and deserialize_keras_object(config) is act
    # Keras 3.6 and older wrote the bare name.
    assert deserialize_keras_object({**config, "config": "act"}) is act


def test_custom_objects_by_argument_and_by_scope() -> None:
    class Own(D.layers.Layer):
        def call(self, x):
            return x

    config = serialize_keras_object(Own(name="o"))
    assert type(deserialize_keras_object(config, custom_objects={"Own": Own})) is Own
    with D.saving.custom_object_scope({"Own": Own}):
        assert type(deserialize_keras_object(config)) is Own
    with pytest.raises(TypeError, match="Own"):
        deserialize_keras_object(config)


def test_a_lambda_is_written_as_a_place_only() -> None:
    def own(x):
        return x

    with pytest.warns(UserWarning, match="lambda"):
        config = serialize_keras_object(lambda x: x + 1)
    assert "code" not in json.dumps(config)
    for safe_mode in (True, False):
        with pytest.raises(ValueError, match="lambda"):
            deserialize_keras_object(config, safe_mode=safe_mode)
    assert deserialize_keras_object(config, custom_objects={"<lambda>": own}) is own


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_code_of_keras_is_never_run() -> None:
    config = K.saving.serialize_keras_object(lambda x: x + 1)
    assert config["class_name"] == "__lambda__"
    with pytest.raises(ValueError, match="never read"):
        deserialize_keras_object(config, safe_mode=False)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"class_name": "Foo", "config": {}}, TypeError),
        ({"class_name": "Foo", "config": {}, "module": "keras.layers"}, TypeError),
        ({"class_name": "system", "config": {}, "module": "os"}, TypeError),
        ({"class_name": "function", "config": "system", "module": "os"}, TypeError),
        ({"class_name": "function", "config": "eval", "module": "builtins"}, TypeError),
        ({"class_name": "function", "config": 3, "module": "builtins"}, TypeError),
        ({"class_name": "function", "config": "load_model", "module": "keras.saving"}, ValueError),
        ({"class_name": "set_random_seed", "config": {}, "module": "keras.utils"}, ValueError),
        ({"class_name": "Dense", "config": 3, "module": "keras.layers"}, TypeError),
        ({"class_name": "Dense", "config": {"nope": 3}, "module": "keras.layers"}, Exception),
        ({"class_name": "__numpy__", "config": {}}, ValueError),
        ({"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}}, ValueError),
        ({"class_name": "__bytes__", "config": {"value": 3}}, ValueError),
        ({"class_name": ["a"], "config": {}}, (TypeError, ValueError)),
        ({"class_name": None, "config": {}}, TypeError),
        (object(), TypeError),
    ],
)
def test_what_is_no_component_is_refused(config, error) -> None:
    with pytest.raises(error):
        deserialize_keras_object(config)


@pytest.mark.parametrize("value", [object(), int, D.layers.Dense])
def test_what_has_no_config_is_refused(value) -> None:
    with pytest.raises(TypeError):
        serialize_keras_object(value)


def test_one_object_stays_one() -> None:
    shared, alone = D.regularizers.L2(0.5), D.regularizers.L2(0.25)
    config = json.loads(json.dumps(serialize_whole([shared, alone, {"a": shared}])))
    assert json.dumps(config).count("shared_object_id") == 2
    first, second, third = deserialize_whole(config)
    assert first is third["a"] and first is not second
    assert deserialize_whole(config)[0] is not first
    plain = serialize_keras_object([shared, shared])
    assert "shared_object_id" not in json.dumps(plain)


@pytest.mark.parametrize("said", ["subprocess.Popen", "my_pkg>MyDense"])
def test_what_is_built_in_has_no_other_registered_name(said: str) -> None:
    config = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 1}}
    for name in (None, "Dense"):
        layer = D.saving.deserialize_keras_object({**config, "registered_name": name})
        assert type(layer) is D.layers.Dense
    with pytest.raises(ValueError, match="which is Keras' own"):
        D.saving.deserialize_keras_object({**config, "registered_name": said})
    function = {"class_name": "function", "module": "builtins", "config": "relu"}
    with pytest.raises(ValueError, match="which is Keras' own"):
        D.saving.deserialize_keras_object({**function, "registered_name": said})
