"""Single numbers of a formula: what is computed from means and sums over the batch, in Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from densekit._core.types import Real


class At(NamedTuple):
    """An operand that the formula computes."""

    place: int


class Number(NamedTuple):
    """A number made of numbers: those at other places, or constants."""

    place: int
    name: str
    operands: tuple[At | float, ...]


FORWARD: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
}
# Gradients of the operands, from that of the result and the operands.
_BACKWARD: dict[str, Callable[..., tuple[Real, ...]]] = {
    "add": lambda g, a, b: (g, g),
    "subtract": lambda g, a, b: (g, -g),
    "multiply": lambda g, a, b: (g * b, g * a),
    "divide": lambda g, a, b: (g / b, -g * a / (b * b)),
    "negative": lambda g, a: (-g,),
}


class Numbers:
    """The numbers that one of them, the target, is made of.

    Args:
        numbers: in the order in which they can be computed.
        target: the place of the one that is wanted; it may be none of them.
        kind: the element type.
    """

    def __init__(self, numbers: Sequence[Number], target: int, kind: Callable[..., Real]) -> None:
        self.wanted = {target}
        for number in reversed(numbers):
            if number.place in self.wanted:
                self.wanted |= {x.place for x in number.operands if isinstance(x, At)}
        self._numbers = [n for n in numbers if n.place in self.wanted]
        self._target = target
        self._kind = kind

    def __len__(self) -> int:
        return len(self._numbers)

    def compute(self, known: dict[int, Real]) -> None:
        """Add all to those that are known, by place."""
        for number in self._numbers:
            known[number.place] = self._kind(FORWARD[number.name](*_operands(number, known)))

    def gradients(self, known: dict[int, Real]) -> dict[int, Real]:
        """The gradient of the target by each number, by place."""
        into = {self._target: self._kind(1)}
        for number in reversed(self._numbers):
            g = into.get(number.place)
            if g is None:
                continue
            parts = _BACKWARD[number.name](g, *_operands(number, known))
            for x, part in zip(number.operands, parts, strict=True):
                if isinstance(x, At):
                    into[x.place] = into[x.place] + part if x.place in into else part
        return into


def _operands(number: Number, known: dict[int, Real]) -> list[Real | float]:
    return [known[x.place] if isinstance(x, At) else x for x in number.operands]
