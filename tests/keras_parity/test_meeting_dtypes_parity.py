"""Types of results where arrays meet arrays, numbers of Python and of NumPy, against Keras."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import keras
import numpy as np
import pytest

from densekit import ops

# One of each rule; the others share its line.
OPS = [
    *("add", "divide", "divide_no_nan", "floor_divide", "mod", "power", "maximum", "fmod"),
    *("heaviside", "hypot", "nextafter", "logaddexp", "logaddexp2", "arctan2", "ldexp", "equal"),
    *("logical_and", "bitwise_left_shift", "gcd", "outer", "append", "where", "clip", "average"),
    *("linspace", "matmul"),
]
DTYPES = ["bool", "int8", "int32", "float16", "bfloat16", "float32"]
NUMBERS = [2, 1.5, True, *(np.dtype(t).type(1) for t in ("bool", "int8", "int32"))]
NUMBERS += [np.float16(1.5), np.float32(1.5), np.float64(1.5), np.array(2, "int8"), np.array(1.5)]


def call(module: Any, name: str, x: Any, y: Any) -> Any:
    function = getattr(module, name)
    if name == "where":
        return function(np.array([True, False, True]), x, y)
    if name == "clip":
        return function(x, 0, y)
    return function(x, weights=y) if name == "average" else function(x, y)


def theirs(name: str, x: Any, y: Any) -> str:
    """The type, or that of the error; nothing is computed."""
    try:
        return jax.eval_shape(lambda: call(keras.ops, name, x, y)).dtype.name
    except Exception as error:
        return type(error).__name__


def ours(name: str, x: Any, y: Any) -> str:
    try:
        with np.errstate(all="ignore"):
            return str(call(ops, name, x, y).dtype.name)
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("name", OPS)
def test_results_have_the_type_of_keras(name: str) -> None:
    arrays = [ops.ones(3, dtype) for dtype in DTYPES]
    pairs = list(itertools.product(arrays, [*arrays, *NUMBERS]))
    if name not in ("clip", "average"):
        pairs += [(y, x) for x, y in itertools.product(arrays, [2, 1.5, np.float64(1.5)])]
    wrong = []
    for x, y in pairs:
        found, wanted = ours(name, x, y), theirs(name, x, y)
        if any(getattr(z, "dtype", None) == "float64" for z in (x, y)):
            found = found.replace("64", "32")  # Keras on JAX has no wider type
        if wanted.endswith("Error") != found.endswith("Error") or not (
            found == wanted or wanted.endswith("Error")
        ):
            wrong.append((describe(x), describe(y), wanted, found))
    assert wrong == []


def describe(x: Any) -> str:
    return f"{x.dtype}[{x.ndim}]" if isinstance(x, np.ndarray) else repr(x)
