"""What steps move on: the optimizer's count, and the counters of draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from densekit._core.engine import Array
from densekit._core.seeds import SeedGenerator, make_default_seed


class Counting(Protocol):
    """An optimizer, or a part of one, that counts steps."""

    built: bool

    def steps_counted(self) -> int:
        """Steps so far."""

    def learning_rates(self, first_iteration: int, steps: int) -> Array:
        """The learning rate of each of `steps` steps from `first_iteration` on."""


class Counted(Counting, Protocol):
    """An optimizer that a plan trains with."""

    @property
    def native_parts(self) -> Sequence[Counting]:
        """The optimizers that make a step."""

    def advance(self, steps: int) -> None:
        """Count `steps` steps."""


class OptimizerCount:
    """The count of an optimizer, or of its parts, around runs of a plan.

    Args:
        optimizer: a built one.
        counts_itself: whether it is called for each step, and counts on its own.
    """

    def __init__(self, optimizer: Counted, counts_itself: bool) -> None:
        parts = optimizer.native_parts
        self._optimizer = optimizer
        self._parts = [part for part in parts if part.built] or parts[:1]
        self._counts_itself = counts_itself
        # So many steps were made: the optimizer's own method, as each step asks for it.
        self.advance: Callable[[int], None] = _stay if counts_itself else optimizer.advance

    def rates(self, steps: int) -> tuple[int | list[int], Array]:
        """The counts, and the learning rates of steps to come."""
        if len(self._parts) == 1 or self._counts_itself:
            part = self._optimizer if self._counts_itself else self._parts[0]
            iteration = part.steps_counted()
            return iteration, part.learning_rates(iteration, steps)
        iterations = [part.steps_counted() for part in self._parts]
        rates = [p.learning_rates(i, steps) for p, i in zip(self._parts, iterations, strict=True)]
        return iterations, np.concatenate(rates)


def _stay(steps: int) -> None:
    """Who counts on its own moves on by itself."""


class Draws:
    """The seeds of a plan's random nodes, one for each node, perhaps the same.

    Args:
        seeds: generators, numbers: the same draws at each step, or None: a seed for each step.
    """

    def __init__(self, seeds: Sequence[SeedGenerator | int | None]) -> None:
        self._seeds = list(seeds)
        generators = [seed for seed in seeds if isinstance(seed, SeedGenerator)]
        self.is_unseeded = None in self._seeds  # words are those of one step
        self.distinct = list({id(g): g for g in generators}.values())
        self._uses = Counter(map(id, generators))
        # How far the counter of each node's generator moves on in a step.
        self.a_step = [self._uses[id(seed)] for seed in seeds]

    def words(self) -> tuple[list[int], list[int]]:
        """Key and counter of each random node, as definitions draw: one after the other."""
        keys: list[int] = []
        counters: list[int] = []
        if not self._seeds:
            return keys, counters
        drawn: Counter[int] = Counter()
        for seed in self._seeds:
            if not isinstance(seed, SeedGenerator):
                key, counter = make_default_seed() if seed is None else seed, 0
            else:
                key, counter = (int(word) for word in seed.state.array)
                counter = (counter + drawn[id(seed)]) & 0xFFFFFFFF
                drawn[id(seed)] += 1
            keys.append(key)
            counters.append(counter)
        return keys, counters

    def advance(self, steps: int) -> None:
        """The generators move on by the draws of so many steps."""
        for generator in self.distinct:
            generator.advance(steps * self._uses[id(generator)])
