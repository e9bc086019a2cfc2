"""`clear_session`: names and settings as in a fresh process."""

from __future__ import annotations

from densekit._core import settings
from densekit._core.naming import reset_names
from densekit._core.registry import export
from densekit.backend import reset_uids


@export("keras.utils")
def clear_session(free_memory: bool = True) -> None:
    """Count layer names from the start again and forget the dtype policy and logging switches.

    Models and layers that exist are not touched. `set_floatx` and `set_epsilon` stay in force.

    Args:
        free_memory: kept for Keras' sake; Python frees what nothing refers to.

    Example:

    >>> import densekit as keras
    >>> keras.utils.clear_session()
    >>> keras.layers.Dense(1).name
    'dense'
    """
    reset_names()
    reset_uids()
    settings.put("dtype_policy", None)
    settings.put("interactive_logging", True)
    settings.put("traceback_filtering", True)
