"""Variables whose values lie elsewhere read, count and copy like others."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import densekit
from densekit._core.moved import MovedVariable, move
from densekit._core.types import Array
from densekit._core.variable import Variable


class Far:
    """A home that counts who asks."""

    def __init__(self, value: Array) -> None:
        self.value, self.reads, self.is_current = value, 0, True

    def read(self) -> Array:
        assert self.is_current
        self.reads += 1
        return self.value

    def changed(self) -> None:
        self.is_current = False


def moved(value: Array) -> tuple[Variable, Far]:
    variable, home = Variable(np.zeros_like(value), name="kernel"), Far(value)
    move(variable, home)
    return variable, home


def test_what_is_known_without_the_value_does_not_read_it() -> None:
    variable, home = moved(np.arange(6.0).reshape(2, 3))
    assert (variable.shape, variable.ndim, variable.size) == ((2, 3), 2, 6)
    assert (variable.dtype, variable.numpy_dtype) == ("float64", np.float64)
    assert (variable.path, variable.trainable) == ("kernel", True)
    assert isinstance(variable, MovedVariable) and home.reads == 0
    with pytest.raises(AttributeError, match="colour"):
        _ = variable.colour  # type: ignore[attr-defined]


def test_the_first_that_reads_brings_the_value_back() -> None:
    value = np.arange(6.0).reshape(2, 3)
    for read in (
        Variable.numpy,
        np.asarray,
        lambda v: v.value,
        lambda v: v + 0.0,
        lambda v: densekit.ops.add(v, 0.0),
        Variable.snapshot,
        copy.deepcopy,
        lambda v: pickle.loads(pickle.dumps(v)),
        lambda v: v.array,
    ):
        variable, home = moved(value)
        made = read(variable)
        assert type(variable) is Variable and home.reads == 1
        assert type(made) is not MovedVariable
        np.testing.assert_array_equal(np.asarray(made), value)
        np.testing.assert_array_equal(variable, value)
        assert "value=[[0. 1. 2.]" in repr(variable)
        assert home.reads == 1


def test_reading_leaves_the_home_and_writing_does_not() -> None:
    variable, home = moved(np.ones(3))
    variable.numpy()
    assert home.is_current and variable.home is home
    assert copy.deepcopy(variable).home is None
    variable.assign_add(np.ones(3))
    assert not home.is_current
    variable, home = moved(np.ones(3))
    variable.array[0] = 2.0
    assert not home.is_current and variable.numpy().tolist() == [2, 1, 1]
    variable, home = moved(np.ones(3))
    variable.assign(np.full(3, 2.0))
    assert not home.is_current
    assert variable.numpy().tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="shape"):
        moved(np.ones(3))[0].assign(np.ones(4))


def test_a_substitute_is_read_without_the_value() -> None:
    variable, home = moved(np.ones((2, 2)))
    with densekit.StatelessScope([(variable, np.full((2, 2), 3.0))]):
        assert (variable + 1.0).tolist() == [[4, 4], [4, 4]]
        assert variable.value.tolist() == variable[:].tolist() == [[3, 3], [3, 3]]
        variable.assign(np.zeros((2, 2)))
    assert home.reads == 0 and home.is_current
    with densekit.StatelessScope([]):
        assert (variable + 1.0).tolist() == [[2, 2], [2, 2]]
    assert home.reads == 1


def test_those_who_keep_numbers_are_told() -> None:
    class Told:
        times = 0

        def changed(self) -> None:
            self.times += 1

    variable, told = Variable(np.zeros((2, 2))), Told()
    variable.notify(told)
    version = variable.write_version
    assert version is not None
    before = version.tolist()
    move(variable, Far(np.ones((2, 2))))
    assert told.times == 1 and version.tolist() != before
    variable.numpy()
    assert told.times == 1
    move(variable, Far(np.ones((2, 2))))
    move(variable, Far(np.full((2, 2), 3.0)))
    assert told.times == 3
    assert variable.numpy().tolist() == [[3, 3], [3, 3]]


def test_a_home_that_fails_leaves_the_variable_as_it_was() -> None:
    class Lost(Far):
        def read(self) -> Array:
            raise RuntimeError("lost")

    variable = Variable(np.zeros(2))
    move(variable, Lost(np.ones(2)))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="lost"):
            variable.numpy()
    assert variable.shape == (2,)
    move(variable, Far(np.ones(2)))
    assert variable.numpy().tolist() == [1, 1]


def test_variables_of_users_classes_stay() -> None:
    class Own(Variable):
        pass

    variable = Own(np.zeros(2))
    with pytest.raises(TypeError, match="users"):
        move(variable, Far(np.ones(2)))
    assert variable.numpy().tolist() == [0, 0]
