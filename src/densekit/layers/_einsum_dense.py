"""`EinsumDense`: a learned kernel in an einsum. Long by its card and its twelve arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from densekit import activations, adapt, constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, Identifier, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.activated import activated_shape
from densekit.layers._base.adaptable import Adaptable
from densekit.layers._base.einsum_shapes import EinsumShapes, einsum_shapes
from densekit.layers._base.input_spec import InputSpec

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class EinsumDense(Adaptable):
    """``outputs = activation(einsum(equation, inputs, kernel) + bias)``.

    ``EinsumDense("ab,bc->ac", 64, bias_axes="c")`` is ``Dense(64)``.

    Shapes:
        kernel: the sizes of its letters in the equation, known from inputs and `output_shape`;
        bias: those of `bias_axes`, 1 between them.

    Args:
        equation: ``"ab,bc->ac"``, ``"...ab,bc->...ac"`` or ``"ab...,bc->ac..."``.
        output_shape: size or sizes of the outputs without the batch axis and what an ellipsis
            stands for; None for what the inputs tell.
        activation: name, function or None. Default: ``None``, linear.
        bias_axes: letters of the outputs that the bias has. Default: none, no bias.
        kernel_initializer: distribution of the initial kernel. Default: ``"glorot_uniform"``.
        bias_initializer: distribution of the initial bias. Default: ``"zeros"``.
        kernel_regularizer, bias_regularizer: penalty on them. Default: none.
        kernel_constraint, bias_constraint: applied to them after each update. Default: none.
        lora_rank, lora_alpha: a trained correction of the frozen kernel, `enable_lora`. Default:
            none.
        quantization_config: how a quantized `dtype` quantizes, `quantize`. Default: as `dtype`.
        gptq_unpacked_column_size: must be None. Default: none.

    Raises:
        ValueError: for another equation, or one that does not fit inputs and `output_shape`.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.EinsumDense("abc,cd->abd", (None, 64), bias_axes="d")
    >>> layer(keras.ops.ones((2, 32, 128))).shape
    (2, 32, 64)
    """

    _kernel: Variable

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Identifier = None,
        bias_axes: str | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: object = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        if gptq_unpacked_column_size is not None:
            got, name = describe(gptq_unpacked_column_size), "gptq_unpacked_column_size"
            raise ValueError(message("EinsumDense", f"`{name}=None`", got, "GPTQ is not offered."))
        super().__init__(**kwargs)
        self.equation = equation
        one = isinstance(output_shape, int)
        self.partial_output_shape = (output_shape,) if one else tuple(output_shape)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._dk_take_options(lora_rank, lora_alpha, quantization_config)

    def _dk_shapes(self, input_shape: PartialShape) -> EinsumShapes:
        where = f"EinsumDense {self.name!r}"
        partial = self.partial_output_shape
        return einsum_shapes(self.equation, self.bias_axes, input_shape, partial, where)

    def build(self, input_shape: PartialShape) -> None:
        """Create kernel and bias for inputs of `input_shape`, batch axis included."""
        shapes = self._dk_shapes(input_shape)
        self.input_spec = InputSpec(ndim=len(input_shape))
        initializer = self.kernel_initializer
        if isinstance(initializer, initializers.VarianceScaling) and (
            initializer.input_axes is None or initializer.output_axes is None
        ):
            axes = {"input_axes": shapes.input_axes, "output_axes": shapes.output_axes}
            config = {**initializer.get_config(), "seed": initializer.seed, **axes}
            initializer = type(initializer).from_config(config)
        self._dk_add_weight(shapes.kernel, initializer)
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=shapes.bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._dk_built_weight()

    @property
    def kernel(self) -> Any:
        """The kernel: a variable; with LoRA or quantized, a tensor."""
        return self._dk_shown_weight()

    def _dk_use(self) -> adapt.EinsumUse:
        inputs, kernel, outputs = self.equation.replace("->", ",").split(",")
        bias = self.bias_axes is None or self.bias_axes == outputs[-1]
        same = inputs[:-1] == outputs[:-1] and kernel == inputs[-1] + outputs[-1]
        product = same and bias and len(set(kernel)) == 2 and kernel[0] not in outputs
        return adapt.EinsumUse(self.equation, self.input_spec.ndim, product)

    def call(self, inputs: TensorLike, training: bool | None = None) -> TensorLike:
        """``activation(einsum(equation, inputs, kernel) + bias)``."""
        outputs = ops.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: PartialShape) -> PartialShape:
        """The sizes of the letters of the outputs, or what the activation leaves."""
        shape = self._dk_shapes(input_shape).output
        known = self.equation.replace("...", "")
        if "..." not in self.equation:  # letters that inputs share
            sizes = dict(zip(known.split(",")[0], input_shape, strict=False))
            letters = known.partition("->")[2]
            shape = tuple(
                sizes.get(a) if n is None else n for a, n in zip(letters, shape, strict=True)
            )
        return activated_shape(self.activation, shape)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """A matrix product where the equation is that of `Dense`; else one of its own."""
        if self._dk_use().is_product:
            return plan.dense(x, self._kernel, self.bias, self.activation)
        y = plan.einsum(self.equation, x, self._kernel)
        if self.bias is not None:
            y = plan.elementwise("add", y, self.bias)
        return plan.activation(y, self.activation)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            **self._dk_config_of_forms(),
        }
