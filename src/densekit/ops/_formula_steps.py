"""Steps of formulas that wait to be run as a whole: `ops/_deferred.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST_VALUES = 128  # of one formula
# Another branch of a formula at one place, or another formula, is computed at once until it has
# come back: a number that is another one each time must not fill the memory.
_MOST_BRANCHES = 16
_MOST_STEPS = 4096
_MOST_TURNED_AWAY = 256

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
        given_up: how many branches had to make way for others.
    """

    __slots__ = (
        *("before", "dtype", "inputs", "key", "next", "noted", "place", "program", "shape"),
        *("given_up", "latest", "truth"),
    )

    def __init__(self, before: Step | None, key: Key, inputs: int, shape: Any, dtype: Any) -> None:
        self.before, self.key, self.inputs = before, key, inputs
        self.shape, self.dtype = shape, dtype
        self.place: int = -1 if before is None else before.place + 1 + inputs
        self.next: dict[Key, Step] = {}
        self.latest: Step | None = None
        self.noted = True
        self.truth = False
        self.given_up = 0
        self.program: Any = None

    def path(self) -> list[Step]:
        """All steps up to this one, in order."""
        steps: list[Step] = []
        step: Step | None = self
        while step is not None and step.before is not None:
            steps.append(step)
            step = step.before
        return steps[::-1]


class Formulas:
    """All formulas that one kind of engine has met.

    Args:
        lowers: whether a step and all before it have a native form.
        program: what runs a formula, from its steps; None: by its ops.
    """

    def __init__(
        self, lowers: Callable[[Step], bool], program: Callable[[list[Step]], object]
    ) -> None:
        self.lowers = lowers
        self.program = program
        self.start = Step(None, (), 0, (), None)
        self.count = 0
        self._turned_away: dict[tuple[Step, Key], int] = {}

    def has_room(self, step: Step, key: Key) -> bool:
        """Whether one more step is remembered; the oldest of many branches may make way for it."""
        if self.count >= _MOST_STEPS:
            self.start, self.count = Step(None, (), 0, (), None), 0
            self._turned_away.clear()
        if step.place >= MOST_VALUES - 16:
            return False
        return len(step.next) < _MOST_BRANCHES or self._comes_back(step, key)

    def _comes_back(self, step: Step, key: Key) -> bool:
        """Whether a branch was met before, more often the more branches took turns: each is looked
        at for as long as some hundred ops take."""
        if len(self._turned_away) >= _MOST_TURNED_AWAY:
            self._turned_away.clear()
        met = self._turned_away.get((step, key), 0) + 1
        if met <= 1 << min(step.given_up, 30):
            self._turned_away[step, key] = met
            return False
        self._turned_away.pop((step, key))
        oldest = step.next.pop(next(iter(step.next)))
        if step.latest is oldest:
            step.latest = None
        self.count -= _size(oldest)
        step.given_up += 1
        return True


def _size(step: Step) -> int:
    """How many steps follow, with itself."""
    found, waiting = 0, [step]
    while waiting:
        found += 1
        waiting += waiting.pop().next.values()
    return found
