"""Objects from the plain dicts that Keras' files carry.

A config is data. Names in it are looked up in the closed table of built-in components and among
what the user registered or passed as ``custom_objects``; nothing is imported by name, no byte code
revived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from densekit._core import registry
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.slots import SLOTS, Slot, formula, slot_of, takes_class
from densekit._core.types import Array, Config

_PLAIN = (str, int, float, bool)
SLICE = ("start", "stop", "step")
# Where a config keeps the names of a model's columns, and the model its knowledge of them.
COLUMNS = {"columns_config": "_dk_known_columns", "targets_config": "_dk_known_targets"}
LAMBDA = "<lambda>"
SHARED = "shared_object_id"

# Where a class may live that a file names by a private module of some Keras release.
_CLASS_MODULES = (
    *("keras.layers", "keras", "keras.models", "keras.src.models.functional", "keras.optimizers"),
    *("keras.optimizers.schedules", "keras.initializers", "keras.regularizers"),
    *("keras.constraints", "keras.losses", "keras.metrics", "keras.random"),
    *("keras.src.losses.losses",),
)

# Modules of some Keras release whose classes are now exported elsewhere.
_PRIVATE = ("keras.src.", "keras.engine", "keras.layers.", "keras.optimizers.")

E = TypeVar("E", bound=Exception)

# Objects revived so far, by their number in the file.
_read: ContextVar[dict[int, Any] | None] = ContextVar("densekit_read_objects", default=None)


def deserialize_keras_object(
    config: object,
    custom_objects: Config | None = None,
    safe_mode: bool = True,
    module_objects: Mapping[str, object] | None = None,
    **kwargs: object,
) -> Any:
    """Revive what `serialize_keras_object` described.

    Args:
        config: the description.
        custom_objects: classes and functions by the name the config calls them. Default: none.
        safe_mode: accepted for Keras' sake. Code stored in a file is never run, whatever it says.
            Default: ``True``.
        module_objects: further names, as the ``get`` functions of the rooms pass them. Default:
            none.

    Raises:
        TypeError: for an unknown class or function, or a config of the wrong shape.
        ValueError: for a lambda not given in `custom_objects`, or a name that is no component.

    Example:

    >>> import densekit as keras
    >>> config = keras.saving.serialize_keras_object(keras.regularizers.L2(0.5))
    >>> float(keras.saving.deserialize_keras_object(config).l2)
    0.5
    """
    if custom_objects:
        with registry.custom_object_scope(custom_objects):
            return _revive(config, module_objects)
    return _revive(config, module_objects)


def _revive(config: object, names: Mapping[str, object] | None = None) -> Any:
    if config is None:
        return None
    if isinstance(config, str):
        return _revive_string(config, names)
    if isinstance(config, _PLAIN):
        return config
    if isinstance(config, list | tuple):
        return [_revive(item) for item in config]
    if not isinstance(config, dict):
        raise TypeError(
            message(
                "deserialize_keras_object",
                "a dict, list, string or number",
                describe(config),
                "Pass what `serialize_keras_object` returned.",
            )
        )
    if "class_name" not in config or ("config" not in config and names is None):
        if names is not None:
            raise ValueError(
                message(
                    "deserialize_keras_object",
                    "a dict with 'class_name' and 'config'",
                    f"the keys {sorted(config)}",
                    "Pass a component's config.",
                )
            )
        return {key: _revive(value) for key, value in config.items()}
    return _revive_tagged(config, names)


def _revive_string(name: str, names: Mapping[str, object] | None) -> Any:
    custom = registry.get_registered_object(name)
    if custom is not None:
        return custom
    if names is None or name not in names:
        return name
    found = names[name]
    return found() if isinstance(found, type) else found


def _revive_tagged(config: Config, names: Mapping[str, object] | None) -> Any:
    class_name, inner = config["class_name"], config.get("config")
    if class_name in _SPECIAL:
        try:
            return _SPECIAL[class_name](inner)
        except (KeyError, AttributeError, OverflowError) as error:
            raise ValueError(
                message(
                    f"config of {class_name!r}",
                    "the fields that `serialize_keras_object` writes",
                    describe(inner),
                    "The file is damaged or not from Keras.",
                )
            ) from error
    if class_name == "function":
        return _find_function(inner, config, names)
    return _revive_instance(config, {} if inner is None else inner, names)


def _revive_tensor(inner: Config) -> object:
    symbolic = registry.builtin("keras", "KerasTensor")
    assert symbolic is not None
    shape = inner["shape"]
    tensor = symbolic(tuple(shape), dtype=inner["dtype"])
    tensor._pre_serialization_keras_history = inner["keras_history"]
    return tensor


def _revive_array(inner: Config) -> Array:
    return np.array(inner["value"], dtype=to_numpy_dtype(inner["dtype"]))


def _revive_lambda(inner: object) -> object:
    custom = registry.get_registered_object(LAMBDA)
    if custom is not None:
        return custom
    raise ValueError(
        message(
            "deserialize_keras_object",
            "a named function",
            "a lambda, whose code is never read from a file",
            'Pass custom_objects={"<lambda>": function}.',
        )
    )


_SPECIAL: dict[str, Callable[[Any], object]] = {
    "__keras_tensor__": _revive_tensor,
    "__tensor__": _revive_array,
    "__numpy__": _revive_array,
    "__bytes__": lambda inner: inner["value"].encode("utf-8"),
    "__slice__": lambda inner: slice(*(_revive(inner[part]) for part in SLICE)),
    "__ellipsis__": lambda inner: Ellipsis,
    "__lambda__": _revive_lambda,
}


def _revive_instance(config: Config, inner: object, names: Mapping[str, object] | None) -> Any:
    class_name = config["class_name"]
    shared, number = _read.get(), config.get(SHARED)
    if shared is not None and number is not None and number in shared:
        return shared[number]
    cls = _find_class(config, names)
    if not isinstance(cls, type):
        return cls
    if not isinstance(inner, dict):
        raise TypeError(
            message(
                f"config of {class_name!r}",
                "a dict under 'config'",
                describe(inner),
                "The file is damaged or not from Keras.",
            )
        )
    if not hasattr(cls, "from_config"):
        raise TypeError(
            message(
                f"{cls.__name__}",
                "a class with a `from_config` method",
                "none",
                "Define `from_config(cls, config)`.",
            )
        )
    try:
        instance = cls.from_config(inner)
    except TypeError as error:
        if "_densekit_explained" in error.__dict__:
            raise
        raise _explained(
            TypeError(
                message(
                    f"{cls.__name__}.from_config",
                    "the arguments of its constructor",
                    f"the keys {sorted(map(str, inner))[:40]} ({error})",
                    "Deserialize nested objects in `from_config`, and accept every key.",
                )
            )
        ) from error
    build_config = config.get("build_config")
    if build_config and not instance.built:
        instance.build_from_config(build_config)
        instance.built = True
    if config.get("trainable_config") is not None and hasattr(instance, "trainable_from_config"):
        instance.trainable_from_config(config["trainable_config"])
    for key, name in COLUMNS.items():
        if config.get(key) is not None and hasattr(instance, name):
            getattr(instance, name).load_config(config[key])
    compile_config = config.get("compile_config")
    if compile_config:
        instance.compile_from_config(compile_config)
    if shared is not None and number is not None:
        shared[number] = instance
    return instance


def _find_class(config: Config, names: Mapping[str, object] | None) -> Any:
    name, module = config["class_name"], config.get("module")
    registered = config.get("registered_name", name)
    for key in (registered, name):
        custom = registry.get_registered_object(key) if isinstance(key, str) else None
        if custom is not None:
            return custom
    if isinstance(name, str):
        found, slot = None, slot_of(names)
        if isinstance(module, str) and (module == "keras" or module.startswith("keras.")):
            found = registry.builtin(module, name)
            if found is None and module.startswith(_PRIVATE):
                found = _builtin_class(name)
            if found is not None:
                _refuse_other_name(config, name)
        if found is None and names is not None and ("module" not in config or module):
            found = names.get(name)
        if takes_class(slot, found) or _is_formula(slot, found):
            return found
        if found is not None:
            raise _explained(ValueError(_not_a_component(f"{module}.{name}", slot)))
    raise _unknown("class", name)


def _refuse_other_name(config: Config, name: str) -> None:
    """What is Keras' own is registered under no name: a file that says another is not trusted."""
    said = config.get("registered_name")
    if said and said not in (name, config.get("class_name")):
        raise ValueError(
            message(
                f"deserialize_keras_object: {name!r}, which is Keras' own",
                f"no `registered_name` but {name!r}",
                describe(said),
                "Remove it from the config.",
            )
        )


