"""What objects hold in Python is seen to change, wherever it lies, and can be made what it was."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from densekit._core.kept import Kept

TOTAL = 0


class Part:
    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps = 0


class Owner:
    """Has one of everything."""

    made: int = 0

    def __init__(self) -> None:
        self.plain, self.part, self.nested = 0, Part(), {"parts": [Part()]}
        self.list: list[int] = []
        self.set: set[int] = set()
        self.queue: deque[int] = deque()
        self.array = np.zeros(3)
        self.numbers, self.old_numbers = np.random.default_rng(1), np.random.RandomState(1)
        self.random = random.Random(1)
        self.count, self.generator = itertools.count(), squares()
        self.partial = partial(print, self.part)
        self.itself = self

    def step(self) -> int:
        return TOTAL


def squares() -> Iterator[int]:
    for i in range(9):
        yield i * i


def counts(owner: Owner) -> None:
    global TOTAL
    TOTAL += 1


def of_class(owner: Owner) -> None:
    Owner.made += 1


CHANGES: dict[str, tuple[str, Callable[[Owner], Any], bool]] = {
    "plain": ("plain", lambda o: setattr(o, "plain", 1), True),
    "new": ("other", lambda o: setattr(o, "other", 1), True),
    "gone": ("plain", lambda o: delattr(o, "plain"), True),
    "slot": ("part", lambda o: setattr(o.part, "steps", 1), True),
    "nested": ("nested", lambda o: setattr(o.nested["parts"][0], "steps", 1), True),
    "dict": ("nested", lambda o: o.nested.clear(), True),
    "list": ("list", lambda o: o.list.append(1), True),
    "set": ("set", lambda o: o.set.add(1), True),
    "queue": ("queue", lambda o: o.queue.append(1), True),
    "array": ("array", lambda o: o.array.fill(1), False),
    "numbers": ("numbers", lambda o: o.numbers.random(), False),
    "old numbers": ("old_numbers", lambda o: o.old_numbers.rand(), False),
    "random": ("random", lambda o: o.random.random(), False),
    "count": ("count", lambda o: next(o.count), False),
    "generator": ("generator", lambda o: next(o.generator), False),
    "global": ("TOTAL", counts, True),
    "class": ("made", of_class, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_named_and_undone(change: str) -> None:
    name, act, is_undone = CHANGES[change]
    owner = Owner()
    kept = Kept([owner], code=True)
    assert kept.changed() == []
    act(owner)
    assert kept.changed() == [name]
    kept.put_back()
    assert kept.changed() == ([] if is_undone else [name])


def test_variables_of_functions_around_count() -> None:
    n = 0

    class Counting(Owner):
        def step(self) -> int:
            nonlocal n
            n += 1
            return n

    owner = Counting()
    kept = Kept([owner], code=True)
    owner.step()
    assert kept.changed() == ["n"]
    kept.put_back()
    assert n == 0


def test_what_is_ignored_is_ignored_of_the_package_alone() -> None:
    import densekit as keras

    layer, owner = keras.layers.Dense(2), Owner()
    kept = Kept([layer, owner], lambda name: name == "list")
    layer.list = [1]
    assert kept.changed() == []
    owner.list = [1]
    assert kept.changed() == ["list"]
