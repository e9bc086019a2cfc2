"""Metrics from names, configs and shapes, and back."""

from __future__ import annotations

from typing import Any

from densekit._core import identifiers
from densekit._core.errors import describe, message
from densekit._core.naming import object_name, to_snake_case
from densekit._core.registry import Names
from densekit._core.rooms import room_of
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Identifier
from densekit.metrics._metric import Metric
from densekit.metrics._reduction import MeanMetricWrapper

_SHORT = {
    "bce": "BinaryCrossentropy",
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
}
_BY_SHAPE = {
    "accuracy": ("BinaryAccuracy", "SparseCategoricalAccuracy", "CategoricalAccuracy"),
    "crossentropy": (
        "BinaryCrossentropy",
        "SparseCategoricalCrossentropy",
        "CategoricalCrossentropy",
    ),
}
_BY_SHAPE["acc"], _BY_SHAPE["ce"] = _BY_SHAPE["accuracy"], _BY_SHAPE["crossentropy"]


def _spell(name: str) -> str:
    """The name of the class that a string stands for: itself, its snake case, or a short form."""
    if name in _SHORT or (name.isupper() and name.lower() in _SHORT):
        return _SHORT[name.lower()]
    room = room_of("keras.metrics")
    assert room is not None
    classes = (known for known in room.names if not known.islower())
    return next((known for known in classes if to_snake_case(known) == name), name)


_NAMES = Names("keras.metrics", _spell)


def serialize(metric: object) -> Any:
    """The config of a metric or metric function, for `deserialize`.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.serialize(keras.metrics.AUC())["class_name"]
    'AUC'
    """
    return serialize_keras_object(metric)


def deserialize(config: object, custom_objects: dict[str, object] | None = None) -> Any:
    """The metric or metric function of a config.

    Args:
        config: what `serialize` returned, or a name.
        custom_objects: classes and functions of one's own, by name. Default: none.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.deserialize(keras.metrics.serialize(keras.metrics.AUC(name="area"))).name
    'area'
    """
    return deserialize_keras_object(config, custom_objects=custom_objects, module_objects=_NAMES)


def get(identifier: Identifier | Metric) -> Any:
    """The metric that `identifier` stands for.

    Args:
        identifier: a name (``"MeanSquaredError"``, ``"mean_squared_error"``, ``"mse"``), a config,
            a class, a `Metric` or any callable, returned as it is, or None, which stays None.

    Raises:
        ValueError: if nothing can be made of it.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    return identifiers.resolve(identifier, family="metric", names=_NAMES)


def resolve(
    identifier: Identifier | Metric,
    y_true_shape: tuple[int | None, ...],
    y_pred_shape: tuple[int | None, ...],
) -> Metric:
    """The metric of `compile` for an output: `get`, and the strings that depend on the shapes.

    ``"accuracy"`` (``"acc"``) and ``"crossentropy"`` (``"ce"``) are binary if the last axis of the
    predictions is 1, sparse if the targets are labels, else categorical. A string becomes the name
    of the metric; a function is wrapped in `MeanMetricWrapper`.

    Raises:
        ValueError: if nothing can be made of `identifier`.

    Example:

    >>> import densekit as keras
    >>> keras.metrics.resolve("acc", (None,), (None, 10))
    <SparseCategoricalAccuracy name=acc>
    """
    if identifier is None:
        raise ValueError(
            message("compile", "a metric", "None", "Leave it out of the list of metrics.")
        )
    by_shape = _BY_SHAPE.get(identifier.lower()) if isinstance(identifier, str) else None
    if by_shape is not None:
        binary, sparse, categorical = by_shape
        labels = len(y_true_shape) < len(y_pred_shape) or (
            y_true_shape[-1] == 1 and y_pred_shape[-1] != 1
        )
        chosen = binary if y_pred_shape[-1] == 1 else sparse if labels else categorical
        return _NAMES[chosen](name=identifier)  # type: ignore[no-any-return]
    found = get(identifier)
    name = identifier if isinstance(identifier, str) else _name_of(found)
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=name)
    found.name = name
    return found


def check(identifier: Identifier | Metric) -> None:
    """What `resolve` can tell without shapes.

    Raises:
        ValueError: if nothing can be made of `identifier`.
    """
    if not (isinstance(identifier, str) and identifier.lower() in _BY_SHAPE):
        get(identifier)


def _name_of(component: object) -> str:
    name = object_name(component)
    if not isinstance(name, str):
        raise ValueError(
            message("compile", "a metric with a name", describe(component), "Name it.")
        )
    return name
