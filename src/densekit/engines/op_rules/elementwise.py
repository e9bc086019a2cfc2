"""Formulas of one element, of one row, and of several operands that broadcast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.variable import Variable
from densekit.engines.op_rules.rule import Arguments, first, handle, name_of, require_floats, rule
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops._symbolic import FunctionOperation

# One operand, no numbers: the name in `ops` and that of the native formula.
_UNARY = {
    name: name
    for name in [
        "arccos",
        "arcsin",
        "arctan",
        "arctanh",
        "ceil",
        "cos",
        "cosh",
        "erf",
        "erfc",
        "exp2",
        "expm1",
        "floor",
        "isfinite",
        "isinf",
        "isnan",
        "log",
        "log10",
        "log1p",
        "log2",
        "log_sigmoid",
        "logical_not",
        "negative",
        "reciprocal",
        "rsqrt",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "stop_gradient",
        "tan",
        "trunc",
        "absolute",
        "hard_sigmoid",
        "hard_silu",
        "hard_tanh",
        "mish",
        "selu",
        "sigmoid",
        "silu",
        "softplus",
        "softsign",
        "sparse_plus",
        "sparse_sigmoid",
        "tanh",
        "tanh_shrink",
    ]
} | {"abs": "absolute", "exp": "exponential", "swish": "silu", "hard_swish": "hard_silu"}

# One operand, with numbers taken from the settings.
_ACTIVATIONS: dict[str, Callable[[Arguments], tuple[str, tuple[float, ...]]]] = {
    "relu": lambda a: ("relu", (0.0, math.inf, 0.0)),
    "relu6": lambda a: ("relu", (0.0, 6.0, 0.0)),
    "leaky_relu": lambda a: ("relu", (float(a["negative_slope"]), math.inf, 0.0)),
    "elu": lambda a: ("elu", (float(a["alpha"]),)),
    "celu": lambda a: ("celu", (float(a["alpha"]),)),
    "gelu": lambda a: ("gelu", (float(bool(a["approximate"])),)),
    "squareplus": lambda a: ("squareplus", (float(a["b"]),)),
    "hard_shrink": lambda a: ("hard_shrink", (float(a["threshold"]),)),
    "soft_shrink": lambda a: ("soft_shrink", (float(a["threshold"]),)),
    "threshold": lambda a: ("threshold", (float(a["threshold"]), float(a["default_value"]))),
}
_ROWS = ("softmax", "log_softmax", "sparsemax", "glu")
_COMPARISONS = (
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("logical_and", "logical_or", "logical_xor"),
)
_BINARY = {
    name: name
    for name in [
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "maximum",
        "minimum",
        "arctan2",
        "mod",
        "floor_divide",
        "logaddexp",
        *_COMPARISONS,
    ]
} | {"true_divide": "divide"}
_TRUTHS = frozenset([*_COMPARISONS, "logical_not", "isnan", "isinf", "isfinite"])
_SAME = ("convert_to_tensor", "array", "copy", "identity")
# Ops that go element by element, and take operands that broadcast.
ELEMENTWISE = frozenset(
    [*_UNARY, *_ACTIVATIONS, *_BINARY, *_SAME, "round", "where", "clip", "divide_no_nan", "cast"]
)


@rule(*_UNARY)
def _unary(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, name = handle(first(a)), name_of(operation)
    if "int" in x.dtype and name in ("negative", "absolute", "abs", "sign", "square", "trunc"):
        raise NotLowerable(f"it computes with {x.dtype}")
    if name == "logical_not" and x.dtype == "bool":
        return plan.elementwise("equal", x, 0.0, dtype="bool")
    y = plan.activation(x, NativeForm(_UNARY[name]))
    return Handle(y.value, y.shape, "bool") if name in _TRUTHS else y


@rule("round")
def _round(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    if a["decimals"]:
        raise NotLowerable("it rounds to other places than whole numbers")
    require_floats(plan, a["x"])
    return plan.activation(handle(a["x"]), NativeForm("round"))


@rule(*_ACTIVATIONS)
def _activation(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    kind, numbers = _ACTIVATIONS[name_of(operation)](a)
    require_floats(plan, a["x"])
    return plan.activation(handle(a["x"]), NativeForm(kind, numbers))


@rule(*_ROWS)
def _row(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, axis = handle(a["x"]), a["axis"]
    if not isinstance(axis, int) or (
        name_of(operation) == "glu" and axis % len(x.shape) != len(x.shape) - 1
    ):
        raise NotLowerable("it acts along another axis")
    require_floats(plan, x)
    form = NativeForm(name_of(operation))
    return (
        plan.activation(x, form) if form.kind == "glu" else plan.activation_along(x, [axis], form)
    )


@rule(*_BINARY)
def _binary(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    name = name_of(operation)
    if name not in _TRUTHS:
        require_floats(plan, a["x1"], a["x2"])
    dtype = "bool" if name in _TRUTHS else None
    return _pair(plan, _BINARY[name], a["x1"], a["x2"], dtype)


def _pair(plan: PlanBuilder, formula: str, x1: Any, x2: Any, dtype: str | None = None) -> Handle:
    """With one number or with numbers along the last axis an affine step, else the general one."""
    if formula == "power" and isinstance(x1, Handle) and not isinstance(x2, Handle | Variable):
        exponent = np.asarray(x2)
        if exponent.ndim == 0 and exponent in (1, 2, 0.5, -1, -0.5):
            kinds = {1: "linear", 2: "square", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}
            return plan.activation(x1, NativeForm(kinds[exponent.item()]))
    return plan.elementwise(formula, x1, x2, dtype=dtype)


@rule("where")
def _where(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    if a["x1"] is None or a["x2"] is None:
        raise NotLowerable("it gives positions")
    require_floats(plan, a["x1"], a["x2"])
    return plan.elementwise("where", a["condition"], a["x1"], a["x2"])


@rule("clip")
def _clip(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    require_floats(plan, a["x"])
    y = handle(a["x"])
    for formula, bound in (("maximum", a["x_min"]), ("minimum", a["x_max"])):
        if bound is not None:
            y = plan.elementwise(formula, y, bound)
    return y


@rule("divide_no_nan")
def _divide_no_nan(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    require_floats(plan, a["x1"], a["x2"])
    if not isinstance(a["x2"], Handle | Variable):
        fixed = np.asarray(a["x2"], np.float64)
        return plan.elementwise("divide", a["x1"], np.where(fixed == 0, np.inf, fixed))
    zero = plan.elementwise("equal", a["x2"], 0.0, dtype="bool")
    divisor = plan.elementwise("where", zero, 1.0, a["x2"])
    return plan.elementwise("where", zero, 0.0, plan.elementwise("divide", a["x1"], divisor))


@rule("cast")
def _cast(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, dtype = handle(a["x"]), a["dtype"]
    if dtype == "bool":
        return plan.elementwise("not_equal", x, 0.0, dtype="bool")
    if "int" in dtype:
        if dtype not in ("int32", "int64"):
            raise NotLowerable(f"it gives {dtype}")
        whole = (
            x if "int" in x.dtype or x.dtype == "bool" else plan.activation(x, NativeForm("trunc"))
        )
        return Handle(whole.value, whole.shape, dtype)
    if dtype == "bfloat16" or (dtype == "float16" and plan.dtype == "float32"):
        floats = x if "float" in x.dtype else Handle(x.value, x.shape, plan.dtype)
        return plan.rounded(floats, dtype)
    if dtype != plan.dtype:
        raise NotLowerable(f"it gives {dtype}, the plan computes in {plan.dtype}")
    return Handle(x.value, x.shape, dtype)


@rule(*_SAME)
def _same(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(first(a))
    dtype = a.get("dtype")
    return x if dtype in (None, x.dtype) else _cast(plan, operation, {"x": x, "dtype": dtype})


@rule("zeros_like", "ones_like", "full_like")
def _like(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(a["x"])
    truth = a.get("dtype") == "bool"
    if a.get("dtype") not in (None, plan.dtype) and not truth:
        raise NotLowerable(f"it gives {a['dtype']}")
    if truth:
        x = Handle(x.value, x.shape, "bool")
    require_floats(plan, x)
    zeros = plan.rearrange(x, np.full(x.sample_shape, -1))
    value = {"zeros_like": 0.0, "ones_like": 1.0}.get(name_of(operation), a.get("fill_value"))
    if value == 0.0:
        return zeros
    return plan.elementwise("add", zeros, value, dtype="bool" if truth else None)


@rule("one_hot")
def _one_hot(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = handle(a["x"])
    if a["axis"] not in (-1, len(x.shape)):
        raise NotLowerable("its classes are not the last axis")
    dtype = a["dtype"] or settings.floatx()
    if dtype not in (plan.dtype, "bool"):
        raise NotLowerable(f"it gives {dtype}")
    numbers = plan.reshape(x, (*x.sample_shape, 1))
    return plan.elementwise("equal", numbers, np.arange(a["num_classes"]), dtype=dtype)
