"""`ReLU` and `LeakyReLU`: rectifiers as layers."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from densekit import activations
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.native_form import NativeForm
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


def _checked(where: str, name: str, value: float) -> float:
    is_number = isinstance(value, numbers.Real | np.generic | np.ndarray)
    if value is not None and not is_number:
        raise TypeError(message(where, f"`{name}`, a number", describe(value), "Pass e.g. 0.0."))
    if value is None or value < 0:
        raise ValueError(message(where, f"`{name}` >= 0", describe(value), "Pass e.g. 0.0."))
    return value


@export("keras.layers")
class ReLU(Elementwise):
    """Rectified linear unit: negative inputs become 0.

    ``max_value if x >= max_value else x if x >= threshold else negative_slope * (x - threshold)``

    Args:
        max_value: upper limit, >= 0, or None for none. Default: ``None``.
        negative_slope: slope below `threshold`, >= 0. Default: ``0.0``.
        threshold: where the slope changes, >= 0. Default: ``0.0``.

    Raises:
        ValueError: for a negative argument.

    Example:

    >>> import densekit as keras
    >>> keras.layers.ReLU(max_value=6.0)(keras.ops.array([[-1.0, 2.0, 9.0]])).tolist()
    [[0.0, 2.0, 6.0]]

    Reference: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines" (ICML
    2010).
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _checked("ReLU", "max_value", max_value)
        self.negative_slope = _checked("ReLU", "negative_slope", negative_slope)
        self.threshold = _checked("ReLU", "threshold", threshold)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rectified inputs."""
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def native_form(self) -> NativeForm:
        """The native kernel, also where the layer is another layer's activation."""
        top = math.inf if self.max_value is None else self.max_value
        numbers = (float(self.negative_slope), float(top), float(self.threshold))
        return NativeForm("relu", numbers)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step."""
        return plan.activation(x, self.native_form())

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@export("keras.layers")
class LeakyReLU(Elementwise):
    """Rectifier that lets a share of negative inputs through: ``x if x >= 0 else slope * x``.

    The default slope of the layer is 0.3; that of the function `activations.leaky_relu` is 0.2.

    Args:
        negative_slope: slope below 0, >= 0. Default: ``0.3``.

    Raises:
        ValueError: for a negative slope or None.

    Example:

    >>> import densekit as keras
    >>> keras.layers.LeakyReLU(0.5)(keras.ops.array([[-1.0, 2.0]])).tolist()
    [[-0.5, 2.0]]

    Reference: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic
    models" (ICML 2013).
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warn("`alpha` is deprecated: use `negative_slope`.")
        super().__init__(**kwargs)
        self.negative_slope = _checked("LeakyReLU", "negative_slope", negative_slope)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rectified inputs."""
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def native_form(self) -> NativeForm:
        """The native kernel, also where the layer is another layer's activation."""
        return NativeForm("relu", (float(self.negative_slope), math.inf, 0.0))

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step."""
        return plan.activation(x, self.native_form())

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "negative_slope": self.negative_slope}
