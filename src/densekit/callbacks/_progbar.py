"""`Progbar`: a line on the terminal that shows how far the work is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import numpy as np

from densekit._core.console import screen, write
from densekit._core.registry import export
from densekit._core.types import Array

# A page made of a notebook may show every update: few are enough.
_NOTEBOOK_INTERVAL = 0.5
_SHORTEST_BAR = 5
_LINE = "━"
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

    A terminal that is narrow has a shorter bar. A pipe or a file gets the last state alone, and
    ``NO_COLOR`` or ``TERM=dumb`` are heeded.

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
        self._screen = screen()
        self._seen = 0
        self._values: dict[str, tuple[float | Array, int]] = {}
        self._start = time.time()
        self._last_update = 0.0
        self._after_first_step: float | None = None
        self._shown_width = 0
        self._title: list[str] = []  # what a line of ``verbose=2`` begins with

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, float | Array]] | None = None,
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
            if not finalize and now - self._last_update < self._least_interval():
                return
            self._show_bar(current, now, pace, finalize)
        elif self.verbose == 2 and finalize and self.target:
            elapsed = f"{now - self._start:.0f}s -{self._pace_text(pace)}"
            write(" - ".join([*self._title, self._count(current), elapsed, *self._values_texts()]))
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, float | Array]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return self.stateful_metrics is None or name not in self.stateful_metrics

    def _least_interval(self) -> float:
        """Seconds between two updates; a pipe or a file shows the end alone."""
        if not self._screen.overwrites:
            return math.inf
        return self.interval if self._screen.in_place else max(self.interval, _NOTEBOOK_INTERVAL)

    def _count(self, current: int) -> str:
        return f"{current:{len(str(self.target))}d}/{self.target}"

    def _show_bar(self, current: int, now: float, pace: float, finalize: bool) -> None:
        if self.target:
            count, width = self._count(current), self.width
        else:
            count, width = f"{current:7d}/Unknown", 0
        if self.target and not finalize:
            clock = _duration(pace * (self.target - current))
        else:
            clock = f"{now - self._start:.0f}s"
        rest = [clock + self._pace_text(pace), *self._values_texts()]
        room = self._screen.width
        if room is not None and width:  # the bar is what can be spared
            width = max(0, min(width, room - len(count) - 2 - len(" - ".join(rest))))
            width = width if width >= _SHORTEST_BAR else 0
        tail = _fitted(" - ".join(rest), len(count) + 1 + (width and width + 1), room, finalize)
        shown = len(count) + 1 + (width and width + 1) + len(tail)
        text = self._bold(count) + " " + (self._bar(current, width) + " " if width else "")
        text += self._bold(clock) + tail[len(clock) :]
        if self._screen.overwrites:
            text = "\r" + text + " " * max(0, self._shown_width - shown)
        write(text, line_break=finalize)
        self._shown_width = 0 if finalize else shown

    def _bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_OFF}" if self._screen.colours else text

    def _bar(self, current: int, width: int) -> str:
        filled = min(width, width * current // (self.target or 1))
        done, left = self._screen.bar
        if not self._screen.colours:
            return done * filled + left * (width - filled)
        if done == _LINE:
            left = done  # the colours tell them apart
        bar = f"{_GREEN}{done * filled}{_OFF}" if filled else ""
        return bar + f"{_GREY}{left * (width - filled)}{_OFF}"

    def _values_texts(self) -> list[str]:
        texts = []
        for name, (total, count) in self._values.items():
            mean = float(np.mean(total)) / max(1, count)
            texts.append(f"{name}: {mean:.4f}" if abs(mean) > 1e-3 else f"{name}: {mean:.4e}")
        return texts

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


def _fitted(text: str, start: int, room: int | None, whole: bool) -> str:
    """What fits behind `start` characters: all of it on more lines if it is to be `whole`."""
    if room is None or start + len(text) <= room:
        return text
    if not whole:
        return text[: max(0, room - start - 1)] + "…"
    lines, used = "", start
    for i, part in enumerate(text.split(" - ")):
        if i and used + 3 + len(part) > room:
            lines, used = lines + "\n   ", 3
        lines += f" - {part}" if i else part
        used += len(part) + (3 if i else 0)
    return lines
