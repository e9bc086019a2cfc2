"""What a variable takes, refuses and computes."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest

import densekit as keras

TYPES = ("int8", "uint8", "int32", "float16", "float32", "bfloat16", "bool")


def test_an_initializer_may_be_named() -> None:
    variable = keras.Variable("ones", shape=(2, 3))
    assert variable.dtype == "float32"
    np.testing.assert_array_equal(variable, np.ones((2, 3)))
    assert keras.Variable("glorot_uniform", shape=(4, 4)).numpy().any()
    with pytest.raises(ValueError, match=r"Pass e\.g\. 'zeros'"):
        keras.Variable("no_such_initializer", shape=(2,))
    with pytest.raises(ValueError, match="`shape`"):
        keras.Variable("zeros")


@pytest.mark.parametrize("name", ["regularizer", "constraint"])
def test_regularizer_and_constraint_can_be_called(name: str) -> None:
    variable = keras.Variable("ones", shape=(2,))
    setattr(variable, name, abs)
    assert getattr(variable, name) is abs
    with pytest.raises(ValueError, match=name):
        setattr(variable, name, "l2")
    assert getattr(variable, name) is abs
    setattr(variable, name, None)
    assert getattr(variable, name) is None


def test_overwrite_with_gradient_is_a_boolean() -> None:
    variable = keras.Variable(1.0)
    with pytest.raises(TypeError, match="a boolean"):
        variable.overwrite_with_gradient = "true"  # type: ignore[assignment]
    variable.overwrite_with_gradient = True
    assert variable.overwrite_with_gradient


def test_no_truth_value_of_many_numbers() -> None:
    assert keras.Variable([1.0])
    with pytest.raises(TypeError, match=r"ops\.any"):
        bool(keras.Variable([1.0, 0.0]))


def test_logic_is_that_of_truth_values() -> None:
    true, other = keras.Variable([2, 0, 3]), keras.Variable([1, 1, 0])
    assert (true & other).tolist() == [True, False, False]
    assert (true | other).tolist() == [True, True, True]
    assert (np.array([0, 1, 1]) ^ true).tolist() == [True, True, False]
    assert (~true).tolist() == [False, True, False]
    assert (+true).tolist() == [2, 0, 3]
    assert round(keras.Variable([1.26, -2.5]), 1).tolist() == pytest.approx([1.3, -2.5])


@pytest.mark.parametrize(("first", "second"), list(itertools.product(TYPES, TYPES)))
def test_types_meet_as_in_ops(first: str, second: str) -> None:
    import ml_dtypes  # noqa: F401  # so that NumPy knows bfloat16

    a = keras.Variable("ones", shape=(2,), dtype=first)
    b = keras.Variable("ones", shape=(2,), dtype=second)
    array = keras.ops.ones((2,), second)
    signs = [(operator.add, keras.ops.add), (operator.mul, keras.ops.multiply)]
    if "bool" not in (first, second):
        signs.append((operator.sub, keras.ops.subtract))
    signs.append((operator.truediv, keras.ops.true_divide))
    for sign, op in signs:
        wanted = op(a.value, array).dtype
        assert sign(a, b).dtype == sign(a, array).dtype == wanted, sign


def test_integers_meet_python_numbers() -> None:
    variable = keras.Variable([1, 2])
    assert (variable + 1).dtype == "int32"
    assert (variable + 0.5).dtype == (0.5 * variable).dtype == (variable / 2).dtype == "float32"
    assert (keras.Variable([1.0]) * np.sqrt(2)).dtype == "float32"


def test_python_scalars_do_not_widen_variables() -> None:
    half, flag = keras.Variable([1.0], dtype="bfloat16"), keras.Variable([True], dtype="bool")
    for result in (half + 1.5, 1.5 - half, half * 1.5, half / 1.5, half**1.5):
        assert str(result.dtype) == "bfloat16"
    for result in (flag + 1, 1 - flag, flag * 3):
        assert str(result.dtype) == "int32"
    assert float((half + 1.5)[0]) == 2.5
