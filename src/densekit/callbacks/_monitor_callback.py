"""`MonitorCallback`: watches one value of the logs and knows which way is better."""

from __future__ import annotations

import operator
from collections.abc import Callable

from densekit._core.errors import message
from densekit._core.frames import warn
from densekit.callbacks._callback import Callback

_MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """Base of callbacks that act on the best value of ``logs[monitor]`` so far.

    Args:
        monitor: key of the logs. Default: ``"val_loss"``.
        mode: ``"min"``, ``"max"`` or ``"auto"``: by the monitored metric. Default: ``"auto"``.
        baseline: value that counts as best so far. Default: ``None``, any value is better.
        min_delta: change below which a value is no better. Default: ``0``.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            warn(message(type(self).__name__, f"mode in {_MODES}", f"{mode!r}", "Using 'auto'."))
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[float, float], bool] | None = None

    def _set_monitor_op(self) -> None:
        """Decide which way is better, once the model's metrics are known."""
        direction = {"min": "down", "max": "up"}.get(self.mode) or self._dk_direction_of_metric()
        if direction is None:
            raise ValueError(
                message(
                    type(self).__name__,
                    "a `monitor` that is known to be better higher or lower",
                    f"monitor={self.monitor!r} with mode='auto'",
                    "Pass mode='min' or mode='max'.",
                )
            )
        if direction == "up":
            self.monitor_op = operator.gt
        else:
            self.monitor_op = operator.lt
            self.min_delta = -self.min_delta

    def _dk_direction_of_metric(self) -> str | None:
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return "down"
        for container in getattr(self.model, "metrics", ()):
            for metric in getattr(container, "metrics", ()):
                if metric.name == name and hasattr(metric, "_direction"):
                    return str(metric._direction)
        return None

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        assert self.monitor_op is not None
        return bool(self.monitor_op(value - self.min_delta, reference))
