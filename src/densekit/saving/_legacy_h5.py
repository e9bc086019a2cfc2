"""The HDF5 format of Keras 1 to 3 (`.h5`): one file with the architecture in attributes.

Read, so that old models open; written in the form that Keras 3 reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from densekit._core import registry
from densekit._core.allowance import allowance
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.serialization import (
    beyond_keras,
    serialize_keras_object,
)
from densekit._core.types import ArrayLike, Config
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.saving import _h5
from densekit.saving._atomic import replacing
from densekit.saving._config import (
    KERAS_VERSION,
    allowed,
    parse_json,
    revive_model,
    without_recent,
)
from densekit.saving._h5 import Group
from densekit.saving._model import SavedModel
from densekit.saving._modernize import modern_object, modern_training
from densekit.saving._old_optimizers import old_state
from densekit.saving._state import seed_states

_HEADER_LIMIT = 64512  # what HDF5 allows an attribute to hold
_TOP = "top_level_model_weights"
_NAMES = "compile_config"  # beyond Keras, as the next: losses and metrics by the names given
_SEEDS = "seed_generators"  # beyond Keras, which ignores it: a resumed run draws the same bits


def read_model(path: Path, custom_objects: dict[str, object] | None, compile: bool) -> SavedModel:
    """Revive the model in a legacy `.h5` file."""
    with (
        _h5.open_file(path) as file,
        registry.custom_object_scope(custom_objects),
        allowance(allowed(path.stat().st_size)),
    ):
        text = _h5.attribute_text(file, "model_config")
        if text is None:
            raise ValueError(
                message(
                    f"{str(path)!r}",
                    "a whole model",
                    "a file without `model_config`",
                    "Build the model and call `load_weights` if the file holds weights alone.",
                )
            )
        config = modern_object(parse_json(text, f"model_config of {str(path)!r}"))
        model = revive_model(config, None, False)
        weights = _h5.group(file, "model_weights")
        if weights is not None:
            _assign(_by_order(weights, model, skip_mismatch=False))
        if compile:
            _compile(model, file, str(path))
        if _h5.group(file, _SEEDS) is not None:
            seeds = seed_states(model)
            stored = _stored(file, _SEEDS, len(seeds) + 64)
            _assign([(a, b) for a, b in zip(seeds, stored, strict=False) if a.shape == b.shape])
    return model


def _compile(model: SavedModel, file: Group, where: str) -> None:
    text = _h5.attribute_text(file, "training_config")
    if text is None:  # the saved model was not compiled
        return
    version = _h5.attribute_text(file, "keras_version") or ""
    config = parse_json(text, f"training_config of {where!r}")
    named = _h5.attribute_text(file, _NAMES)
    if named is not None:
        config |= parse_json(named, f"{_NAMES} of {where!r}")
    model.compile_from_config(modern_training(config, version))
    stored = _h5.group(file, "optimizer_weights")
    optimizer = model.optimizer
    if stored is None or optimizer is None:
        return
    variables = list(optimizer.variables)
    names = _h5.attribute_names(stored, "weight_names", 4 * len(variables) + 64)
    values = [_h5.stored(stored, name) for name in names]
    pairs: list[Pair] | None = list(zip(variables, values, strict=False))
    if [v.shape for v in variables] != [v.shape for v in values]:
        pairs = old_state(optimizer, names, values)
    if pairs is None:
        warn(
            f"The optimizer state in {where!r} does not fit optimizer {optimizer.name!r}, "
            "which starts afresh."
        )
        return
    _assign(pairs)


def load_weights(path: Path, model: SavedModel, skip_mismatch: bool, by_name: bool) -> None:
    """Read the weights of a legacy file into `model`: all fit, or none is assigned."""
    with _h5.open_file(path) as file:
        group = file
        if "layer_names" not in file.attrs:
            group = _h5.group(file, "model_weights") or file
        find = _by_name if by_name else _by_order
        _assign(find(group, model, skip_mismatch))


Weighted = Layer | SavedModel
Pair = tuple[Variable, ArrayLike]  # a variable, and the array for it, of its shape


def _assign(pairs: Iterable[Pair]) -> None:
    """Read all, then assign all."""
    for variable, value in [(variable, np.asarray(value)) for variable, value in pairs]:
        variable.assign(value)


def _layer_weights(layer: Weighted) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _stored(group: Group, name: str, most: int) -> list[_h5.Stored]:
    """The arrays named in the group of a layer; more than `most` are not even looked at."""
    holder = _h5.group(group, name)
    if holder is None:
        raise _h5.bad_file(f"weights of layer {name!r}", "none")
    names = _h5.attribute_names(holder, "weight_names", most)
    return [_h5.stored(holder, n) for n in names]


def _most_arrays(model: SavedModel) -> int:
    """How many arrays a layer in a file may have: some more than the model, for a clear error."""
    return len(model.weights) + 64


def _layer_names(group: Group, model: SavedModel) -> list[str]:
    """Names of the layers in a file; those without weights may differ from the model's."""
    return _h5.attribute_names(group, "layer_names", 10 * len(model.layers) + 1000)


def _by_order(group: Group, model: SavedModel, skip_mismatch: bool) -> list[Pair]:
    """Layers with weights, matched in order."""
    layers = [layer for layer in model.layers if _layer_weights(layer)]
    stored, most = [], _most_arrays(model)
    for name in _layer_names(group, model):
        values = _stored(group, name, most)
        if values:
            stored.append((name, values))
        if len(stored) > len(layers):
            break
    if len(layers) != len(stored):
        raise ValueError(
            message(
                f"load_weights into {model.name!r}",
                f"{len(layers)} layers with weights",
                f"a file with {len(stored)} layers with weights or more",
                "Build the architecture that the file was saved from, or pass by_name=True.",
            )
        )
    pairs = []
    for layer, (name, values) in zip(layers, stored, strict=True):
        pairs += _match(layer, _layer_weights(layer), values, name, skip_mismatch)
    return pairs + _top_level(group, model, skip_mismatch)


