"""Warnings name the user's line; tracebacks of public calls show users' frames only."""

from __future__ import annotations

import ast
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras

SOURCES = Path(keras.__file__).parent
X = np.ones((4, 2), "float32")


@pytest.fixture(autouse=True)
def _filtering() -> Any:
    keras.config.enable_traceback_filtering()
    yield
    keras.config.disable_traceback_filtering()


def _model() -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class OwnError(Exception):
    """Raised by code of the user's."""


class Own(keras.layers.Layer):
    """A layer that fails when it is called on three columns."""

    def call(self, x: Any) -> Any:
        if x.shape[-1] == 3:
            raise OwnError("three")
        return x


def _bad_callback() -> Any:
    def fail(*_: Any) -> None:
        raise OwnError("callback")

    return keras.callbacks.LambdaCallback(on_epoch_begin=fail)


CALLS: dict[str, Callable[[], Any]] = {
    "fit": lambda: _model().fit(X, np.ones((5, 1)), verbose=0),
    "fit by a callback": lambda: _model().fit(X, X[:, 0], verbose=0, callbacks=[_bad_callback()]),
    "evaluate": lambda: _model().evaluate(X, np.ones((5, 1)), verbose=0),
    "predict": lambda: _model().predict(np.ones((4, 3))),
    "predict again": lambda: (m := _model(), m(X), m.predict(np.ones((4, 3)))),
    "train_on_batch": lambda: _model().train_on_batch(X, np.ones((5, 1))),
    "test_on_batch": lambda: _model().test_on_batch(X, np.ones((5, 1))),
    "predict_on_batch": lambda: _model().predict_on_batch(np.ones((4, 3))),
    "compile": lambda: _model().compile("no such optimizer"),
    "model(x)": lambda: _model()(np.ones((4, 3), "float32")),
    "model(x) again": lambda: (m := _model(), m(X), m(np.ones((4, 3), "float32"))),
    "layer(x)": lambda: (d := keras.layers.Dense(1), d(X), d(np.ones((4, 3)))),
    "layer of the user's": lambda: Own()(np.ones((4, 3))),
    "layer in a model": lambda: keras.Sequential([Own()])(np.ones((4, 3))),
    "build": lambda: keras.Sequential([Own()]).build((None, 3)),
    "summary": lambda: _model().summary(line_length=3),
    "set_weights": lambda: _model().set_weights([X]),
    "an op": lambda: keras.ops.matmul(X, X),
    "an op that gives a view": lambda: keras.ops.reshape(X, (3,)),
    "a name that is not there": lambda: keras.layers.Dens,
    "an argument that is not there": lambda: keras.optimizers.Adam(lr=0.1),
    "an activation that is not there": lambda: keras.layers.Dense(1, "rellu"),
    "a stack of none": lambda: keras.Sequential([1]),
    "a metric's update": lambda: keras.metrics.MeanSquaredError().update_state(X, X[:1, 0]),
    "get_layer": lambda: _model().get_layer("none"),
    "save": lambda: _model().save("model.txt"),
    "load_model": lambda: keras.saving.load_model("no_such_file.keras"),
    "load_weights": lambda: _model().load_weights("no_such_file.weights.h5"),
    "clone_model": lambda: keras.models.clone_model(_model(), call_function=print),
    "a loss": lambda: keras.losses.MeanSquaredError()(X, np.ones((3, 3))),
    "a metric": lambda: keras.metrics.MeanSquaredError()(X, np.ones((3, 3))),
    "an optimizer": lambda: keras.optimizers.SGD().apply([X], []),
}


def _files(error: BaseException) -> list[str]:
    return [frame.filename for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("name", CALLS)
def test_tracebacks_show_users_frames_only(name: str) -> None:
    with pytest.raises(Exception) as caught:
        CALLS[name]()
    files = _files(caught.value)
    assert files, "the user's own line is shown"
    assert not [file for file in files if file.startswith(str(SOURCES))]
    text = "".join(traceback.format_exception(caught.value))
    assert str(SOURCES) not in text, "nor in what led to it"


def _classes() -> list[type]:
    names = ("layers", "optimizers", "losses", "metrics", "callbacks", "initializers", "models")
    rooms = [getattr(keras, name) for name in (*names, "regularizers", "constraints")]
    found = {getattr(room, name) for room in rooms for name in room.__all__}
    return sorted((c for c in found if isinstance(c, type)), key=lambda c: c.__name__)


def test_no_class_shows_how_it_is_made() -> None:
    classes, refused = _classes(), 0
    for component in classes:
        try:
            component(no_such_argument=1)
        except Exception as error:
            refused += 1
            inside = [file for file in _files(error) if file.startswith(str(SOURCES))]
            assert not inside, component
    assert refused > 0.9 * len(classes) > 100


def test_the_line_of_the_users_layer_is_shown() -> None:
    with pytest.raises(OwnError) as caught:
        Own()(np.ones((4, 3)))
    assert traceback.extract_tb(caught.value.__traceback__)[-1].line == 'raise OwnError("three")'


def test_what_the_user_raised_from_is_kept() -> None:
    class Chained(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OwnError("second") from error

    with pytest.raises(OwnError) as caught:
        Chained()(X)
    assert isinstance(caught.value.__cause__, KeyError)


def test_all_frames_are_shown_on_request() -> None:
    keras.config.disable_traceback_filtering()
    with pytest.raises(Exception) as caught:
        CALLS["fit"]()
    assert any(file.startswith(str(SOURCES)) for file in _files(caught.value))


def _warned(call: Callable[[], Any]) -> warnings.WarningMessage:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    assert seen
    return seen[0]


WARNING_CALLS: dict[str, Callable[[], Any]] = {
    "a constructor": lambda: keras.layers.Dense(1, input_shape=(2,)),
    "a constructor of two levels": lambda: keras.layers.LeakyReLU(alpha=0.1),
    "out of data": lambda: _model().fit(X, X[:, 0], batch_size=4, steps_per_epoch=3, verbose=0),
    "a stream out of data": lambda: _model().fit(
        iter([(X, X[:, :1])]), steps_per_epoch=3, verbose=0
    ),
    "a callback": lambda: _model().fit(
        X, X[:, 0], verbose=0, callbacks=[keras.callbacks.EarlyStopping("no_such", mode="min")]
    ),
    "targets": lambda: (
        m := keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "sigmoid")]),
        m.compile("sgd", "binary_crossentropy"),
        m.fit(X, X[:, 0] + 1, verbose=0),
    ),
    "an optimizer": lambda: keras.optimizers.SGD(decay=0.1),
    "compile": lambda: _model().compile("sgd", "mse", run_eagerly=True, jit_compile=True),
    "an activation": lambda: keras.activations.softmax(np.ones((3, 1))),
}


@pytest.mark.parametrize("name", WARNING_CALLS)
def test_warnings_name_the_users_line(name: str) -> None:
    assert _warned(WARNING_CALLS[name]).filename == __file__


def test_the_package_warns_in_one_place() -> None:
    found = []
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and ast.unparse(node.func)
            if called and called.startswith("warnings.warn"):
                found.append(f"{path.relative_to(SOURCES).as_posix()}: {called}")
    assert found == ["_core/frames.py: warnings.warn_explicit"]
