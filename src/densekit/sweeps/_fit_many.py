"""`fit_many`: a network for each point of a grid, trained side by side."""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback, warn
from densekit._core.seeds import kept_random_state
from densekit.callbacks import Callback, EarlyStopping, Progbar
from densekit.data._feeds import is_stream
from densekit.sweeps._grid import Point, points_of, rows_of, seeds_of
from densekit.sweeps._member import FitArguments, Member
from densekit.sweeps._run_queues import RunQueues
from densekit.sweeps._sweep import Sweep


@filters_traceback
def fit_many(
    build: Callable[..., object],
    grid: object,
    x: object,
    y: object = None,
    *,
    epochs: int = 1,
    batch_size: int | None = None,
    validation_data: object = None,
    seeds: object = None,
    rows: object = None,
    validation_rows: object = None,
    early_stopping: EarlyStopping | None = None,
    patience: int | None = None,
    callbacks: Callable[..., Iterable[Callback]] | None = None,
    sample_weight: object = None,
    class_weight: dict[int, float] | str | None = None,
    validation_split: float = 0.0,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    validation_freq: object = 1,
    shuffle: object = True,
    steps_per_epoch: int | None = None,
    verbose: object = "auto",
) -> Sweep:
    """Train a network for each point of a grid, many at the same time.

    Each gets the bits that it gets alone: by `set_random_seed` with its seed, `build` and `fit`.
    Networks that run natively are trained side by side, each on one thread; on the engine "jax",
    those of the same formula by one compiled loop, to rounding; the others one after another. One
    that fails, or whose loss becomes NaN, harms no other.

    Args:
        build: gives a compiled model, called with a point's entries as arguments.
        grid: a list of dicts, or a dict of lists, of which every combination is a point.
        x, y: arrays as for `Model.fit`, which all networks read. Default of `y`: none.
        epochs: as for `fit`. Default: ``1``.
        seeds: an integer, from which the members' seeds count up, or one for each. The caller's
            random state stays what it was. Default: none, each goes on with the caller's.
        rows: rows of the data that members train on: an array of row numbers or a mask, or a list
            with one for each member. They are read where they lie. Default: all.
        validation_rows: the same of those to validate with, in place of `validation_data`. Default:
            none.
        early_stopping: an `EarlyStopping`, of which each member gets a copy. Default: none.
        patience: short for one that watches the validation loss, or the loss if there is none.
            Default: ``None``.
        callbacks: gives the callbacks of a member, called as `build`. One that looks at every
            batch has its member trained alone. Default: none.
        verbose: 0 silent, 1 a progress bar over the members. Default: ``"auto"``, which is 1.

    `batch_size`, `sample_weight`, `class_weight`, `validation_split`, `validation_batch_size`,
    `validation_steps`, `validation_freq`, `shuffle` and `steps_per_epoch` are as for `fit`.

    Returns:
        a `Sweep`, with ``models``, ``table`` and ``best(monitor)``.

    Raises:
        ValueError: for a grid, seeds or data that do not fit; what the first member failed with,
            if all fail.

    Example:

    >>> import densekit as keras, numpy as np
    >>> x = np.random.default_rng(0).random((64, 3))
    >>> def build(units):
    ...     layers = [keras.Input((3,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)]
    ...     model = keras.Sequential(layers)
    ...     model.compile("adam", "mse")
    ...     return model
    >>> grid = {"units": [4, 8]}
    >>> sweep = keras.fit_many(build, grid, x, x[:, 0], epochs=2, seeds=0, verbose=0)
    >>> len(sweep.models), sorted(sweep.columns)
    (2, ['epochs', 'loss', 'seed', 'units'])
    >>> sweep.best("loss").count_params() in (21, 41)
    True
    """
    _check_arrays(x, validation_data)
    points = points_of(grid)
    own = rows_of(rows, len(points), x, "rows")
    own_validation = rows_of(validation_rows, len(points), x, "validation_rows")
    if validation_rows is not None:
        if validation_data is not None:
            expected = "`validation_rows` or `validation_data`"
            raise ValueError(message("fit_many", expected, "both", "Pass one of them."))
        validation_data = (x, y) if sample_weight is None else (x, y, sample_weight)
    if validation_split and (rows is not None or validation_rows is not None):
        raise ValueError(
            message("fit_many", "`validation_rows`", "`validation_split`", "Say which rows.")
        )
    stopping = _stopping(early_stopping, patience, validation_data, validation_split)
    arguments: FitArguments = {
        "x": x,
        "y": y,
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_data": validation_data,
        "sample_weight": sample_weight,
        "class_weight": class_weight,
        "validation_split": validation_split,
        "validation_batch_size": validation_batch_size,
        "validation_steps": validation_steps,
        "validation_freq": validation_freq,
        "shuffle": shuffle,
        "steps_per_epoch": steps_per_epoch,
    }

    def callbacks_of(point: Point) -> list[Callback]:
        own = [] if callbacks is None else list(callbacks(**point))
        return [*own, *([] if stopping is None else [copy.deepcopy(stopping)])]

    pairs = zip(points, seeds_of(seeds, len(points)), strict=True)
    members = [Member(i, point, seed) for i, (point, seed) in enumerate(pairs)]
    for member, train, validate in zip(members, own, own_validation, strict=True):
        member.rows, member.validation_rows = train, validate
    bar = Progbar(len(members), verbose=int(verbose not in (0, False)), unit_name="model")
    with nullcontext() if seeds is None else kept_random_state():
        _train(members, build, arguments, callbacks_of, bar)
    _report(members)
    return Sweep(members)


