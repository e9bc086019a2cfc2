"""Runs of engines that do not run side by side: one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from densekit._core.engine import Losses, Run


class Rounds:
    """A `RunQueue` in rounds: all that were submitted run when they are collected.

    Args:
        run_many: gives for each run its losses, or what it raised. Default: one after another.
    """

    def __init__(self, run_many: Callable[[Sequence[Run]], list[Losses | Exception]] | None = None):
        self._run_many = run_many or one_after_another
        self._submitted: list[Run] = []

    def submit(self, run: Run) -> None:
        """Keep it for the next round."""
        self._submitted.append(run)

    def collect(self) -> list[tuple[Run, Losses | Exception]]:
        """A round."""
        runs, self._submitted = self._submitted, []
        return list(zip(runs, self._run_many(runs), strict=True))

    def close(self) -> None:
        """Drop what has not run."""
        self._submitted = []


def one_after_another(runs: Sequence[Run]) -> list[Losses | Exception]:
    """Runs of engines that do not run side by side."""
    results: list[Losses | Exception] = []
    for engine, chunk, predictions, training in runs:
        run = engine.train if training else engine.evaluate
        try:
            results.append(run(chunk, predictions))
        except Exception as error:
            results.append(error)
    return results
