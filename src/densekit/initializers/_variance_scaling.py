"""Initializers whose spread follows from the number of inputs and outputs of a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, DTypeLike, TensorLike
from densekit.initializers import _draws
from densekit.initializers._random import RandomInitializer

Axes = Sequence[int] | None

_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")
_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal cut at +-2


def compute_fans(
    shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None
) -> tuple[int, int]:
    """Numbers of inputs and outputs of a unit, from the shape of its kernel.

    Formula: ``(1, 1)`` for a scalar, ``(n, n)`` for a vector, ``(inputs, outputs)`` for a matrix;
    above, the last two axes times the product of the others. With both axes given: products over
    those axes.

    Args:
        shape: shape of the kernel.
        input_axes: axes of the inputs. Default: ``None``.
        output_axes: axes of the outputs. Default: ``None``.

    Example:

    >>> from densekit.initializers import compute_fans
    >>> compute_fans((784, 128))
    (784, 128)
    """
    shape = tuple(int(n) for n in shape)
    if input_axes is not None and output_axes is not None:
        fan_in = math.prod(shape[axis] for axis in input_axes)
        return fan_in, math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        n = math.prod(shape)
        return n, n
    receptive = math.prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive


@export("keras.initializers", "variance_scaling")
class VarianceScaling(RandomInitializer):
    """Values with a variance of ``scale / n``, ``n`` being what `mode` counts.

    Formula: ``s = scale / max(1, n)``; uniform: ``w ~ U[-sqrt(3 s), sqrt(3 s))``; untruncated
    normal: ``w ~ N(0, s)``; truncated normal: ``N(0, s / 0.8796**2)`` cut at two of its standard
        deviations.

    Args:
        scale: number > 0. Default: ``1.0``.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"fan_avg"``, their mean. Default: ``"fan_in"``.
        distribution: ``"truncated_normal"`` (also ``"normal"``), ``"untruncated_normal"`` or
            ``"uniform"``. Default: ``"truncated_normal"``.
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: for an argument outside its range.

    Example:

    >>> import densekit as keras
    >>> w = keras.initializers.VarianceScaling(distribution="uniform", seed=1)((3, 100))
    >>> bool(abs(w).max() <= 1)
    True

    Reference: He et al., arXiv:1502.01852, equation 10; LeCun et al., "Efficient backprop", 1998,
    section 4.6.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: object = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(
                message(
                    "VarianceScaling", "`scale` to be > 0", describe(scale), "Pass e.g. scale=1.0."
                )
            )
        _check("mode", mode, _MODES)
        distribution = str(distribution).lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        _check("distribution", distribution, _DISTRIBUTIONS)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed=seed)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> TensorLike:
        """An array of `shape`; `dtype` None means `floatx`."""
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return _draws.uniform(self.seed, shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return _draws.normal(self.seed, shape, dtype, 0.0, math.sqrt(variance))
        stddev = math.sqrt(variance) / _TRUNCATED_STDDEV
        return _draws.truncated_normal(self.seed, shape, dtype, 0.0, stddev)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(
            message(
                "VarianceScaling",
                f"`{name}` to be one of {allowed}",
                describe(value),
                "Pass one of them.",
            )
        )


class _Fixed(VarianceScaling):
    """Variance scaling with a distribution fixed by the class: only seed and axes are arguments."""

    _dk_scaling: tuple[float, str, str]

    def __init__(
        self, seed: object = None, input_axes: Axes = None, output_axes: Axes = None
    ) -> None:
        scale, mode, distribution = self._dk_scaling
        super().__init__(scale, mode, distribution, seed, input_axes, output_axes)

    def get_config(self) -> Config:
        """``{"seed": ..., "input_axes": ..., "output_axes": ...}``."""
        return {
            "seed": super().get_config()["seed"],
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


@export("keras.initializers", "glorot_uniform")
class GlorotUniform(_Fixed):
    """Uniform values that keep the variance of signals forward and of gradients backward.

    Formula: ``w ~ U[-limit, limit)`` with ``limit = sqrt(6 / (fan_in + fan_out))``.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> w = keras.initializers.GlorotUniform(seed=1)((3, 3))
    >>> bool(abs(w).max() <= 1.0)
    True

    Reference: Glorot and Bengio, AISTATS 2010, equation 16.
    """

    _dk_scaling = (1.0, "fan_avg", "uniform")


@export("keras.initializers", "glorot_normal")
class GlorotNormal(_Fixed):
    """Truncated normal values that keep the variance of signals forward and of gradients backward.

    Formula: variance ``2 / (fan_in + fan_out)``, cut at two deviations of what is cut.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.GlorotNormal(seed=1)((3, 2)).shape
    (3, 2)

    Reference: Glorot and Bengio, AISTATS 2010, equation 12.
    """

    _dk_scaling = (1.0, "fan_avg", "truncated_normal")


@export("keras.initializers", "he_uniform")
class HeUniform(_Fixed):
    """Uniform values for layers followed by relu.

    Formula: ``w ~ U[-limit, limit)`` with ``limit = sqrt(6 / fan_in)``.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> w = keras.initializers.HeUniform(seed=1)((3, 3))
    >>> bool(abs(w).max() <= 1.4143)
    True

    Reference: He et al., arXiv:1502.01852, equation 10.
    """

    _dk_scaling = (2.0, "fan_in", "uniform")


@export("keras.initializers", "he_normal")
class HeNormal(_Fixed):
    """Truncated normal values for layers followed by relu.

    Formula: variance ``2 / fan_in``, cut at two deviations of what is cut.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.HeNormal(seed=1)((3, 2)).shape
    (3, 2)

    Reference: He et al., arXiv:1502.01852, equation 10.
    """

    _dk_scaling = (2.0, "fan_in", "truncated_normal")


@export("keras.initializers", "lecun_uniform")
class LecunUniform(_Fixed):
    """Uniform values that keep the variance of signals forward.

    Formula: ``w ~ U[-limit, limit)`` with ``limit = sqrt(3 / fan_in)``.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> w = keras.initializers.LecunUniform(seed=1)((3, 3))
    >>> bool(abs(w).max() <= 1.0)
    True

    Reference: LeCun et al., "Efficient backprop", 1998, equation 16.
    """

    _dk_scaling = (1.0, "fan_in", "uniform")


@export("keras.initializers", "lecun_normal")
class LecunNormal(_Fixed):
    """Truncated normal values that keep the variance of signals forward; what `selu` needs.

    Formula: variance ``1 / fan_in``, cut at two deviations of what is cut.

    Args:
        seed: integer, `SeedGenerator`, or None to draw a seed once. Default: ``None``.
        input_axes: axes of the inputs of a kernel, see `compute_fans`. Default: ``None``.
        output_axes: axes of its outputs. Default: ``None``.

    Raises:
        ValueError: if `seed` is something else.

    Example:

    >>> import densekit as keras
    >>> keras.initializers.LecunNormal(seed=1)((3, 2)).shape
    (3, 2)

    Reference: LeCun et al., "Efficient backprop", 1998, equation 16.
    """

    _dk_scaling = (1.0, "fan_in", "truncated_normal")
