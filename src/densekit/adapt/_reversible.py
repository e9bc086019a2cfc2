"""Tables of `ReversibleEmbedding` in int8 and int4, and the way back by them."""

from __future__ import annotations

from typing import Any

from densekit import ops
from densekit._core.types import ArrayLike, Config, Pullback, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._form import Quantize
from densekit.adapt._kernels import Int4Kernel, Int8Kernel, KernelForm
from densekit.adapt._quantized import Part, QuantizedForm
from densekit.adapt._tables import Int4Table, Int8Table
from densekit.adapt._uses import MatrixUse


class _WayBack:
    """The part of both: a kernel ``(output_dim, input_dim)`` of its own, or the table transposed.

    With a kernel of its own, the layer has variables for it behind those of the table.
    """

    layer: Any
    inputs_quantizer: Quantize | None
    block_size: int | None
    shape: tuple[int, ...]
    kernel_form: type[KernelForm]

    def _kernel(self) -> KernelForm:
        shape = self.shape[::-1]
        return self.kernel_form(
            _Reverse(self.layer), MatrixUse(), shape, self.inputs_quantizer, self.block_size
        )

    def parts_back(self) -> list[Part]:
        """Variables of the kernel, whose zeros Keras keeps as floats and groups with the table."""
        parts = [part for part in self._kernel().parts() if part.suffix != "g_idx"]
        return [part._replace(dtype=None) if part.suffix == "_zero" else part for part in parts]

    def back(self, inputs: TensorLike) -> TensorLike:
        """Scores of all numbers, before the soft cap."""
        if not self.layer.tie_weights:
            return self._kernel().base(inputs)
        floats = ops.transpose(self.decode())  # type: ignore[attr-defined]

        def product(x: TensorLike) -> tuple[TensorLike, Pullback]:
            return self._tied(x, floats), lambda g: ops.matmul(g, ops.transpose(floats))

        return ops.custom_gradient(product)(inputs)

    def _tied(self, x: TensorLike, floats: ArrayLike) -> TensorLike:
        compute = self.layer.compute_dtype
        if self.inputs_quantizer is None:
            return ops.matmul(x, floats)
        x, scale = self.inputs_quantizer(x, axis=-1)
        if self.block_size is not None:
            return ops.divide(ops.matmul(ops.cast(x, compute), floats), scale)
        scale = ops.multiply(scale, self.variable("_scale"))  # type: ignore[attr-defined]
        scores = ops.matmul(x, ops.transpose(self.whole()))  # type: ignore[attr-defined]
        return ops.divide(ops.cast(scores, compute), scale)


class _Reverse:
    """A layer as its kernel of the way back sees it."""

    _dk_weight = "reverse_embeddings"
    lora_enabled = False

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    @property
    def _reverse_embeddings(self) -> Variable:
        variable: Variable = self._layer.reverse_embeddings
        return variable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class _Reversible(_WayBack, QuantizedForm):
    """A table that also projects back."""

    def build(self) -> None:
        """The table's variables, then those of a kernel of its own."""
        super().build()
        layer = self.layer
        for part in [] if layer.tie_weights else self.parts_back():
            variable = layer.add_weight(
                name=f"reverse_embeddings{part.suffix}",
                shape=part.shape,
                initializer=part.initializer,
                dtype=part.dtype,
                trainable=False,
            )
            setattr(layer, f"reverse_embeddings{part.suffix}", variable)

    def encode_back(
        self, weight: ArrayLike, quantizer: Quantize | None = None
    ) -> dict[str, ArrayLike]:
        """Values of the kernel's variables, by their names."""
        names = [f"reverse_embeddings{part.suffix}" for part in self.parts_back()]
        return dict(zip(names, self._kernel().encode(weight, quantizer), strict=True))

    def _call(
        self, inputs: TensorLike, training: object = None, reverse: bool = False
    ) -> TensorLike:
        if not reverse:
            return super()._call(inputs)
        scores: TensorLike = self.layer._dk_capped(self.back(inputs))
        return scores

    def stored(self) -> Config:
        """The table's variables, then those of the kernel."""
        found = super().stored()
        back = [f"reverse_embeddings{part.suffix}" for part in self.parts_back()]
        kernel = {} if self.layer.tie_weights else {n: getattr(self.layer, n) for n in back}
        return {n: v for n, v in found.items() if n not in kernel} | kernel


class Int8Reversible(_Reversible, Int8Table):
    """`Int8Table`, and back."""

    kernel_form = Int8Kernel


class _Int4Back(Int4Kernel):
    """Keras packs the way back along its other axis."""

    packed_axis = 0


class Int4Reversible(_Reversible, Int4Table):
    """`Int4Table`, and back."""

    kernel_form = _Int4Back
