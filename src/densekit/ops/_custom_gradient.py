"""Gradients that users write, and derivatives forward along a direction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from densekit._core import tree
from densekit._core.boxes import BOXES, unboxed
from densekit._core.registry import export
from densekit._core.tensor import as_tensor
from densekit._core.types import Array, ArrayLike
from densekit.ops._dispatch import as_array, is_jax, namespace, raw
from densekit.ops._gradient import Node, Parts, backward, new_node, new_trace
from densekit.ops._keras_tensor import any_symbolic
from densekit.ops._operation import as_given, operation
from densekit.ops._symbolic import Operation

P = ParamSpec("P")
R = TypeVar("R")


@export("keras.ops")
def custom_gradient(f: Callable[P, tuple[R, Callable[..., object]]]) -> Callable[P, R]:
    """Give a function a gradient of one's own.

    Args:
        f: returns ``(outputs, grad)``. ``grad(upstream)`` takes the gradients of the outputs, in
            their structure, and returns those of the arguments: one, or a tuple with one for each.

    Returns:
        A function that returns the outputs. What `f` reads besides its arguments gets no gradient.

    Example:

    >>> import densekit as keras
    >>> from densekit import ops
    >>> @ops.custom_gradient
    ... def log1pexp(x):
    ...     e = ops.exp(x)
    ...     return ops.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))
    >>> x = keras.Variable(100.0)
    >>> with keras.GradientTape() as tape:
    ...     y = log1pexp(x)
    >>> float(tape.gradient(y, x))
    1.0
    """

    @wraps(f)
    def function(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return CustomGradient(function).symbolic_call(*args, **kwargs)
        args = tree.map_structure(raw, args)
        flat = tree.flatten(args)
        if is_jax(namespace(*(x for x in flat if type(x) not in BOXES))):
            return sys.modules["jax"].custom_gradient(f)(*args, **kwargs)
        boxes = [x for x in flat if type(x) in BOXES]
        if not boxes:
            return f(*args, **kwargs)[0]
        trace = max(box._trace for box in boxes)
        recorded = [type(x) in BOXES and x._trace == trace for x in flat]
        inside = [x._value if r else x for x, r in zip(flat, recorded, strict=True)]
        outputs, gradient = f(*tree.pack_as(args, inside), **kwargs)
        parents = [x._node for x, r in zip(flat, recorded, strict=True) if r]
        return _as_one_step(outputs, gradient, trace, parents, recorded)

    return function


class CustomGradient(Operation):
    """Graph node of a function with a gradient of its own: one step, never followed inside."""

    def __init__(self, function: Callable[..., object], name: str | None = None) -> None:
        super().__init__(name=name)
        self._function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self._function(*args, **kwargs)


def _as_one_step(
    outputs: object,
    gradient: Callable[..., object],
    trace: int,
    parents: list[Node],
    recorded: list[bool],
) -> Any:
    """The outputs as boxes of a node whose way back is the user's."""
    from autograd.tracer import new_box  # optional and slow

    values = [as_array(leaf) for leaf in tree.flatten(outputs)]

    def vjp(upstream: Sequence[Array | None]) -> list[object]:
        filled = [
            np.zeros(v.shape, v.dtype) if g is None else g
            for g, v in zip(upstream, values, strict=True)
        ]
        parts = gradient(tree.pack_as(outputs, filled))
        found = tree.flatten(parts) if isinstance(parts, list | tuple | dict) else [parts]
        if len(found) != len(recorded):
            raise ValueError(
                f"ops.custom_gradient: expected {len(recorded)} gradients, one for each argument; "
                f"got {len(found)}."
            )
        return [g for g, wanted in zip(found, recorded, strict=True) if wanted]

    call = new_node(parents, vjp)
    boxes = [
        new_box(value, trace, new_node([call], _hand_on(index, len(values))))
        if value.dtype.kind == "f"
        else value
        for index, value in enumerate(values)
    ]
    return tree.pack_as(outputs, boxes)


def _hand_on(index: int, count: int) -> Callable[[object], tuple[Parts]]:
    return lambda gradient: (Parts(gradient if k == index else None for k in range(count)),)


@operation(
    "linalg",
    "JVP",
    tensors=3,
    arguments=("fun", "primals", "tangents"),
    convert=as_given,
)
def jvp(
    fun: Callable[..., Any],
    primals: Sequence[ArrayLike],
    tangents: Sequence[ArrayLike],
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """``(fun(*primals), derivative)`` along `tangents`: the Jacobian times a vector.

    Args:
        fun: of arrays; returns an array or a structure of arrays.
        primals: list or tuple of its arguments.
        tangents: one direction for each, in its shape.
        has_aux: whether `fun` returns ``(outputs, others)``; the others come last. Default:
            ``False``.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> y, slope = ops.jvp(lambda x: x * x, (np.array(3.0),), (np.array(1.0),))
    >>> float(y), float(slope)
    (9.0, 6.0)

    Reference: Baydin et al., Automatic Differentiation in Machine Learning: a Survey, 2018,
    section 3.1.
    """
    primals = [as_array(raw(x)) for x in primals]
    tangents = [as_array(raw(x)) for x in tangents]
    if is_jax(namespace(*primals, *tangents)):
        given = (tuple(primals), tuple(tangents))
        pair: tuple[Any, ...] = sys.modules["jax"].jvp(fun, *given, has_aux=has_aux)
        return pair
    from autograd.tracer import new_box  # optional and slow

    with new_trace() as trace, np.errstate(all="ignore"):
        roots = [new_node() for _ in primals]
        result = fun(*(new_box(x, trace, r) for x, r in zip(primals, roots, strict=True)))
        outputs, others = result if has_aux else (result, None)
        leaves = tree.flatten(outputs)
        ends = [x._node if type(x) in BOXES and x._trace == trace else None for x in leaves]
        values = [x._value if e is not None else x for x, e in zip(leaves, ends, strict=True)]
    # The way back is linear in what is handed to it: its own way back is the way forward.
    with new_trace() as trace, np.errstate(all="ignore"):
        starts = [new_node() for _ in values]
        seeds = [
            (end, new_box(np.zeros(np.shape(v), v.dtype), trace, start))
            for end, v, start in zip(ends, values, starts, strict=True)
            if end is not None
        ]
        back = backward(seeds)
        pairs = [
            (back[root]._node, tangent)
            for root, tangent in zip(roots, tangents, strict=True)
            if type(back.get(root)) in BOXES
        ]
        forward = backward(pairs)
    slopes = [
        forward[s] if s in forward else np.zeros(np.shape(v), np.asarray(unboxed(v)).dtype)
        for s, v in zip(starts, values, strict=True)
    ]
    found = tree.pack_as(outputs, values), tree.pack_as(outputs, [as_tensor(s) for s in slopes])
    return (*found, tree.map_structure(unboxed, others)) if has_aux else found
