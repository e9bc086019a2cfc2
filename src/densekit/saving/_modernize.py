"""Configs of Keras 1 and 2, and of its first releases of the `.keras` format, in today's shape.

They name a class without its module, and some arguments have been renamed or dropped since.
"""

from __future__ import annotations

from typing import Any

from densekit._core import registry
from densekit._core.types import Config
from densekit.saving._keras1 import from_keras1
from densekit.saving._old_optimizers import modern_optimizer_arguments

# Where a class without a module is looked for, in this order.
_MODULES = (
    *("keras.layers", "keras"),
    *("keras.models", "keras.src.models.functional"),  # the room first: asking loads it
    *(
        "keras.initializers",
        "keras.regularizers",
        "keras.constraints",
        "keras.losses",
        "keras.metrics",
    ),
    *("keras.optimizers", "keras.optimizers.schedules"),
)
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}


def modern_object(value: Any) -> Any:
    """Give every class in a nested config its module and its arguments today's names."""
    if isinstance(value, list):
        return [modern_object(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get("class_name")
    if name in ("__tuple__", "TensorShape") and "items" in value:
        return [modern_object(item) for item in value["items"]]
    if name == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if name == "Sequential" and isinstance(value.get("config"), list):  # up to Keras 2.2.2
        value = {**value, "config": {"name": None, "layers": value["config"]}}
    value = {key: modern_object(item) for key, item in value.items()}
    config = value.get("config")
    if not isinstance(name, str) or not isinstance(config, dict) or name.startswith("__"):
        return value
    if name in ("Policy", "DTypePolicy") and "module" not in value:
        return config.get("name")
    if "module" not in value:
        name = from_keras1(name, config)
        value |= _located(name)
    _modern_arguments(value, config)
    return value


def _located(name: str) -> dict[str, str | None]:
    """Module, class name and registered name of a class known by its name alone."""
    if registry.get_registered_object(name) is not None:
        return {"module": None, "class_name": name, "registered_name": name}
    bare = name.rpartition(">")[2]  # Keras 2.11 wrote its own optimizers as "Custom>Adam"
    for module in _MODULES:
        if isinstance(registry.Names(module).get(bare), type):
            return {"module": module, "class_name": bare, "registered_name": None}
    return {"module": None, "class_name": name, "registered_name": name}


def _modern_arguments(value: Config, config: Config) -> None:
    name, module = value["class_name"], str(value.get("module"))
    for old, new in _RENAMED.get(name, {}).items():
        if old in config:
            config[new] = config.pop(old)
    if config.get("activation") == "softmax_v2":  # how TensorFlow 1.15 called it in some files
        config["activation"] = "softmax"
    if name == "BatchNormalization" and isinstance(config.get("axis"), list):
        (config["axis"],) = config["axis"][:1]  # Keras 2 could take several, and wrote one so
    if name == "Lambda":
        _modern_lambda(config)
    elif ".optimizers" in module and "schedules" not in module:
        _modern_optimizer(value, config)
    elif module == "keras.initializers":
        config.pop("dtype", None)  # TensorFlow 1 wrote it; the variable says it
        if config.get("distribution") == "normal":
            config["distribution"] = "truncated_normal"  # what that name meant
    elif module == "keras.losses":
        if config.get("reduction") == "auto":
            config["reduction"] = "sum_over_batch_size"
        if name != "LossFunctionWrapper":
            config.pop("fn", None)  # the class is named after it
    _modern_shapes(name, config)


def _modern_shapes(name: str, config: Config) -> None:
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
    told = config.get("build_input_shape")
    if name == "Sequential" and not told and shapes and shapes[0] is not None:
        config["build_input_shape"] = shapes[0]


def _modern_lambda(config: Config) -> None:
    """Functions of Keras 2 by name; code, which is never read, as the mark of a lambda."""
    for key in ("function", "output_shape", "mask"):
        kind = config.pop(f"{key}_type", None)
        config.pop("module" if key == "function" else f"{key}_module", None)
        value = config.get(key)
        if kind == "lambda" or (key == "function" and isinstance(value, list)):
            config[key] = {"class_name": "__lambda__", "config": {}}
        elif isinstance(value, str):
            config[key] = {
                **{"module": "builtins", "class_name": "function", "config": value},
                "registered_name": "function",
            }


def modern_training(config: Config, version: str) -> Config:
    """The ``training_config`` of a legacy file that Keras `version` wrote, in today's shape."""
    given = config.get("optimizer_config")
    if isinstance(given, dict) and isinstance(given.get("class_name"), str):
        given = {**given, "class_name": _any_case(given["class_name"])}
    optimizer = modern_object(given) if isinstance(given, dict) else given
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        _modern_optimizer(optimizer, optimizer["config"], version)
    names = ("loss", "metrics", "weighted_metrics", "loss_weights")
    parts = {name: modern_object(config.get(name)) for name in names}
    return {"optimizer": optimizer} | parts | {"loss": _renamed_losses(parts["loss"])}


def _any_case(name: str) -> str:
    """The class of an optimizer that old files spell as users did."""
    names = registry.Names("keras.optimizers")
    return next((known for known in names if known.lower() == name.lower()), name)


def _renamed_losses(loss: object) -> object:
    if isinstance(loss, list):
        return [_renamed_losses(item) for item in loss]
    if isinstance(loss, dict) and "class_name" not in loss:
        return {key: _renamed_losses(item) for key, item in loss.items()}
    return "cosine_similarity" if loss == "cosine_proximity" else loss


def _modern_optimizer(value: Config, config: Config, version: str = "") -> None:
    value["config"] = modern_optimizer_arguments(value["class_name"], config, version)
