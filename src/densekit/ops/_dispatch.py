"""Which array library a value belongs to, and which data type comes out when values meet.

NumPy is the home. A JAX array or tracer is handled by `jax.numpy` and an `autograd` box by
`autograd.numpy`; both are looked up in `sys.modules`, never imported: a value of theirs proves them
in use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import numpy as np

from densekit._core import settings
from densekit._core.dtypes import result_type as result_type
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.foreign import as_numpy
from densekit._core.tensor import Tensor
from densekit._core.types import ArrayLike, Namespace, TensorLike
from densekit._core.variable import Variable
from densekit._core.watched import WATCHED, read

# Types of which NumPy alone takes care.
ARRAYS: frozenset[type] = frozenset(
    {np.ndarray, Tensor, np.bool_, np.float16, np.float32, np.float64}
    | {np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
SCALARS: frozenset[type] = frozenset({bool, int, float})
_WEAK: frozenset[type] = SCALARS | {np.float64}
_HALVES = ("float16", "bfloat16")
PLAIN: frozenset[type] = ARRAYS | SCALARS | {type(None)}

_libraries: dict[type, str | None] = {}


def library(kind: type) -> str | None:
    """``"jax.numpy"``, ``"autograd.numpy"`` or None (NumPy can handle it) for a value's type."""
    try:
        return _libraries[kind]
    except KeyError:
        pass
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    name = None
    if "autograd" in roots:
        name = "autograd.numpy"
        _let_boxes_hold_tensors()
    elif roots & {"jax", "jaxlib"}:
        name = "jax.numpy"
    _libraries[kind] = name
    return name


@cache
def _let_boxes_hold_tensors() -> None:
    """Autograd boxes values of the types it knows: no subclasses, no scalars in bfloat16."""
    spaces = sys.modules["autograd.core"].VSpace
    boxes = sys.modules["autograd.numpy.numpy_boxes"].ArrayBox
    spaces.register(Tensor, spaces.mappings[np.ndarray])
    boxes.register(Tensor)
    if (
        find_spec("ml_dtypes") is not None
    ):  # sums of whole arrays in bfloat16 are scalars of its type
        bfloat16 = to_numpy_dtype("bfloat16").type
        spaces.register(bfloat16, spaces.mappings[np.float32])
        boxes.register(bfloat16)


def namespace(*values: object) -> Namespace:
    """The module whose functions handle all of `values`: ``numpy`` unless one is foreign."""
    for value in values:
        kind = type(value)
        if kind not in PLAIN:
            name = library(kind)
            if name is not None:
                return cast(Namespace, sys.modules[name])
    return np


def is_jax(xp: Namespace) -> bool:
    """Whether a namespace is that of JAX."""
    return bool(xp is not np and xp.__name__ == "jax.numpy")


def is_tracer(value: object) -> bool:
    """Whether a value stands for an array that JAX traces: it has a shape and no numbers."""
    return library(type(value)) == "jax.numpy" and isinstance(value, sys.modules["jax"].core.Tracer)


def raw(value: Any) -> Any:
    """What a `Variable` or a watched array reads as, to compute with at once; else the value."""
    if type(value) in WATCHED:
        return read(value)
    return value.current() if isinstance(value, Variable) else value


def default_dtype(value: object) -> str:
    """Type of a value that carries none: `floatx` for floats, int32 for ints, bool."""
    kind = np.asarray(value).dtype
    if kind.kind == "f":
        return settings.floatx()
    return "int32" if kind.kind in "iu" else str(kind.name)


