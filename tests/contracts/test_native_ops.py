"""Ops of graphs: each that has a native form has a sample, and computes what it defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.engines import NativeEngine, lower_graph
from densekit.engines.op_lowerings import native_names
from densekit.layers import Layer
from densekit.ops._gradient import value_and_vjp

Function = Callable[[Any], Any]
MATRIX = np.linspace(-1.0, 1.0, 12).reshape(4, 3)

PAIRS = [
    *("add", "subtract", "multiply", "maximum", "minimum", "arctan2", "logaddexp", "less"),
    *("less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_xor"),
]
REDUCTIONS = [
    *("sum", "mean", "max", "amax", "min", "amin", "prod", "logsumexp", "all", "any"),
    *("argmax", "argmin", "var", "std"),
]


def shifted(name: str) -> list[Function]:
    return [lambda x: getattr(ops, name)(x + 2.0)]


def pairs(name: str) -> list[Function]:
    function = getattr(ops, name)
    return [
        lambda x: function(x, x[:, ::-1] * 0.7),
        lambda x: function(x, ops.mean(x, axis=1, keepdims=True)),
        lambda x: function(0.25, x),
        lambda x: function(x, np.linspace(0.1, 1, 4).astype(x.dtype)),
    ]


def quotients(name: str) -> list[Function]:
    function = getattr(ops, name)
    return [lambda x: function(x, x[:, ::-1] + 1.5), lambda x: function(x, 0.75)]


def along(name: str) -> list[Function]:
    function = getattr(ops, name)
    return [lambda x: function(x, axis=-1), lambda x: function(x, axis=1, keepdims=True)]


def with_gaps(name: str) -> Function:
    """Of values some of which are NaN or infinite, and of which no gradient is asked."""
    function = getattr(ops, name)

    def of_gaps(x: Any) -> Any:
        held = ops.stop_gradient(x)
        if name.startswith("nan"):
            return function(ops.where(held > 0.6, np.nan, held), axis=-1)
        return function(ops.where(held > 0.6, np.inf, ops.where(held < 0, -np.inf, held)))

    return of_gaps


# Of x with shape (batch, 3, 4) and values in (-1, 1).
SAMPLES: dict[str, list[Function]] = {
    **{
        name: [getattr(ops, name)]
        for name in [
            "abs",
            "absolute",
            "arccos",
            "arcsin",
            "arctan",
            "arctanh",
            "ceil",
            "celu",
            "copy",
            "cos",
            "cosh",
            "elu",
            "erf",
            "erfc",
            "exp",
            "exp2",
            "expm1",
            "floor",
            "gelu",
            "hard_shrink",
            "hard_sigmoid",
            "hard_silu",
            "hard_swish",
            "hard_tanh",
            "isfinite",
            "isinf",
            "isnan",
            "leaky_relu",
            "log1p",
            "mish",
            "log_sigmoid",
            "log_softmax",
            "logical_not",
            "negative",
            "ones_like",
            "relu",
            "relu6",
            "round",
            "selu",
            "sigmoid",
            "sign",
            "silu",
            "sin",
            "sinh",
            "soft_shrink",
            "softmax",
            "softplus",
            "softsign",
            "sparse_plus",
            "sparse_sigmoid",
            "sparsemax",
            "square",
            "squareplus",
            "stop_gradient",
            "swish",
            "tan",
            "tanh",
            "tanh_shrink",
            "trunc",
            "zeros_like",
            "convert_to_tensor",
            "array",
            "glu",
        ]
    },
    **{name: shifted(name) for name in ["log", "log10", "log2", "reciprocal", "rsqrt", "sqrt"]},
    **{name: pairs(name) for name in PAIRS},
    **{name: quotients(name) for name in ["divide", "true_divide", "mod", "floor_divide"]},
    "divide_no_nan": [
        lambda x: ops.divide_no_nan(x, ops.where(x > 0, x + 1.5, 0.0)),
        lambda x: ops.divide_no_nan(x, np.array([1, 0, 2, 0.5], x.dtype)),
    ],
    "power": [
        lambda x: (x + 1.5) ** (x + 0.5),
        lambda x: x**3,
        lambda x: x**2,
        lambda x: (x + 2) ** -0.5,
    ],
    **{name: along(name) for name in REDUCTIONS},
    "norm": [lambda x: ops.norm(x, axis=-1), lambda x: ops.norm(x, axis=1, keepdims=True)],
    "normalize": [ops.normalize, lambda x: ops.normalize(x, axis=1)],
    "clip": [lambda x: ops.clip(x, -0.5, 0.25)],
    "where": [
        lambda x: ops.where(x > 0, x * 2.0, ops.exp(x)),
        lambda x: ops.where(x > 0.5, 1.0, x),
    ],
    "threshold": [lambda x: ops.threshold(x, 0.25, -1.0)],
    "reshape": [lambda x: ops.reshape(x, (-1, 2, 6))],
    "transpose": [lambda x: ops.transpose(x, (0, 2, 1))],
    "swapaxes": [lambda x: ops.swapaxes(x, 1, 2)],
    "moveaxis": [lambda x: ops.moveaxis(x, 2, 1)],
    "expand_dims": [lambda x: ops.expand_dims(x, 2)],
    "squeeze": [lambda x: ops.squeeze(x[:, :, :1], axis=-1)],
    "get_item": [lambda x: x[:, 1], lambda x: x[..., ::-1], lambda x: x[:, 1:, :3]],
    "split": [lambda x: ops.split(x, 2, axis=-1)[1]],
    "array_split": [lambda x: ops.array_split(x, 3, axis=-1)[0]],
    "unstack": [lambda x: ops.unstack(x, axis=1)[2]],
    "flip": [lambda x: ops.flip(x, axis=1)],
    "fliplr": [lambda x: ops.fliplr(x)],
    "roll": [lambda x: ops.roll(x, 1, axis=2)],
    "repeat": [lambda x: ops.repeat(x, 2, axis=1)],
    "tile": [lambda x: ops.tile(x, (1, 2, 1))],
    "tril": [ops.tril],
    "triu": [ops.triu],
    "pad": [lambda x: ops.pad(x, ((0, 0), (1, 0), (0, 2)))],
    "take": [lambda x: ops.take(x, np.array([2, 0, 0]), axis=1)],
    "diagonal": [lambda x: ops.diagonal(x, axis1=1, axis2=2)],
    "concatenate": [lambda x: ops.concatenate([x, x * 2.0], axis=1)],
    "stack": [lambda x: ops.stack([x, x * 2.0], axis=2)],
    "matmul": [
        lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
        lambda x: ops.matmul(x, MATRIX.astype(x.dtype)),
        lambda x: ops.matmul(x, MATRIX[:, 0].astype(x.dtype)),
    ],
    "dot": [lambda x: ops.dot(x, MATRIX.astype(x.dtype))],
    "one_hot": [lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4, dtype=x.dtype)],
    "cast": [
        lambda x: ops.cast(x > 0, x.dtype),
        lambda x: ops.cast(ops.cast(x * 3, "int32"), x.dtype),
    ],
    "take_along_axis": [
        lambda x: ops.take_along_axis(x, ops.argmax(x, axis=-1, keepdims=True), axis=-1),
        lambda x: ops.take_along_axis(x, ops.argmin(x, axis=2, keepdims=True), axis=2),
    ],
    "full_like": [lambda x: ops.full_like(x, 3.0)],
    "cumsum": [lambda x: ops.cumsum(x, axis=-1), lambda x: ops.cumsum(x, axis=1)],
    "cumprod": [lambda x: ops.cumprod(x, axis=-1), lambda x: ops.cumprod(x, axis=1)],
    "einsum": [
        lambda x: ops.einsum("btc,cd->bdt", x, MATRIX.astype(x.dtype)),
        lambda x: ops.einsum("btc,bsc->bts", x, x * 0.5),
        lambda x: ops.einsum("...c,dc->...d", x, MATRIX.T.astype(x.dtype)),
        lambda x: ops.einsum("btc,tc->bt", x, MATRIX.T.astype(x.dtype)),
        lambda x: ops.einsum("btc,bsc,cd->btd", x, x, MATRIX.astype(x.dtype)),
    ],
    "tensordot": [
        lambda x: ops.tensordot(x, MATRIX.astype(x.dtype), axes=1),
        lambda x: ops.tensordot(x, MATRIX.astype(x.dtype), axes=[[2, 1], [0, 1]]),
    ],
    "sort": [lambda x: ops.sort(x, axis=-1), lambda x: ops.sort(x, axis=1)],
    "argsort": [lambda x: ops.argsort(x, axis=-1), lambda x: ops.argsort(x, axis=1)],
    "top_k": [lambda x: ops.top_k(x, 2)[0], lambda x: ops.top_k(x, 3)[1]],
    "median": [
        lambda x: ops.median(x, axis=-1),
        lambda x: ops.median(x, axis=1, keepdims=True),
    ],
    **{name: [getattr(ops, name)] for name in ["fabs", "rad2deg", "deg2rad", "arcsinh", "cbrt"]},
    "arccosh": [lambda x: ops.arccosh(x + 2.5)],
    **{name: pairs(name) for name in ["logaddexp2", "fmax", "fmin", "heaviside", "isclose"]},
    "hypot": [lambda x: ops.hypot(x, x[:, ::-1] + 2.0)],
    **{name: [getattr(ops, name), with_gaps(name)] for name in ["isposinf", "isneginf"]},
    "nan_to_num": [ops.nan_to_num, lambda x: ops.nan_to_num(ops.log(x), 0.5, 2.0, -3.0)],
    **{name: [*along(name), with_gaps(name)] for name in ["nansum", "nanmean", "nanprod"]},
    **{name: [*along(name), with_gaps(name)] for name in ["nanvar", "nanstd"]},
    "ptp": along("ptp"),
    "nanmax": [*along("nanmax"), with_gaps("nanmax")],
    "nanmin": [*along("nanmin"), with_gaps("nanmin")],
    "hstack": [lambda x: ops.hstack([x, x * 2.0])],
    "dstack": [lambda x: ops.dstack([x, x * 2.0])],
    "hsplit": [lambda x: ops.hsplit(x, 3)[1]],
    "dsplit": [lambda x: ops.dsplit(x, 2)[1]],
    "rot90": [lambda x: ops.rot90(x, axes=(1, 2))],
    "depth_to_space": [
        lambda x: ops.depth_to_space(ops.reshape(x, (-1, 3, 1, 4)), 2),
    ],
    "space_to_depth": [
        lambda x: ops.space_to_depth(ops.reshape(x, (-1, 2, 2, 3)), 2),
    ],
    "extract_sequences": [lambda x: ops.extract_sequences(x, 2, 1)],
    "count_nonzero": [lambda x: ops.count_nonzero(ops.relu(x), axis=-1)],
    "average": [
        lambda x: ops.average(x, axis=1),
        lambda x: ops.average(x, axis=-1, weights=np.array([1, 2, 3, 4], x.dtype)),
    ],
    "moments": [lambda x: ops.moments(x, axes=[1])[0], lambda x: ops.moments(x, axes=[-1])[1]],
    "diff": [ops.diff, lambda x: ops.diff(x, n=2, axis=1)],
    "trace": [lambda x: ops.trace(x, axis1=1, axis2=2)],
    "rms_normalization": [ops.rms_normalization],
    "layer_normalization": [
        ops.layer_normalization,
        lambda x: ops.layer_normalization(x, MATRIX.T.astype(x.dtype), axis=[1, 2]),
    ],
    "binary_crossentropy": [
        lambda x: ops.binary_crossentropy(ops.sigmoid(x * 3), x * 0.4 + 0.5),
        lambda x: ops.binary_crossentropy(ops.sigmoid(x), x[:, ::-1], from_logits=True),
    ],
    "categorical_crossentropy": [
        lambda x: ops.categorical_crossentropy(ops.softmax(x), x * 0.4 + 0.5),
        lambda x: ops.categorical_crossentropy(ops.softmax(x), x[:, ::-1], from_logits=True),
    ],
    "sparse_categorical_crossentropy": [
        lambda x: ops.sparse_categorical_crossentropy(
            ops.argmax(x, axis=-1), x[:, ::-1], from_logits=True
        ),
    ],
    "multi_hot": [lambda x: ops.multi_hot(ops.argmax(x, axis=-1), 5, dtype=x.dtype)],
    "digitize": [lambda x: ops.digitize(x, np.array([-0.5, 0.0, 0.25], x.dtype))],
    "searchsorted": [
        lambda x: ops.searchsorted(np.array([-0.5, 0.0, 0.25], x.dtype), x),
        lambda x: ops.searchsorted(np.array([-0.5, 0.0], x.dtype), x, side="right"),
    ],
}
# Names that `densekit.ops` may not have, and samples that begin with the batch axis.
LATER = {n for n in native_names() if not hasattr(ops, n)} | {
    "broadcast_to",
    "slice",
    "ravel",
    "identity",
}


@pytest.fixture(autouse=True)
def float_type() -> Iterator[None]:
    before = keras.config.floatx()
    yield
    keras.config.set_floatx(before)


def cases() -> list[Any]:
    return [
        pytest.param(f, id=f"{name}-{i}") for name, fs in SAMPLES.items() for i, f in enumerate(fs)
    ]


each_sample = pytest.mark.parametrize("function", cases())
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def values(dtype: str, rows: int = 7) -> Any:
    x = np.random.default_rng(3).uniform(-0.95, 0.95, (rows, 3, 4))
    return x.astype(dtype)


def test_every_native_op_has_a_sample() -> None:
    assert set(native_names()) - LATER == set(SAMPLES) - LATER
    assert len(SAMPLES) >= 100


@each_sample
@each_dtype
def test_values_are_those_of_the_definition(function: Function, dtype: str) -> None:
    inputs = keras.Input((3, 4), dtype=dtype)
    output = function(inputs)
    plan = lower_graph(graph_of(keras.Model(inputs, output)), dtype, False)
    assert plan.host_reasons == []
    x = values(dtype)
    wanted = np.asarray(function(x))
    got = NativeEngine(plan).predict([x], 7)[0]
    assert got.dtype == wanted.dtype == output.dtype
    assert got.shape == wanted.shape
    tolerance = 32 * np.finfo(dtype).eps * max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(got.astype("float64"), wanted, rtol=0, atol=tolerance)


@each_sample
@each_dtype
def test_gradients_are_those_of_the_definition(function: Function, dtype: str) -> None:
    keras.config.set_floatx(dtype)
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 4))
    inner = keras.layers.Dense(4, "tanh")(inputs)
    y = function(inner)
    y = keras.layers.Dense(2)(keras.layers.Flatten()(ops.cast(y, dtype)))
    model = keras.Model(inputs, y)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x, target = values(dtype), np.random.default_rng(4).standard_normal((7, 2)).astype(dtype)
    weights = [v.numpy() for v in model.trainable_variables]

    def loss(*trainable: Any) -> Any:
        outputs, _ = model.stateless_call(list(trainable), [], x, training=True)
        return ops.mean(ops.square(outputs - target))

    _, vjp = value_and_vjp(loss, weights)
    wanted = vjp(np.ones((), dtype))
    model.train_on_batch(x, target)
    for before, variable, gradient in zip(weights, model.trainable_variables, wanted, strict=True):
        tolerance = 64 * np.finfo(dtype).eps * max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(before - variable.numpy(), gradient, rtol=0, atol=tolerance)


def test_a_wrong_formula_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from densekit.engines.op_rules import elementwise

    monkeypatch.setitem(elementwise._UNARY, "sin", "cos")
    with pytest.raises(AssertionError):
        test_values_are_those_of_the_definition(ops.sin, "float32")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (ops.sinc, "no native form"),
        (
            lambda x: ops.pad(x, [[0, 0], [1, 0], [0, 0]], constant_values=2.0),
            "than 0",
        ),
        (lambda x: ops.cast(x * 3, "int32") * 2, "int32"),
        (lambda x: ops.round(x, 1), "other places"),
    ],
)
def test_what_has_no_native_form_says_why(function: Function, reason: str) -> None:
    inputs = keras.Input((3, 4))
    plan = lower_graph(graph_of(keras.Model(inputs, function(inputs))), "float32", False)
    assert len(plan.host_reasons) == 1
    assert reason in plan.host_reasons[0][1]
    x = values("float32")
    np.testing.assert_array_equal(NativeEngine(plan).predict([x], 7)[0], function(x))


def graph_of(model: Layer) -> Any:
    return model._dk_graph() if hasattr(model, "_dk_graph") else model._graph()


def test_elements_are_picked_by_numbers_of_another_input() -> None:
    x, indices = keras.Input((2, 4)), keras.Input((2, 3), dtype="int32")
    model = keras.Model([x, indices], ops.take_along_axis(x, indices, axis=-1))
    assert "0 of" in model.explain_plan() or "Python" not in model.explain_plan()
    rows = np.random.default_rng(0).normal(size=(5, 2, 4)).astype("float32")
    picks = np.random.default_rng(1).integers(-4, 4, (5, 2, 3)).astype("int32")
    expected = np.take_along_axis(rows, picks, axis=-1)
    assert np.array_equal(model.predict([rows, picks], verbose=0), expected)
    picks[0, 0, 0], picks[1, 1, 1] = 4, -5  # no elements: NaN, as on JAX
    found = model.predict([rows, picks], verbose=0)
    assert np.isnan(found[0, 0, 0]) and np.isnan(found[1, 1, 1])
    assert np.isnan(found).sum() == 2
