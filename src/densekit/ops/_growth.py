"""How large the result of an op can get that its arguments, not its inputs, decide.

Shapes of ops are found by trying them out. An op named by a file may ask for a result of any size:
``repeat(x, 10**9)``. What is known here is asked for before the trial.
"""

from __future__ import annotations

import math

from densekit._core import tree
from densekit._core.allowance import claim_for_a_while, elements, is_limited
from densekit._core.types import PartialShape

# Ops whose result is at most the inputs times the product of their integer arguments.
BY_ARGUMENTS = frozenset(
    {
        *("arange", "bincount", "broadcast_to", "empty", "eye", "full", "identity", "linspace"),
        *("multi_hot", "one_hot", "ones", "pad", "repeat", "scatter", "segment_max", "segment_min"),
        *("segment_prod", "segment_sum", "tile", "tri", "zeros", "vander", "logspace", "geomspace"),
        *("histogram", "unique", "extract_sequences"),
    }
)
# Ops whose result is at most the product of their inputs.
BY_INPUTS = frozenset({"meshgrid", "outer", "diag", "diagflat", "kron", "cdist", "correlate"})
_ITEM_BYTES = 8


def check_growth(name: str, inputs: object, settings: object) -> None:
    """Ask for the result of an op, and for its inputs; ValueError if a file asks for too much."""
    if not is_limited():
        return
    leaves = tree.flatten((inputs, settings))
    shapes = [leaf.shape for leaf in leaves if hasattr(leaf, "shape")]
    sizes = [elements(shape) for shape in shapes]
    size = max(sizes, default=1)
    if name in BY_ARGUMENTS:
        numbers = [n for n in leaves if isinstance(n, int | float) and not isinstance(n, bool)]
        size *= math.prod(1 + int(min(abs(n), 2**62)) for n in numbers if n == n)
    elif name in BY_INPUTS:
        size = math.prod(sizes) ** (2 if name in ("diag", "diagflat") else 1)
    elif name in ("matmul", "dot", "inner", "tensordot", "einsum") and shapes:
        size = _contracted(name, shapes, settings, leaves)
    elif len(shapes) > 1:
        size = _broadcast(shapes)
    claim_for_a_while(size * _ITEM_BYTES, f"ops.{name}", f"a result of {size} elements")


def _broadcast(shapes: list[PartialShape]) -> int:
    """Elements of what several shapes are broadcast to."""
    size = 1
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        size *= max(shape[-axis] or 1 for shape in shapes if len(shape) >= axis)
    return size


def _contracted(
    name: str, shapes: list[PartialShape], settings: object, leaves: list[object]
) -> int:
    """Elements of a product: axes that are summed over do not count."""
    if name == "einsum":
        return _of_subscripts(next((leaf for leaf in leaves if isinstance(leaf, str)), ""), shapes)
    a, b = shapes[0], shapes[-1]
    if name == "matmul":
        return _broadcast([a[:-2], b[:-2]]) * elements(a[-2:-1]) * elements(b[-1:])
    if name == "tensordot":
        axes = settings.get("axes", 2) if isinstance(settings, dict) else 2
        summed = a[len(a) - axes :] if isinstance(axes, int) else ()
        return elements(a) * elements(b) // max(1, elements(summed)) ** 2
    summed = b[-2:-1] if name == "dot" and len(b) > 1 else b[-1:]
    return elements(a[:-1]) * elements(b) // max(1, elements(summed))


def _of_subscripts(text: str, shapes: list[PartialShape]) -> int:
    terms, _, result = text.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), shapes, strict=False):
        sizes |= dict(zip(term, (n or 1 for n in shape), strict=False))
    return math.prod(sizes.get(letter, 1) for letter in result)