def as_array(value: object) -> TensorLike:
    """An array, traced value or box: lists and Python scalars get the default types.

    What comes of a variable is for computing with at once: it changes with the variable.
    """
    kind = type(value)
    if kind in ARRAYS:
        return value  # type: ignore[return-value]  # by its type
    if isinstance(value, Variable) or kind in WATCHED:
        return raw(value)  # type: ignore[no-any-return]
    if library(kind) is not None:
        return value  # type: ignore[return-value]  # by its type
    if isinstance(value, list | tuple):
        items = [as_array(item) for item in value]
        xp = namespace(*items)
        if xp is not np or any(type(item) not in SCALARS for item in value):
            return xp.stack(items) if items else np.zeros(0, to_numpy_dtype(None))
        return np.asarray(value, to_numpy_dtype(default_dtype(value)))
    if kind in SCALARS:
        return np.asarray(value, to_numpy_dtype(default_dtype(value)))
    if value is None:
        raise ValueError(
            message(
                "ops",
                "a tensor or a number",
                "None",
                "Sizes that are open while a model is built, as of `ops.shape(x)[0]`, are None.",
            )
        )
    array = as_numpy(value)
    if array.ndim == 0 and array.dtype.kind == "O":
        action = "Pass a tensor, an array, a number or a list of these."
        raise TypeError(message("ops", "numbers", describe(value), action))
    return array


def operand(value: object) -> Any:
    """Like `as_array`, but Python scalars and None stay: they take the type of what they meet."""
    return value if type(value) in PLAIN else as_array(value)


def dtype_name(value: object) -> str:
    """Name of the element type."""
    dtype = getattr(value, "dtype", None)
    return default_dtype(value) if dtype is None else _name(dtype)


@cache
def _name(dtype: object) -> str:
    return str(getattr(dtype, "name", dtype))  # NumPy composes the name anew each time: slow


def meet(x1: Any, x2: Any) -> tuple[Namespace, TensorLike, TensorLike]:
    """``(namespace, x1, x2)`` with the operands in the type in which they meet.

    Python scalars take the type of the array, as does a NumPy float64 scalar (`np.sqrt(2)`), beside
    which halves are `floatx`.
    """
    kind = type(x1)
    if kind is type(x2) and (kind is Tensor or kind is np.ndarray) and x1.dtype is x2.dtype:
        return np, x1, x2
    xp = namespace(x1, x2)
    return (xp, x1, x2) if is_jax(xp) else (xp, *_promote(x1, x2))


def meet_numbers(x1: ArrayLike, x2: ArrayLike) -> tuple[Namespace, TensorLike, TensorLike]:
    """`meet`, and truths as int32 where both operands are."""
    xp, x1, x2 = meet(x1, x2)
    if dtype_name(x1) == dtype_name(x2) == "bool":
        x1, x2 = astype(as_array(x1), "int32"), astype(as_array(x2), "int32")
    return xp, x1, x2


def meet_arrays(x1: ArrayLike, x2: ArrayLike) -> tuple[Namespace, TensorLike, TensorLike]:
    """`meet`, and numbers as arrays of the type in which they meet."""
    xp, x1, x2 = meet(x1, x2)
    x1, x2 = (xp.asarray(x, y.dtype) if type(x) in SCALARS else x for x, y in ((x1, x2), (x2, x1)))
    return xp, x1, x2


def meet_floats(
    x1: Any, x2: Any, *, widens: bool = False
) -> tuple[Namespace, TensorLike, TensorLike]:
    """`meet`, and integers as `floatx` where no float is among the operands.

    Args:
        widens: whether a float of Python counts as one of `floatx`: so do halves beside it.
    """
    if widens:
        x1, x2 = _widened(x1, x2), _widened(x2, x1)
    xp, x1, x2 = meet(x1, x2)
    if any(type(x) not in SCALARS and x.dtype.kind in "fcV" for x in (x1, x2)):
        return xp, x1, x2
    x1, x2 = (x if type(x) in SCALARS else floating(x) for x in (x1, x2))
    return xp, x1, x2


