"""A model's architecture as JSON, and a model from JSON that may come from anywhere."""

from __future__ import annotations

import datetime
import json
from typing import Any

from densekit._core import registry
from densekit._core.errors import describe, message
from densekit._core.serialization import deserialize_whole, serialize_whole
from densekit._core.types import Config
from densekit.saving._model import SavedModel
from densekit.saving._modernize import modern_object

KERAS_VERSION = "3.15.1"  # the release whose format is written
_MAX_DEPTH = 400  # nesting of a config: 8 levels a nested model
_SLACK_BYTES = 64 << 20
_OPTIMIZER_FACTOR = 8  # model, gradients' slots and accumulators against the weights in the file


# Arguments that came with some Keras 3 release, and their defaults. Left out of files where they
# say nothing, since an older release refuses a file that names them.
_RECENT = {
    "quantization_config": None,
    "input_axes": None,
    "output_axes": None,
    "ragged": False,
    "optional": False,
}


def model_to_json(model: object) -> str:
    """The whole architecture of `model`, with its compile arguments, for every Keras 3 to read."""
    return json.dumps(without_recent(serialize_whole(model)))


def to_json(model: object, **kwargs: Any) -> str:
    """The whole architecture of `model`; `kwargs` go to `json.dumps`."""
    return json.dumps(serialize_whole(model), **kwargs)


def from_json(text: str | bytes, custom_objects: dict[str, object] | None) -> SavedModel:
    """The model that `to_json` described."""
    with registry.custom_object_scope(custom_objects):
        return revive_model(modern_object(parse_json(text, "model_from_json")), None)


def without_recent(config: object) -> object:
    """A config without the recent arguments of components that have their defaults."""
    if isinstance(config, list | tuple):
        return [without_recent(item) for item in config]
    if not isinstance(config, dict):
        return config
    plain = {key: without_recent(value) for key, value in config.items()}
    inner = plain.get("config")
    if "class_name" in plain and isinstance(inner, dict):
        kept = {k: v for k, v in inner.items() if k not in _RECENT or v is not _RECENT[k]}
        plain["config"] = kept
    return plain


def metadata_json() -> str:
    """What Keras keeps beside a config: which release wrote it, and when."""
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    return json.dumps({"keras_version": KERAS_VERSION, "date_saved": now})


def parse_json(text: str | bytes, where: str) -> Config:
    """A dict from JSON, refused if it is damaged, no dict, or nested beyond any real config."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            message(where, "the JSON of a model", f"text that cannot be parsed ({error})", _AGAIN)
        ) from error
    if not isinstance(config, dict):
        raise ValueError(message(where, "the JSON of a model", describe(config), _AGAIN))
    level: list[list[object] | dict[str, object]] = [config]
    for _ in range(_MAX_DEPTH):
        level = [
            value
            for item in level
            for value in (item.values() if isinstance(item, dict) else item)
            if isinstance(value, dict | list)
        ]
        if not level:
            return config
    raise ValueError(
        message(where, f"at most {_MAX_DEPTH} levels of nesting", "more", "Do not trust the file.")
    )


_AGAIN = "Save the model again."


def allowed(weight_bytes: int) -> int:
    """What a model may ask for whose weights take so many bytes in a file.

    A config that claims more than its file holds is hostile or damaged.
    """
    return _OPTIMIZER_FACTOR * weight_bytes + _SLACK_BYTES


def revive_model(
    config: Config, custom_objects: dict[str, object] | None, compile: bool = True
) -> SavedModel:
    """Build the model that `config` describes."""
    if not compile:
        config = {**config, "compile_config": None}
    try:
        model: SavedModel = deserialize_whole(config, custom_objects)
        kinds = ("keras", "Model"), ("keras.utils", "FeatureSpace")
        if not isinstance(model, tuple(filter(None, (registry.if_loaded(*k) for k in kinds)))):
            raise ValueError(message("model config", "a model", describe(model), _AGAIN))
        return model
    except RecursionError as error:
        raise ValueError(
            message("model config", "a finite structure", "endless nesting", _AGAIN)
        ) from error
    except (KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            message(
                "model config",
                "the fields Keras writes",
                f"a config without one of them ({type(error).__name__}: {error})",
                _AGAIN,
            )
        ) from error
