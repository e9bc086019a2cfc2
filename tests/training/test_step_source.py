"""Sources of users' functions: only those that are the code."""

from __future__ import annotations

from types import FunctionType

import numpy as np

from densekit.training._step_source import definition_of


def double(x, *, by=2):
    """Twice."""
    return np.multiply(x, by)


def thrice(x):
    return 3 * x


def test_a_function_has_its_definition():
    node = definition_of(double)
    assert node is not None
    assert node.name == "double"
    assert definition_of(double) is node


def test_methods_and_closures_have_theirs():
    factor = 2

    class Inner:
        def times(self, x):
            return factor * x

    node = definition_of(Inner.times)
    assert node is not None
    assert node.name == "times"


def test_what_is_not_the_source_is_not_taken_for_it():
    changed = FunctionType(
        thrice.__code__.replace(co_consts=(None, 4)), thrice.__globals__, "thrice"
    )
    assert changed(1) == 4
    assert definition_of(changed) is None
    moved = FunctionType(thrice.__code__.replace(co_firstlineno=1), thrice.__globals__, "thrice")
    assert definition_of(moved) is None


def test_there_may_be_no_source():
    space: dict[str, FunctionType] = {}
    exec("def made(x):\n    return x", space)
    assert definition_of(space["made"]) is None


def test_new_code_has_its_own_definition():
    function = FunctionType(thrice.__code__, thrice.__globals__, "thrice")
    assert definition_of(function) is not None
    function.__code__ = double.__code__
    node = definition_of(function)
    assert node is not None
    assert node.name == "double"
