"""Native forms of `densekit.ops` in graphs: tables that map many names onto few native ops.

An op is named by its function. What depends on settings raises `NotLowerable` with the reason, and
then runs on the host.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.variable import Variable
from densekit.engines.batch_numbers import batch_number, has_numbers, lower_of_numbers
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.ops._symbolic import FunctionOperation

Arguments = dict[str, Any]
Rule = Callable[[PlanBuilder, FunctionOperation, Arguments], Any]

_rules: dict[str, Rule] = {}

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
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
    ]
} | {"true_divide": "divide"}
_TRUTHS = frozenset(
    [
        "less",
        "less_equal",
        "greater",
        "greater_equal",
        "equal",
        "not_equal",
        "logical_and",
        "logical_or",
        "logical_xor",
        "logical_not",
        "isnan",
        "isinf",
        "isfinite",
    ]
)
# name: native reduction, whether a mean
_REDUCTIONS = {
    "sum": ("sum", False),
    "mean": ("sum", True),
    "max": ("max", False),
    "amax": ("max", False),
    "min": ("min", False),
    "amin": ("min", False),
    "prod": ("prod", False),
    "logsumexp": ("logsumexp", False),
    "all": ("min", False),
    "any": ("max", False),
}
# They move, repeat or drop elements: the definition, tried on their numbers, is the native form.
_MOVES = [
    "reshape",
    "transpose",
    "swapaxes",
    "moveaxis",
    "expand_dims",
    "squeeze",
    "broadcast_to",
    "get_item",
    "slice",
    "split",
    "array_split",
    "unstack",
    "flip",
    "roll",
    "repeat",
    "tile",
    "tril",
    "triu",
    "pad",
    "take",
    "diagonal",
    "fliplr",
    "ravel",
    "flatten",
]
_SAME = ("convert_to_tensor", "array", "copy", "identity")


def lower_operation(
    plan: PlanBuilder, operation: FunctionOperation, args: Sequence[Any], kwargs: Arguments
) -> list[Handle]:
    """Write an op with handles in place of symbolic tensors; gives its outputs.

    Raises:
        NotLowerable: if it has no native form, and why.
    """
    name = type(operation).function.__name__
    rule = _rules.get(name)
    if rule is None:
        raise NotLowerable(f"`ops.{name}` has no native form")
    arguments = _arguments(operation, args, kwargs)
    if has_numbers(arguments):
        return [lower_of_numbers(plan, name, arguments)]
    result = rule(plan, operation, arguments)
    return list(result) if isinstance(result, list | tuple) else [result]


def native_names() -> list[str]:
    """Names of the ops that have a native form."""
    return sorted(_rules)


def _arguments(operation: FunctionOperation, args: Sequence[Any], kwargs: Arguments) -> Arguments:
    """Arguments by name, as the function itself takes them."""
    given: Arguments = {**operation.settings, **kwargs}
    if operation.variadic:
        return {**given, "operands": list(args)}
    given |= dict(zip(operation.arguments, args, strict=False))
    for name, parameter in inspect.signature(type(operation).function).parameters.items():
        if parameter.default is not parameter.empty:
            given.setdefault(name, parameter.default)
    return given


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for name in names:
            _rules[name] = rule
        return rule

    return register


def _name(operation: FunctionOperation) -> str:
    return type(operation).function.__name__


def _first(arguments: Arguments) -> Any:
    return next(
        arguments[key] for key in ("x", "xs", "a", "inputs", "variable") if key in arguments
    )


def _handle(x: Any) -> Handle:
    if not isinstance(x, Handle):
        raise NotLowerable("its first operand does not depend on the inputs")
    return x


def _floats(plan: PlanBuilder, *xs: Any) -> None:
    """Refuse what the definition computes in another type than the plan."""
    for x in xs:
        if isinstance(x, Handle) and "int" in x.dtype:
            raise NotLowerable(f"it computes with {x.dtype}")
        other = {"float16", "float32", "float64"} - {plan.dtype}
        if isinstance(x, Handle) and plan.dtype == "float32":
            other.discard("float16")  # whose values are there, rounded
        if isinstance(x, Handle | Variable) and x.dtype in other:
            raise NotLowerable(f"it computes in {x.dtype}, the plan in {plan.dtype}")


@_rule(*_UNARY)
def _unary(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, name = _handle(_first(a)), _name(operation)
    if "int" in x.dtype and name in ("negative", "absolute", "abs", "sign", "square", "trunc"):
        raise NotLowerable(f"it computes with {x.dtype}")
    y = plan.activation(x, NativeForm(_UNARY[name]))
    return Handle(y.value, y.shape, "bool") if name in _TRUTHS else y


@_rule("round")
def _round(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    if a["decimals"]:
        raise NotLowerable("it rounds to other places than whole numbers")
    _floats(plan, a["x"])
    return plan.activation(_handle(a["x"]), NativeForm("round"))


@_rule(*_ACTIVATIONS)
def _activation(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    kind, numbers = _ACTIVATIONS[_name(operation)](a)
    _floats(plan, a["x"])
    return plan.activation(_handle(a["x"]), NativeForm(kind, numbers))


@_rule(*_ROWS)
def _row(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, axis = _handle(a["x"]), a["axis"]
    if not isinstance(axis, int) or (
        _name(operation) == "glu" and axis % len(x.shape) != len(x.shape) - 1
    ):
        raise NotLowerable("it acts along another axis")
    _floats(plan, x)
    form = NativeForm(_name(operation))
    return (
        plan.activation(x, form) if form.kind == "glu" else plan.activation_along(x, [axis], form)
    )


@_rule(*_BINARY)
def _binary(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    name = _name(operation)
    if name not in _TRUTHS:
        _floats(plan, a["x1"], a["x2"])
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


@_rule("where")
def _where(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    if a["x1"] is None or a["x2"] is None:
        raise NotLowerable("it gives positions")
    _floats(plan, a["x1"], a["x2"])
    return plan.elementwise("where", a["condition"], a["x1"], a["x2"])


@_rule("clip")
def _clip(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    _floats(plan, a["x"])
    y = plan.elementwise("maximum", _handle(a["x"]), a["x_min"])
    return plan.elementwise("minimum", y, a["x_max"])


@_rule("divide_no_nan")
def _divide_no_nan(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    _floats(plan, a["x1"], a["x2"])
    if not isinstance(a["x2"], Handle | Variable):
        fixed = np.asarray(a["x2"], np.float64)
        return plan.elementwise("divide", a["x1"], np.where(fixed == 0, np.inf, fixed))
    zero = plan.elementwise("equal", a["x2"], 0.0, dtype="bool")
    divisor = plan.elementwise("where", zero, 1.0, a["x2"])
    return plan.elementwise("where", zero, 0.0, plan.elementwise("divide", a["x1"], divisor))


@_rule(*_REDUCTIONS)
def _reduce(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    name, x = _name(operation), _handle(_first(a))
    number = batch_number(plan, name, x, a["axis"], a["keepdims"])
    if number is not None:
        return number
    kind, mean = _REDUCTIONS[name]
    if a.get("initial") is not None:
        raise NotLowerable("it begins with a given value")
    truth = name in ("all", "any")
    if truth and x.dtype != "bool":
        x = plan.elementwise("not_equal", x, 0.0, dtype="bool")
    if not truth:
        _floats(plan, x)
        if x.dtype == "bool":
            raise NotLowerable("it computes with bool")
    return plan.reduce(kind, x, a["axis"], a["keepdims"], mean, "bool" if truth else None)


@_rule("argmax", "argmin")
def _position(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    return plan.reduce(_name(operation), _handle(a["x"]), a["axis"], a["keepdims"], dtype="int32")


@_rule("var", "std")
def _variance(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(a["x"])
    _floats(plan, x)
    centred = plan.elementwise("subtract", x, plan.reduce("sum", x, a["axis"], True, True))
    squares = plan.activation(centred, NativeForm("square"))
    variance = plan.reduce("sum", squares, a["axis"], a["keepdims"], True)
    return variance if _name(operation) == "var" else plan.activation(variance, NativeForm("sqrt"))


@_rule("norm")
def _norm(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(a["x"])
    if a["ord"] not in (None, 2) or not isinstance(a["axis"], int):
        raise NotLowerable("it takes another norm than the Euclidean one of an axis")
    _floats(plan, x)
    squares = plan.activation(x, NativeForm("square"))
    return plan.activation(
        plan.reduce("sum", squares, a["axis"], a["keepdims"]), NativeForm("sqrt")
    )


@_rule("normalize")
def _normalize(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    axis = a["axis"]
    if a["order"] != 2 or axis is None:
        raise NotLowerable("it takes another norm than the Euclidean one of an axis")
    epsilon = settings.epsilon() if a["epsilon"] is None else a["epsilon"]
    _floats(plan, a["x"])
    axes = [axis] if isinstance(axis, int) else list(axis)
    return plan.normalization("unit", _handle(a["x"]), axes, epsilon)


@_rule(*_MOVES)
def _move(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> list[Handle]:
    x = _handle(_first(a))
    if _name(operation) == "pad" and a.get("constant_values") not in (None, 0):
        raise NotLowerable("it pads with another number than 0")
    fixed = {k: v for k, v in a.items() if v is not x}
    if any(isinstance(v, Handle | Variable) for v in fixed.values()):
        raise NotLowerable("where its elements go depends on values")
    key = next(k for k, v in a.items() if v is x)
    function: Any = type(operation).function
    return plan.rearranged(x, lambda numbers: function(**{key: numbers}, **fixed))


@_rule("concatenate")
def _concatenate(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    xs = [_handle(x) for x in a["xs"]]
    _floats(plan, *xs)
    if a["axis"] is None:
        raise NotLowerable("it joins batches")
    return plan.concatenate(xs, a["axis"])


@_rule("stack")
def _stack(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    xs = [_handle(x) for x in a["x"]]
    _floats(plan, *xs)
    rank = len(xs[0].shape) + 1
    axis = a["axis"] % rank
    if axis == 0:
        raise NotLowerable("it joins batches")
    grown = []
    for x in xs:
        shape = list(x.sample_shape)
        shape.insert(axis - 1, 1)
        grown.append(plan.reshape(x, shape))
    return plan.concatenate(grown, axis)


@_rule("matmul", "dot")
def _matmul(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, y = _handle(a["x1"]), a["x2"]
    _floats(plan, x, y)
    if isinstance(y, Handle):
        if _name(operation) == "dot":
            raise NotLowerable("it multiplies samples with each other")
        return plan.product(x, y)
    if len(y.shape) == 1:
        column = plan.elementwise("multiply", x, y)
        return plan.reduce("sum", column, -1)
    if len(y.shape) != 2:
        raise NotLowerable("its second operand is no matrix")
    return plan.dense(x, y if isinstance(y, Variable) else _constant(plan, y), None)


def _constant(plan: PlanBuilder, value: Any) -> Variable:
    return Variable(np.asarray(value), dtype=plan.dtype, trainable=False, name="constant")


@_rule("one_hot")
def _one_hot(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(a["x"])
    if a["axis"] not in (-1, len(x.shape)):
        raise NotLowerable("its classes are not the last axis")
    dtype = a["dtype"] or settings.floatx()
    if dtype not in (plan.dtype, "bool"):
        raise NotLowerable(f"it gives {dtype}")
    numbers = plan.reshape(x, (*x.sample_shape, 1))
    return plan.elementwise("equal", numbers, np.arange(a["num_classes"]), dtype=dtype)


@_rule("take_along_axis")
def _take_along_axis(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, indices, axis = _handle(a["x"]), a["indices"], a["axis"]
    rank = len(x.shape)
    if not isinstance(indices, Handle):
        raise NotLowerable("its indices do not depend on the inputs")
    if axis is None or axis % rank != rank - 1 or len(indices.shape) != rank:
        raise NotLowerable("it takes along another axis than the last")
    if indices.sample_shape[:-1] != x.sample_shape[:-1] or not x.size:
        raise NotLowerable("it broadcasts")
    _floats(plan, x)
    return plan.pick(x, indices)


@_rule("cast")
def _cast(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, dtype = _handle(a["x"]), a["dtype"]
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


@_rule(*_SAME)
def _same(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(_first(a))
    if a.get("dtype") not in (None, x.dtype):
        raise NotLowerable(f"it gives {a['dtype']}")
    return x


@_rule("zeros_like", "ones_like", "full_like")
def _like(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(a["x"])
    truth = a.get("dtype") == "bool"
    if a.get("dtype") not in (None, plan.dtype) and not truth:
        raise NotLowerable(f"it gives {a['dtype']}")
    if truth:
        x = Handle(x.value, x.shape, "bool")
    _floats(plan, x)
    zeros = plan.rearrange(x, np.full(x.sample_shape, -1))
    value = {"zeros_like": 0.0, "ones_like": 1.0}.get(_name(operation), a.get("fill_value"))
    if value == 0.0:
        return zeros
    return plan.elementwise("add", zeros, value, dtype="bool" if truth else None)


@_rule("cumsum")
def _cumsum(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x = _handle(a["x"])
    rank = len(x.shape)
    _floats(plan, x)
    if a["axis"] is None or a["axis"] % rank != rank - 1 or a.get("dtype") not in (None, x.dtype):
        raise NotLowerable("it runs along another axis than the last")
    width = x.sample_shape[-1]
    return plan.dense(x, _constant(plan, np.triu(np.ones((width, width)))), None)
