"""Loops and branches over functions of users: `cond`, `while_loop`, `scan`, `map`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from densekit._core import tree
from densekit._core.registry import export
from densekit._core.tensor import as_tensor
from densekit.ops._dispatch import as_array, is_jax, namespace


def _of_jax(values: object) -> bool:
    return is_jax(namespace(*tree.flatten(values)))


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
    if _of_jax(state):
        state = _while_of_jax(cond, body, state, maximum_iterations)
        return state if several else state[0]
    rounds = 0
    while (maximum_iterations is None or rounds < maximum_iterations) and cond(*state):
        following = body(*state)
        state = tuple(following) if isinstance(following, list | tuple) else (following,)
        rounds += 1
    return state if several else state[0]


def _while_of_jax(
    cond: Callable[..., Any],
    body: Callable[..., Any],
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
    """``value = body_fun(i, value)`` for i from `lower` to before `upper`."""
    if _of_jax((lower, upper, init_val)):
        return sys.modules["jax"].lax.fori_loop(lower, upper, body_fun, init_val)
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


@export("keras.ops")
def scan(
    f: Callable[[Any, Any], Any],
    init: object,
    xs: object = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: object = 1,
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
