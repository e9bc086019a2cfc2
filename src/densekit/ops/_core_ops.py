"""Arrays from values and back, types, constants, and control flow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.dtypes import standardize_dtype, to_numpy_dtype
from densekit._core.registry import export
from densekit._core.tensor import as_tensor, lend
from densekit._core.variable import Variable
from densekit.ops._dispatch import (
    as_array,
    astype,
    default_dtype,
    dtype_name,
    floating,
    is_jax,
    library,
    namespace,
)
from densekit.ops._operation import operation
from densekit.ops._symbolic import KerasTensor


@operation("core", views=True)
def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """`x` as an array of `dtype`, by default of its own; lists of floats become `floatx`."""
    return x if dtype is None else astype(x, standardize_dtype(dtype))


@operation("numpy")
def array(x: Any, dtype: Any = None) -> Any:
    """A new array with the elements of `x`."""
    x = x if dtype is None else astype(x, standardize_dtype(dtype))
    return namespace(x).array(x)


@operation("numpy")
def copy(x: Any) -> Any:
    """A new array with the elements of `x`."""
    return namespace(x).array(x)


@operation("core", views=True)
def cast(x: Any, dtype: Any) -> Any:
    """`x` in another type."""
    return astype(x, standardize_dtype(dtype))


@operation("core", views=True)
def saturate_cast(x: Any, dtype: Any) -> Any:
    """`x` in another type, with values out of its range brought to its ends."""
    name = standardize_dtype(dtype)
    kind = to_numpy_dtype(name)
    if kind.kind in "iu" and x.dtype.kind in "iufV":
        limits = np.iinfo(kind)
        x = namespace(x).clip(x, limits.min, limits.max)
    return astype(x, name)


@export("keras.ops")
def convert_to_numpy(x: Any) -> Any:
    """`x` as a NumPy array of the caller's own."""
    return np.array(unboxed(as_array(x) if isinstance(x, list | tuple | Variable) else x))


@export("keras.ops")
def is_tensor(x: Any) -> bool:
    """Whether `x` is an array, traced or symbolic tensor; lists, numbers and variables are not."""
    return isinstance(x, np.ndarray | np.generic | KerasTensor) or library(type(x)) is not None


@export("keras.ops")
def shape(x: Any) -> tuple[int | None, ...]:
    """Shape as a tuple; None for unknown sizes of a symbolic tensor."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(np.shape(as_array(x)))


@export("keras.ops")
def dtype(x: Any) -> str:
    """Name of the element type."""
    return dtype_name(x)


@operation("numpy")
def size(x: Any) -> Any:
    """Number of elements."""
    return int(np.prod(x.shape, dtype=np.int64))


@operation("numpy")
def ndim(x: Any) -> Any:
    """Number of axes."""
    return len(x.shape)


@operation("core", views=True)
def stop_gradient(variable: Any) -> Any:
    """`variable` as a constant: gradients do not flow through it."""
    xp = namespace(variable)
    if xp is np:
        return variable
    if is_jax(xp):
        return sys.modules["jax"].lax.stop_gradient(variable)
    while library(type(variable)) is not None:
        variable = variable._value
    return lend(variable)


@export("keras.ops")
def zeros(shape: Any, dtype: Any = None) -> Any:
    """Zeros."""
    return as_tensor(np.zeros(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def ones(shape: Any, dtype: Any = None) -> Any:
    """Ones."""
    return as_tensor(np.ones(shape, to_numpy_dtype(dtype)))


@export("keras.ops")
def empty(shape: Any, dtype: Any = None) -> Any:
    """An array whose elements are not set."""
    return as_tensor(np.empty(shape, to_numpy_dtype(dtype)))


@operation("numpy", tensors=0, arguments=("fill_value",))
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Copies of one value."""
    value = astype(as_array(fill_value), standardize_dtype(dtype))
    return namespace(value).array(namespace(value).broadcast_to(value, shape))


def _like(x: Any, value: Any, dtype: Any) -> Any:
    xp = namespace(x, value)
    kind = to_numpy_dtype(dtype_name(x) if dtype is None else dtype)
    return xp.full(tuple(x.shape), value, kind)


