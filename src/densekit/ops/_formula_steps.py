"""Steps of formulas that wait to be run as a whole: `ops/_deferred.py`."""

from __future__ import annotations

from typing import Any

MOST_VALUES = 128  # of one formula

Key = tuple[Any, ...]


class Slot:
    """Place of a value in its formula: the same object for the same place in every formula."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


SLOTS = [Slot(i) for i in range(MOST_VALUES)]


class Step:
    """One op of a formula, after all those before it.

    Attributes:
        key: the op, and its operands: a `Slot`, shape and dtype of an array, or a number.
        shape, dtype: of the result.
        inputs: how many arrays it brings into the formula.
        place: of the result.
        noted: whether the op waits, rather than being computed at once.
        next: the steps that were met after it, by key.
        latest: the one with a value from outside that was met last.
        program: runs the formula up to here; made when it is first asked for.
    """

    __slots__ = (
        *("before", "dtype", "inputs", "key", "next", "noted", "place", "program", "shape"),
        *("latest", "truth"),
    )

    def __init__(self, before: Step | None, key: Key, inputs: int, shape: Any, dtype: Any) -> None:
        self.before, self.key, self.inputs = before, key, inputs
        self.shape, self.dtype = shape, dtype
        self.place: int = -1 if before is None else before.place + 1 + inputs
        self.next: dict[Key, Step] = {}
        self.latest: Step | None = None
        self.noted = True
        self.truth = False
        self.program: Any = None

    def path(self) -> list[Step]:
        """All steps up to this one, in order."""
        steps: list[Step] = []
        step: Step | None = self
        while step is not None and step.before is not None:
            steps.append(step)
            step = step.before
        return steps[::-1]
