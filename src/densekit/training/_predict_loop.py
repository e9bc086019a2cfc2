"""The loop of `predict` over arrays in memory."""

from __future__ import annotations

from collections.abc import Callable

from densekit import callbacks, engines
from densekit._core.engine import Engine
from densekit._core.tensor import lend_all
from densekit._core.types import Array

_PREDICT_FLOPS = 4e9  # of a native call: the bar moves between two


def predict_rows(
    engine: Engine,
    inputs: list[Array],
    rows: int,
    batch_size: int,
    steps: int | None,
    per_call: int,
    callbacks: callbacks.CallbackList,
    stopped: Callable[[], bool],
) -> list[Array]:
    """Outputs for arrays in memory, in chunks between which callbacks are called.

    Args:
        steps: batches to look at; None: all.
        per_call: batches between two calls of batch hooks.
    """
    if steps is not None:
        rows = min(rows, steps * batch_size)
    every = callbacks.wants_batches("predict")
    chunk = per_call * batch_size if every else _predict_chunk(engine, batch_size)
    # What runs in Python, or draws, may look at the batch as a whole; other rows never do.
    whole = engine.has_host_nodes or engine.needs_batches
    most = chunk if whole else min(chunk, _most_rows(engine))
    most = batch_size if engine.needs_batches else most
    if not whole and not all(map(engines.is_readable, inputs)):
        most = min(most, engines.rows_at_once(inputs))
    outputs = engine.empty_outputs(rows)
    for start in range(0, rows, chunk):
        stop = min(start + chunk, rows)
        if every:
            callbacks.on_predict_batch_begin(start // batch_size)
        for first in range(start, stop, most):  # between two calls Ctrl-C gets its turn
            last = min(first + most, stop)
            parts = [y[first:last] for y in outputs]
            engine.predict_into([x[first:last] for x in inputs], last - first, parts)
        if every:
            parts = [y[start:stop] for y in outputs]
            made = lend_all(parts[0] if len(parts) == 1 else parts)
            last = start // batch_size + per_call - 1
            callbacks.on_predict_batch_end(last, {"outputs": made})
        elif callbacks.progress is not None and stop < rows:
            callbacks.progress.on_predict_batch_end(-(-stop // batch_size) - 1)
        if stopped():
            outputs = [y[:stop] for y in outputs]
            break
    return outputs


def _predict_chunk(engine: Engine, batch_size: int) -> int:
    """Rows between two turns of the callbacks, a multiple of the batch size."""
    if engine.needs_batches:
        return batch_size
    rows = 4096 if engine.has_host_nodes else _most_rows(engine)
    return max(1, rows // batch_size) * batch_size


def _most_rows(engine: Engine) -> int:
    """Rows of one native call."""
    rows = _PREDICT_FLOPS / max(engine.flops_per_sample, 1)
    return max(1, int(min(rows, 1 << 20)))
