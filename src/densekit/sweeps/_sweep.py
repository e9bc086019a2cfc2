"""`Sweep`: what `fit_many` returns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from densekit._core.errors import message
from densekit.callbacks import History
from densekit.callbacks._monitor_callback import MonitorCallback
from densekit.models import Model
from densekit.sweeps._grid import Point
from densekit.sweeps._member import Member

_MODES = ("auto", "min", "max")


class Sweep:
    """Networks that `fit_many` has trained, in the order of the grid.

    Attributes:
        points: what each was built with.
        seeds: the seed of each, or None.
        models: the trained models; None where `build` failed.
        histories: the `History` of each; None where `fit` failed.
        errors: what members failed with, by number.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.points: list[Point] = [m.point for m in members]
        self.seeds: list[int | None] = [m.seed for m in members]
        self.models: list[Model | None] = [m.model for m in members]
        self.histories: list[History | None] = [m.history for m in members]
        self.errors: dict[int, Exception] = {
            m.index: m.error for m in members if m.error is not None
        }
        self._epochs = [m.epochs for m in members]
        self._logs = [m.logs for m in members]

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Sweep of {len(self)} models{failed}>"

    @property
    def columns(self) -> dict[str, list[object]]:
        """A dict of columns, a row for each member: its point, its seed, the number of epochs, the
        logs of the epoch that its weights are those of, and its error.
        """
        rows = range(len(self))
        columns: dict[str, list[object]] = {}
        for name in _keys(self.points):
            columns[name] = [self.points[i].get(name) for i in rows]
        if any(seed is not None for seed in self.seeds):
            columns.setdefault("seed", list(self.seeds))
        columns.setdefault("epochs", list(self._epochs))
        for name in _keys(self._logs):
            columns.setdefault(name, [self._logs[i].get(name, math.nan) for i in rows])
        if self.errors:
            errors = [self.errors.get(i) for i in rows]
            told = [None if e is None else f"{type(e).__name__}: {e}" for e in errors]
            columns.setdefault("error", list(told))
        return columns

    @property
    def table(self) -> object:
        """`columns` as a pandas `DataFrame`; the dict itself where pandas is not installed."""
        try:
            import pandas  # slow, and need not be there
        except ImportError:
            return self.columns
        frame: object = pandas.DataFrame(self.columns)
        return frame

    def best_index(self, monitor: str = "val_loss", mode: str = "auto") -> int:
        """Number of the member whose `monitor` is best; arguments as for `best`."""
        values = [logs.get(monitor, math.nan) for logs in self._logs]
        found = [i for i, value in enumerate(values) if math.isfinite(value)]
        if not found:
            known = _keys(self._logs)
            raise ValueError(
                message(
                    "Sweep.best",
                    f"a monitor with a number, one of {known}",
                    repr(monitor),
                    "Pass `validation_data` or another monitor.",
                )
            )
        sign = -1 if self._is_better_higher(found[0], monitor, mode) else 1
        return min(found, key=lambda i: sign * values[i])

    def best(self, monitor: str = "val_loss", mode: str = "auto") -> Model:
        """The model whose `monitor` is best, of those that have a number.

        Args:
            monitor: key of the logs. Default: ``"val_loss"``.
            mode: ``"min"``, ``"max"`` or ``"auto"``: by the metric. Default: ``"auto"``.

        Raises:
            ValueError: if no member has such a number.
        """
        model = self.models[self.best_index(monitor, mode)]
        assert model is not None
        return model

    def _is_better_higher(self, member: int, monitor: str, mode: str) -> bool:
        if mode not in _MODES:
            raise ValueError(
                message("Sweep.best", f"a mode of {_MODES}", repr(mode), 'Pass "min" or "max".')
            )
        watching = MonitorCallback(monitor, mode)
        watching.set_model(self.models[member])
        watching._set_monitor_op()
        return watching._is_improvement(1.0, 0.0)


def _keys(rows: Sequence[dict[str, object]] | Sequence[dict[str, float]]) -> list[str]:
    """The keys of all rows, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row))
