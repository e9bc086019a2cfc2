"""`Dropout`: random zeros while training."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np

from densekit import random
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, Lowered, PlanBuilder
from densekit._core.registry import export
from densekit._core.seeds import SeedGenerator
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers._base.elementwise import Elementwise

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


def checked_share(where: str, name: str, value: float) -> float:
    """`value`, or TypeError unless it is a number, ValueError unless it lies in [0, 1]."""
    is_number = isinstance(value, numbers.Real | np.generic | np.ndarray)
    if not is_number:
        raise TypeError(message(where, f"`{name}`, a number", describe(value), "Pass e.g. 0.5."))
    if not 0 <= value <= 1:
        raise ValueError(message(where, f"0 <= `{name}` <= 1", describe(value), "Pass e.g. 0.5."))
    return value


@export("keras.layers")
class Dropout(Elementwise):
    """Sets a share `rate` of the inputs to 0 while training, scales the rest by ``1 / (1 - rate)``.

    Which ones follows from the seed, a counter of calls and the position alone: the same on any
    machine and with any number of threads. Without ``training=True`` inputs pass unchanged.

    Args:
        rate: share of zeros, 0 <= rate <= 1.
        noise_shape: shape of the random mask; entries of 1 share a zero along that axis, None
            entries are those of the inputs. Default: the shape of the inputs.
        seed: integer. Default: drawn.

    Raises:
        ValueError: for a rate outside of [0, 1] or a malformed `noise_shape`.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Dropout(0.5, seed=1)
    >>> sorted(set(layer(keras.ops.ones((4, 8)), training=True).ravel().tolist()))
    [0.0, 2.0]

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way
    to prevent neural networks from overfitting" (JMLR 15, 2014), in its inverted form.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: object = None,
        seed: int | None = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_share("Dropout", "rate", rate)
        self.seed = seed
        self.noise_shape = None if noise_shape is None else _noise_shape(noise_shape)
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self._build_at_init()

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, thinned out if `training`."""
        if not training or self.rate == 0:
            return inputs
        return random.dropout(
            inputs, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator
        )

    def lower(self, plan: PlanBuilder, x: Handle) -> Lowered:
        """One elementwise step while training, or a mask of its own shape; free otherwise."""
        if not plan.training or self.rate == 0:
            return x
        shape = self._dk_noise_shape(x.shape)
        if shape is not None and shape[0] is not None:  # one mask for all rows
            return plan.host(self._dk_drop, [x], (), (self.seed_generator,))
        if self.rate == 1:  # nothing is left, whatever is drawn
            return plan.dropout(plan.filled(x, x.sample_shape, 0.0), 0.5, self.seed_generator)
        if shape is None:
            return plan.dropout(x, self.rate, self.seed_generator)
        sizes = [n if m is None else m for n, m in zip(x.sample_shape, shape[1:], strict=True)]
        ones = plan.filled(x, sizes, 1.0)
        return plan.elementwise("multiply", x, plan.dropout(ones, self.rate, self.seed_generator))

    def _dk_noise_shape(self, shape: Sequence[int | None]) -> Sequence[int | None] | None:
        """Sizes of the mask for inputs of a shape, None for theirs; None if all are."""
        return self.noise_shape

    def _dk_drop(self, inputs: TensorLike) -> TensorLike:
        return self.call(inputs, training=True)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": self.noise_shape,
        }


def _noise_shape(shape: object) -> PartialShape:
    is_text = isinstance(shape, str)
    sizes = tuple(shape) if not is_text and hasattr(shape, "__iter__") else None
    if sizes is None or any(n is not None and (not isinstance(n, int) or n <= 0) for n in sizes):
        raise ValueError(
            message(
                "Dropout",
                "`noise_shape`, a tuple of integers >= 1 or None",
                describe(shape),
                "Write e.g. (None, 1, 8).",
            )
        )
    return sizes
