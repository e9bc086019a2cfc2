"""Gradients of functions written on ops, by HIPS `autograd`."""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, Protocol

import numpy as np

from densekit._core import tree
from densekit._core.boxes import BOXES, unboxed
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import message
from densekit._core.types import Array
from densekit.ops._dispatch import as_array, library, raw
from densekit.ops._matrix_product import matrix_product


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
    from autograd.tracer import isbox, new_box

    arrays = [np.asarray(value) for value in values]
    with new_trace() as trace, np.errstate(all="ignore"):
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
    results = tree.map_structure(lambda leaf: np.asarray(unboxed(leaf)), outputs)
    shapes = [(leaf.shape, leaf.dtype) for leaf in tree.flatten(results)]

    def vjp(cotangents: object) -> list[Array]:
        given = tree.flatten(cotangents)
        assert len(given) == len(ends), (len(given), len(ends))
        seeds = [
            (end, np.asarray(g, dtype).reshape(shape))
            for end, g, (shape, dtype) in zip(ends, given, shapes, strict=True)
            if end is not None and g is not None
        ]
        with np.errstate(all="ignore"):
            found = backward(seeds)
        return [
            np.zeros_like(a)
            if root is None or root not in found
            else np.asarray(found[root], a.dtype).reshape(a.shape)
            for a, root in zip(arrays, roots, strict=True)
        ]

    return results, vjp


class Node(Protocol):
    """What a box was made of, and how its gradient goes there."""

    parents: Sequence[Any]
    vjp: Callable[[Any], Any] | None


_live: set[int] = set()  # traces that record now
_tracing = threading.Lock()


def begin_trace() -> int:
    """Record in a trace of its own, numbered higher than any before: inside all of them."""
    teach_boxes()
    stack = _trace_stack()
    with _tracing:
        stack.top += 1
        trace: int = stack.top
    _live.add(trace)
    return trace


def resume_trace(trace: int) -> bool:
    """Record in a trace again, unless one that is newer records: that would be inside of it."""
    with _tracing:
        if any(other > trace for other in _live):
            return False
        _live.add(trace)
    return True


def end_trace(trace: int) -> None:
    """Record no more in a trace."""
    _live.discard(trace)


@cache
def _trace_stack() -> Any:
    from autograd.tracer import trace_stack  # optional and slow

    return trace_stack


_paused: set[int] = set()  # traces for which what is computed now is a constant


@contextmanager
def paused_trace(trace: int) -> Iterator[None]:
    """Inside, what is computed with boxes of a trace is a constant to it."""
    from autograd.tracer import Box  # optional and slow

    if not _paused:
        plain = Box.__init__

        def init(box: Any, value: object, of: int, node: Node) -> None:
            plain(box, value, of, new_node() if of in _paused else node)

        Box.__init__ = init
        _unpatched.append(plain)
    _paused.add(trace)
    was_live = trace in _live
    _live.discard(trace)
    try:
        yield
    finally:
        if was_live:
            _live.add(trace)
        _paused.discard(trace)
        if not _paused:
            Box.__init__ = _unpatched.pop()


_unpatched: list[Callable[..., None]] = []  # how boxes begin while no trace is paused


@contextmanager
def not_paused(trace: int) -> Iterator[None]:
    """Inside, what was noted before a trace was paused is computed as it would have been."""
    if trace not in _paused:
        yield
        return
    _paused.discard(trace)
    try:
        yield
    finally:
        _paused.add(trace)


@contextmanager
def new_trace() -> Iterator[int]:
    """Inside, record in a trace of its own."""
    trace = begin_trace()
    try:
        yield trace
    finally:
        end_trace(trace)


def is_live(box: Any) -> bool:
    """Whether a box, or one inside it, belongs to a trace that still records."""
    while type(box) in BOXES:
        if box._trace in _live:
            return True
        box = box._value
    return False


