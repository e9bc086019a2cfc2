"""The loops of `fit` and `evaluate`: chunks of steps, epochs, and the callbacks between."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from densekit import callbacks
from densekit._core.engine import Chunk
from densekit.data._streams import Feed
from densekit.training._joined import joined
from densekit.training._own_steps import StepSession
from densekit.training._runtime import Runtime
from densekit.training._session import Session

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

T = TypeVar("T")
# What a loop waits for: a session, the chunk that it is to run, and whether to train.
PendingRun: TypeAlias = "tuple[Session | StepSession, Chunk, bool]"
Runs = Generator[PendingRun, None, T]


def callback_list(
    model: TrainableModel,
    given: object,
    verbose: Any,
    steps: int | None,
    epochs: int = 1,
    add_history: bool = False,
) -> callbacks.CallbackList:
    """The callbacks that a user passes, with a progress bar unless silent; a list stays itself."""
    if isinstance(given, callbacks.CallbackList):
        return given
    return callbacks.CallbackList(
        given,
        add_history=add_history,
        add_progbar=bool(verbose),
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )


def run_epoch(
    model: TrainableModel,
    session: Session | StepSession,
    feed: Feed,
    callbacks: callbacks.CallbackList,
    training: bool,
) -> Runs[int]:
    """All steps of one epoch, with the batch hooks of the callbacks; returns how many.

    Chunks are yielded to whoever runs them: `run_all`, or `fit_many` with those of other models.
    """
    mode = "train" if training else "test"
    begin = getattr(callbacks, f"on_{mode}_batch_begin")
    end = getattr(callbacks, f"on_{mode}_batch_end")
    stop = "stop_training" if training else "stop_evaluating"
    every = callbacks.wants_batches(mode)
    per_call = model.steps_per_execution
    first = steps = 0  # first step since the hooks were called; steps made
    feed.epoch_begins()
    # Told to stop before the epoch, it stops after its first call, as in Keras.
    is_single = every or getattr(model, stop)
    chunks = feed.chunks(per_call if is_single else session.chunk_steps(feed))
    for chunk in joined(chunks, isinstance(session, Session)):
        if every and steps == first:
            begin(first)
        yield session, chunk, training
        steps = chunk.first_step + chunk.steps
        if every:
            if steps - first < per_call:
                continue
            end(first + per_call - 1, session.batch_logs(model))
            first = steps
        elif callbacks.progress is not None and steps != feed.num_batches:
            # The end of the epoch shows the last one.
            getattr(callbacks.progress, f"on_{mode}_batch_end")(
                steps - 1, session.batch_logs(model)
            )
        if getattr(model, stop):
            return steps
    if every and steps > first:
        end(first + per_call - 1, session.batch_logs(model))
    feed.epoch_ends()
    return steps


def run_all(runs: Runs[T], runtime: Runtime) -> T:
    """What a loop of one model returns, its chunks run as they come."""
    try:
        while True:
            try:
                session, chunk, training = next(runs)
            except StopIteration as end:
                result: T = end.value
                return result
            if training:
                with runtime.turns.chunk:
                    session.run(chunk, True)
            else:
                session.run(chunk, False)
    finally:
        runs.close()
