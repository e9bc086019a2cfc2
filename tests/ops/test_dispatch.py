"""What an op accepts, which library it runs on and which type comes out."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from autograd import grad
from hypothesis import given
from hypothesis import strategies as st

from densekit import ops
from densekit._core import settings
from densekit._core.variable import Variable
from densekit.ops._dispatch import namespace, result_type

FLOATS = st.sampled_from(["float16", "float32", "float64"])
TYPES = st.sampled_from(["bool", "int8", "uint8", "int32", "int64", "float16", "float32"])


@given(dtype=FLOATS, scalar=st.sampled_from([2, 2.5, True, np.float64(0.5)]), swap=st.booleans())
def test_scalars_take_the_type_of_the_array(dtype: str, scalar: Any, swap: bool) -> None:
    array, variable = np.ones(3, dtype), Variable(np.ones(3), dtype=dtype)
    half_meets_wide = dtype == "float16" and type(scalar) is np.float64
    expected = "float32" if half_meets_wide else dtype  # as in Keras
    for op in (ops.add, ops.multiply, ops.maximum, ops.divide):
        assert (op(scalar, array) if swap else op(array, scalar)).dtype == expected
    assert (scalar * variable if swap else variable * scalar).dtype == expected


@given(first=TYPES, second=TYPES)
def test_types_meet_as_in_jax(first: str, second: str) -> None:
    with jax.enable_x64(True):
        expected = jnp.promote_types(first, second).name
    assert result_type(first, second) == expected
    assert ops.add(np.ones(2, first), np.ones(2, second)).dtype == expected


@given(dtype=FLOATS)
def test_floats_keep_their_type(dtype: str) -> None:
    x = np.full((2, 2), 0.5, dtype)
    names = [
        "exp",
        "log",
        "sqrt",
        "tanh",
        "sigmoid",
        "softplus",
        "gelu",
        "elu",
        "selu",
        "softmax",
        "log_softmax",
        "logsumexp",
        "mean",
        "var",
        "std",
        "norm",
        "erf",
        "relu",
        "relu6",
        "hard_sigmoid",
        "silu",
        "mish",
        "squareplus",
        "normalize",
        "median",
        "sparse_plus",
        "sparsemax",
    ]
    for name in names:
        assert getattr(ops, name)(x).dtype == dtype, name


def test_integers_become_floatx() -> None:
    before = settings.floatx()
    try:
        settings.set_floatx("float64")
        assert ops.sigmoid(np.arange(3)).dtype == "float64"
        assert ops.convert_to_tensor([1.0]).dtype == "float64"
        assert ops.mean([1, 2]).dtype == "float64"
    finally:
        settings.set_floatx(before)
    assert ops.sigmoid(np.arange(3)).dtype == "float32"
    assert ops.convert_to_tensor([1, 2]).dtype == "int32"


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1.0, 2.0]], "float32"),
        [[1.0, 2.0]],
        ((1.0, 2.0),),
        [np.array([1.0, 2.0], "float32")],
        jnp.array([[1.0, 2.0]]),
        Variable([[1.0, 2.0]]),
        [Variable([1.0, 2.0])],
    ],
    ids=lambda value: type(value).__name__,
)
def test_arguments(value: Any) -> None:
    for result in (
        ops.add(value, value),
        ops.square(value),
        ops.add(x1=value, x2=3),
        ops.sum(x=value),
    ):
        assert result.dtype == "float32"
    np.testing.assert_array_equal(ops.multiply(value, 2), [[2.0, 4.0]])
    np.testing.assert_array_equal(ops.concatenate([value, value], axis=0), [[1, 2], [1, 2]])


def test_scalars_alone() -> None:
    assert ops.exp(0).dtype == "float32"
    assert ops.add(1, 2).dtype == "int32"
    assert ops.divide(1, 2).dtype == "float32"
    assert ops.add(1, 2.5) == 3.5
    assert ops.sum([]) == 0


def test_namespace_follows_the_foreign_value() -> None:
    assert namespace(np.ones(2), 1.0, None) is np
    assert namespace(np.ones(2), jnp.ones(2)) is jnp
    seen = []

    def function(x: Any) -> Any:
        seen.append(namespace(1.0, x))
        return anp.sum(ops.multiply(Variable([2.0]), x))

    assert grad(function)(np.array([3.0], "float32")).tolist() == [2.0]
    assert seen == [anp]


def test_traced_by_jax() -> None:
    @jax.jit
    def function(x: Any) -> Any:
        return ops.matmul(ops.relu(x), ops.softmax(x)) + ops.where(ops.greater(x, 0), x, 0.0)

    x = np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3)
    expected = np.maximum(x, 0) @ ops.softmax(x) + np.maximum(x, 0)
    np.testing.assert_allclose(function(x), expected, rtol=1e-6, atol=1e-6)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8))
def test_activations_never_warn_and_stay_in_range(values: list[float]) -> None:
    x = np.array(values, "float32")
    for name, low, high in (
        ("sigmoid", 0, 1),
        ("tanh", -1, 1),
        ("softsign", -1, 1),
        ("hard_sigmoid", 0, 1),
        ("relu6", 0, 6),
        ("softplus", 0, np.inf),
        ("log_sigmoid", -np.inf, 0),
        ("sparse_sigmoid", 0, 1),
    ):
        finite = np.isfinite(x) if name == "softsign" else np.ones(x.shape, bool)
        y = getattr(ops, name)(x)[finite]
        assert np.all((y >= low) & (y <= high)), name


NAMES = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "sigmoid",
    "silu",
    "log_sigmoid",
    "softplus",
    "softsign",
    "mish",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "tanh",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "softmax",
    "log_softmax",
    "sparsemax",
    "logsumexp",
    "normalize",
    "erf",
]


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_passed_on(name: str) -> None:
    assert np.isnan(getattr(ops, name)(np.array([0.5, np.nan], "float32"))).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, 3e38, -3e38])
def test_extremes_do_not_warn(name: str, value: float) -> None:
    y = getattr(ops, name)(np.full(2, value, "float32"))
    bounded = name in (
        "sigmoid",
        "tanh",
        "relu6",
        "hard_sigmoid",
        "hard_tanh",
        "sparse_sigmoid",
        "erf",
    )
    assert np.isfinite(y).all() if bounded else y.dtype == "float32"


def test_empty_arrays() -> None:
    empty = np.zeros((0, 3), "float32")
    assert ops.softmax(empty).shape == (0, 3)
    assert ops.matmul(empty, np.ones((3, 2), "float32")).shape == (0, 2)
    assert ops.sum(empty) == 0
    assert ops.concatenate([empty, empty]).shape == (0, 3)
    assert ops.one_hot(np.zeros(0, "int32"), 3).shape == (0, 3)


def test_errors_of_shapes() -> None:
    with pytest.raises(ValueError, match=r"one of them|one shape"):
        ops.categorical_crossentropy(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="class index"):
        ops.sparse_categorical_crossentropy(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="even size"):
        ops.glu(np.ones((2, 3)))
