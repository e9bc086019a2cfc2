"""Process-wide settings behind `densekit.config`."""

from __future__ import annotations

import os
from typing import Any

from densekit._core.errors import describe, message

FLOATX = ("float16", "bfloat16", "float32", "float64")


def _limit(variable: str) -> int | None:
    return int(os.environ[variable]) if os.environ.get(variable) else None


_values: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "interactive_logging": True,
    "traceback_filtering": True,
    "dtype_policy": None,
    "engine": None,
    "distribution": None,
    "max_epochs": _limit("KERAS_MAX_EPOCHS"),
    "max_steps_per_epoch": _limit("KERAS_MAX_STEPS_PER_EPOCH"),
}


def get(name: str) -> Any:
    """Read a setting."""
    return _values[name]


def put(name: str, value: object) -> None:
    """Write a setting; the public setters have checked `value`."""
    _values[name] = value


def floatx() -> str:
    """Name of the default float type, ``"float32"`` unless `set_floatx` changed it."""
    return str(_values["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float type: one of float16, bfloat16, float32, float64."""
    if value not in FLOATX:
        raise ValueError(
            message("set_floatx", f"one of {FLOATX}", describe(value), "Pass a float type by name.")
        )
    _values["floatx"] = value


def epsilon() -> float:
    """The small number of numerically guarded formulas, 1e-7 unless `set_epsilon` changed it."""
    return float(_values["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the small number of numerically guarded formulas."""
    _values["epsilon"] = value


def enable_interactive_logging() -> None:
    """Write progress and messages to standard output.

    Example:

    >>> import densekit as keras
    >>> keras.utils.enable_interactive_logging()
    """
    put("interactive_logging", True)


def disable_interactive_logging() -> None:
    """Write progress and messages to the log.

    Example:

    >>> import densekit as keras
    >>> keras.utils.disable_interactive_logging()
    >>> keras.utils.is_interactive_logging_enabled()
    False
    >>> keras.utils.enable_interactive_logging()
    """
    put("interactive_logging", False)


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages go to standard output.

    Example:

    >>> import densekit as keras
    >>> keras.utils.is_interactive_logging_enabled()
    True
    """
    return bool(get("interactive_logging"))
