"""Every op against Keras: values, dtype and shape; symbolic shape and dtype; the node in files."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import keras
import numpy as np
import pytest

from densekit import ops
from densekit._core import registry, tree
from densekit._core.tensor import Tensor, lend
from densekit._core.variable import Variable

RNG = np.random.default_rng(0)


def f(*shape: int) -> np.ndarray:
    """Floats around 0, some beyond every kink of an activation."""
    return (2 * RNG.standard_normal(shape)).astype("float32")


def u(*shape: int) -> np.ndarray:
    """Floats inside (0, 1)."""
    return RNG.uniform(0.05, 0.95, shape).astype("float32")


def i(*shape: int, low: int = -4, high: int = 5) -> np.ndarray:
    return RNG.integers(low, high, shape).astype("int32")


def b(*shape: int) -> np.ndarray:
    return RNG.random(shape) > 0.5


X, Y, N = f(3, 4), f(3, 4), i(3, 4)
SPD = np.eye(3, dtype="float32") * 4 + np.ones((3, 3), "float32")
KINKS = np.array([-6, -3, -1, -0.5, -0.0, 0, 0.5, 1, 3, 6, 80, -80, 1e4, -1e4], "float32")

# (op, args, kwargs). Arrays that lead are also tried as symbolic tensors.
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []


def case(names: str, *args: Any, **kwargs: Any) -> None:
    CASES.extend((name, args, kwargs) for name in names.split())


# Where Keras promises another shape or type symbolically than its values have, or fails to.
BROKEN_PROMISES: set[int] = set()


def unpromised(names: str, *args: Any, **kwargs: Any) -> None:
    BROKEN_PROMISES.update(range(len(CASES), len(CASES) + len(names.split())))
    case(names, *args, **kwargs)


# Arithmetic
case(
    "add subtract multiply divide true_divide maximum minimum divide_no_nan mod floor_divide", X, Y
)
case(
    "add subtract multiply divide true_divide maximum minimum divide_no_nan mod floor_divide", X, 2
)
case("add subtract multiply maximum minimum power", N, 2)
case("add subtract multiply divide maximum minimum", N, 2.5)
case("add subtract multiply divide maximum minimum", 1.5, X)
case("add subtract multiply divide maximum", X, N)
case("divide true_divide", N, i(3, 4, low=1))
case("add multiply divide_no_nan", X, f(4))
case("divide_no_nan", X, np.array([0, 1, 0, 2], "float32"))
case("add multiply maximum", b(3), i(3))
case("power", u(3, 4), 2.5)
case("power", X, 2)
case("logaddexp arctan2", X, Y)
case("negative absolute abs sign square trunc floor ceil round", X)
case("negative absolute abs sign square trunc floor ceil", N)
case("square", b(3))
case("round", X, decimals=1)
case("sqrt rsqrt reciprocal exp exp2 expm1 log log1p log2 log10", u(3, 4))
case("sqrt exp expm1 log log1p sin tanh", i(5, low=1))
case("sqrt log exp", f(3, 4))
case("sin cos tan tanh sinh cosh arctan", X)
case("arcsin arccos arctanh erf erfc erfinv", u(3, 4))
case("erf erfc erfinv", np.array([-1, -0.9, -0.3, 0, 1e-4, 1], "float32"))
case("clip", X, -1, 1.0)
case("clip", N, -1, 2)
case("clip", X, -0.5, 0.5)
case("nan_to_num", np.array([np.nan, np.inf, -np.inf, 1], "float32"))
case("nan_to_num", np.array([np.nan, np.inf, 1], "float32"), nan=2.0, posinf=3.0)
case("arccosh", 1 + 3 * u(3, 4))
case("arcsinh cbrt deg2rad rad2deg fabs sinc i0 signbit", X)
case("arcsinh cbrt deg2rad fabs sinc signbit isposinf isneginf", N)
case("isposinf isneginf signbit", np.array([np.inf, -np.inf, np.nan, -0.0], "float32"))
case("fmax fmin fmod hypot logaddexp2 heaviside nextafter", X, Y)
case("fmax fmin fmod", N, i(3, 4, low=1))
case("fmax fmin logaddexp2", X, 1.5)
unpromised("hypot heaviside", X, 1.5)
case("hypot logaddexp2 heaviside", N, i(3, 4))
case(
    "fmax fmin", np.array([np.nan, 1, np.nan], "float32"), np.array([2, np.nan, np.nan], "float32")
)
case("heaviside", np.array([-1, 0, 1], "float32"), f(3))
case("ldexp", X, N)
case("bitwise_and bitwise_or bitwise_xor gcd lcm", N, i(3, 4))
case("gcd", N, 6)
unpromised("bitwise_and bitwise_or bitwise_xor", N, 6)
case("bitwise_and bitwise_or bitwise_xor", b(5), b(5))
case("bitwise_not bitwise_invert", N)
case("bitwise_left_shift left_shift bitwise_right_shift right_shift", N, i(3, 4, low=0))
case("bitwise_and gcd", i(4, low=0).astype("uint8"), i(4, low=0))
for _points in (0, 1, 6, 7):
    case("bartlett blackman hamming hanning", _points)
    case("kaiser", _points, 14.0)
# Comparisons and logic
case("equal not_equal less less_equal greater greater_equal", N, i(3, 4))
case("equal not_equal less less_equal greater greater_equal", X, 0)
case("greater", X, N)
case("logical_and logical_or logical_xor", b(3), b(3))
case("logical_and logical_or logical_xor", X, N)
case("logical_not", b(4))
case("logical_not", N)
case("isnan isinf isfinite", np.array([np.nan, np.inf, 1], "float32"))
case("isclose allclose", X, X + np.float32(1e-6))
case("isclose", X, Y, rtol=0.5, atol=0.1)
case("where", X > 0, X, Y)
case("where", X > 0, X, 0)
case("where", X > 0, X, -1.5)
case("where", N, N, 1.5)
case("nonzero", N)
# Reductions
for _axis in (None, 0, -1, (0, 1)):
    case("sum prod mean var std max min amax amin all any", X, axis=_axis)
    case("sum prod mean max min all any", N, axis=_axis, keepdims=True)
case("sum prod mean", b(3, 2), axis=0)
case("sum prod", i(4).astype("int8"))
case("sum", i(4, low=0).astype("uint8"))
case("prod", N, dtype="float32")
case("max min", X, axis=1, initial=0.0)
case("argmax argmin", X, axis=1)
case("argmax argmin", X)
case("argmax", X, axis=0, keepdims=True)
case("count_nonzero", N, axis=1)
case("count_nonzero", N)
case("cumsum cumprod", X, axis=1)
case("cumsum cumprod", N)
case("cumsum", b(4), axis=0)
case("cumsum", N, axis=0, dtype="float32")
case("logsumexp", X, axis=-1, keepdims=True)
case("logsumexp", np.array([[1e4, 1e4], [-np.inf, -np.inf]], "float32"), axis=1)
case("logsumexp", X)
case("norm", X)
for _ord in (None, 1, 2, 3, np.inf, -np.inf, 0):
    case("norm", X, ord=_ord, axis=1)
case("norm", X, ord="fro", axis=(0, 1), keepdims=True)
case("norm", X, ord=1, axis=(0, 1))
case("median", X, axis=1, keepdims=True)
case("median", f(5))
case("quantile", X, np.array([0.1, 0.5, 1.0], "float32"), axis=1)
case("quantile", X, 0.3)
for _method in ("lower", "higher", "midpoint", "nearest"):
    case("quantile", f(7), 0.3, method=_method)
case("quantile", X, 0.7, axis=0, keepdims=True)
case("percentile", X, 30.0, axis=1)
case("average", X, axis=1)
case("average", X, axis=1, weights=np.array([1, 2, 3, 4], "float32"))
case("average", X, weights=u(3, 4))
case("ptp", X, axis=1)
case("diff", X, n=2, axis=1)
case("digitize", X, np.array([-1, 0, 2], "float32"))
case("searchsorted", np.array([-1, 0, 2], "float32"), f(5))
case("searchsorted", np.array([1, 2, 2, 3], "int32"), i(5), side="right")
case("bincount", np.array([0, 1, 1, 3], "int32"), minlength=6)
case("bincount", np.array([0, 1, 1, 3], "int32"), weights=np.array([1, 2, 3, 4], "float32"))
case("isin", N, i(3))
case("moments", X, axes=[0])
case("moments", X, axes=(0, 1), keepdims=True)
GAPS = np.where(u(3, 4) > 0.6, np.float32(np.nan), X)
GAPS[0] = np.nan
for _axis in (None, 0, 1, (0, 1)):
    case("nansum nanprod nanmean nanvar nanstd nanmax nanmin", GAPS, axis=_axis)
    case("nansum nanprod nanmean nanvar nanstd nanmax nanmin", X, axis=_axis, keepdims=True)
case("nansum nanprod nanmean nanvar nanmax nanmin", N, axis=1)
case("nanargmax nanargmin", GAPS, axis=1)
case("nanargmax nanargmin", GAPS, axis=0, keepdims=True)
case("nanargmax nanargmin", GAPS)
case("nancumsum nancumprod", GAPS, axis=1)
case("nancumsum nancumprod", GAPS)
case("nancumsum nancumprod", N, axis=0)
case("nanmedian", GAPS, axis=1, keepdims=True)
case("nanmedian", GAPS)
case("nanquantile", GAPS, np.array([0.1, 0.5, 1.0], "float32"), axis=1)
case("nanquantile", GAPS, 0.3, axis=0, keepdims=True)
for _method in ("lower", "higher", "midpoint", "nearest"):
    case("nanquantile", GAPS, 0.3, axis=1, method=_method)
case("nanpercentile", GAPS, 30.0, axis=1)
# Shapes
case("reshape", X, (2, 6))
case("reshape", X, (-1,))
case("reshape", X, -1)
case("ravel transpose flip copy", X)
case("transpose", f(2, 3, 4), axes=(0, 2, 1))
case("swapaxes", f(2, 3, 4), 0, 2)
case("moveaxis", f(2, 3, 4), 0, -1)
case("moveaxis", f(2, 3, 4), (0, 1), (1, 2))
case("expand_dims", X, 1)
case("expand_dims", X, (0, -1))
case("squeeze", f(3, 1, 2, 1))
case("squeeze", f(3, 1, 2, 1), axis=1)
case("squeeze", f(3, 1, 2, 1), axis=(1, 3))
case("broadcast_to", f(3, 1), (2, 3, 4))
case("concatenate", [X, Y], axis=1)
case("concatenate", [X, N], axis=-1)
case("concatenate", [X, Y])
case("stack", [X, Y], axis=1)
case("stack", [X, N])
case("vstack hstack", [X, Y])
case("vstack hstack", [f(3), f(3)])
case("append", X, Y, axis=1)
case("append", X, N)
case("split", f(6, 4), 3)
case("split", f(6, 4), [1, 4], axis=0)
case("split", f(6, 4), 2, axis=-1)
case("array_split", f(7, 4), 3)
case("unstack", X)
case("unstack", X, axis=1)
case("tile", X, (2, 3))
case("tile", X, 2)
case("repeat", X, 2, axis=1)
case("repeat", X, 2)
case("roll", X, 2, axis=1)
case("roll", X, 1)
case("flip", X, axis=1)
case("pad", X, ((1, 0), (2, 1)))
case("pad", X, 1)
case("pad", X, ((1, 0), (2, 1)), constant_values=3)
case("pad", X, ((1, 0), (2, 1)), mode="reflect")
case("diag", f(3))
case("diag", f(3, 4), k=1)
case("diagonal", f(2, 3, 4), offset=1, axis1=1, axis2=2)
case("diagonal", X)
case("diagonal", X, offset=-1)
case("tril triu", X)
case("tril triu", X, k=1)
case("trace", X)
case("meshgrid", f(3), f(2))
case("meshgrid", f(3), f(2), f(4), indexing="ij")
case("meshgrid", f(3), i(2), f(4))
case("fliplr flipud rot90 diagflat", X)
case("rot90", f(2, 3, 4), k=-1, axes=(1, 2))
unpromised("rot90", X, k=2)
case("diagflat", f(3), k=-1)
case("vsplit hsplit", f(4, 6), 2)
case("vsplit hsplit", f(4, 6), [1, 3])
case("hsplit", f(6), 3)
case("dsplit", f(2, 3, 4), 2)
case("dstack", [X, Y])
case("dstack", [f(3), f(3)])
case("dstack", [f(2, 3, 1), i(2, 3, 2)])
case("view", X, "int32")
case("view", i(3, 4), "float32")
case("view", X, "uint8")
case("argpartition", X, 1)
case("argpartition", N, 2, axis=0)
case("argpartition", X, 5, axis=None)
case("unravel_index", np.array([5, 0, -1, 11], "int32"), (3, 4))
case("select", [X > 1, X < 0], [X, Y], 2.5)
case("select", [X > 1, X < 0], [X, Y])
unpromised("select", [N > 1, N < 0], [N, X], 0)
case("unique", N)
case("unique", X, return_index=True, return_inverse=True, return_counts=True)
case("unique", i(4, 2, low=0, high=2), return_counts=True, axis=0)
case("unique", N, size=12, return_index=True, return_counts=True)
case("unique", N, size=3)
case("unique", N, size=12, fill_value=7)
case("extract_sequences", f(2, 9), 4, 2)
case("extract_sequences", f(9), 3, 3)
case("space_to_depth", f(2, 4, 6, 3), 2)
case("space_to_depth", f(2, 3, 4, 6), 2, data_format="channels_first")
case("depth_to_space", f(2, 4, 6, 8), 2)
case("depth_to_space", f(2, 8, 3, 3), 2, data_format="channels_first")
case("rearrange", f(2, 4, 6, 3), "b h w c -> b c h w")
case("rearrange", f(2, 4, 6, 3), "b (h p) (w q) c -> b h w (p q c)", p=2, q=3)
case("rearrange", f(4, 6), "a b -> (b a)")
# Complex numbers
COMPLEX = (X + 1j * Y).astype("complex64")
case("conj conjugate", COMPLEX)
unpromised("real imag angle", COMPLEX)
case("conj conjugate real imag angle isreal", X)
case("isreal", np.array([1, 1j], "complex64"))
case("angle", N)
case("view_as_real", COMPLEX)
case("view_as_complex", f(3, 2))
unpromised("polar", u(3, 4), X)
# Linear algebra
case("matmul dot", X, f(4, 2))
case("matmul dot", f(2, 3, 4), f(4, 5))
case("matmul", f(2, 3, 4), f(2, 4, 5))
case("matmul dot", X, f(4))
case("matmul", X, i(4, 2))
case("matmul", N, i(4, 2))
case("dot inner vdot", f(3), f(3))
case("inner", X, f(2, 4))
case("outer", f(3), f(4))
case("outer", i(3), f(4))
case("tensordot", f(2, 3, 4), f(4, 5), axes=1)
case("tensordot", X, Y, axes=[[0], [0]])
case("tensordot", X, Y)
case("einsum", "bi,io->bo", X, f(4, 2))
case("einsum", "bi,bi->b", X, Y)
case("qr", X)
case("qr", f(2, 5, 3))
case("qr", f(4, 3), mode="complete")
case("inv det cholesky", SPD)
case("cholesky", SPD, upper=True)
case("solve", SPD, f(3, 2))
case("svd", SPD, compute_uv=False)
SYMMETRIC = f(4, 4) + np.eye(4, dtype="float32") * 3
SYMMETRIC += SYMMETRIC.T.copy()
case("slogdet logdet pinv matrix_rank", SPD)
unpromised("lu_factor", SPD)
case("eigh", SYMMETRIC)
case("eigh", np.stack([SYMMETRIC, SYMMETRIC * 2]))
unpromised("slogdet lu_factor", f(2, 3, 3))
case("pinv matrix_rank", f(4, 3))
unpromised("lu_factor", f(4, 3))
case("pinv", u(3, 4) + 3 * np.eye(3, 4, dtype="float32"))
unpromised("lu_factor", f(3, 4))
case("pinv", u(2, 3, 4) + 3 * np.eye(3, 4, dtype="float32"))
case("matrix_rank", np.array([[1, 2], [2, 4]], "float32"))
case("matrix_rank", np.diag(np.array([1, 0.5, 0.01], "float32")), tol=0.1)
case("cholesky_inverse", np.linalg.cholesky(SPD))
case("cholesky_inverse", np.linalg.cholesky(SPD).T.copy(), upper=True)
case("solve_triangular", SPD, f(3, 2))
case("solve_triangular", SPD, f(3, 2), lower=True)
case("solve_triangular", np.stack([SPD, SPD + 1]), f(2, 3, 2))
case("lstsq", f(4, 3), f(4))
case("lstsq", f(4, 3), f(4, 2))
case("lstsq", f(3, 4), f(3, 2))
case("cross", f(4, 3), f(4, 3))
case("cross", f(4, 2), f(4, 2))
case("cross", f(3, 4), f(4, 3), axisa=0, axisc=0)
case("cross", i(3), f(3))
case("kron", X, f(2, 2))
unpromised("kron", f(3), i(2, 2))
case("vander", f(3))
case("vander", i(3), 4, increasing=True)
case("vander", f(3), 1)
for _mode in ("valid", "same", "full"):
    case("correlate", f(5), f(3), mode=_mode)
    case("correlate", f(5), f(2), mode=_mode)
    case("correlate", f(2), f(5), mode=_mode)
    case("correlate", f(3), f(6), mode=_mode)
case("correlate", i(5), f(3))
case("cdist", X, f(2, 4))
case("cdist", f(2, 3, 4), f(2, 5, 4))
unpromised("corrcoef", X)
unpromised("corrcoef", f(5))
unpromised("corrcoef", i(3, 5))
case("trapezoid", X)
case("trapezoid", X, dx=0.5, axis=0)
unpromised("trapezoid", X, x=f(4))
unpromised("trapezoid", i(5), x=np.arange(5, dtype="int32"))
case("histogram", f(20))
case("histogram", f(20), bins=4, range=(-1.0, 1.0))
unpromised("histogram", i(20), bins=3)
case("logspace", 0.0, 2.0, num=5)
case("logspace", f(3), f(3), num=4, base=2, axis=-1)
case("logspace", 0, 2, num=5, endpoint=False)
case("geomspace", 1.0, 100.0, num=5)
case("geomspace", -u(3), -u(3), num=4, axis=-1)
case("geomspace", 1, 8, num=3, endpoint=False)
# Indexing
case("get_item", X, (slice(1, None), 2))
case("get_item", X, 1)
case("take", X, np.array([0, 2], "int32"), axis=1)
case("take", X, np.array([[0, -1]], "int32"), axis=0)
case("take", X, 3)
case("take_along_axis", X, np.array([[0], [1], [-1]], "int32"), axis=1)
case("take_along_axis", X, np.array([[2, 1, 0, 0]], "int32"), axis=0)
case("take_along_axis", X, np.array([2, 1], "int32"))
case("sort argsort", X, axis=0)
case("sort argsort", N)
case("top_k", X, 2)
case("top_k", N, 3)
case("in_top_k", np.array([0, 1, 3], "int32"), X, k=2)
case("slice", X, (1, 0), (2, 3))
case("slice_update", X, (1, 0), f(2, 3))
case("scatter_update", f(5), np.array([[1], [3]], "int32"), f(2))
for _reduction in ("add", "max", "min", "mul"):
    case("scatter_update", f(5), np.array([[1], [3], [1]], "int32"), f(3), reduction=_reduction)
case("scatter", np.array([[1], [3], [1]], "int32"), f(3), (5,))
case(
    "segment_sum segment_max segment_min segment_prod",
    f(4, 2),
    np.array([0, 2, 0, 1], "int32"),
    num_segments=3,
)
# Values, types, constants
case("cast", X, "int32")
case("cast", N, "float32")
case("cast", b(3), "float32")
case("saturate_cast", np.array([-300.0, 1.7, 300.0], "float32"), "int8")
case("convert_to_tensor array", [1, 2])
case("convert_to_tensor array", [1.5, 2])
case("convert_to_tensor", X, dtype="int32")
case("convert_to_tensor", 3)
case("zeros ones", (2, 3))
case("zeros ones", (2,), dtype="int32")
case("zeros_like ones_like", X)
case("zeros_like ones_like", N, dtype="float32")
case("full_like", X, 2.5)
case("full", (2, 3), 2.5)
case("full", (2, 3), 2, dtype="float32")
case("full", (2, 3), 2)
case("eye identity tri", 3)
case("eye tri", 3, 4, k=1)
case("arange", 5)
case("arange", 1, 7, 2)
case("arange", 0.5, 3.0)
case("arange", 3, dtype="float32")
case("linspace", 0, 1, num=5)
case("linspace", 0.0, 1.0, num=4, endpoint=False)
case("linspace", f(2), f(2), num=3, axis=-1)
case("shape ndim size", X)
case("stop_gradient", X)
# nn
ACTIVATIONS = """
    relu relu6 sigmoid silu swish gelu softplus softsign softmax log_softmax elu selu celu
    hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid tanh_shrink
    soft_shrink hard_shrink squareplus sparse_plus sparse_sigmoid glu