def _is_formula(slot: Slot, found: object) -> bool:
    public = registry.public_name(found)
    return public is not None and formula(slot, public[1], public[0]) is found


def _builtin_class(name: str) -> Any | None:
    found = (registry.builtin(module, name) for module in _CLASS_MODULES)
    return next((cls for cls in found if isinstance(cls, type)), None)


def _find_function(name: object, config: Config, names: Mapping[str, object] | None) -> Any:
    if not isinstance(name, str):
        raise TypeError(
            message(
                "config of a function",
                "its name under 'config'",
                describe(name),
                "The file is damaged or not from Keras.",
            )
        )
    custom = registry.get_registered_object(name)
    if custom is not None:
        return custom
    slot, module = slot_of(names), config.get("module")
    own = names is not None and not isinstance(names, registry.Names)  # the caller's table
    if names is not None and own and name in names and not isinstance(names[name], type):
        return names[name]
    if module == "builtins":
        found = formula(slot, name)
        if found is not None:
            _refuse_other_name(config, name)
            return found
        # Keras 3.6 and older wrote "name" for what is registered as "package>name".
        for key, value in registry.get_custom_objects().items():
            if key.endswith(f">{name}"):
                return value
    elif isinstance(module, str) or module is None:
        found = formula(slot, name, module)
        if found is not None:
            return found
        if module is not None and registry.builtin(module, name) is not None:
            raise _explained(ValueError(_not_a_component(f"{module}.{name}", slot)))
    raise _unknown("function", name)


