"""Loops and branches over functions of users: `cond`, `while_loop`, `scan`, `map`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.tensor import as_tensor
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._comparisons import where
from densekit.ops._dispatch import as_array, is_jax, namespace
from densekit.ops._keras_tensor import KerasTensor, any_symbolic
from densekit.ops._operation import as_given, operation
from densekit.ops._symbolic import FunctionOperation


def _of_jax(values: object) -> bool:
    return is_jax(namespace(*tree.flatten(values)))


@export("keras.ops")
def cond(pred: ArrayLike, true_fn: Callable[[], object], false_fn: Callable[[], object]) -> Any:
    """``true_fn()`` if `pred` is true, else ``false_fn()``.

    Of a symbolic `pred` both are computed, and one is taken.

    Example:

    >>> from densekit import ops
    >>> float(ops.cond(True, lambda: ops.ones(()), lambda: ops.zeros(())))
    1.0
    """
    if isinstance(pred, KerasTensor):
        return _either(pred, true_fn(), false_fn())
    if is_jax(namespace(pred)):
        return sys.modules["jax"].lax.cond(pred, true_fn, false_fn)
    return true_fn() if pred else false_fn()


def _either(pred: KerasTensor, true: object, false: object) -> Any:
    """One of two results that are alike."""
    kinds = [tree.map_structure(lambda x: f"{np.shape(x)}", result) for result in (true, false)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            message(
                "ops.cond",
                "results of one structure and shape from `true_fn` and `false_fn`",
                f"{kinds[0]} and {kinds[1]}",
                "Reshape one of them.",
            )
        )
    return tree.map_structure(lambda a, b: where(pred, a, b), true, false)


@export("keras.ops")
def while_loop(
    cond: Callable[..., ArrayLike],
    body: Callable[..., object],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """Replace `loop_vars` by ``body(*loop_vars)`` while ``cond(*loop_vars)`` is true.

    Of symbolic variables it is written out, if `cond` follows from numbers, else one node.

    Example:

    >>> from densekit import ops
    >>> ops.while_loop(lambda i: i < 5, lambda i: (i + 2,), (0,))
    (6,)
    """
    several = isinstance(loop_vars, list | tuple)
    state = tuple(loop_vars) if several else (loop_vars,)
    if any_symbolic(state) and isinstance(cond(*state), KerasTensor):
        node = WhileLoop(cond=cond, body=body, maximum_iterations=maximum_iterations)
        return node.symbolic_call(loop_vars)
    if _of_jax(state):
        state = _while_of_jax(cond, body, state, maximum_iterations)
        return state if several else state[0]
    rounds = 0
    while (maximum_iterations is None or rounds < maximum_iterations) and cond(*state):
        following = body(*state)
        state = tuple(following) if isinstance(following, list | tuple) else (following,)
        rounds += 1
    return state if several else state[0]


@export("keras.src.ops.core")
class WhileLoop(FunctionOperation):
    """Graph node of `ops.while_loop`."""

    function = staticmethod(while_loop)
    arguments = ("loop_vars",)

    def compute_output_spec(self, loop_vars: object) -> Any:
        """What goes in comes out; it is not tried, as it might not end."""

        def like(value: object) -> KerasTensor:
            tensor = value if isinstance(value, KerasTensor) else as_array(value)
            return KerasTensor(tensor.shape, dtype=tensor.dtype)

        return tree.map_structure(like, loop_vars)


def _while_of_jax(
    cond: Callable[..., ArrayLike],
    body: Callable[..., object],
    state: tuple[Any, ...],
    limit: int | None,
) -> tuple[Any, ...]:
    """With the number of rounds as a first part of the state."""

    def goes_on(carried: tuple[Any, ...]) -> Any:
        wanted = cond(*carried[1:])
        return wanted if limit is None else (carried[0] < limit) & wanted

    def turn(carried: tuple[Any, ...]) -> tuple[Any, ...]:
        following = body(*carried[1:])
        following = following if isinstance(following, list | tuple) else (following,)
        return (carried[0] + 1, *following)

    return tuple(sys.modules["jax"].lax.while_loop(goes_on, turn, (0, *state))[1:])


@export("keras.ops")
def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """``value = body_fun(i, value)`` for i from `lower` to before `upper`.

    Example:

    >>> from densekit import ops
    >>> ops.fori_loop(0, 4, lambda i, total: total + i, 0)
    6
    """
    if _of_jax((lower, upper, init_val)):
        return sys.modules["jax"].lax.fori_loop(lower, upper, body_fun, init_val)
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


@operation("core", tensors=3, arguments=("f", "init", "xs"), convert=as_given)
def scan(
    f: Callable[[Any, Any], Any],
    init: object,
    xs: object = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: object = 1,
) -> Any:
    """Carry a state along the first axis: ``carry, y = f(carry, x)``. Gives (carry, all y).

    Example:

    >>> from densekit import ops
    >>> last, sums = ops.scan(lambda total, x: (total + x, total + x), 0, ops.array([1, 2, 3]))
    >>> sums.tolist()
    [1, 3, 6]
    """
    if not callable(f):
        raise TypeError(message("ops.scan", "`f`, a function", describe(f), "Pass a callable."))
    if not isinstance(unroll, int) or unroll < (0 if isinstance(unroll, bool) else 1):
        raise ValueError(
            message(
                "ops.scan", "`unroll`, a bool or an int >= 1", describe(unroll), "Leave it out."
            )
        )
    sizes = {len(x) for x in tree.flatten(xs)} if xs is not None else set()
    sizes |= set() if length is None else {int(length)}
    if len(sizes) != 1:
        raise ValueError(
            message(
                "ops.scan",
                "one size of the first axis of all `xs`, or `length`",
                f"sizes {sorted(sizes)}",
                "Pass `xs` of one length, or `length` alone.",
            )
        )
    (count,) = sizes
    carry, outputs = init, []
    for i in reversed(range(count)) if reverse else range(count):
        step = None if xs is None else tree.map_structure(lambda x, i=i: x[i], xs)
        carry, y = f(carry, step)
        outputs.append(y)
    return carry, _stacked(outputs[::-1] if reverse else outputs)


@operation("core", tensors=2, arguments=("f", "xs"), convert=as_given)
def map(f: Callable[[Any], object], xs: object) -> Any:
    """`f` of each slice of `xs` along the first axis, stacked.

    Example:

    >>> from densekit import ops
    >>> ops.map(lambda x: x * 2, ops.array([1, 2, 3])).tolist()
    [2, 4, 6]
    """
    count = len(tree.flatten(xs)[0])
    return _stacked([f(tree.map_structure(lambda x, i=i: x[i], xs)) for i in range(count)])


@operation("core", tensors=2, arguments=("function", "elements"), convert=as_given)
def vectorized_map(function: Callable[[Any], object], elements: object) -> Any:
    """`function` of each slice of `elements` along the first axis, stacked.

    Example:

    >>> from densekit import ops
    >>> ops.vectorized_map(lambda x: ops.sum(x), ops.array([[1, 2], [3, 4]])).tolist()
    [3, 7]
    """
    return map(function, elements)


def _stacked(outputs: Sequence[object]) -> Any:
    if not outputs or outputs[0] is None:
        return None

    def join(*leaves: object) -> TensorLike:
        items = [as_array(leaf) for leaf in leaves]
        return as_tensor(namespace(*items).stack(items))

    return tree.map_structure(join, *outputs)
