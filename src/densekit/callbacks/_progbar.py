"""`Progbar`: a line on the terminal that shows how far the work is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from densekit._core.registry import export
from densekit.callbacks._console import write

_BOLD, _GREEN, _GREY, _OFF = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"


@export("keras.utils")
class Progbar:
    """Shows steps done, time and values while work goes on.

    A value is averaged over the steps it was given for, unless it is named stateful.

    Args:
        target: number of steps expected, or None if unknown.
        width: width of the bar in characters. Default: ``20``.
        verbose: 0 silent, 1 a bar that moves, 2 one line at the end. Default: ``1``.
        interval: least time between two updates, in seconds. Default: ``0.05``.
        stateful_metrics: names of values shown as they are. Default: none.
        stateless_metrics: names of values averaged, all others being stateful. Default: all.
        unit_name: what a step is called. Default: ``"step"``.

    Raises:
        ValueError: if both `stateful_metrics` and `stateless_metrics` are given.

    Example:

    >>> import densekit as keras
    >>> bar = keras.utils.Progbar(2, verbose=0)
    >>> bar.update(1, [("loss", 0.5)])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: expected `stateful_metrics` or `stateless_metrics`, got both. Pass one."
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        # A terminal or a notebook can overwrite a line; posix streams are treated as terminals.
        self._overwrites = (
            sys.stdout.isatty()
            or "ipykernel" in sys.modules
            or "posix" in sys.modules
            or "PYCHARM_HOSTED" in os.environ
        )
        self._seen = 0
        self._values: dict[str, tuple[float, int]] = {}
        self._start = time.time()
        self._last_update = 0.0
        self._after_first_step: float | None = None
        self._shown_width = 0

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Show that `current` steps are done, with the latest ``(name, value)`` pairs."""
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            if finalize or not self._is_averaged(name):
                self._values[name] = (value, 1)
            else:
                total, count = self._values.get(name, (0.0, 0))
                self._values[name] = (total + value * steps, count + steps)
        self._seen = current
        now = time.time()
        pace = self._time_per_step(current, now)
        if self.verbose == 1:
            if now - self._last_update < self.interval and not finalize:
                return
            self._show_bar(current, now, pace, finalize)
        elif self.verbose == 2 and finalize and self.target:
            count_text = f"{current:{len(str(self.target))}d}/{self.target}"
            elapsed = f"{now - self._start:.0f}s -{self._pace_text(pace)}"
            write(f"{count_text} - {elapsed}{self._values_text()}")
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return self.stateful_metrics is None or name not in self.stateful_metrics

    def _show_bar(self, current: int, now: float, pace: float, finalize: bool) -> None:
        if self.target:
            count = f"{current:{len(str(self.target))}d}/{self.target}"
            filled = int(self.width * current / self.target)
            bar = f"{_BOLD}{count}{_OFF} "
            if filled:
                bar += f"{_GREEN}{'━' * filled}{_OFF}"
            bar += f"{_GREY}{'━' * (self.width - filled)}{_OFF}"
            shown = len(count) + 1 + self.width
        else:
            bar = f"{current:7d}/Unknown"
            shown = len(bar)
        if self.target and not finalize:
            clock = _duration(pace * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        tail = self._pace_text(pace) + self._values_text()
        shown += 1 + len(clock) + len(tail)
        text = "\b" * self._shown_width + "\r" if self._overwrites else "\n"
        text += f"{bar} {_BOLD}{clock}{_OFF}{tail}"
        text += " " * max(0, self._shown_width - shown)
        write(text, line_break=finalize)
        self._shown_width = shown

    def _values_text(self) -> str:
        text = ""
        for name, (total, count) in self._values.items():
            mean = float(np.mean(total)) / max(1, count)
            text += f" - {name}: {mean:.4f}" if abs(mean) > 1e-3 else f" - {name}: {mean:.4e}"
        return text

    def _pace_text(self, pace: float) -> str:
        if pace >= 1 or pace == 0:
            return f" {pace:.0f}s/{self.unit_name}"
        if pace >= 1e-3:
            return f" {pace * 1e3:.0f}ms/{self.unit_name}"
        return f" {pace * 1e6:.0f}us/{self.unit_name}"

    def _time_per_step(self, current: int, now: float) -> float:
        """Seconds per step; the first step, which also warms up, counts only while it is alone."""
        if not current:
            return 0.0
        if self._after_first_step is not None and current > 1:
            return (now - self._after_first_step) / (current - 1)
        if current == 1:
            self._after_first_step = now
        return (now - self._start) / current


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    if whole > 60:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole}s"
