"""Objects to plain JSON-able dicts, in the shapes that Keras' files carry."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from densekit._core import registry
from densekit._core.deserialization import COLUMNS, LAMBDA, SHARED, SLICE
from densekit._core.deserialization import deserialize_function as deserialize_function
from densekit._core.deserialization import deserialize_keras_object as deserialize_keras_object
from densekit._core.deserialization import deserialize_nested as deserialize_nested
from densekit._core.deserialization import deserialize_whole as deserialize_whole
from densekit._core.dtype_policy import DTypePolicy
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.types import Config

_PLAIN = (str, int, float, bool)


# Numbers of the objects met so far, by identity.
_written: ContextVar[dict[int, tuple[int, object]] | None] = ContextVar(
    "densekit_written_objects", default=None
)


def serialize_whole(obj: object) -> Any:
    """`serialize_keras_object` that numbers objects which occur twice, for `deserialize_whole`."""
    token = _written.set({})
    try:
        config = serialize_keras_object(obj)
    finally:
        _written.reset(token)
    counts: Counter[int] = Counter()
    for part in _dicts(config):
        if SHARED in part:
            counts[part[SHARED]] += 1
    for part in _dicts(config):
        if SHARED in part and counts[part[SHARED]] == 1:
            del part[SHARED]
    return config


def _dicts(config: object) -> Iterator[Config]:
    stack = [config]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)


def serialize_keras_object(obj: object) -> Any:
    """Describe an object by plain data: ``{"module", "class_name", "config", "registered_name"}``.

    Args:
        obj: None, a number, string, list, tuple, dict, array, or any object with `get_config`;
            functions are described by name. A lambda has none: a warning is given, and the result
            can only be loaded with ``custom_objects={"<lambda>": function}``.

    Raises:
        TypeError: for an object without `get_config`, or whose `get_config` returns no dict.

    Example:

    >>> import densekit as keras
    >>> keras.saving.serialize_keras_object(keras.regularizers.L2(0.5))["config"]
    {'l2': 0.5}
    """
    if obj is None or (isinstance(obj, _PLAIN) and not isinstance(obj, np.generic)):
        return obj
    if isinstance(obj, dict):
        return serialize_dict(obj)
    if isinstance(obj, list | tuple):
        items = [serialize_keras_object(item) for item in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    special = _serialize_special(obj)
    return _serialize_component(obj) if special is None else special


def serialize_dict(values: Config) -> Config:
    """`serialize_keras_object` applied to the values of a dict."""
    return {key: serialize_keras_object(value) for key, value in values.items()}


def _tagged(class_name: str, **config: object) -> Config:
    return {"class_name": class_name, "config": config}


def _serialize_special(obj: Any) -> Any | None:
    """Values that are no components: bytes, slices, arrays, symbolic tensors, lambdas."""
    if isinstance(obj, bytes):
        return _tagged("__bytes__", value=obj.decode("utf-8"))
    if isinstance(obj, slice):
        parts = {name: serialize_keras_object(getattr(obj, name)) for name in SLICE}
        return _tagged("__slice__", **parts)
    if obj is Ellipsis:
        return _tagged("__ellipsis__")
    if isinstance(obj, np.dtype):
        return standardize_dtype(obj)
    if isinstance(obj, np.ndarray | np.generic):
        if obj.ndim == 0:
            return obj.item()
        dtype = standardize_dtype(obj.dtype)
        return _tagged("__numpy__", value=obj.tolist(), dtype=dtype)
    if _is_symbolic(obj):
        history = obj._keras_history
        if history is not None:
            operation, node, tensor = history
            history = [operation.name, node, tensor]
        return _tagged(
            "__keras_tensor__", shape=tuple(obj.shape), dtype=obj.dtype, keras_history=history
        )
    if type(obj).__module__.partition(".")[0] in ("jax", "jaxlib") and hasattr(obj, "shape"):
        dtype = standardize_dtype(obj.dtype)
        return _tagged("__tensor__", value=np.asarray(obj).tolist(), dtype=dtype)
    if isinstance(obj, types.FunctionType) and obj.__name__ == LAMBDA:
        if obj in registry._custom_name:
            return None
        warn(
            "A lambda is being serialized. Only its place is written, never its code: to load it, "
            'pass custom_objects={"<lambda>": function}. Use a named, registered function instead.'
        )
        return _tagged("__lambda__", value=None, name=LAMBDA)
    return None


def _is_symbolic(obj: object) -> bool:
    return type(obj).__name__ == "KerasTensor" and hasattr(obj, "_keras_history")


def _serialize_component(obj: Any) -> Config:
    if isinstance(obj, types.FunctionType):
        name = registry.get_registered_name(obj)
        return {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }
    if isinstance(obj, type) or not hasattr(obj, "get_config"):
        raise TypeError(
            message(
                "serialize_keras_object",
                "an object with a `get_config` method",
                describe(obj),
                "Define `get_config` to return the constructor's arguments.",
            )
        )
    inner = obj.get_config()
    if not isinstance(inner, dict):
        raise TypeError(
            message(
                f"{type(obj).__name__}.get_config",
                "a dict",
                describe(inner),
                "Return the constructor's arguments by name.",
            )
        )
    config = _named_config(type(obj), serialize_dict(inner))
    for part in ("build", "compile"):
        method = getattr(obj, f"get_{part}_config", None)
        value = method() if method is not None else None
        if value is not None:
            config[f"{part}_config"] = serialize_dict(value)
    config |= beyond_keras(obj, inner)
    _note_written(obj, config)
    return config


def beyond_keras(obj: object, inner: Config) -> Config:
    """What Keras' format has no key for and Keras passes over, as keys beside its own.

    Which layers of a layer are frozen, if its config `inner` does not say it, and the names of a
    model's columns.
    """
    config: Config = {}
    method = getattr(obj, "get_trainable_config", None)
    if method is not None and (flags := method(inner)) is not None:
        config["trainable_config"] = flags
    for key, name in COLUMNS.items():
        columns = getattr(obj, name, None)
        if columns:
            config[key] = columns.get_config()
    return config


def _named_config(cls: type, inner: Config | None) -> Config:
    """How a class is called in a file: by public module and name, or by registered name."""
    public = registry.public_name(cls)
    if public is None:
        module = None if cls.__module__ == "__main__" else cls.__module__
        return _four(module, cls.__name__, inner, registry.get_registered_name(cls))
    # Keras never exported these (Functional, the nodes of ops), so it registers them by name.
    private = public[0].startswith("keras.src.")
    return _four(*public, inner, public[1] if private else None)


def _four(
    module: str | None, class_name: str, config: Config | None, registered: str | None
) -> Config:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered,
    }


def _note_written(obj: object, config: Config) -> None:
    """Number every object; `serialize_whole` drops the numbers that occur once."""
    seen = _written.get()
    if isinstance(obj, DTypePolicy):  # a value: which of two equal ones it is means nothing
        return
    if seen is not None:  # keeping obj alive keeps its id its own
        config[SHARED] = seen.setdefault(id(obj), (len(seen) + 1, obj))[0]
