"""Arguments that are no tensors, or of ranks that an op does not take, are named by a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit._core import settings

X = np.ones((2, 3), "float32")
# Raised by Python and NumPy where a body asks something for what it has not.
OURS = (AttributeError, KeyError, UnboundLocalError, AssertionError, RecursionError)
STRANGE: dict[str, Any] = {
    "None": None,
    "text": "a",
    "an object": object(),
    "a ragged list": [[1.0, 2.0], [3.0]],
    "a dict": {"a": 1},
    "words": ["a", "b"],
    "a number": 1.0,
    "a vector": np.ones(3, "float32"),
    "four axes": np.ones((1, 2, 3, 4), "float32"),
    "nothing": np.ones(0, "float32"),
    "a set": {1.0},
    "a function": len,
    "None in a list": [None, 1.0],
}


def functions() -> Iterator[str]:
    for name in sorted(dir(ops)):
        value = getattr(ops, name)
        if callable(value) and not isinstance(value, type) and not name.startswith("_"):
            yield name


def required(function: Any) -> int:
    return sum(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )


@pytest.mark.parametrize("kind", STRANGE)
def test_every_op_says_what_it_expected(kind: str) -> None:
    for name in functions():
        function = getattr(ops, name)
        count = max(required(function), 1)
        for position in range(count):
            arguments: list[Any] = [X] * count
            arguments[position] = STRANGE[kind]
            try:
                with np.errstate(all="ignore"):
                    function(*arguments)
            except OURS as error:
                pytest.fail(f"ops.{name}, argument {position}: {error!r}")
            except IndexError as error:  # ours are ValueErrors as well
                assert isinstance(error, ValueError), (name, position, error)
            except Exception as error:
                assert str(error), (name, position)


@pytest.mark.parametrize("name", ["add", "subtract", "maximum", "power", "less", "logical_and"])
def test_none_is_refused_by_name(name: str) -> None:
    function = getattr(ops, name)
    symbol = keras.Input((3,))
    for arguments, missing in [
        ((None, X), "x1"),
        ((X, None), "x2"),
        ((symbol, None), "x2"),
        ((None, symbol), "x1"),
    ]:
        with pytest.raises(ValueError, match=f"ops.{name}: .*`{missing}`, got None"):
            function(*arguments)


@pytest.mark.parametrize("value", [object(), {"a": 1.0}, {1.0}, len])
def test_what_is_no_array_is_no_tensor(value: Any) -> None:
    for function in (ops.sum, ops.max, ops.cumsum, ops.transpose, ops.convert_to_tensor):
        with pytest.raises(TypeError, match=r"expected numbers"):
            function(value)


def test_operators_refuse_none_as_keras_does() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        ops.ones((2,)) + None
    with pytest.raises(ValueError, match="`x2`, got None"):
        keras.Input((2,)) * None
    with pytest.raises(ValueError, match="`x1`, got None"):
        None - keras.Input((2,))


def test_python_numbers_are_arrays_where_shapes_are_asked_for() -> None:
    np.testing.assert_array_equal(ops.kron(2.0, X), 2 * X)


def test_what_users_functions_raise_is_theirs() -> None:
    def careless(x: Any) -> Any:
        return x.nothing_of_the_kind

    def reaching(x: Any) -> Any:
        return [][0]

    for filtered in (False, True):
        settings.put("traceback_filtering", filtered)
        for function in (ops.map, ops.vectorized_map):
            with pytest.raises(AttributeError, match="nothing_of_the_kind"):
                function(careless, X)
            with pytest.raises(IndexError, match="list index"):
                function(reaching, X)
