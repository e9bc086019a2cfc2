"""`FeatureSpace` against Keras' where that needs no TensorFlow: configs, names, files both ways."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import densekit

BOTH = {"densekit": densekit, "keras": keras}
COLUMN = np.array([[1.0], [2.0], [5.0]], "float32")


def space(lib: Any, **arguments: Any) -> Any:
    kinds = lib.utils.FeatureSpace
    return kinds(
        {
            "a": "float",
            "b": kinds.float_rescaled(2.0, 1.0, name="doubled"),
            "c": "float_normalized",
        },
        **arguments,
    )


def adapted(lib: Any) -> Any:
    made = space(lib)
    made.preprocessors["c"].adapt(COLUMN)  # Keras' own `adapt` needs TensorFlow
    made._is_adapted = made._dk_is_adapted = True
    made.get_encoded_features()
    made.built = True
    return made


@pytest.mark.parametrize("arguments", [{}, {"output_mode": "dict", "crossing_dim": 7}])
def test_configs(arguments: Any) -> None:
    texts = [
        json.dumps(lib.saving.serialize_keras_object(space(lib, **arguments)), sort_keys=True)
        for lib in BOTH.values()
    ]
    assert texts[0] == texts[1]
    for lib in BOTH.values():
        again = lib.saving.deserialize_keras_object(json.loads(texts[0]))
        assert type(again) is lib.utils.FeatureSpace


def test_symbols() -> None:
    for made in map(adapted, BOTH.values()):
        assert {name: (x.shape, x.dtype, x.name) for name, x in made.get_inputs().items()} == {
            name: ((None, 1), "float32", name) for name in "abc"
        }
        assert made.get_encoded_features().shape == (None, 3)


@pytest.mark.parametrize("writer", BOTH)
@pytest.mark.parametrize("reader", BOTH)
def test_files(writer: str, reader: str, tmp_path: Any) -> None:
    adapted(BOTH[writer]).save(str(tmp_path / "it.keras"))
    again = BOTH[reader].saving.load_model(tmp_path / "it.keras")
    layer = again.preprocessors["c"]
    np.testing.assert_allclose(layer(COLUMN), (COLUMN - 8 / 3) / COLUMN.std(), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")  # a dict is one for Keras, too
@pytest.mark.parametrize("writer", BOTH)
@pytest.mark.parametrize("reader", BOTH)
def test_files_of_models_on_top(writer: str, reader: str, tmp_path: Any) -> None:
    lib, made = BOTH[writer], adapted(BOTH[writer])
    model = lib.Model(made.get_inputs(), lib.layers.Dense(1)(made.get_encoded_features()))
    model.save(tmp_path / "it.keras")
    again = BOTH[reader].saving.load_model(tmp_path / "it.keras")
    rows = dict.fromkeys("abc", COLUMN)
    wanted = np.asarray(model.predict(rows, verbose=0))
    np.testing.assert_allclose(again.predict(rows, verbose=0), wanted, rtol=1e-5)


ERRORS: dict[str, Any] = {
    "no features": lambda k: k.utils.FeatureSpace({}),
    "kind": lambda k: k.utils.FeatureSpace({"a": "number"}),
    "mode": lambda k: k.utils.FeatureSpace({"a": "float"}, output_mode="list"),
    "cross": lambda k: k.utils.FeatureSpace({"a": "float"}, crosses=[("a", "b")]),
    "cross mode": lambda k: k.utils.FeatureSpace.cross(("a", "b"), 3, output_mode="x"),
    "not adapted": lambda k: space(k).get_inputs(),
    "adapt": lambda k: space(k).adapt(3),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_type_is_that_of_keras(name: str) -> None:
    for lib in BOTH.values():
        try:
            ERRORS[name](lib)
        except Exception as error:
            if name == "adapt" and lib is keras:
                continue  # an ImportError there: TensorFlow is missing
            assert type(error) is ValueError
        else:
            pytest.fail("nothing raised")
