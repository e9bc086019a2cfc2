"""Schedules to and from configs."""

from __future__ import annotations

from typing import Any

from densekit._core.registry import Names
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object


def serialize(learning_rate_schedule: object) -> Any:
    """The config of a schedule, for `deserialize`."""
    return serialize_keras_object(learning_rate_schedule)


def deserialize(config: object, custom_objects: dict[str, object] | None = None) -> Any:
    """The schedule of a config."""
    return deserialize_keras_object(
        config,
        custom_objects=custom_objects,
        module_objects=Names("keras.optimizers.schedules"),
    )
