"""`BatchNormalization`: each feature to mean 0 and variance 1 over the batch.

Long by its card and the thirteen things it is configured by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from densekit import constraints, initializers, ops, regularizers
from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, DTypeLike, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.elementwise import Elementwise
from densekit.layers._base.input_spec import InputSpec

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions

_CLIPPING = ("rmax", "rmin", "dmax")


@export("keras.layers")
class BatchNormalization(Elementwise):
    """Brings each entry of an axis to mean 0 and variance 1, then scales and shifts it.

    ``outputs = gamma * (inputs - mean) / sqrt(variance + epsilon) + beta``

    While training, mean and (biased) variance are those of the batch, and the moving ones follow:
    ``moving = momentum * moving + (1 - momentum) * batch``. Otherwise, and if the layer's
    `trainable` is False, the moving ones are used.

    Args:
        axis: the axis whose entries are normalized each on its own. Default: ``-1``, features.
        momentum: of the moving mean and variance. Default: ``0.99``.
        epsilon: added to the variance. Default: ``0.001``.
        center: whether `beta` is added. Default: ``True``.
        scale: whether `gamma` multiplies. Default: ``True``.
        beta_initializer: distribution of the initial `beta`. Default: ``"zeros"``.
        gamma_initializer: distribution of the initial `gamma`. Default: ``"ones"``.
        moving_mean_initializer: Default: ``"zeros"``.
        moving_variance_initializer: Default: ``"ones"``.
        beta_regularizer: penalty on `beta`. Default: none.
        gamma_regularizer: penalty on `gamma`. Default: none.
        beta_constraint: function of `beta`, applied after each update. Default: none.
        gamma_constraint: function of `gamma`, applied after each update. Default: none.
        renorm: whether training corrects the batch's statistics towards moving ones (batch
            renormalization). Default: ``False``.
        renorm_clipping: dict of bounds "rmax", "rmin", "dmax" of that correction. Default: none.
        renorm_momentum: of the moving statistics for it. Default: ``0.99``.
        synchronized: must be False. Default: ``False``.

    Raises:
        ValueError: for ``synchronized=True`` or unknown keys of `renorm_clipping`; when called, for
            a mask of another rank than the inputs' less one.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.BatchNormalization(epsilon=0.0)
    >>> layer(keras.ops.array([[1.0], [3.0]]), training=True).tolist()
    [[-1.0], [1.0]]

    Reference: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by
    reducing internal covariate shift" (ICML 2015), algorithms 1 and 2; Ioffe, "Batch
    renormalization" (NeurIPS 2017).
    """

    _dk_lowers_mask = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: object = "zeros",
        gamma_initializer: object = "ones",
        moving_mean_initializer: object = "zeros",
        moving_variance_initializer: object = "ones",
        beta_regularizer: object = None,
        gamma_regularizer: object = None,
        beta_constraint: object = None,
        gamma_constraint: object = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)
        if synchronized:
            raise ValueError(
                message("BatchNormalization", "synchronized=False", "True", "Leave it out.")
            )
        self.synchronized = synchronized
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = (
            _checked_clipping(renorm_clipping or {}) if renorm else renorm_clipping
        )
        self.renorm_momentum = renorm_momentum

    def build(self, input_shape: PartialShape) -> None:
        """Create weights and statistics for inputs of `input_shape`, batch axis included."""
        self.compute_output_shape(input_shape)
        size = input_shape[self.axis]

        def statistic(name: str, initializer: object) -> Variable:
            return self.add_weight(
                name=name, shape=(size,), initializer=initializer, trainable=False, autocast=False
            )

        def deviation(shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
            variance: Any = self.moving_variance_initializer
            return ops.sqrt(variance(shape, dtype=dtype))

        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=(size,),
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=(size,),
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self.moving_mean = statistic("moving_mean", self.moving_mean_initializer)
        self.moving_variance = statistic("moving_variance", self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = statistic("moving_stddev", deviation)
            self.renorm_mean = statistic("renorm_mean", self.moving_mean_initializer)
            self.renorm_stddev = statistic("renorm_stddev", deviation)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: size})

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the input."""
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ValueError(
                message(
                    f"BatchNormalization {self.name!r}",
                    f"an axis of the input shape {tuple(input_shape)}",
                    f"axis {self.axis}",
                    "Count axes from 0, the batch axis.",
                )
            )
        return tuple(input_shape)

    def call(
        self, inputs: TensorLike, training: bool | None = None, mask: TensorLike | None = None
    ) -> TensorLike:
        """The normalized inputs; `mask` is true where a position counts for the statistics."""
        x = ops.cast(inputs, "float64" if str(inputs.dtype) == "float64" else "float32")
        scale: float | TensorLike = 1.0 if self.gamma is None else ops.cast(self.gamma, x.dtype)
        offset: float | TensorLike = 0.0 if self.beta is None else ops.cast(self.beta, x.dtype)
        if training and self.trainable and 0 not in x.shape:
            mean, variance = self._dk_moments(x, mask)
            if self.renorm:
                r, d = self._dk_renormalize(mean, variance)
                scale, offset = scale * r, offset + d * scale
            else:
                self._dk_follow(self.moving_mean, mean, self.momentum)
                self._dk_follow(self.moving_variance, variance, self.momentum)
        else:
            mean = ops.cast(self.moving_mean, x.dtype)
            variance = ops.cast(self.moving_variance, x.dtype)
        factor = scale / ops.sqrt(variance + self.epsilon)
        y = x * self._dk_spread(factor, x) + self._dk_spread(offset - mean * factor, x)
        return ops.cast(y, self.compute_dtype)

    def _dk_spread(self, statistic: TensorLike, x: TensorLike) -> TensorLike:
        shape = [1] * len(x.shape)
        shape[self.axis] = x.shape[self.axis]
        return ops.reshape(statistic, shape)

    def _dk_moments(self, x: TensorLike, mask: TensorLike | None) -> tuple[TensorLike, TensorLike]:
        """Mean and biased variance of all positions that count."""
        rank = len(x.shape)
        axes = tuple(i for i in range(rank) if i != self.axis % rank)
        if mask is None:
            mean = ops.mean(x, axis=axes)
            return mean, ops.mean(ops.square(x - self._dk_spread(mean, x)), axis=axes)
        if len(mask.shape) != len(x.shape) - 1:
            raise ValueError(
                message(
                    f"BatchNormalization {self.name!r}",
                    f"a mask of rank {len(x.shape) - 1}, one less than the inputs'",
                    f"shape {tuple(mask.shape)}",
                    "Give one truth for each position.",
                )
            )
        counts = ops.expand_dims(ops.cast(mask, "bool"), -1)  # one truth may stand for several
        ones = ops.where(counts, ops.ones_like(x), 0.0)
        number = ops.sum(ones, axis=axes) + settings.epsilon()
        mean = ops.sum(ops.where(counts, x, 0.0), axis=axes) / number
        rest = ops.where(counts, x - self._dk_spread(mean, x), 0.0)
        return mean, ops.sum(ops.square(rest), axis=axes) / number

    def _dk_follow(self, statistic: Variable, latest: TensorLike, momentum: float) -> None:
        statistic.assign(ops.cast(statistic, latest.dtype) * momentum + latest * (1.0 - momentum))

    def _dk_renormalize(
        self, mean: TensorLike, variance: TensorLike
    ) -> tuple[TensorLike, TensorLike]:
        """The correction ``x * r + d`` towards the moving statistics, which then follow."""
        deviation = ops.sqrt(variance + self.epsilon)
        known = ops.maximum(ops.cast(self.renorm_stddev, mean.dtype), self.epsilon**0.5)
        r = deviation / known
        d = (mean - ops.cast(self.renorm_mean, mean.dtype)) / known
        bounds = self.renorm_clipping
        if bounds.get("rmin") is not None:
            r = ops.maximum(r, bounds["rmin"])
        if bounds.get("rmax") is not None:
            r = ops.minimum(r, bounds["rmax"])
        if bounds.get("dmax") is not None:
            d = ops.clip(d, -bounds["dmax"], bounds["dmax"])
        self._dk_follow(self.renorm_mean, mean, self.renorm_momentum)
        self._dk_follow(self.renorm_stddev, deviation, self.renorm_momentum)
        self._dk_follow(self.moving_mean, mean, self.momentum)
        latest = ops.cast(self.moving_stddev, mean.dtype) * self.momentum
        latest = latest + deviation * (1.0 - self.momentum)
        self.moving_stddev.assign(latest)
        self.moving_variance.assign(ops.relu(ops.square(latest) - self.epsilon))
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def lower(self, plan: PlanBuilder, x: Handle, mask: Handle | None = None) -> Handle:
        """One step over the rows; while training it looks at the whole batch before."""
        by_batch = bool(plan.training) and self.trainable
        of_positions = mask is None or self.axis % len(x.shape) == len(x.shape) - 1
        if by_batch and (self.renorm or not of_positions):
            return plan.by_definition()
        return plan.batch_normalization(
            x,
            self.axis,
            self.epsilon,
            self.momentum,
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            by_batch,
            mask if by_batch else None,
        )

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }


def _checked_clipping(bounds: Config) -> Config:
    wrong = set(bounds) - set(_CLIPPING)
    rmax, rmin, dmax = (bounds.get(key) for key in _CLIPPING)
    crossed = rmax is not None and rmin is not None and rmax < rmin
    if wrong or crossed or (dmax is not None and dmax < 0):
        raise ValueError(
            message(
                "BatchNormalization",
                f"`renorm_clipping` with keys of {_CLIPPING}, rmin <= rmax and dmax >= 0",
                describe(bounds),
                "Pass e.g. {'rmax': 3.0}.",
            )
        )
    return bounds
