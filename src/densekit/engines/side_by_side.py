"""Runs of many native engines at the same time: each on one thread, all threads at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from densekit._core.engine import Run
from densekit.engines import native

_Losses = npt.NDArray[np.float64]


def run_together(runs: Sequence[Run]) -> list[_Losses | Exception]:
    """`EngineKind.run_many` of native engines that do not ask the host."""
    results: list[_Losses | Exception | None] = [None] * len(runs)
    ready = []
    for i, run in enumerate(runs):
        engine = cast(native.NativeEngine, run.engine)
        try:
            ready.append((i, run, engine, *engine.make_ready(run)))
        except Exception as error:
            results[i] = error
    made = native.run_many([prepared for *_, prepared, _ in ready])
    interrupt: BaseException | None = None
    for (i, run, engine, _, losses), done in zip(ready, made, strict=True):
        if isinstance(done, int):
            steps, results[i] = done, losses[:done]
        else:
            steps = native.steps_done(losses)
            if isinstance(done, Exception):
                results[i] = done
            else:
                interrupt = done
        if run.training:
            engine.advance(steps)
    if interrupt is not None:
        raise interrupt
    return cast("list[_Losses | Exception]", results)
