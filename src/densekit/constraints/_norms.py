"""Constraints on the length of weight vectors.

A Dense kernel is ``(inputs, units)``: with ``axis=0`` each unit's incoming weights are one vector.
All three divide by ``epsilon + norm``, epsilon being `densekit.config.epsilon`, as Keras does: a
vector of zeros stays zero, and one that already complies shrinks by a hair.
"""

from __future__ import annotations

from densekit import ops
from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.constraints._base import Constraint

Axis = int | tuple[int, ...] | list[int] | None


def _norms(w: ArrayLike, axis: Axis) -> TensorLike:
    axis = tuple(axis) if isinstance(axis, list) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


def _scaled(w: TensorLike, desired: ArrayLike, norms: TensorLike) -> TensorLike:
    """`w` with vectors of the desired lengths, in its type; of whole numbers in floats."""
    return ops.multiply(w, ops.divide(desired, ops.add(norms, settings.epsilon())))


def _native_form(kind: str, numbers: tuple[float, ...], axis: Axis) -> NativeForm | None:
    """The kernel for vectors along `axis`, or None if it has no word for it.

    A negative axis means something else for a matrix than for a bias, so it has none. All axes
    are the same for weights of any rank, axis 0 is so for vectors and matrices.
    """
    everything = isinstance(axis, list | tuple) and sorted(axis) == [0, 1]
    if not (axis is None or everything or (isinstance(axis, int) and axis in (0, 1))):
        return None
    word = float(axis) if isinstance(axis, int) else -1.0
    ranks = None if axis is None else (1, 2) if axis == 0 else (2,)
    return NativeForm(kind, (*numbers, word, settings.epsilon()), ranks=ranks)


@export("keras.constraints", "max_norm")
class MaxNorm(Constraint):
    """Vectors no longer than `max_value`.

    Formula: ``w' = w * min(norm, max_value) / (epsilon + norm)``.

    Args:
        max_value: largest length. Default: ``2``.
        axis: axis, or axes, along which a vector runs; None for all. Default: ``0``.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.MaxNorm(max_value=5)([[6.0], [8.0]]).round(3).tolist()
    [[3.0], [4.0]]

    Reference: Srivastava et al., "Dropout", JMLR 15, 2014, section 5.1.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: ArrayLike) -> TensorLike:
        """The projection of a weight of any shape."""
        w = ops.convert_to_tensor(w)
        norms = _norms(w, self.axis)
        return _scaled(w, ops.clip(norms, 0, self.max_value), norms)

    def get_config(self) -> Config:
        """``{"max_value": ..., "axis": ...}``."""
        return {"max_value": self.max_value, "axis": self.axis}

    def native_form(self) -> NativeForm | None:
        """``max_norm``, for matrices and vectors."""
        return _native_form("max_norm", (float(self.max_value),), self.axis)


@export("keras.constraints", "min_max_norm")
class MinMaxNorm(Constraint):
    """Vectors whose length is drawn into an interval.

    Formula: ``w' = w * (rate * clip(norm, min_value, max_value)
    + (1 - rate) * norm) / (epsilon + norm)``.

    Args:
        min_value: smallest length. Default: ``0.0``.
        max_value: largest length. Default: ``1.0``.
        rate: how far each update goes, 0 to 1; 1 enforces the interval. Default: ``1.0``.
        axis: axis, or axes, along which a vector runs; None for all. Default: ``0``.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.MinMaxNorm(1.0, 5.0)([[6.0], [8.0]]).round(3).tolist()
    [[3.0], [4.0]]
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: ArrayLike) -> TensorLike:
        """The projection of a weight of any shape."""
        w = ops.convert_to_tensor(w)
        norms = _norms(w, self.axis)
        inside = ops.clip(norms, self.min_value, self.max_value)
        desired = ops.add(ops.multiply(inside, self.rate), ops.multiply(norms, 1 - self.rate))
        return _scaled(w, desired, norms)

    def get_config(self) -> Config:
        """``{"min_value": ..., "max_value": ..., "rate": ..., "axis": ...}``."""
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }

    def native_form(self) -> NativeForm | None:
        """``min_max_norm``, for matrices and vectors."""
        bounds = (float(self.min_value), float(self.max_value), float(self.rate))
        return _native_form("min_max_norm", bounds, self.axis)


@export("keras.constraints", "unit_norm")
class UnitNorm(Constraint):
    """Vectors of length 1.

    Formula: ``w' = w / (epsilon + norm)``.

    Args:
        axis: axis, or axes, along which a vector runs; None for all. Default: ``0``.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.UnitNorm()([[0.0], [8.0]]).round(3).tolist()
    [[0.0], [1.0]]
    """

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: ArrayLike) -> TensorLike:
        """The projection of a weight of any shape."""
        w = ops.convert_to_tensor(w)
        return ops.divide(w, ops.add(_norms(w, self.axis), settings.epsilon()))

    def get_config(self) -> Config:
        """``{"axis": ...}``."""
        return {"axis": self.axis}

    def native_form(self) -> NativeForm | None:
        """``unit_norm``, for matrices and vectors."""
        return _native_form("unit_norm", (), self.axis)
