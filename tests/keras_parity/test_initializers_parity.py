"""Initializers against Keras: names, signatures, configs, fans, bounds, errors."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.initializers.random_initializers import compute_fans as keras_compute_fans

from densekit import initializers

# Kernels of short-time Fourier transforms: no part of a dense network.
LEFT_OUT = {"STFT", "STFTInitializer", "stft"}
NAMES = [n for n in dir(keras.initializers) if not n.startswith("_")]
CLASSES = [
    n
    for n in NAMES
    if inspect.isclass(getattr(keras.initializers, n))
    and getattr(keras.initializers, n).__name__ == n
    and n not in LEFT_OUT
]
STRINGS = [s for s in sorted(keras.src.initializers.ALL_OBJECTS_DICT) if "stft" not in s.lower()]


def test_no_name_is_missing() -> None:
    assert {n for n in NAMES if not hasattr(initializers, n)} == LEFT_OUT


@pytest.mark.parametrize("name", CLASSES)
def test_signature(name: str) -> None:
    ours = inspect.signature(getattr(initializers, name)).parameters
    theirs = inspect.signature(getattr(keras.initializers, name)).parameters
    assert [(p.name, p.default) for p in ours.values()] == [
        (p.name, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("name", [n for n in CLASSES if n != "Initializer"])
def test_config_is_the_same_and_read_by_keras(name: str) -> None:
    initializer = getattr(initializers, name)()
    data = initializers.serialize(initializer)
    assert data == keras.initializers.serialize(getattr(keras.initializers, name)())
    assert keras.initializers.deserialize(data).get_config() == initializer.get_config()


@pytest.mark.parametrize("string", STRINGS)
def test_strings(string: str) -> None:
    if "nitializer" in string and string not in ("IdentityInitializer", "OrthogonalInitializer"):
        return  # the base class
    ours = initializers.get(string)
    if string in ("constant", "Constant"):
        with pytest.raises(KeyError):
            keras.initializers.get(string)
        return
    assert type(ours).__name__ == type(keras.initializers.get(string)).__name__


def test_seeds_in_configs() -> None:
    keras.utils.clear_session(free_memory=False)  # generators are numbered
    ours = initializers.GlorotUniform(seed=keras_free_generator(3))
    theirs = keras.initializers.GlorotUniform(seed=keras.random.SeedGenerator(3))
    assert initializers.serialize(ours) == keras.initializers.serialize(theirs)


def keras_free_generator(seed: int) -> Any:
    from densekit._core.seeds import SeedGenerator

    return SeedGenerator(seed)


@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (2, 5, 3), (2, 4, 5, 3)])
def test_fans(shape: tuple[int, ...]) -> None:
    assert initializers.compute_fans(shape) == keras_compute_fans(shape)


@pytest.mark.parametrize(
    "name", [n for n in CLASSES if n.endswith(("Uniform", "Normal")) and n != "RandomNormal"]
)
def test_largest_values(name: str) -> None:
    """Both fill one support to its ends: 40000 values come near a uniform bound."""
    shape = (200, 200)
    ours = np.abs(getattr(initializers, name)(seed=1)(shape)).max()
    theirs = np.abs(np.asarray(getattr(keras.initializers, name)(seed=1)(shape))).max()
    assert abs(ours / theirs - 1) < (1e-3 if "Uniform" in name else 1e-2)


@pytest.mark.parametrize("name", ["Constant", "Zeros", "Ones", "Identity"])
def test_values(name: str) -> None:
    ours = getattr(initializers, name)()((2, 3), dtype="float32")
    theirs = np.asarray(getattr(keras.initializers, name)()((2, 3), dtype="float32"))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Identity", {}, (3,)),
        ("Orthogonal", {}, (3,)),
        ("VarianceScaling", {"scale": 0.0}, (3, 3)),
        ("VarianceScaling", {"mode": "x"}, (3, 3)),
        ("VarianceScaling", {"distribution": "x"}, (3, 3)),
        ("RandomNormal", {"seed": "x"}, (3, 3)),
        ("Initializer", {}, (3, 3)),
    ],
)
def test_error_types(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    with pytest.raises((ValueError, NotImplementedError)) as theirs:
        getattr(keras.initializers, name)(**arguments)(shape)
    with pytest.raises(theirs.type):
        getattr(initializers, name)(**arguments)(shape)
