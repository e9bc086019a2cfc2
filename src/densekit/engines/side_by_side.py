"""`NativeQueue`: runs of many native engines at the same time, each on one thread."""

from __future__ import annotations

from typing import cast

from densekit._core.engine import Losses, Run
from densekit.engines import native


class NativeQueue:
    """A `RunQueue` of native engines that do not ask the host.

    Args:
        threads: how many run at a time.
    """

    def __init__(self, threads: int) -> None:
        self._queue = native.RunQueue(threads)
        self._under_way: dict[native.PreparedRun, tuple[Run, Losses]] = {}
        self._refused: list[tuple[Run, Losses | Exception]] = []

    def submit(self, run: Run) -> None:
        """Have it run as soon as a thread is free."""
        try:
            prepared, losses = cast(native.NativeEngine, run.engine).make_ready(run)
        except Exception as error:
            self._refused.append((run, error))
            return
        self._under_way[prepared] = run, losses
        self._queue.submit(prepared)

    def collect(self) -> list[tuple[Run, Losses | Exception]]:
        """Those that are done, at least one if any is under way."""
        results, self._refused = self._refused, []
        if results:
            return results
        for prepared, done in self._queue.collect():
            run, losses = self._under_way.pop(prepared)
            steps = native.steps_done(losses) if isinstance(done, Exception) else done
            if run.training:
                cast(native.NativeEngine, run.engine).advance(steps)
            results.append((run, done if isinstance(done, Exception) else losses[:steps]))
        return results

    def close(self) -> None:
        """Give up what is under way, and end the threads."""
        self._queue.close()
        self._under_way = {}