@cache
def teach_boxes() -> None:
    """Let boxes act as the arrays of users' code do.

    ``box * variable`` reads the variable, which autograd would take for a constant. A box that is
    no longer recorded reads as a NumPy array; one that is refuses, for its gradient would be lost.
    """
    from autograd.numpy.numpy_boxes import ArrayBox
    from autograd.tracer import box_types

    library(ArrayBox)
    recorded = sys.modules["autograd.numpy"]
    ArrayBox.__matmul__ = lambda box, other: matrix_product(recorded, box, as_array(other))
    ArrayBox.__rmatmul__ = lambda box, other: matrix_product(recorded, as_array(other), box)

    def reading(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        return wraps(method)(  # `==` and `!=` of None: whether it is None
            lambda box, other: NotImplemented if other is None else method(box, raw(other))
        )

    arithmetic = ("add", "sub", "mul", "truediv", "mod", "pow", "matmul")
    for name in (*arithmetic, "eq", "ne", "gt", "ge", "lt", "le"):
        setattr(ArrayBox, f"__{name}__", reading(getattr(ArrayBox, f"__{name}__")))

    def as_numpy(box: Any, dtype: Any = None, copy: bool | None = None) -> Array:
        if is_live(box):
            raise TypeError(
                message(
                    "gradient",
                    "a function of `keras.ops` while it is recorded",
                    "one of NumPy",
                    "Write the formula on `keras.ops`; for a number to look at, `x.numpy()`.",
                )
            )
        return np.array(unboxed(box), dtype=dtype)

    recording = ArrayBox.astype

    def astype(box: Any, dtype: Any, *options: Any, **named: Any) -> Any:
        if to_numpy_dtype(dtype).kind in "biu":  # whole numbers have no slope
            return unboxed(box).astype(to_numpy_dtype(dtype), *options, **named)
        return recording(box, dtype, *options, **named)

    inside = {
        "astype": astype,
        "numpy": lambda box: np.array(unboxed(box)),
        "item": lambda box, *index: np.asarray(unboxed(box)).item(*index),
        "tolist": lambda box: np.asarray(unboxed(box)).tolist(),
        "__float__": lambda box: float(unboxed(box)),
        "__int__": lambda box: int(unboxed(box)),
        "__index__": lambda box: operator.index(unboxed(box)),
        "__repr__": lambda box: repr(unboxed(box)),
        "__str__": lambda box: str(unboxed(box)),
        "__format__": lambda box, spec: format(unboxed(box)[()], spec),
        "__array__": as_numpy,
    }
    for name, method in inside.items():
        setattr(ArrayBox, name, method)
    BOXES.update(box_types)
    for reader in _readers:
        reader()


_readers: list[Callable[[], None]] = []  # what `teach_boxes` does besides, for old scripts


def let_numpy_read_boxes() -> None:
    """From now on NumPy takes boxes for the numbers they stand for, as on TensorFlow."""
    _readers.append(_read_boxes)
    if teach_boxes.cache_info().currsize:
        _read_boxes()


def _read_boxes() -> None:
    from autograd.numpy.numpy_boxes import ArrayBox

    def call(
        box: object,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        return function(*tree.map_structure(unboxed, args), **tree.map_structure(unboxed, kwargs))

    ArrayBox.__array_function__ = call
    ArrayBox.__array__ = lambda box, dtype=None, copy=None: np.array(unboxed(box), dtype=dtype)


@cache
def _node_type() -> Any:
    from autograd.core import VJPNode  # optional and slow
    from autograd.tracer import notrace_primitives

    class RecordedNode(VJPNode):  # type: ignore[misc]
        """Keeps the users' arrays as they were: whoever writes to one changes no gradient."""

        __slots__ = ()

        def __init__(
            self,
            value: object,
            function: object,
            args: tuple[object, ...],
            kwargs: dict[str, object],
            positions: Sequence[int],
            parents: Sequence[Node],
        ) -> None:
            for place, arg in enumerate(args):
                if type(arg) is np.ndarray and arg.flags.writeable and place not in positions:
                    args = (*args[:place], arg.copy(), *args[place + 1 :])
            super().__init__(value, function, args, kwargs, positions, parents)

    notrace_primitives[RecordedNode] = notrace_primitives[VJPNode]  # functions without a gradient
    return RecordedNode


def new_node(parents: Sequence[Node] = (), vjp: Callable[[Any], Any] | None = None) -> Node:
    """A node of a record, made by hand; a root without `parents`."""
    kind = _node_type()
    node: Node = kind.__new__(kind)
    node.parents = parents
    node.vjp = vjp
    return node


class Parts(list[Any]):
    """Gradients of the outputs of one node, None where there is none."""

    def plus(self, others: Parts) -> Parts:
        """The sums, part by part."""
        pairs = zip(self, others, strict=True)
        return Parts([a if b is None else b if a is None else a + b for a, b in pairs])


def backward(seeds: list[tuple[Any, Any]], wanted: frozenset[Any] = frozenset()) -> dict[Any, Any]:
    """Gradients at the roots and the `wanted` nodes, from cotangents at ends of one trace."""
    from autograd.core import add_outgrads

    gradients: dict[Any, Any] = {}
    for end, seed in seeds:
        gradients[end] = add_outgrads(gradients.get(end), seed)
    found: dict[Any, Any] = {}
    for node in _topological(seeds):
        gradient = gradients.pop(node, None)
        if gradient is None:
            continue
        if node in wanted:
            found[node] = gradient[0]
        for parent, part in zip(node.parents, node.vjp(gradient[0]), strict=True):
            if part is None:
                continue
            if type(part) is np.ndarray and parent not in gradients:
                gradients[parent] = part, False
                continue
            if type(part) is Parts:
                known = gradients.get(parent)
                gradients[parent] = part if known is None else known[0].plus(part), False
            else:
                gradients[parent] = add_outgrads(gradients.get(parent), part)
    found.update((root, gradient[0]) for root, gradient in gradients.items())
    return found


def _topological(seeds: list[tuple[Any, Array]]) -> list[Any]:
    """Nodes with parents that the ends depend on, each before its parents."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(end, False) for end, _ in seeds if end.parents]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend([(p, False) for p in node.parents if p.parents and p not in seen])
    return order[::-1]
