"""What Keras offers about its backend: here there is one, and its arrays are NumPy's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core import settings as _settings
from densekit._core.dtypes import is_float_dtype as is_float_dtype
from densekit._core.dtypes import is_int_dtype as is_int_dtype
from densekit._core.dtypes import standardize_dtype as standardize_dtype
from densekit._core.naming import Counters as _Counters
from densekit._core.naming import reset_names as _reset_names
from densekit._core.registry import export as _export
from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit._core.scope import StatelessScope as StatelessScope
from densekit._core.scope import in_stateless_scope as in_stateless_scope
from densekit._core.settings import epsilon as epsilon
from densekit._core.settings import floatx as floatx
from densekit._core.settings import get as _get_setting
from densekit._core.settings import set_epsilon as set_epsilon
from densekit._core.settings import set_floatx as set_floatx
from densekit._core.variable import Variable as Variable
from densekit.ops import KerasTensor as KerasTensor
from densekit.ops import convert_to_numpy as convert_to_numpy
from densekit.ops import convert_to_tensor as convert_to_tensor
from densekit.ops import is_tensor as is_tensor
from densekit.ops._dispatch import result_type as result_type

_uids = _Counters()


def backend() -> str:
    """``"densekit"``."""
    return "densekit"


def image_data_format() -> str:
    """Where the channels of an image are: ``"channels_last"`` unless `config` changed it."""
    return str(_get_setting("image_data_format"))


def is_keras_tensor(x: object) -> bool:
    """Whether `x` is a symbolic tensor.

    Example:

    >>> import densekit as keras
    >>> keras.utils.is_keras_tensor(keras.Input((3,)))
    True
    """
    return isinstance(x, KerasTensor)


def get_uid(prefix: str = "") -> int:
    """1, 2, ... for each prefix, until `clear_session`, in each thread."""
    _uids.of[prefix] += 1
    return _uids.of[prefix]


def reset_uids() -> None:
    """Start counting anew."""
    _uids.of.clear()


@_export("keras.utils")
def clear_session(free_memory: bool = True) -> None:
    """Count layer names from the start again; forget the dtype policy and logging switches.

    Names are counted in each thread; those of other threads go on. Models and layers that exist are
    not touched. `set_floatx` and `set_epsilon` stay in force.

    Args:
        free_memory: kept for Keras' sake; Python frees what nothing refers to. Default: ``True``.

    Example:

    >>> import densekit as keras
    >>> keras.utils.clear_session()
    >>> keras.layers.Dense(1).name
    'dense'
    """
    _reset_names()
    reset_uids()
    _settings.put("dtype_policy", None)
    _settings.put("interactive_logging", True)
    _settings.put("traceback_filtering", True)


if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
