"""Configs of Keras 1 and 2 in today's shape.

They name a class without its module, and some arguments have been renamed since.
"""

from __future__ import annotations

from typing import Any

from densekit._core import registry

# Where a class without a module is looked for, in this order.
_MODULES = (
    *("keras.layers", "keras", "keras.src.models.functional", "keras.initializers"),
    *("keras.regularizers", "keras.constraints", "keras.losses", "keras.metrics"),
    *("keras.optimizers", "keras.optimizers.schedules"),
)
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
_OPTIMIZER_RENAMED = {"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2"}
_OPTIMIZER_DROPPED = ("decay", "is_legacy_optimizer", "jit_compile", "schedule_decay")


def modern_object(value: Any) -> Any:
    """Give every class in a nested config its module and its arguments today's names."""
    if isinstance(value, list):
        return [modern_object(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
        return [modern_object(item) for item in value["items"]]
    if value.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    value = {key: modern_object(item) for key, item in value.items()}
    config = value.get("config")
    name = value.get("class_name")
    if not isinstance(name, str) or not isinstance(config, dict) or name.startswith("__"):
        return value
    if name in ("Policy", "DTypePolicy") and "module" not in value:
        return config.get("name")
    if "module" not in value:
        value |= _located(name)
    for old, new in _RENAMED.get(name, {}).items():
        if old in config:
            config[new] = config.pop(old)
    _modern_shapes(name, config)
    return value


def _located(name: str) -> dict[str, Any]:
    """Module, class name and registered name of a class known by its name alone."""
    if registry.get_registered_object(name) is not None:
        return {"module": None, "class_name": name, "registered_name": name}
    bare = name.rpartition(">")[2]  # Keras 2.11 wrote its own optimizers as "Custom>Adam"
    for module in _MODULES:
        if isinstance(registry.builtin(module, bare), type):
            return {"module": module, "class_name": bare, "registered_name": None}
    return {"module": None, "class_name": name, "registered_name": name}


def _modern_shapes(name: str, config: dict[str, Any]) -> None:
    """The first layer of an old Sequential carried the input shape; now the model says it."""
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    layers = config.get("layers")
    if not isinstance(layers, list):
        return
    shapes = [
        layer["config"].pop("batch_input_shape", None)
        for layer in layers
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
    ]
    if name == "Sequential" and shapes and shapes[0] is not None:
        config.setdefault("build_input_shape", shapes[0])


def modern_optimizer(config: Any) -> Any:
    """The config of an optimizer, without the arguments it no longer has."""
    config = modern_object(config)
    inner = config.get("config") if isinstance(config, dict) else None
    if isinstance(inner, dict):
        for key in _OPTIMIZER_DROPPED:
            inner.pop(key, None)
        for old, new in _OPTIMIZER_RENAMED.items():
            if old in inner:
                inner[new] = inner.pop(old)
    return config
