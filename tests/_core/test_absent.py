"""Names that are not here are answered with a reason or with the nearest name."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

import keras as real
import numpy as np
import pytest

import densekit as keras
from densekit._core.absent import hint, nearest, reason


def _rooms(module: Any, path: str = "keras") -> Iterator[tuple[str, Any]]:
    """Keras' public modules, by path."""
    yield path, module
    for name in dir(module):
        value = getattr(module, name)
        if isinstance(value, types.ModuleType) and name not in ("src", "_tf_keras"):
            yield from _rooms(value, f"{path}.{name}")


def _ours(path: str) -> Any:
    try:
        return importlib.import_module(path.replace("keras", "densekit", 1))
    except ModuleNotFoundError:
        return None  # then its name in the room above is answered


ROOMS = {path: module for path, module in _rooms(real) if _ours(path) is not None}


@pytest.mark.parametrize("path", ROOMS)
def test_each_name_of_keras_is_here_or_has_a_reason(path: str) -> None:
    ours = _ours(path)
    absent = [n for n in dir(ROOMS[path]) if not n.startswith("_") and n not in dir(ours)]
    assert [name for name in absent if not reason(ours.__name__, name)] == []
    for name in absent:
        with pytest.raises(AttributeError, match=r"see docs/differences"):
            getattr(ours, name)


def test_importing_a_name_gives_the_reason() -> None:
    with pytest.raises(ImportError, match="no part of a dense network"):
        from densekit.layers import Conv2D  # noqa: F401
    with pytest.raises(ImportError, match="Did you mean 'Dense'"):
        from densekit.layers import dense  # noqa: F401


@pytest.mark.parametrize(
    ("room", "name", "meant"),
    [
        ("layers", "Dens", "Dense"),
        ("activations", "rleu", "relu"),
        ("losses", "mean_square_error", "mean_squared_error"),
        ("metrics", "MeanSquareError", "MeanSquaredError"),
        ("optimizers", "adm", "Adam"),
        ("optimizers", "Adm", "Adam"),
        ("callbacks", "EarlyStoping", "EarlyStopping"),
        ("initializers", "he_norml", "he_normal"),
        ("ops", "softmx", "softmax"),
    ],
)
def test_the_nearest_name_is_offered(room: str, name: str, meant: str) -> None:
    module = getattr(keras, room)
    with pytest.raises(AttributeError, match=f"Did you mean '{meant}'"):
        getattr(module, name)
    if hasattr(module, "get"):
        with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
            module.get(name)


def test_a_name_like_no_other() -> None:
    assert hint("densekit.layers", "xyzzy", dir(keras.layers)) == ""
    assert nearest("anything", []) is None
    with pytest.raises(ValueError, match=r"Known names: .*relu"):
        keras.activations.get("xyzzy")
    assert not hasattr(keras.layers, "__wrapped__")


WITHOUT_RATE = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
OPTIMIZERS = [
    c
    for n, c in vars(keras.optimizers).items()
    if inspect.isclass(c) and n not in {"Names", *WITHOUT_RATE}
]


@pytest.mark.parametrize(
    "name", sorted({"Adam", "SGD", "Lamb", "RMSprop", "Ftrl"} | {c.__name__ for c in OPTIMIZERS})
)
def test_lr_is_learning_rate(name: str) -> None:
    cls = getattr(keras.optimizers, name)
    if name == "Optimizer":
        cls = type("Own", (cls,), {})
    with pytest.raises(ValueError, match="Did you mean 'learning_rate' for 'lr'"):
        cls(**({"learning_rate": 0.1} if name == "Optimizer" else {}), lr=0.1)
    optimizer = cls(learning_rate=0.1)
    for use in (lambda: optimizer.lr, lambda: setattr(optimizer, "lr", 0.1)):
        with pytest.raises(AttributeError, match="learning_rate"):
            use()
    assert not hasattr(optimizer, "lr")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("activaton", "activation"),
        ("W_regularizer", "kernel_regularizer"),
        ("init", "kernel_initializer"),
        ("bias", "use_bias"),
        ("trainble", "trainable"),
    ],
)
def test_arguments_of_layers(given: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"Did you mean '{meant}' for '{given}'"):
        keras.layers.Dense(1, **{given: None})


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss": "mea"},
        {"loss": ["mse", "mea"]},
        {"loss": {"a": "mea"}},
        {"loss": 3},
        {"metrics": ["mea"]},
        {"metrics": {"a": ["mea"]}},
        {"weighted_metrics": [["mea"]]},
        {"metrics": [3]},
        {"optimizer": "adm"},
    ],
)
def test_compile_checks_names_and_changes_nothing(arguments: dict[str, Any]) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((4, 2), "float32")
    before = model.evaluate(x, x[:, 0], verbose=0)
    with pytest.raises(ValueError, match="expected"):
        model.compile(**arguments)
    assert model.evaluate(x, x[:, 0], verbose=0) == before


def test_compile_knows_what_the_shapes_decide() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "crossentropy", metrics=["acc", "Accuracy", "ce", "crossentropy"])
