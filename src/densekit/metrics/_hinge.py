"""Hinge losses as metrics; targets are -1 or 1, and 0 counts as -1."""

from __future__ import annotations

from densekit import losses
from densekit._core.registry import export
from densekit.metrics._reduction import FunctionMean


@export("keras.metrics")
class Hinge(FunctionMean):
    """``mean(max(1 - y_true * y_pred, 0))``.

    Args:
        name: name of the metric. Default: ``"hinge"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.Hinge()([[1.0], [-1.0]], [[0.5], [0.5]]))
    1.0
    """

    _direction = "down"

    def __init__(self, name: str = "hinge", dtype: object = None) -> None:
        super().__init__(losses.hinge, name, dtype)


@export("keras.metrics")
class SquaredHinge(FunctionMean):
    """``mean(max(1 - y_true * y_pred, 0) ** 2)``.

    Args:
        name: name of the metric. Default: ``"squared_hinge"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ by more than a last axis of 1.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.SquaredHinge()([[1.0], [-1.0]], [[0.5], [0.5]]))
    1.25
    """

    _direction = "down"

    def __init__(self, name: str = "squared_hinge", dtype: object = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


@export("keras.metrics")
class CategoricalHinge(FunctionMean):
    """``mean(max(1 + neg - pos, 0))``: ``pos`` at the class, ``neg`` the largest of the others.

    Args:
        name: name of the metric. Default: ``"categorical_hinge"``.
        dtype: type of the state and the result. Default: `floatx`.

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> import densekit as keras
    >>> float(keras.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]]))
    0.75
    """

    _direction = "down"

    def __init__(self, name: str = "categorical_hinge", dtype: object = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
