"""Schedules to and from configs."""

from __future__ import annotations

from typing import Any

from densekit._core.registry import Names
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object


def serialize(learning_rate_schedule: object) -> Any:
    """The config of a schedule, for `deserialize`.

    Args:
        learning_rate_schedule: a `LearningRateSchedule`.

    Example:

    >>> import densekit as keras
    >>> schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=100)
    >>> keras.optimizers.schedules.serialize(schedule)["class_name"]
    'CosineDecay'
    """
    return serialize_keras_object(learning_rate_schedule)


def deserialize(config: object, custom_objects: dict[str, object] | None = None) -> Any:
    """The schedule of a config.

    Args:
        config: what `serialize` returned.
        custom_objects: classes and functions of one's own, by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> schedules = keras.optimizers.schedules
    >>> config = schedules.serialize(schedules.CosineDecay(0.1, decay_steps=100))
    >>> schedules.deserialize(config).decay_steps
    100
    """
    return deserialize_keras_object(
        config,
        custom_objects=custom_objects,
        module_objects=Names("keras.optimizers.schedules"),
    )
