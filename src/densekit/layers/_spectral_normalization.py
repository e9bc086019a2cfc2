"""`SpectralNormalization`: a layer whose kernel has spectral norm 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from densekit import initializers, ops
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer
from densekit.layers._wrapper import Wrapper

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class SpectralNormalization(Wrapper):
    """Divides the kernel of a layer by its largest singular value, in each call while training.

    The singular value is found by power iteration: ``v = u W^T / |u W^T|``, ``u = v W / |v W|``,
    ``sigma = v W u^T``; `u` is kept from call to call. A kernel of zeros stays.

    Args:
        layer: a layer with a `kernel`, or `embeddings`.
        power_iterations: steps of the iteration in each call, an integer >= 1. Default: ``1``.

    Raises:
        ValueError: for `power_iterations` below 1 or a layer without kernel.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.SpectralNormalization(keras.layers.Dense(1), power_iterations=3)
    >>> y = layer(keras.ops.ones((1, 4)), training=True)
    >>> round(float(keras.ops.norm(layer.kernel)), 5)
    1.0

    Reference: Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative
    adversarial networks" (ICLR 2018), algorithm 1.
    """

    def __init__(
        self, layer: Layer, power_iterations: int = 1, **kwargs: Unpack[AllLayerOptions]
    ) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(
                message(
                    "SpectralNormalization",
                    "`power_iterations`, an integer >= 1",
                    f"{power_iterations}",
                    "Pass 1.",
                )
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        """Build the layer inside, and the vector `u`."""
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if not isinstance(kernel, Variable):
            raise ValueError(
                message(
                    f"SpectralNormalization {self.name!r}",
                    "a layer with a variable `kernel` or `embeddings`",
                    type(self.layer).__name__,
                    "Wrap e.g. a Dense.",
                )
            )
        self.kernel = kernel
        self.vector_u = self.add_weight(
            name="vector_u",
            shape=(1, kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            dtype=kernel.dtype,
            trainable=False,
        )

    def call(self, inputs: TensorLike, training: bool | None = False) -> TensorLike:
        """What the layer inside makes of it, its kernel normalized first if `training`."""
        if training:
            u, kernel = self.normalized_weights()
            self.vector_u.assign(u)
            self.kernel.assign(kernel)
        return ops.cast(self.layer(inputs), inputs.dtype)

    def normalized_weights(self) -> tuple[TensorLike, TensorLike]:
        """The next `u` and the kernel divided by its singular value."""
        kernel, u = self.kernel.value, self.vector_u.value
        weights = ops.reshape(kernel, (-1, self.kernel.shape[-1]))
        is_zero = ops.all(ops.equal(ops.stop_gradient(weights), 0))
        new = u
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(new, ops.transpose(weights)), axis=-1)
            new = ops.normalize(ops.matmul(v, weights), axis=-1)
        new, v = ops.stop_gradient(new), ops.stop_gradient(v)
        sigma = ops.matmul(ops.matmul(v, weights), ops.transpose(new))[0, 0]
        sigma = ops.where(is_zero, ops.ones_like(sigma), sigma)
        return ops.where(is_zero, u, new), ops.cast(kernel / sigma, self.kernel.dtype)

    def compute_output_shape(self, input_shape: PartialShape) -> Any:
        """That of the layer inside."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {**super().get_config(), "power_iterations": self.power_iterations}
