"""What the equation of an einsum says of kernel, bias and output."""

from __future__ import annotations

import re
from typing import NamedTuple

from densekit._core.errors import message
from densekit._core.types import PartialShape

# Letters of inputs, kernel and outputs; an ellipsis stands at one end of inputs and outputs.
_FORMS = (
    re.compile(r"()([a-zA-Z]+)(),([a-zA-Z]+)->()([a-zA-Z]+)()"),
    re.compile(r"(\.\.\.)([a-zA-Z]+)(),([a-zA-Z]+)->(\.\.\.)([a-zA-Z]+)()"),
    re.compile(r"()([a-zA-Z]{2,})(\.\.\.),([a-zA-Z]+)->()([a-zA-Z]+)(\.\.\.)"),
)


class EinsumShapes(NamedTuple):
    """Shapes, and which axes of the kernel are inputs and outputs."""

    kernel: tuple[int, ...]
    bias: tuple[int, ...] | None
    output: PartialShape
    input_axes: list[int]
    output_axes: list[int]


def einsum_shapes(
    equation: str,
    bias_axes: str | None,
    input_shape: PartialShape,
    partial: PartialShape,
    where: str,
) -> EinsumShapes:
    """Read `equation` for inputs of a shape and outputs of a `partial` shape, without batch axis.

    Raises:
        ValueError: if the equation is malformed, or does not fit the shapes.
    """

    def refuse(expected: str, got: str) -> ValueError:
        return ValueError(message(where, expected, got, "See the card of EinsumDense."))

    matches = [m for form in _FORMS if (m := form.fullmatch(equation))]
    if not matches:
        raise refuse("an equation like 'ab,bc->ac', '...ab,bc->...ac', 'ab...,bc->ac...'", equation)
    left, inputs, _, weights, _, outputs, _ = matches[0].groups()
    elided = len(input_shape) - len(inputs)
    if elided < 0 or (elided and "..." not in equation):
        raise refuse(f"inputs with the axes {inputs!r}", f"shape {tuple(input_shape)}")
    # Sizes by letter: the ellipsis is left aside, the batch axis is the first of all.
    known = dict(zip(inputs, input_shape[elided:] if left else input_shape, strict=False))
    full: list[int | None] = [input_shape[0], *partial]
    if elided and left:
        full[1:1] = input_shape[1:elided]
    elif elided:
        full += input_shape[len(inputs) :]
    named = full[elided:] if left else full
    if len(named) < len(outputs):
        raise refuse(f"an `output_shape` for {outputs!r}", f"{partial}")
    sizes = dict(zip(outputs, named, strict=False))
    for letter in inputs:
        size = sizes.get(letter)
        if size is not None and size != known[letter]:
            raise refuse(f"size {known[letter]} of axis {letter!r}, as the inputs", f"{size}")
    unknown = [a for a in outputs if a not in inputs + weights]
    unknown += [a for a in weights if a not in inputs + outputs]
    unknown += [a for a in bias_axes or "" if a not in outputs]
    if unknown:
        raise refuse("axes that occur elsewhere in the equation", f"{unknown[0]!r} in {equation!r}")
    kernel = [sizes[a] if a in outputs else known[a] for a in weights]
    bias: list[int | None] | None = None
    if bias_axes is not None:
        first = min((outputs.find(a) for a in bias_axes), default=len(outputs))
        bias = [sizes[a] if a in bias_axes else 1 for a in outputs[first:]]
        bias += [] if left else [1] * elided
    if None in kernel or None in (bias or ()):
        raise refuse("known sizes of kernel and bias", f"{tuple(kernel)} and {bias}")
    return EinsumShapes(
        tuple(n for n in kernel if n is not None),
        None if bias is None else tuple(n for n in bias if n is not None),
        tuple(full),
        [i for i, a in enumerate(weights) if a not in outputs],
        [i for i, a in enumerate(weights) if a in outputs],
    )