def _promote(x1: Any, x2: Any) -> tuple[Any, Any]:
    weak1, weak2 = type(x1) in _WEAK, type(x2) in _WEAK
    if weak1 and weak2:
        if np.float64 in (type(x1), type(x2)):
            return np.float64(x1), np.float64(x2)
        kind = to_numpy_dtype(result_type(type(x1), type(x2)))
        return np.asarray(x1, kind), np.asarray(x2, kind)
    if weak1:
        x2, x1 = _adopt(_widened(x2, x1) if type(x1) is np.float64 else x2, x1)
    elif weak2:
        x1, x2 = _adopt(_widened(x1, x2) if type(x2) is np.float64 else x1, x2)
    elif x1.dtype != x2.dtype:
        dtype = result_type(dtype_name(x1), dtype_name(x2))
        return astype(x1, dtype), astype(x2, dtype)
    return x1, x2


def _widened(x: TensorLike, number: object) -> TensorLike:
    """`x`, as `floatx` if it is of halves and meets a float that is no array."""
    if isinstance(number, float) and type(x) not in _WEAK and dtype_name(x) in _HALVES:
        return astype(x, settings.floatx())
    return x


def _adopt(array: Any, scalar: Any) -> tuple[Any, Any]:
    """`array`, widened if a float meets integers, and `scalar` in the type of the array."""
    if array.dtype.kind == "f":
        return array, float(scalar) if type(scalar) is np.float64 else scalar
    kind = bool if type(scalar) is bool else int if type(scalar) is int else float
    array = astype(array, result_type(dtype_name(array), kind))
    return array, (np.asarray(scalar, array.dtype) if array.dtype.kind == "V" else kind(scalar))


def select(xp: Namespace, condition: TensorLike, x1: Any, x2: Any) -> TensorLike:
    """``xp.where``, broadcasting under autograd too, which has forgotten that in its gradient."""
    if xp is not np and not is_jax(xp):
        shape = np.broadcast_shapes(np.shape(condition), np.shape(x1), np.shape(x2))
        x1, x2 = (x if type(x) in PLAIN else x + np.zeros(shape, x.dtype) for x in (x1, x2))
    return xp.where(condition, x1, x2)


def astype(x: TensorLike, dtype: str) -> TensorLike:
    """`x` in the type named; the same object if it is of that type.

    JAX takes 32 bits in the place of 64 unless it was told otherwise, as Keras does on JAX.
    """
    if dtype_name(x) == dtype:
        return x
    kind = to_numpy_dtype(dtype)
    if kind.itemsize == 8 and type(x) not in ARRAYS and is_jax(namespace(x)):
        kind = sys.modules["jax"].dtypes.canonicalize_dtype(kind)
    return x.astype(kind)


def is_recorded(xp: Namespace) -> bool:
    """Whether a namespace is that of boxes, which autograd differentiates."""
    return xp is not np and not is_jax(xp)


def magnitude(x: TensorLike) -> TensorLike:
    """The absolute value, with the slope 0 at 0, where JAX takes 1."""
    xp = namespace(x)
    if is_recorded(xp) and x.dtype.kind in "fV":
        return _boxed_magnitude(xp)(x)
    if is_jax(xp) and x.dtype.kind in "fV":  # V: bfloat16
        sign: TensorLike = sys.modules["jax"].lax.stop_gradient(xp.sign(x))
        return x * sign
    return xp.abs(x)


@cache
def _boxed_magnitude(xp: Namespace) -> Callable[[TensorLike], TensorLike]:
    """The absolute value as an `autograd` primitive; its own gives NaN at infinity."""
    from autograd.extend import defvjp, primitive  # optional and slow

    box: Callable[[TensorLike], TensorLike] = primitive(np.abs)
    defvjp(box, lambda _, x: lambda g: g * xp.sign(x))
    return box


def floating(x: TensorLike) -> TensorLike:
    """`x` as floats: integers and booleans become `floatx`."""
    if x.dtype.kind in "fcV":  # V: bfloat16
        return x
    return x.astype(to_numpy_dtype(None))
