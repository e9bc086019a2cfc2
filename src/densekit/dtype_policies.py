"""Dtype policies: which type a layer stores its weights in and which it computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from densekit._core.dtype_policy import DTypePolicy as DTypePolicy
from densekit._core.dtype_policy import DTypePolicyMap as DTypePolicyMap
from densekit._core.dtype_policy import get_dtype_policy
from densekit._core.quantized_policy import Int4DTypePolicy as Int4DTypePolicy
from densekit._core.quantized_policy import QuantizedDTypePolicy as QuantizedDTypePolicy
from densekit._core.rooms import answers_for_absent as _answers_for_absent
from densekit._core.serialization import serialize_keras_object

FloatDTypePolicy = DTypePolicy


def get(identifier: object) -> DTypePolicy:
    """The policy that a policy, a name, a config or None, the global default, stands for.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> import densekit as keras
    >>> keras.dtype_policies.get("mixed_float16").compute_dtype
    'float16'
    """
    return get_dtype_policy(identifier)


def serialize(dtype_policy: DTypePolicy) -> Any:
    """The config of a policy."""
    return serialize_keras_object(dtype_policy)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy that `serialize` described."""
    return get_dtype_policy(config)


if not TYPE_CHECKING:
    __getattr__ = _answers_for_absent(__name__)
