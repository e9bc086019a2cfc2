"""Gradients of functions written on ops, by HIPS `autograd`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit._core import tree
from densekit.ops._dispatch import raw

Array = npt.NDArray[Any]


def value_and_vjp(
    function: Callable[..., Any], values: Sequence[Any]
) -> tuple[Any, Callable[[Any], list[Array]]]:
    """Call ``function(*values)`` and remember how to go back.

    Args:
        function: of arrays; returns an array or a nested structure of arrays.
        values: arrays. Gradients flow to the floating-point ones.

    Returns:
        ``(outputs, vjp)``: the outputs as NumPy arrays, and ``vjp(cotangents) -> gradients``.
        Cotangents come in the structure of the outputs, None standing for zeros; gradients are one
        array per value in its shape and dtype, zeros where the outputs do not depend on it. `vjp`
        can be called any number of times.

    Example:

    >>> import numpy as np
    >>> from densekit.ops._gradient import value_and_vjp
    >>> y, vjp = value_and_vjp(lambda a, b: a * b, [np.array([2.0]), np.array([3.0])])
    >>> [g.tolist() for g in vjp(np.array([1.0]))]
    [[3.0], [2.0]]
    """
    from autograd.core import VJPNode  # optional and slow
    from autograd.tracer import getval, isbox, new_box, trace_stack

    _teach_boxes()
    arrays = [np.asarray(value) for value in values]
    with trace_stack.new_trace() as trace, np.errstate(all="ignore"):
        roots = [VJPNode.new_root() if a.dtype.kind == "f" else None for a in arrays]
        boxes = [
            a if root is None else new_box(a, trace, root)
            for a, root in zip(arrays, roots, strict=True)
        ]
        outputs = function(*boxes)
        ends = [
            leaf._node if isbox(leaf) and leaf._trace == trace else None
            for leaf in tree.flatten(outputs)
        ]
    results = tree.map_structure(lambda leaf: np.asarray(getval(leaf)), outputs)
    shapes = [(leaf.shape, leaf.dtype) for leaf in tree.flatten(results)]

    def vjp(cotangents: Any) -> list[Array]:
        given = tree.flatten(cotangents)
        assert len(given) == len(ends), (len(given), len(ends))
        seeds = [
            (end, np.asarray(g, dtype).reshape(shape))
            for end, g, (shape, dtype) in zip(ends, given, shapes, strict=True)
            if end is not None and g is not None
        ]
        with np.errstate(all="ignore"):
            found = _backward(seeds)
        return [
            np.zeros_like(a)
            if root is None or root not in found
            else np.asarray(found[root], a.dtype).reshape(a.shape)
            for a, root in zip(arrays, roots, strict=True)
        ]

    return results, vjp


@cache
def _teach_boxes() -> None:
    """Let ``box * variable`` read the variable; autograd would take it for a constant."""
    from autograd.numpy.numpy_boxes import ArrayBox

    def reading(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return wraps(operator)(lambda box, other: operator(box, raw(other)))

    arithmetic = ("add", "sub", "mul", "truediv", "mod", "pow", "matmul")
    for name in (*arithmetic, "eq", "ne", "gt", "ge", "lt", "le"):
        setattr(ArrayBox, f"__{name}__", reading(getattr(ArrayBox, f"__{name}__")))


def _backward(seeds: list[tuple[Any, Array]]) -> dict[Any, Any]:
    """Gradients at the roots, from cotangents at several ends of one trace."""
    from autograd.core import add_outgrads

    gradients: dict[Any, Any] = {}
    for end, seed in seeds:
        gradients[end] = add_outgrads(gradients.get(end), seed)
    roots: dict[Any, Any] = {}
    for node in _topological(seeds):
        gradient = gradients.pop(node, None)
        if gradient is None:
            continue
        if not node.parents:
            roots[node] = gradient[0]
            continue
        for parent, part in zip(node.parents, node.vjp(gradient[0]), strict=True):
            gradients[parent] = add_outgrads(gradients.get(parent), part)
    return roots


def _topological(seeds: list[tuple[Any, Array]]) -> list[Any]:
    """Nodes that the ends depend on, each before its parents."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(end, False) for end, _ in seeds]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order[::-1]