def _by_name(group: Group, model: SavedModel, skip_mismatch: bool) -> list[Pair]:
    """Layers matched by name; those that only one side has are passed over."""
    layers = {layer.name: layer for layer in model.layers}
    pairs, most = [], _most_arrays(model)
    for name in _layer_names(group, model):
        if name in layers:
            layer, values = layers[name], _stored(group, name, most)
            pairs += _match(layer, _layer_weights(layer), values, name, skip_mismatch)
    return pairs + _top_level(group, model, skip_mismatch)


def _top_level(group: Group, model: SavedModel, skip_mismatch: bool) -> list[Pair]:
    """Weights of the model itself, outside its layers."""
    if _h5.group(group, _TOP) is None:
        return []
    values = _stored(group, _TOP, _most_arrays(model))
    return _match(model, _own_weights(model), values, _TOP, skip_mismatch)


def _own_weights(model: SavedModel) -> list[Variable]:
    inner = {id(weight) for layer in model.layers for weight in _layer_weights(layer)}
    return [weight for weight in _layer_weights(model) if id(weight) not in inner]


def _match(
    layer: Weighted, variables: list[Variable], values: list[_h5.Stored], name: str, skip: bool
) -> list[Pair]:
    expected, got = [v.shape for v in variables], [v.shape for v in values]
    if len(expected) == len(got):
        wrong = [i for i, (a, b) in enumerate(zip(expected, got, strict=True)) if a != b]
    else:
        wrong = list(range(len(expected)))
    if not wrong and len(expected) == len(got):
        return list(zip(variables, values, strict=True))
    text = message(
        f"{type(layer).__name__} {layer.name!r} ({name!r} in the file)",
        f"weights of shapes {expected}",
        f"{got}",
        "Build the layer as it was saved, or pass skip_mismatch=True.",
    )
    if not skip:
        raise ValueError(text)
    warn(f"Skipped. {text}")
    return [
        (v, value)
        for i, (v, value) in enumerate(zip(variables, values, strict=False))
        if i not in wrong
    ]


def write_model(model: SavedModel, path: Path, include_optimizer: bool) -> None:
    """Write the whole model in the legacy format."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)  # as Keras does for these files alone
    with replacing(path) as temporary, _h5.open_file(temporary, "w") as file:
        file.attrs["backend"] = "jax"  # Keras knows no other name; the arrays are the same
        file.attrs["keras_version"] = KERAS_VERSION
        inner = model.get_config()
        config = {"class_name": type(model).__name__, "config": inner}
        config |= beyond_keras(model, inner)
        file.attrs["model_config"] = json.dumps(without_recent(config)).encode()
        _write_weights(file.create_group("model_weights"), model)
        _write_arrays(file.create_group(_SEEDS), seed_states(model))
        optimizer = getattr(model, "optimizer", None)
        if include_optimizer and optimizer is not None:
            given = dict(model.get_compile_config() or {})
            given.pop("optimizer", None)
            training = _long_names(given)
            if training != given:
                file.attrs[_NAMES] = json.dumps(given).encode()
            training["optimizer_config"] = {
                "class_name": registry.get_registered_name(type(optimizer)),
                "config": serialize_keras_object(optimizer.get_config()),
            }
            file.attrs["training_config"] = json.dumps(training).encode()
            if optimizer.variables:
                _write_arrays(file.create_group("optimizer_weights"), list(optimizer.variables))


def _long_names(training: Config) -> Config:
    """Compile arguments with "mean_squared_error" for "mse": Keras opens only the long names."""
    losses, metrics = registry.Names("keras.losses"), registry.Names("keras.metrics")

    def spell(value: object, tables: tuple[registry.Names, ...]) -> object:
        if isinstance(value, dict):
            plain = "class_name" in value
            return value if plain else {k: spell(v, tables) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [spell(item, tables) for item in value]
        if not isinstance(value, str) or value in _CHOSEN_BY_SHAPE:
            return value
        found = next((table[value] for table in tables if value in table), None)
        return getattr(found, "__name__", value)

    return training | {
        "loss": spell(training.get("loss"), (losses,)),
        "metrics": spell(training.get("metrics"), (metrics, losses)),
        "weighted_metrics": spell(training.get("weighted_metrics"), (metrics, losses)),
    }


_CHOSEN_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


def _write_weights(group: Group, model: SavedModel) -> None:
    group.attrs["backend"] = "jax"
    group.attrs["keras_version"] = KERAS_VERSION
    _write_names(group, "layer_names", [layer.name for layer in model.layers])
    for layer in sorted(model.layers, key=lambda one: str(one.name)):
        _write_arrays(group.create_group(layer.name), _layer_weights(layer))
    _write_arrays(group.create_group(_TOP), _own_weights(model))


def _write_arrays(group: Group, variables: list[Variable]) -> None:
    paths = [variable.path for variable in variables]
    if len(set(paths)) < len(paths):
        paths = [f"{i}/{path}" for i, path in enumerate(paths)]
    _write_names(group, "weight_names", paths)
    for path, variable in zip(paths, variables, strict=True):
        _h5.put_array(group, path, variable)


def _write_names(group: Group, name: str, names: list[str]) -> None:
    data = np.array([n.encode() for n in names])
    chunks = max(1, -(-data.nbytes // _HEADER_LIMIT))
    if chunks == 1:
        group.attrs[name] = data
        return
    for i, part in enumerate(np.array_split(data, chunks)):
        group.attrs[f"{name}{i}"] = part
