"""`Dense`: the fully connected layer. Long by its card: every argument has its line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from densekit import activations, adapt, constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, Identifier, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.activated import activated_shape
from densekit.layers._base.adaptable import Adaptable
from densekit.layers._base.input_spec import InputSpec

if TYPE_CHECKING:
    from densekit.layers._base.options import LayerOptions


@export("keras.layers")
class Dense(Adaptable):
    """Fully connected layer: weighted sums of all inputs, passed through a nonlinear function.

    ``outputs = activation(inputs @ kernel + bias)``

    A W-GAN critic clips its weights: ``kernel_constraint=keras.constraints.Clip(-c, c)`` has the
    optimizer do so after each update. Constraints do not touch initial or assigned values.

    Shapes:
        inputs: ``(batch, ..., features)``. Of rank above 2, only the last axis is multiplied: the
            same layer acts on every position, ``(2, 3, 4) -> (2, 3, units)``. ``flatten=True``
            takes one dot product over all axes but the first, ``(2, 3, 4) -> (2, units)``.
        kernel: ``(features, units)``; bias: ``(units,)``; output: ``(batch, ..., units)``.

    Args:
        units: number of outputs, an integer >= 1.
        activation: name, function or None. Default: ``None``, linear.
        use_bias: whether a bias is added. Default: ``True``.
        kernel_initializer: distribution of the initial kernel. Default: ``"glorot_uniform"``,
            uniform on ``[-l, l]`` with ``l = sqrt(6 / (features + units))``.
        bias_initializer: distribution of the initial bias. Default: ``"zeros"``.
        kernel_regularizer: penalty on the kernel, added to the loss, e.g. ``"l2"``. Default: none.
        bias_regularizer: penalty on the bias. Default: none.
        activity_regularizer: penalty on the output, divided by the batch size. Default: none.
        kernel_constraint: function of the kernel, applied after each update. Default: none.
        bias_constraint: function of the bias, applied after each update. Default: none.
        lora_rank: rank of a trained correction of the frozen kernel, `enable_lora`. Default: none.
        lora_alpha: its strength. Default: `lora_rank`.
        quantization_config: how a quantized `dtype` quantizes, `quantize`. Default: as `dtype`.
        flatten: whether all axes but the first are multiplied as one. Default: ``False``.
        **kwargs: `trainable`, `dtype`, `autocast`, `name` of `Layer`.

    Raises:
        ValueError: for units < 1, an unknown name, or an input that does not fit the kernel.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Dense(2, activation="relu", kernel_initializer="ones")
    >>> layer(keras.ops.ones((1, 3))).tolist()
    [[3.0, 3.0]]
    >>> [v.shape for v in layer.weights]
    [(3, 2), (2,)]

    Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS 2010), equation 16: the initial distribution.
    """

    _kernel: Variable

    def __init__(
        self,
        units: int,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: object = None,
        *,
        flatten: bool = False,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        if not isinstance(units, int | np.integer) or units <= 0:
            raise ValueError(
                message("Dense", "`units`, an integer >= 1", describe(units), "Pass e.g. 64.")
            )
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._dk_take_options(lora_rank, lora_alpha, quantization_config)
        self.flatten = bool(flatten)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: PartialShape) -> None:
        """Create kernel and bias for inputs of `input_shape`, batch axis included."""
        features = self._dk_features(input_shape)
        self._dk_add_weight((features, self.units), self.kernel_initializer)
        self.bias: Variable | None = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        if self.flatten:
            fixed = dict(enumerate(input_shape[1:], start=1))
            self.input_spec = InputSpec(ndim=len(input_shape), axes=fixed)
        else:
            self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self._dk_built_weight()

    def _dk_features(self, input_shape: PartialShape) -> int:
        axes = tuple(input_shape)[1:] if self.flatten else tuple(input_shape)[-1:]
        if not axes or None in axes:
            raise ValueError(
                message(
                    f"Dense {self.name!r}.build",
                    "all axes but the first known" if self.flatten else "a known last axis",
                    f"input shape {tuple(input_shape)}",
                    "Give the input's features a size, e.g. keras.Input((784,)).",
                )
            )
        return math.prod(n for n in axes if n is not None)

    @property
    def kernel(self) -> Any:
        """The matrix ``(features, units)``: a variable; with LoRA or quantized, a tensor."""
        return self._dk_shown_weight()

    def _dk_use(self) -> adapt.Use:
        return adapt.MatrixUse(self.flatten)

    def call(self, inputs: TensorLike, training: bool | None = None) -> TensorLike:
        """``activation(inputs @ kernel + bias)``."""
        if self.flatten:
            inputs = ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))
        outputs = ops.matmul(inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The input shape with its features replaced by `units`, or what the activation leaves."""
        kept = input_shape[:1] if self.flatten else input_shape[:-1]
        return activated_shape(self.activation, (*kept, self.units))

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One fused matrix product."""
        if self.flatten:
            x = plan.reshape(x, (x.size,))
        return plan.dense(x, self._kernel, self.bias, self.activation)

    def get_config(self) -> Config:
        """The constructor's arguments; `flatten` only if True, so that Keras reads the file."""
        config = {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            **self._dk_config_of_forms(),
        }
        return {**config, "flatten": True} if self.flatten else config
