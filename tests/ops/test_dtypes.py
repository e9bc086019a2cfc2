"""Data types of results: bfloat16 stays, integers become floats of the type they meet."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras
from densekit import losses, ops

KEEPS = [
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "normalize",
    "reciprocal",
    "relu",
    "relu6",
    "rsqrt",
    "selu",
    "sigmoid",
    "silu",
    "sinc",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparsemax",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "exp",
    "log1p",
    "sqrt",
    "square",
]


@pytest.mark.parametrize("name", KEEPS)
def test_bfloat16_stays(name: str) -> None:
    exact = np.array([[0.5, 1.0], [2.0, 0.25]], "float32")
    result = getattr(ops, name)(ops.cast(exact, "bfloat16"))
    assert result.dtype == "bfloat16"
    expected = np.asarray(getattr(ops, name)(exact))
    np.testing.assert_allclose(np.asarray(result, "float32"), expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("name", ["matmul", "dot", "tensordot", "einsum"])
@pytest.mark.parametrize("other", ["bfloat16", "int32", "bool", "float32"])
def test_products_have_the_type_in_which_their_arrays_meet(name: str, other: str) -> None:
    x, y = ops.ones((2, 2), "bfloat16"), ops.ones((2, 2), other)
    product = {
        "tensordot": lambda a, b: ops.tensordot(a, b, axes=1),
        "einsum": lambda a, b: ops.einsum("ij,jk->ik", a, b),
    }.get(name, getattr(ops, name))
    for result in (product(x, y), product(y, x)):
        assert result.dtype == ("float32" if other == "float32" else "bfloat16")
        assert np.asarray(result, "float32").tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize("name", ["arctan2", "logaddexp"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_functions_of_two_integers_give_the_default_float(name: str, dtype: str) -> None:
    one = np.ones(2, dtype)
    assert getattr(ops, name)(one, one).dtype == "float32"
    assert getattr(ops, name)(one, np.ones(2, "float16")).dtype == "float16"


@pytest.mark.parametrize("name", ["hypot", "nextafter", "heaviside"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_functions_of_a_tensor_and_a_number_have_its_type(name: str, dtype: str) -> None:
    x, function = ops.ones(2, dtype), getattr(ops, name)
    assert function(x, 2).dtype == function(1.5, x).dtype == function(x, True).dtype == dtype
    assert function(np.ones(2, "int8"), np.ones(2, "float16")).dtype == "float16"


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_losses_have_their_dtype(reduction: str) -> None:
    loss = losses.MeanSquaredError(reduction, dtype="bfloat16")
    assert loss(np.ones((2, 2)), np.zeros((2, 2))).dtype == "bfloat16"


def test_arguments_by_name() -> None:
    x = ops.cast(np.array([0.5, 1.0, 2.0], "float32"), "bfloat16")
    assert ops.gelu(x=x).dtype == "bfloat16"
    assert ops.trapezoid(y=x).dtype == "bfloat16"
    assert float(ops.trapezoid(np.array([0.0, 1.0], "float32"), x=np.array([0.0, 4.0]))) == 2.0


@pytest.mark.parametrize(("dtype", "expected"), [("bfloat16", "bfloat16"), ("int32", "float32")])
def test_penalties_and_bounds_have_the_type_of_the_weight(dtype: str, expected: str) -> None:
    w = ops.cast(np.array([[1.0, 2.0], [3.0, 4.0]]), dtype)
    for name in ("L1", "L2", "L1L2"):
        assert getattr(keras.regularizers, name)(0.5)(w).dtype == expected
    for name in ("MaxNorm", "MinMaxNorm", "UnitNorm"):
        assert getattr(keras.constraints, name)()(w).dtype == expected


def test_rectifiers_of_whole_numbers_have_the_types_of_keras() -> None:
    x, truths = np.array([-1, 2, 9], "int32"), np.array([True, False])
    assert ops.relu(x).dtype == ops.relu(truths).dtype == "int32"
    assert ops.relu6(x).dtype == ops.relu6(truths).dtype == "float32"
    assert keras.activations.relu(x, max_value=2).dtype == "int32"
    half = ops.cast(x, "bfloat16")
    assert keras.activations.relu(half, 0.5, 3.0, 1.0).dtype == "bfloat16"


def test_softmax_of_nothing_is_nothing() -> None:
    for shape, axis in (((3, 0), -1), ((0, 4), 0), ((0, 4), [0, 1])):
        for function in (ops.softmax, ops.log_softmax):
            assert function(np.ones(shape, "float32"), axis=axis).shape == shape
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(keras.activations.softmax(x, axis=[0, 1]), x / 6, rtol=1e-6)
    assert ops.logsumexp(np.ones((2, 0), "float32"), axis=-1).tolist() == [-np.inf, -np.inf]


LINEAR = "det inv cholesky cholesky_inverse qr svd eigh lstsq lu_factor pinv solve solve_triangular"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", [*LINEAR.split(), "slogdet", "logdet"])
def test_linear_algebra_of_half_precision_is_computed_in_float32(name: str, dtype: str) -> None:
    matrix = np.diag([2.0, 4.0]).astype("float32")
    given = (matrix,) * (2 if "solve" in name or name == "lstsq" else 1)
    expected = keras.tree.flatten(getattr(ops, name)(*given))
    found = getattr(ops, name)(*(ops.cast(x, dtype) for x in given))
    for one, two in zip(keras.tree.flatten(found), expected, strict=True):
        kind = dtype if two.dtype == "float32" else two.dtype
        assert one.dtype == kind
        np.testing.assert_array_equal(one, np.asarray(two).astype(one.dtype))


def test_products_of_variables_of_bytes_are_those_of_matmul() -> None:
    a = keras.Variable(np.full((2, 3), 100), dtype="int8")
    b = keras.Variable(np.full((3, 2), 100), dtype="int8")
    for product in (a @ b, a @ b.value, a.value @ b):
        assert product.dtype == "int32"
        assert product.tolist() == [[30000, 30000], [30000, 30000]]