@operation("numpy")
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros in the shape of `x`."""
    return _like(x, 0, dtype)


@operation("numpy")
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones in the shape of `x`."""
    return _like(x, 1, dtype)


@operation("numpy")
def empty_like(x: Any, dtype: Any = None) -> Any:
    """An array in the shape of `x`; what is in it is not promised."""
    return _like(x, 0, dtype)


@operation("numpy", tensors=2)
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Copies of one value in the shape of `x`."""
    return _like(as_array(x), fill_value, dtype)


@export("keras.ops")
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on the k-th diagonal of an (N, M) matrix of zeros."""
    return as_tensor(np.eye(N, M, k, to_numpy_dtype(dtype)))


@export("keras.ops")
def identity(n: int, dtype: Any = None) -> Any:
    """The (n, n) matrix with ones on the diagonal."""
    return as_tensor(np.eye(n, dtype=to_numpy_dtype(dtype)))


@export("keras.ops")
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal."""
    return as_tensor(np.tri(N, M, k, to_numpy_dtype(dtype)))


@operation("numpy", tensors=0, arguments=("start", "stop", "step"))
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Numbers from `start` (0 if `stop` is not given) in steps of `step` up to before `stop`."""
    given = [value for value in (start, stop, step) if value is not None]
    if dtype is None:
        dtype = default_dtype(given)
    first, last = (0, start) if stop is None else (start, stop)
    return np.arange(first, last, 1 if step is None else step, dtype=to_numpy_dtype(dtype))


@operation("numpy", tensors=2)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers at equal distances from `start` to `stop`, left out if not `endpoint`."""
    start, stop = floating(as_array(start)), floating(as_array(stop))
    kind = to_numpy_dtype(dtype if dtype is not None else np.result_type(start, stop).name)
    xp = namespace(start, stop)
    if xp is np or is_jax(xp):
        line = xp.linspace(start, stop, num, endpoint, retstep, kind, axis)
        return (line[0], line[1].astype(kind)) if retstep else line
    step = (stop - start) / max(num - 1 if endpoint else num, 1)
    line = xp.moveaxis(start[..., None] + step[..., None] * np.arange(num, dtype=kind), -1, axis)
    return (line, step) if retstep else line


@export("keras.ops")
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """``true_fn()`` if `pred` is true, else ``false_fn()``."""
    if is_jax(namespace(pred)):
        return sys.modules["jax"].lax.cond(pred, true_fn, false_fn)
    return true_fn() if pred else false_fn()


@export("keras.ops")
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Replace `loop_vars` by ``body(*loop_vars)`` while ``cond(*loop_vars)`` is true."""
    several = isinstance(loop_vars, list | tuple)
    state = tuple(loop_vars) if several else (loop_vars,)
    rounds = 0
    while (maximum_iterations is None or rounds < maximum_iterations) and cond(*state):
        following = body(*state)
        state = tuple(following) if isinstance(following, list | tuple) else (following,)
        rounds += 1
    return state if several else state[0]


@export("keras.ops")
def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """``value = body_fun(i, value)`` for i from `lower` to before `upper`."""
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


@export("keras.ops")
def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> Any:
    """Carry a state along the first axis: ``carry, y = f(carry, x)``. Gives (carry, all y)."""
    count = length if xs is None else len(tree.flatten(xs)[0])
    carry, outputs = init, []
    for i in reversed(range(count or 0)) if reverse else range(count or 0):
        step = None if xs is None else tree.map_structure(lambda x, i=i: x[i], xs)
        carry, y = f(carry, step)
        outputs.append(y)
    return carry, _stacked(outputs[::-1] if reverse else outputs)


@export("keras.ops")
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` of each slice of `xs` along the first axis, stacked."""
    count = len(tree.flatten(xs)[0])
    return _stacked([f(tree.map_structure(lambda x, i=i: x[i], xs)) for i in range(count)])


@export("keras.ops")
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` of each slice of `elements` along the first axis, stacked."""
    return map(function, elements)


def _stacked(outputs: list[Any]) -> Any:
    if not outputs or outputs[0] is None:
        return None

    def join(*leaves: Any) -> Any:
        items = [as_array(leaf) for leaf in leaves]
        return as_tensor(namespace(*items).stack(items))

    return tree.map_structure(join, *outputs)
