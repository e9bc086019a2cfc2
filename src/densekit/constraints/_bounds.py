"""Constraints on single weights."""

from __future__ import annotations

import math

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.constraints._base import Constraint


@export("keras.constraints", "non_neg")
class NonNeg(Constraint):
    """No weight below zero.

    Formula: ``w' = max(w, 0)``.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.NonNeg()([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: ArrayLike) -> TensorLike:
        """The projection of a weight of any shape."""
        return ops.maximum(w, 0)

    def native_form(self) -> NativeForm:
        """``non_neg``."""
        return NativeForm("non_neg")


@export("keras.constraints")
class Clip(Constraint):
    """Every weight within bounds, as the critic of a Wasserstein GAN needs it.

    Formula: ``w' = min(max(w, min_value), max_value)``.

    Args:
        min_value: lower bound, a number; -inf for none.
        max_value: upper bound, a number >= `min_value`; inf for none.

    Raises:
        ValueError: if the bounds are no numbers or in the wrong order.

    Example:

    >>> import densekit as keras
    >>> keras.constraints.Clip(-0.5, 0.5)([-1.0, 0.25]).tolist()
    [-0.5, 0.25]

    Reference: Arjovsky, Chintala and Bottou, "Wasserstein GAN", arXiv:1701.07875, algorithm 1,
    line 7 (there with bounds -0.01 and 0.01).
    """

    def __init__(self, min_value: float, max_value: float) -> None:
        for name, value in (("min_value", min_value), ("max_value", max_value)):
            if not isinstance(value, float | int) or math.isnan(value):
                raise ValueError(
                    message("Clip", f"`{name}` to be a number", describe(value), "Pass e.g. 0.01.")
                )
        if min_value > max_value:
            raise ValueError(
                message(
                    "Clip",
                    "min_value <= max_value",
                    f"min_value={min_value}, max_value={max_value}",
                    "Swap the bounds.",
                )
            )
        self.min_value = float(min_value)
        self.max_value = float(max_value)

    def __call__(self, w: ArrayLike) -> TensorLike:
        """The projection of a weight of any shape."""
        return ops.clip(w, self.min_value, self.max_value)

    def get_config(self) -> Config:
        """``{"min_value": ..., "max_value": ...}``."""
        return {"min_value": self.min_value, "max_value": self.max_value}

    def native_form(self) -> NativeForm:
        """``clip``."""
        return NativeForm("clip", (self.min_value, self.max_value))
