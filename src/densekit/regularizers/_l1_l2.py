"""Penalties on the size of weights."""

from __future__ import annotations

from densekit import ops
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.regularizers._base import Regularizer, check_factor


@export("keras.regularizers", "l1")
class L1(Regularizer):
    """A penalty on magnitudes: drives weights to exactly zero.

    Formula: ``l1 * sum(abs(x))``.

    Args:
        l1: factor >= 0; None stands for the default. Default: ``0.01``.

    Raises:
        ValueError: if `l1` is negative, not finite or not a number.

    Example:

    >>> import densekit as keras
    >>> float(keras.regularizers.L1(0.5)([[1.0, -3.0]]))
    2.0

    Reference: Tibshirani, "Regression shrinkage and selection via the lasso", 1996, equation 1.
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = check_factor("L1", "l1", 0.01 if l1 is None else l1)

    def __call__(self, x: ArrayLike) -> TensorLike:
        """The penalty of an array of any shape, a scalar."""
        return ops.multiply(ops.sum(ops.abs(x)), self.l1)

    def get_config(self) -> Config:
        """``{"l1": ...}``."""
        return {"l1": self.l1}

    def native_form(self) -> NativeForm:
        """``l1l2`` without its second term."""
        return NativeForm("l1l2", (self.l1, 0.0))


@export("keras.regularizers", "l2")
class L2(Regularizer):
    """A penalty on squares: keeps weights small.

    Formula: ``l2 * sum(x**2)``; no factor 1/2.

    Args:
        l2: factor >= 0; None stands for the default. Default: ``0.01``.

    Raises:
        ValueError: if `l2` is negative, not finite or not a number.

    Example:

    >>> import densekit as keras
    >>> float(keras.regularizers.L2(0.5)([[1.0, -3.0]]))
    5.0

    Reference: Hoerl and Kennard, "Ridge regression", 1970.
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = check_factor("L2", "l2", 0.01 if l2 is None else l2)

    def __call__(self, x: ArrayLike) -> TensorLike:
        """The penalty of an array of any shape, a scalar."""
        return ops.multiply(ops.sum(ops.square(x)), self.l2)

    def get_config(self) -> Config:
        """``{"l2": ...}``."""
        return {"l2": self.l2}

    def native_form(self) -> NativeForm:
        """``l1l2`` without its first term."""
        return NativeForm("l1l2", (0.0, self.l2))


@export("keras.regularizers", "l1_l2", "l1l2")
class L1L2(Regularizer):
    """The sum of `L1` and `L2`, the elastic net.

    Formula: ``l1 * sum(abs(x)) + l2 * sum(x**2)``.

    Args:
        l1: factor >= 0; None stands for 0. Default: ``0.0``.
        l2: factor >= 0; None stands for 0. Default: ``0.0``.

    Raises:
        ValueError: if a factor is negative, not finite or not a number.

    Example:

    >>> import densekit as keras
    >>> float(keras.regularizers.L1L2(l1=1.0, l2=0.5)([[1.0, -3.0]]))
    9.0

    Reference: Zou and Hastie, "Regularization and variable selection via the elastic net", 2005,
    equation 3.
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = check_factor("L1L2", "l1", 0.0 if l1 is None else l1)
        self.l2 = check_factor("L1L2", "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: ArrayLike) -> TensorLike:
        """The penalty of an array of any shape, a scalar."""
        # A factor of 0 switches its term off: 0 * inf would be nan.
        penalty = ops.zeros_like(ops.sum(x))
        if self.l1 != 0:
            penalty = ops.add(penalty, ops.multiply(ops.sum(ops.abs(x)), self.l1))
        if self.l2 != 0:
            penalty = ops.add(penalty, ops.multiply(ops.sum(ops.square(x)), self.l2))
        return penalty

    def get_config(self) -> Config:
        """``{"l1": ..., "l2": ...}``."""
        return {"l1": self.l1, "l2": self.l2}

    def native_form(self) -> NativeForm:
        """``l1l2``."""
        return NativeForm("l1l2", (self.l1, self.l2))