def _not_a_component(name: str, slot: Slot) -> str:
    return message(
        f"deserialize_keras_object in the place of a {slot.noun}",
        f"a {slot.noun}",
        repr(name),
        "The file is damaged, or not to be trusted.",
    )


def _explained(error: E) -> E:
    """Mark an error that says it all: what encloses its place passes it on as it is."""
    error.__dict__["_densekit_explained"] = True
    return error


def _unknown(kind: str, name: object) -> TypeError:
    return _explained(
        TypeError(
            message(
                "deserialize_keras_object",
                f"a known {kind}",
                f"{describe(name)}, which could not be located",
                "Register it with `@keras.saving.register_keras_serializable()` or pass it in "
                "`custom_objects`.",
            )
        )
    )


def deserialize_nested(config: object, names: Mapping[str, object]) -> Any:
    """Lists and dicts of components of the slot of `names`; plain names stay names."""
    if isinstance(config, dict) and "class_name" not in config:
        return {key: deserialize_nested(value, names) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [deserialize_nested(value, names) for value in config]
    if isinstance(config, dict):
        return _revive(config, names)
    if config is None or isinstance(config, str):
        return _revive(config)
    noun = slot_of(names).noun
    raise _explained(
        TypeError(
            message(
                f"deserialize_keras_object in the place of a {noun}",
                f"a name or the config of a {noun}",
                describe(config),
                "The file is damaged, or not to be trusted.",
            )
        )
    )


def deserialize_function(config: object, module: str) -> Any:
    """The function, or component, that a name or config stands for in the slot of `module`."""
    if isinstance(config, str):
        custom = registry.get_registered_object(config)
        return formula(SLOTS[module], config) if custom is None else custom
    return _revive(config, registry.Names(module)) if isinstance(config, dict) else config


def deserialize_whole(config: object, custom_objects: Config | None = None) -> Any:
    """`deserialize_keras_object` that revives one object for configs of the same number."""
    token = _read.set({})
    try:
        return deserialize_keras_object(config, custom_objects)
    finally:
        _read.reset(token)
