"""`GaussianNoise`, `GaussianDropout`, `AlphaDropout`: other noise while training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from densekit import ops, random
from densekit._core.plan import Handle, Lowered, PlanBuilder
from densekit._core.registry import export
from densekit._core.seeds import SeedGenerator
from densekit._core.types import Config, TensorLike
from densekit.layers._base.elementwise import Elementwise
from densekit.layers._dropout import checked_share
from densekit.random._noise import gaussian

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions

_LIMIT = -1.6732632423543772 * 1.0507009873554805  # -alpha * scale of selu


@export("keras.layers")
class GaussianNoise(Elementwise):
    """Adds noise while training: ``outputs = inputs + N(0, stddev ** 2)``.

    Args:
        stddev: standard deviation of the noise, 0 <= stddev <= 1.
        seed: integer. Default: drawn.

    Raises:
        ValueError: for a `stddev` outside of [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.layers.GaussianNoise(0.1)(keras.ops.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    def __init__(
        self, stddev: float, seed: int | None = None, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.stddev = checked_share("GaussianNoise", "stddev", stddev)
        self.seed = seed
        if stddev > 0:
            self.seed_generator = SeedGenerator(seed)
        self._build_at_init()

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, with noise if `training`."""
        if not training or self.stddev == 0:
            return inputs
        noise: TensorLike = gaussian(inputs.shape, self.seed_generator, self.compute_dtype)
        return inputs + self.stddev * noise

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step while training, free otherwise."""
        if not plan.training or self.stddev == 0:
            return x
        return plan.noise(x, self.stddev, False, self.seed_generator)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


@export("keras.layers")
class GaussianDropout(Elementwise):
    """Multiplies by noise while training: ``outputs = inputs * N(1, rate / (1 - rate))``.

    Args:
        rate: as that of a `Dropout` of the same variance, 0 <= rate <= 1.
        seed: integer. Default: drawn.

    Raises:
        ValueError: for a rate outside of [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.layers.GaussianDropout(0.1)(keras.ops.ones((1, 2))).tolist()
    [[1.0, 1.0]]

    Reference: Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting" (JMLR 15, 2014), section 10.
    """

    def __init__(
        self, rate: float, seed: int | None = None, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_share("GaussianDropout", "rate", rate)
        self.seed = seed
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self._build_at_init()

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, with noise if `training`."""
        if not training or self.rate == 0:
            return inputs
        noise: TensorLike = gaussian(inputs.shape, self.seed_generator, self.compute_dtype)
        return inputs * (1.0 + self._dk_stddev() * noise)

    def _dk_stddev(self) -> float:
        return math.sqrt(self.rate / (1.0 - self.rate))

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One elementwise step while training, free otherwise."""
        if not plan.training or self.rate == 0:
            return x
        return plan.noise(x, self._dk_stddev(), True, self.seed_generator)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@export("keras.layers")
class AlphaDropout(Elementwise):
    """Dropout that keeps mean 0 and variance 1, for networks of `selu` units.

    While training a share `rate` of the inputs becomes ``m = -scale * alpha``, selu's limit; then
    all go through ``a * x + b`` with ``a = ((1 - rate) * (1 + rate * m**2)) ** -0.5`` and
    ``b = -a * m * rate``.

    Args:
        rate: share of inputs replaced, 0 <= rate <= 1.
        noise_shape: shape of the random mask, broadcast to the inputs. Default: theirs.
        seed: integer. Default: drawn.

    Raises:
        ValueError: for a rate outside of [0, 1].

    Example:

    >>> import densekit as keras
    >>> keras.layers.AlphaDropout(0.1)(keras.ops.ones((1, 2))).tolist()
    [[1.0, 1.0]]

    Reference: Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks"
    (NeurIPS 2017).
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.rate = checked_share("AlphaDropout", "rate", rate)
        self.seed = seed
        self.noise_shape = noise_shape
        if rate > 0:
            self.seed_generator = SeedGenerator(seed)
        self._build_at_init()

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """The inputs, some replaced if `training`."""
        if not training or self.rate == 0:
            return inputs
        shape = inputs.shape
        if self.noise_shape is not None:
            pairs = zip(self.noise_shape, inputs.shape, strict=True)
            shape = tuple(m if m is not None else n for m, n in pairs)
        ones = ops.ones(shape, inputs.dtype)
        kept = ops.cast(random.dropout(ones, self.rate, seed=self.seed_generator) > 0, inputs.dtype)
        a = self._dk_scale()
        return a * (inputs * kept + _LIMIT * (1 - kept)) - a * _LIMIT * self.rate

    def _dk_scale(self) -> float:
        return float(((1 - self.rate) * (1 + self.rate * _LIMIT**2)) ** -0.5)

    def lower(self, plan: PlanBuilder, x: Handle) -> Lowered:
        """A dropout of what is shifted by selu's limit, brought back; free outside of training."""
        if not plan.training or self.rate == 0:
            return x
        if self.noise_shape is not None and self.noise_shape[0] is not None:
            return plan.host(self._dk_drop, [x], (), (self.seed_generator,))
        a = self._dk_scale()
        if self.noise_shape is not None:
            pairs = zip(self.noise_shape[1:], x.sample_shape, strict=True)
            ones = plan.filled(x, [n if m is None else m for m, n in pairs], 1.0)
            mask = plan.dropout(ones, self.rate, self.seed_generator)
            kept = plan.elementwise("greater", mask, 0.0, dtype="bool")
            left = plan.elementwise("where", kept, x, _LIMIT)
            return plan.affine(left, a, -a * _LIMIT * self.rate)
        thinned = plan.dropout(plan.affine(x, 1.0, -_LIMIT), self.rate, self.seed_generator)
        return plan.affine(thinned, a * (1 - self.rate), a * _LIMIT * (1 - self.rate))

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
