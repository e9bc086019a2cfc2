"""`Normalization`: each feature to mean 0 and variance 1 of the data it was adapted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from densekit import ops
from densekit._core import settings
from densekit._core.errors import message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, PartialShape, TensorLike
from densekit.layers._base.elementwise import Elementwise
from densekit.layers.preprocessing._base import Preprocessing, as_array
from densekit.layers.preprocessing._moments import moments_of

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Normalization(Preprocessing, Elementwise):
    """``outputs = (inputs - mean) / sqrt(variance)``, with mean and variance of known data.

    `adapt` finds them; until then they are 0 and 1. The root is kept above `epsilon()`.

    Shapes:
        mean, variance: the sizes of `axis`; outputs: as the inputs.

    Args:
        axis: the axis or axes whose entries have a mean each; None for one of all. Default:
            ``-1``, each feature its own.
        mean: instead of `adapt`: a number, or an array that broadcasts to the sizes of `axis`.
            Default: none.
        variance: likewise. Default: none.
        invert: whether normalized inputs are turned back. Default: ``False``.

    Raises:
        ValueError: if only one of `mean` and `variance` is given, or their shapes do not fit.

    Example:

    >>> import densekit as keras, numpy as np
    >>> layer = keras.layers.Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer(np.array([[3.0, 20.0]])).tolist()
    [[1.0, 0.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            raise ValueError(
                message(
                    "Normalization",
                    "`mean` and `variance`, both or none, of one shape",
                    f"shapes {np.shape(mean)} and {np.shape(variance)}",
                    "Pass both, or call `adapt`.",
                )
            )
        if len(np.shape(mean)) > len(self.axis):
            raise ValueError(
                message(
                    "Normalization",
                    f"`mean` of rank <= {len(self.axis)}, the number of axes",
                    f"shape {np.shape(mean)}",
                    "Name its axes in `axis`.",
                )
            )
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self._dk_shape: Any = None

    def build(self, input_shape: PartialShape) -> None:
        """Create mean and variance for inputs of `input_shape`, batch axis included."""
        rank = len(input_shape)
        sizes = {a % rank: input_shape[a] for a in self.axis if -rank <= a < rank}
        if len(sizes) < len(self.axis) or None in sizes.values():
            raise ValueError(
                message(
                    f"Normalization {self.name!r}.build",
                    f"known sizes of the axes {self.axis}",
                    f"input shape {tuple(input_shape)}",
                    "Give `axis` axes of the inputs whose sizes are known.",
                )
            )
        self._dk_shape = tuple(sizes.get(a, 1) for a in range(rank))
        if self.input_mean is None:
            shape = tuple(sizes[a] for a in sorted(sizes))
            self.adapt_mean = self.add_weight(
                name="mean", shape=shape, initializer="zeros", trainable=False
            )
            self.adapt_variance = self.add_weight(
                name="variance", shape=shape, initializer="ones", trainable=False
            )
            self.count = self.add_weight(  # for the files of old versions
                name="count", dtype="int32", initializer="zeros", trainable=False
            )
        else:
            for given in (self.input_mean, self.input_variance):
                self._dk_spread(given)

    def adapt(self, data: object) -> None:
        """Take mean and variance from `data`: an array, a table or an iterable of batches.

        Raises:
            ValueError: if there are no batches, or one does not fit the layer's axes.
            TypeError: if it is nothing of the kind.
        """
        where = f"Normalization {self.name!r}"
        if self.input_mean is not None:
            raise ValueError(
                message(
                    f"{where}.adapt", "a layer without `mean` and `variance`", "both", "Drop them."
                )
            )
        shape, mean, variance = moments_of(data, self.axis, self._dk_shape, where)
        if not self.built:
            self.build(shape)
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def finalize_state(self) -> None:
        """Nothing is left to do: mean and variance are read where they are used."""

    @property
    def mean(self) -> Any:
        """The mean, in a shape that broadcasts to the inputs; None before `build`."""
        return self._dk_statistic("adapt_mean", self.input_mean)

    @property
    def variance(self) -> Any:
        """The variance, likewise."""
        return self._dk_statistic("adapt_variance", self.input_variance)

    def _dk_statistic(self, name: str, given: ArrayLike | None) -> TensorLike | None:
        if self._dk_shape is None:
            return None
        return self._dk_spread(getattr(self, name).value if given is None else given)

    def _dk_spread(self, given: ArrayLike) -> TensorLike:
        """A number for each entry of `axis`, aligned to the last of them."""
        assert self._dk_shape is not None
        kept = sorted(a % len(self._dk_shape) for a in self.axis)
        given = ops.cast(given, self.compute_dtype)
        shape = [1] * len(self._dk_shape)
        for axis, size in zip(reversed(kept), reversed(given.shape), strict=False):
            shape[axis] = size
        return ops.broadcast_to(ops.reshape(given, shape), self._dk_shape)

    def call(self, inputs: ArrayLike) -> TensorLike:
        """The normalized inputs."""
        x = ops.cast(ops.convert_to_tensor(as_array(inputs)), self.compute_dtype)
        mean: TensorLike = self.mean
        deviation = ops.maximum(ops.sqrt(self.variance), settings.epsilon())
        if self.invert:
            return mean + x * deviation
        return (x - mean) / deviation

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """Two elementwise steps: of large numbers the mean must go before they are scaled.

        The numbers are in the plan, so the plan is told by the weights when they change.
        """
        if self.input_mean is None:
            for weight in (self.adapt_mean, self.adapt_variance):
                weight.notify(self._tracker)
        size = x.size
        rows = plan.reshape(x, (size,))
        mean, deviation = (
            np.broadcast_to(np.asarray(a, np.float64), (1, *x.sample_shape)).reshape(size)
            for a in (self.mean, ops.maximum(ops.sqrt(self.variance), settings.epsilon()))
        )
        if self.invert:
            rows = plan.affine(plan.affine(rows, deviation, 0.0), 1.0, mean)
        else:
            rows = plan.affine(plan.affine(rows, 1.0, -mean), 1.0 / deviation, 0.0)
        return plan.reshape(rows, x.sample_shape)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "invert": self.invert,
            "mean": np.array(self.input_mean).tolist(),
            "variance": np.array(self.input_variance).tolist(),
        }