"""
case(ACTIVATIONS, X)
case(ACTIVATIONS, KINKS)
# Keras refuses integers in some of these, and promises integers symbolically in the others.
case(
    "relu softplus softsign softmax elu selu celu hard_sigmoid hard_tanh leaky_relu squareplus",
    i(3, 4),
)
case("gelu", X, approximate=False)
case("gelu", KINKS, approximate=False)
case("elu celu", X, alpha=0.5)
case("leaky_relu", X, negative_slope=0.1)
case("soft_shrink hard_shrink", X, threshold=1.0)
case("squareplus", X, b=1)
case("threshold", X, 0.5, -2.0)
case("softmax log_softmax", X, axis=0)
case("softmax log_softmax", f(2, 3, 4), axis=(1, 2))
case("glu", X, axis=1)
case("normalize", X)
case("normalize", X, axis=0, order=3)
case("batch_normalization", f(3, 4), f(4), u(4), -1)
case("batch_normalization", f(2, 3, 4), f(3), u(3), 1, f(3), f(3), 1e-5)
case("layer_normalization", X)
case("layer_normalization", X, f(4), f(4), epsilon=1e-3)
case("layer_normalization", f(2, 3, 4), f(3), f(3), axis=1)
case("layer_normalization", f(2, 3, 4), axis=(1, 2))
case("layer_normalization", X.astype("float16"))
case("rms_normalization", X)
case("rms_normalization", X, f(4), epsilon=1e-3)
case("rms_normalization", f(2, 3, 4), axis=(1, 2))
case("psnr", X, Y, 3.0)
case("one_hot", np.array([0, 2, -1, 5], "int32"), 4)
case("one_hot", N, 4, axis=1, dtype="int32")
case("multi_hot", np.array([[0, 2], [1, 1]], "int32"), num_classes=4)
case("binary_crossentropy", u(3, 4), u(3, 4))
case("binary_crossentropy", np.float32([0, 1, 0, 1]), np.float32([0, 0, 1, 1]))
case("binary_crossentropy", u(4), np.float32([-100, 3, 0, 100]), from_logits=True)
case("categorical_crossentropy", u(3, 4), u(3, 4))
case("categorical_crossentropy", u(3, 4), X, from_logits=True)
case("categorical_crossentropy", u(3, 4), u(3, 4), axis=0)
case("sparse_categorical_crossentropy", np.array([0, 3, 1], "int32"), u(3, 4))
case("sparse_categorical_crossentropy", np.array([[0], [3], [-1]], "int32"), X, from_logits=True)

IDS = [f"{name}-{k}" for k, (name, _, _) in enumerate(CASES)]
EPS = float(np.finfo("float32").eps)

# Where Keras on JAX cannot be the reference, with the reason.
KERAS_SPEC_DIFFERS = {
    "unique": "as of bincount",
    "bincount": "the size follows the data, which we see no further than the trial run",
    "multi_hot": "Keras promises int32 and gives float32",
    "categorical_crossentropy": "Keras ignores the axis",
}


def leaves(result: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in tree.flatten(result)]


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_value(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with np.errstate(all="raise", under="ignore"):
        ours = getattr(ops, name)(*args, **kwargs)
    theirs = getattr(keras.ops, name)(*args, **kwargs)
    assert len(leaves(ours)) == len(leaves(theirs))
    for a, e in zip(leaves(ours), leaves(theirs), strict=True):
        assert a.shape == e.shape
        if not isinstance(theirs, int | tuple) or name in ("qr", "top_k", "moments"):
            assert a.dtype == e.dtype
        if name == "qr":
            a, e = np.abs(a), np.abs(e)
        # Some 30 rounded steps lie behind the longest formula, each within an ulp of its terms.
        scale = np.max(np.abs(e[np.isfinite(e)]), initial=1.0) if e.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, e, rtol=32 * EPS, atol=min(float(scale), 10) * 8 * EPS)


def symbolic(args: tuple[Any, ...], tensor: Any, batch: bool) -> tuple[Any, ...]:
    """Arrays, and lists of arrays, replaced by symbolic tensors; `batch`: of unknown first size."""

    def one(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.ndim:
            shape = (None, *value.shape[1:]) if batch else value.shape
            return tensor(shape, dtype=value.dtype.name)
        return value

    return tuple(
        [one(v) for v in a]
        if isinstance(a, list) and a and isinstance(a[0], np.ndarray)
        else one(a)
        for a in args
    )


SYMBOLIC = [
    k
    for k, (name, args, _) in enumerate(CASES)
    if any(
        (isinstance(v, np.ndarray) and v.ndim)
        or (isinstance(v, list) and isinstance(v[0], np.ndarray))
        for v in args
    )
    and name
    not in ("shape", "ndim", "size", "nonzero", "copy", "saturate_cast", *KERAS_SPEC_DIFFERS)
    and not (name in ACTIVATIONS.split() and args[0].dtype == "int32")
    and not (name in ("vstack", "hstack") and args[0][0].ndim == 1)
    and k not in BROKEN_PROMISES
    and not (name == "meshgrid" and any(a.dtype == "int32" for a in args))
]


@pytest.mark.parametrize("index", SYMBOLIC, ids=[IDS[k] for k in SYMBOLIC])
def test_symbolic(index: int) -> None:
    name, args, kwargs = CASES[index]
    ours = getattr(ops, name)(*symbolic(args, ops.KerasTensor, False), **kwargs)
    theirs = getattr(keras.ops, name)(*symbolic(args, keras.KerasTensor, False), **kwargs)
    ours, theirs = tree.flatten(ours), tree.flatten(theirs)
    assert [(t.shape, t.dtype) for t in ours] == [(t.shape, t.dtype) for t in theirs]
    operation, expected = ours[0]._keras_history[0], theirs[0]._keras_history[0]
    assert type(operation).__name__ == type(expected).__name__
    module = type(expected).__module__
    assert registry.public_name(type(operation)) == (module, type(expected).__name__)
    config, reference = operation.get_config(), expected.get_config()
    assert without_name(config) == without_name(reference)
    node, their_node = operation._inbound_nodes[0], expected._inbound_nodes[0]
    assert len(node.input_tensors) == len(their_node.input_tensors)
    again = type(operation).from_config({**without_name(reference), "name": "again"})
    assert [t.shape for t in tree.flatten(again(*node.args, **node.kwargs))] == [
        t.shape for t in ours
    ]


@pytest.mark.parametrize("index", sorted(BROKEN_PROMISES), ids=lambda k: IDS[k])
def test_promise(index: int) -> None:
    name, args, kwargs = CASES[index]
    promised = tree.flatten(getattr(ops, name)(*symbolic(args, ops.KerasTensor, False), **kwargs))
    values = tree.flatten(getattr(ops, name)(*args, **kwargs))
    assert [(t.shape, t.dtype) for t in promised] == [(v.shape, v.dtype.name) for v in values]


def without_name(config: dict[str, Any]) -> dict[str, Any]:
    return {
        k: list(v) if isinstance(v, tuple | np.ndarray) else v
        for k, v in config.items()
        if k != "name"
    }


@pytest.mark.parametrize("name", sorted(n for n in registry.components("keras.ops")))
def test_every_op_has_a_case(name: str) -> None:
    elsewhere = [
        "cond",
        "jvp",
        "vectorize",
        "custom_gradient",
        "associative_scan",
        "switch",
        "eig",
        "while_loop",
        "fori_loop",
        "scan",
        "map",
        "vectorized_map",
        "convert_to_numpy",
        "is_tensor",
        "dtype",
        "empty",
        "empty_like",
        "sparsemax",
        "mish",
    ]
    assert name in elsewhere or any(name == op for op, _, _ in CASES)
    assert hasattr(keras.ops, name) or name == "mish"


# Memory: what goes in stays as it is, and is not reached through what comes out.


def memory(structure: Any) -> list[np.ndarray]:
    return [x for x in tree.flatten(structure) if isinstance(x, np.ndarray)]


def overwrite(results: list[np.ndarray]) -> None:
    for result in results:
        result[...] = np.zeros((), result.dtype)
        result.fill(0)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_result_is_the_callers_own(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    given = tree.map_structure(np.copy, memory((args, kwargs)))
    with np.errstate(all="ignore"):
        results = memory(getattr(ops, name)(*args, **kwargs))
    assert not any(np.may_share_memory(x, y) for x in memory((args, kwargs)) for y in results)
    overwrite(results)
    np.testing.assert_equal(memory((args, kwargs)), given)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_result_does_not_follow_a_variable(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    variables: list[Variable] = []

    def as_variable(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            return x
        variables.append(Variable(x, dtype=x.dtype.name))
        return variables[-1]

    given = tree.map_structure(as_variable, args)
    with np.errstate(all="ignore"):
        try:
            results = memory(getattr(ops, name)(*given, **kwargs))
        except (AttributeError, TypeError, ValueError) as error:
            # An argument that is a setting, not a tensor.
            assert all(v is not given[0] for v in variables), error
            return
    kept = [np.array(result) for result in results]
    for variable in variables:
        assert not any(np.may_share_memory(variable.array, result) for result in results)
        variable.assign(np.ones(variable.shape, variable.dtype))
    np.testing.assert_equal([np.array(result) for result in results], kept)


@pytest.mark.parametrize("name, args, kwargs", CASES, ids=IDS)
def test_a_definition_cannot_write_through_a_result(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    lent = tree.map_structure(lend, args)
    with np.errstate(all="ignore"):
        results = memory(getattr(ops, name)(*lent, **kwargs))
    for result in results:
        if any(np.may_share_memory(x, result) for x in memory(lent)):
            assert not result.flags.writeable
        assert isinstance(result, Tensor)


# Gradients: ours by autograd, ours by JAX, Keras' by JAX.

NOT_DIFFERENTIABLE = set(
    [
        "sign",
        "signbit",
        "isreal",
        "view_as_complex",
        "polar",
        "view",
        "argpartition",
        "unravel_index",
        "unique",
        "matrix_rank",
        "histogram",
        "isposinf",
        "isneginf",
        "nextafter",
        "trunc",
        "floor",
        "ceil",
        "round",
        "equal",
        "not_equal",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
        "isnan",
        "isinf",
        "isfinite",
        "isclose",
        "allclose",
        "nonzero",
        "all",
        "any",
        "argmax",
        "argmin",
        "nanargmax",
        "nanargmin",
        "count_nonzero",
        "digitize",
        "searchsorted",
        "bincount",
        "isin",
        "argsort",
        "in_top_k",
        "shape",
        "ndim",
        "size",
        "zeros_like",
        "ones_like",
        "stop_gradient",
        "saturate_cast",
        "one_hot",
        "multi_hot",
        "copy",
        "floor_divide",
    ]
)
COMPLETE = {"mode": "complete"}  # `qr` of more rows than columns: not unique
GRADIENT = [
    k
    for k, (name, args, kwargs) in enumerate(CASES)
    if name not in NOT_DIFFERENTIABLE
    and any(getattr(leaf, "dtype", None) == "float32" for leaf in tree.flatten(list(args)))
    and kwargs.get("dtype") != "int32"
    and not (name == "cast" and args[1] == "int32")
    and not (name == "rearrange" and kwargs)  # Keras cannot trace it
    and not (kwargs.get("reduction") == "mul" or name == "segment_prod")  # JAX has no gradient
]


def kind(index: int) -> str:
    """Cases of one kind differ in axes and sizes alone: one of them is differentiated."""
    name, args, kwargs = CASES[index]
    shapes = [np.ndim(leaf) for leaf in tree.flatten(list(args))]
    options = {k: v for k, v in kwargs.items() if k not in ("axis", "keepdims")}
    return f"{name} {shapes} {options}"


GRADIENT = list({kind(k): k for k in GRADIENT}.values())


def differentiable(name: str, library: Any, args: Any, kwargs: Any) -> tuple[Any, list[np.ndarray]]:
    """A function of the float arrays among the arguments, and those arrays."""
    flat = tree.flatten(list(args))
    places = [k for k, leaf in enumerate(flat) if getattr(leaf, "dtype", None) == "float32"]
    places = places[:1] if name.endswith(("quantile", "percentile")) else places

    def function(*floats: Any) -> Any:
        filled = list(flat)
        for place, value in zip(places, floats, strict=True):
            filled[place] = value
        return getattr(library, name)(*tree.pack_as(list(args), filled), **kwargs)

    return function, [flat[k] for k in places]


ON_JAX = [
    k
    for k, (_, args, _) in enumerate(CASES)
    if kind(k) not in {kind(j) for j in GRADIENT}  # these run on JAX below
    and any(np.ndim(leaf) and isinstance(leaf, np.ndarray) for leaf in tree.flatten(list(args)))
]


@pytest.mark.parametrize("index", ON_JAX, ids=[IDS[k] for k in ON_JAX])
def test_on_arrays_of_jax(index: int) -> None:
    name, args, kwargs = CASES[index]

    def of_jax(leaf: Any) -> Any:
        return jax.numpy.asarray(leaf) if isinstance(leaf, np.ndarray) and leaf.ndim else leaf

    given = tree.map_structure(of_jax, list(args))
    found = tree.flatten(getattr(ops, name)(*given, **kwargs))
    expect = tree.flatten(getattr(ops, name)(*args, **kwargs))
    for ours, theirs in zip(found, expect, strict=True):
        if isinstance(theirs, np.ndarray):
            assert isinstance(ours, jax.Array)
            assert ours.dtype == theirs.dtype
        exact = np.asarray(theirs).dtype.kind in "biu"
        np.testing.assert_allclose(ours, theirs, rtol=0 if exact else 32 * EPS, atol=4 * EPS)


@pytest.mark.parametrize("index", GRADIENT, ids=[IDS[k] for k in GRADIENT])
def test_gradient(index: int) -> None:
    name, args, kwargs = CASES[index]
    ours, values = differentiable(name, ops, args, kwargs)
    theirs, _ = differentiable(name, keras.ops, args, kwargs)
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    seeds: list[Any] = [
        draw.standard_normal(leaf.shape).astype("float32") if leaf.dtype == "float32" else None
        for leaf in jax.tree.leaves(jax.eval_shape(theirs, *values))
    ]

    def by_jax(function: Any) -> list[np.ndarray]:
        def gradient(*floats: Any) -> Any:
            outputs, vjp = jax.vjp(function, *floats)
            leaves, structure = jax.tree.flatten(outputs)
            filled = [
                np.zeros(leaf.shape, jax.dtypes.float0) if seed is None else seed
                for leaf, seed in zip(leaves, seeds, strict=True)
            ]
            return vjp(jax.tree.unflatten(structure, filled))

        return jax.jit(gradient)(*values)  # compiled whole: several times faster than op by op

    reference = by_jax(theirs)
    found = {"jax": by_jax(ours)}
    if kwargs != COMPLETE:
        outputs, vjp = ops.value_and_vjp(ours, values)
        found["autograd"] = vjp(tree.pack_as(outputs, seeds))
    for gradients in found.values():
        for gradient, expect in zip(gradients, reference, strict=True):
            assert gradient.dtype == "float32"
            expect = np.asarray(expect)
            scale = float(np.max(np.abs(expect[np.isfinite(expect)]), initial=1.0))
            np.testing.assert_allclose(gradient, expect, rtol=64 * EPS, atol=scale * 16 * EPS)
