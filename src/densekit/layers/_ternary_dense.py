"""`TernaryDense`: a fully connected layer whose weights are -1, 0 or 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from densekit import activations, constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, Identifier, PartialShape, TensorLike
from densekit.layers._base.activated import activated_shape
from densekit.layers._base.input_spec import InputSpec
from densekit.layers._base.layer import Layer

if TYPE_CHECKING:
    from densekit.layers._base.options import LayerOptions


@export("keras.layers")
class TernaryDense(Layer):
    """``outputs = activation(inputs @ t + bias)``; `t` is the sign of large weights, 0 of others.

    ``t = sign(kernel)`` where ``|kernel| > threshold``. The gradient of `t` is handed on to the
    kernel as it is (straight through), so that weights move between the three values.

    Shapes:
        inputs: ``(batch, ..., features)``; kernel: ``(features, units)``; bias: ``(units,)``;
            output: ``(batch, ..., units)``.

    Args:
        units: number of outputs, an integer >= 1.
        threshold: size up to which a weight counts as 0. Default: the mean of ``|kernel|``.
        activation: name, function or None. Default: ``None``, linear.
        use_bias: whether a bias is added. Default: ``True``.
        kernel_initializer: distribution of the initial kernel. Default: ``"glorot_uniform"``.
        bias_initializer: distribution of the initial bias. Default: ``"zeros"``.
        kernel_regularizer, bias_regularizer: penalty on them. Default: none.
        activity_regularizer: penalty on the output, divided by the batch size. Default: none.
        kernel_constraint, bias_constraint: applied to them after each update. Default: none.
        **kwargs: of `Layer`.

    Raises:
        ValueError: for units < 1, or a threshold that is no number.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.TernaryDense(2, threshold=0.5, use_bias=False)
    >>> layer.build((None, 3))
    >>> layer.set_weights([[[0.9, -0.1], [0.2, -2.0], [-0.6, 0.5]]])
    >>> layer(keras.ops.array([[1.0, 10.0, 100.0]])).tolist()
    [[-99.0, -10.0]]

    Reference: Ma et al., "The Era of 1-bit LLMs" (2024), equations 1 to 3, without their scale.
    """

    def __init__(
        self,
        units: int,
        threshold: float | None = None,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        if not isinstance(units, int | np.integer) or units <= 0:
            expected = "`units`, an integer >= 1"
            raise ValueError(message("TernaryDense", expected, describe(units), "Pass e.g. 64."))
        if threshold is not None and np.asarray(threshold).dtype.kind not in "iuf":
            expected, got = "`threshold`, a number or None", describe(threshold)
            raise ValueError(message("TernaryDense", expected, got, "Pass e.g. 0.05."))
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = int(units)
        self.threshold = threshold
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: PartialShape) -> None:
        """Create kernel and bias for inputs of `input_shape`, batch axis included."""
        features = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: TensorLike) -> TensorLike:
        """``activation(inputs @ t + bias)``."""

        kernel = ops.convert_to_tensor(self.kernel)
        sizes = ops.abs(kernel)
        threshold = ops.mean(sizes) if self.threshold is None else self.threshold
        signs = ops.multiply(ops.sign(kernel), ops.cast(sizes > threshold, kernel.dtype))
        # The number added is 0, and its gradient by the kernel 1.
        through = ops.stop_gradient(signs) + (kernel - ops.stop_gradient(kernel))
        outputs = ops.matmul(inputs, through)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The input shape with its features replaced by `units`, or what the activation leaves."""
        return activated_shape(self.activation, (*input_shape[:-1], self.units))

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "threshold": self.threshold,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }
