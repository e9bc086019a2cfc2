"""Process-wide settings: types, numbers, logging, threads; `show` tells what runs here."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import densekit
from densekit import engines
from densekit._core import settings
from densekit._core.dtype_policy import DTypePolicy, get_dtype_policy
from densekit._core.errors import describe, message
from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit._core.settings import disable_interactive_logging as disable_interactive_logging
from densekit._core.settings import enable_interactive_logging as enable_interactive_logging
from densekit._core.settings import epsilon as epsilon
from densekit._core.settings import floatx as floatx
from densekit._core.settings import is_interactive_logging_enabled as is_interactive_logging_enabled
from densekit._core.settings import set_epsilon as set_epsilon
from densekit._core.settings import set_floatx as set_floatx
from densekit.backend import backend as backend
from densekit.backend import image_data_format as image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set where `layers.Flatten` finds channels: ``"channels_last"`` or ``"channels_first"``.

    Raises:
        ValueError: for anything else.
    """
    choices = ("channels_first", "channels_last")
    if data_format not in choices:
        raise ValueError(
            message(
                "set_image_data_format", f"one of {choices}", describe(data_format), "Pass one."
            )
        )
    settings.put("image_data_format", data_format)


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every `fit` from now on, for trials; None lifts the limit.

    The environment variable ``KERAS_MAX_EPOCHS`` does the same.
    """
    settings.put("max_epochs", max_epochs)


def max_epochs() -> int | None:
    """What `set_max_epochs` set; at first None."""
    limit: int | None = settings.get("max_epochs")
    return limit


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of every epoch, evaluation and prediction; None lifts the limit.

    The environment variable ``KERAS_MAX_STEPS_PER_EPOCH`` does the same.
    """
    settings.put("max_steps_per_epoch", max_steps_per_epoch)


def max_steps_per_epoch() -> int | None:
    """What `set_max_steps_per_epoch` set; at first None."""
    limit: int | None = settings.get("max_steps_per_epoch")
    return limit


def set_backend(backend: str) -> None:
    """Kept for Keras' sake: there is one backend, ``"densekit"``.

    Raises:
        ValueError: for another one.
    """
    if backend != "densekit":
        raise ValueError(
            message(
                "set_backend",
                "'densekit', the only backend here",
                describe(backend),
                "Leave the call out; networks run on the native core.",
            )
        )


def is_nnx_enabled() -> bool:
    """False: Flax is not there."""
    return False


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return get_dtype_policy(None)


def set_dtype_policy(policy: object) -> None:
    """Set the policy of layers created from now on.

    Args:
        policy: a `DTypePolicy`, or its name, e.g. ``"mixed_bfloat16"``.

    Raises:
        ValueError: for an unknown name, or None.

    Example:

    >>> import densekit as keras
    >>> keras.config.set_dtype_policy("float64")
    >>> keras.layers.Dense(1).compute_dtype
    'float64'
    >>> keras.config.set_dtype_policy("float32")
    """
    if policy is None:
        raise ValueError(
            message("set_dtype_policy", "a policy or its name", "None", "Pass e.g. 'float32'.")
        )
    settings.put("dtype_policy", get_dtype_policy(policy))


def enable_traceback_filtering() -> None:
    """Kept for Keras' sake: tracebacks are never filtered here."""
    settings.put("traceback_filtering", True)


def disable_traceback_filtering() -> None:
    """Kept for Keras' sake: tracebacks are never filtered here."""
    settings.put("traceback_filtering", False)


def is_traceback_filtering_enabled() -> bool:
    """What was set last; `True` at first."""
    return bool(settings.get("traceback_filtering"))


def enable_unsafe_deserialization() -> None:
    """Kept for Keras' sake: code stored in a file is never run, so nothing becomes unsafe."""


def threads() -> int:
    """Number of threads that kernels use. Results do not depend on it."""
    return int(_native().get_threads())


def set_threads(n: int) -> None:
    """Set the number of threads that kernels use; `DENSEKIT_THREADS` sets the first value.

    Args:
        n: an integer >= 1.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ValueError(message("set_threads", "an integer >= 1", describe(n), "Pass e.g. 1."))
    _native().set_threads(int(n))


def engine() -> str:
    """Name of the engine of models whose `compile` names none: ``"native"`` at first.

    The environment variable `DENSEKIT_ENGINE` gives the first value.
    """
    return engines.default_name()


def set_engine(name: str) -> None:
    """Set the engine of models that are compiled, or first used, from now on.

    Args:
        name: ``"native"``; or ``"reference"``, which computes by the definitions alone, slowly.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> import densekit as keras
    >>> keras.config.set_engine("reference")
    >>> keras.config.engine()
    'reference'
    >>> keras.config.set_engine("native")
    """
    settings.put("engine", engines.check_engine(name, "set_engine"))


def show() -> None:
    """Print what runs here: versions, processor, instruction set and threads, where the package is.

    `DENSEKIT_ISA` forces an instruction set, `DENSEKIT_THREADS` the number of threads;
    `DENSEKIT_MACHINE` overrides what was found of caches and multiply-add units, for measurements.
    """
    for name, value in _facts().items():
        print(f"{name + ':':<18}{value}")


def _facts() -> dict[str, str]:
    native = _native()
    machine = native.machine()
    caches = ", ".join(
        f"{level.upper()} {machine[level] // 1024} KiB" for level in ("l1d", "l2", "l3")
    )
    isa = f"{native.active_isa()} (of {', '.join(native.available_isas())})"
    if machine["lanes_f32"] == 16:
        isa += f", multiply-adds a cycle: {machine['fma_ports']}"
    return {
        "densekit": densekit.__version__,
        "Python": f"{platform.python_version()} ({sys.executable})",
        "NumPy": np.__version__,
        "CPU": f"{machine['cpu']}, {machine['cores']} cores, {caches}",
        "instruction set": isa,
        **({"tiles": tiles} if (tiles := native.tiles_note()) else {}),
        "threads": str(native.get_threads()),
        "engine": engine(),
        "dtype policy": dtype_policy().name,
        "package": str(densekit.__path__[0]),
    }


def _native() -> Any:
    from densekit.engines import native  # slow: loads every room below, for settings that need none

    return native


if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