def _train(
    members: list[Member],
    build: Callable[..., object],
    arguments: FitArguments,
    callbacks_of: Callable[[Point], list[Callback]],
    bar: Progbar,
) -> None:
    """Every member to its end, so many at work at a time as are of use."""
    waiting, active, queues = deque(members), dict[int, Member](), RunQueues()
    most = 1

    def receive() -> None:
        for member in queues.receive():
            go_on(member)

    def go_on(member: Member) -> None:
        queues.send(member)
        if member.pending is None:
            active.pop(member.index)
            bar.update(len(members) - len(waiting) - len(active))

    try:
        while waiting or active:
            if not waiting or len(active) >= most:
                receive()
                continue
            member = waiting.popleft()
            member.build(build, callbacks_of)
            while any(not member.parts.isdisjoint(m.parts) for m in active.values()):
                receive()  # a loop would have trained those first
            active[member.index] = member
            member.start(arguments)
            if member.pending is not None:
                most = max(most, member.kind.members_at_once)
            go_on(member)
    finally:
        queues.close()
        for member in active.values():
            member.close()


def _stopping(
    given: EarlyStopping | None, patience: int | None, validation: object, split: float
) -> EarlyStopping | None:
    if given is not None and patience is not None:
        raise ValueError(
            message("fit_many", "`early_stopping` or `patience`", "both", "Pass one of them.")
        )
    if patience is None:
        return given
    monitor = "loss" if validation is None and not split else "val_loss"
    return EarlyStopping(monitor=monitor, patience=patience)


def _check_arrays(x: object, validation_data: object) -> None:
    """Members read the same rows over and over, each in an order of its own."""
    for name, data in (("x", x), ("validation_data", validation_data)):
        if is_stream(data):
            raise ValueError(
                message(
                    f"fit_many `{name}`", "arrays", describe(data), "Collect the batches first."
                )
            )


def _report(members: list[Member]) -> None:
    """Say what did not go side by side, and who failed or diverged."""
    failed = [m for m in members if m.error is not None]
    if len(failed) == len(members):
        assert failed[0].error is not None
        raise failed[0].error
    said = []
    reasons = Counter(m.alone for m in members if m.alone is not None)
    for reason, count in reasons.items():
        said.append(f"{count} of {len(members)} members ran one after another: {reason}.")
    if failed:
        first = failed[0]
        said.append(
            f"{len(failed)} of {len(members)} members failed, the first of them, member "
            f"{first.index}, with {type(first.error).__name__}: {first.error} See `.errors`."
        )
    diverged = [m.index for m in members if m.has_diverged]
    if diverged:
        listed = ", ".join(map(str, diverged[:10])) + (", ..." if len(diverged) > 10 else "")
        said.append(
            f"{len(diverged)} of {len(members)} members ended with a loss that is not finite: "
            f"{listed}. Lower their learning rate or clip their gradients."
        )
    for sentence in said:
        warn(f"fit_many: {sentence}")
