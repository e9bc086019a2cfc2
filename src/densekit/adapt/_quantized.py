"""What forms of fewer bits share: variables in place of the weight, and files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from densekit import ops
from densekit._core.types import Array, ArrayLike, Config, DTypeLike, TensorLike
from densekit._core.variable import Variable
from densekit.adapt._form import Form, Quantize
from densekit.adapt._low_rank import corrected


class Part(NamedTuple):
    """A variable of a quantized weight: what it is called behind the weight's name, and is."""

    suffix: str
    shape: tuple[int, ...]
    initializer: object = "zeros"
    dtype: str | None = None  # None: that of the layer's variables


class QuantizedForm(Form):
    """A weight kept in fewer bits.

    Args:
        layer: whose weight it is.
        use: how the layer uses it.
        shape: of the weight.
        inputs_quantizer: what the inputs are quantized by; None leaves them floats.
        block_size: how many numbers of int4 share a scale; None: those of one output.
    """

    bits: ClassVar[int]

    def __init__(
        self,
        layer: Any,
        use: Any,
        shape: tuple[int, ...],
        inputs_quantizer: Quantize | None,
        block_size: int | None,
    ) -> None:
        super().__init__(layer, use)
        self._shape = tuple(shape)
        self.inputs_quantizer = inputs_quantizer
        self.block_size = block_size

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weight, not of the bytes that hold it."""
        return self._shape

    # What a subclass says

    def parts(self) -> list[Part]:
        """The variables."""
        raise NotImplementedError

    def encode(self, weight: ArrayLike, quantizer: Quantize | None = None) -> list[ArrayLike]:
        """Values of the variables for a weight of floats.

        Args:
            quantizer: in place of the usual one.
        """
        raise NotImplementedError

    def decode(self) -> TensorLike:
        """The weight of floats that the variables stand for."""
        raise NotImplementedError

    def whole(self) -> ArrayLike:
        """The whole numbers of the weight, one for each element."""
        raise NotImplementedError

    # What follows from it

    def build(self) -> None:
        """Give the layer the variables; it must take them."""
        layer, name = self.layer, self.layer._dk_weight
        for part in self.parts():
            variable = layer.add_weight(
                name=self._public(part.suffix),
                shape=part.shape,
                initializer=part.initializer,
                dtype=part.dtype,
                trainable=False,
            )
            setattr(layer, self._public(part.suffix) if part.suffix else f"_{name}", variable)

    def _public(self, suffix: str) -> str:
        return suffix if suffix == "g_idx" else self.layer._dk_weight + suffix

    def variable(self, suffix: str = "") -> Variable:
        """One of the variables."""
        name = self._public(suffix) if suffix else f"_{self.layer._dk_weight}"
        found: Variable = getattr(self.layer, name)
        return found

    def fill(self, values: Sequence[ArrayLike]) -> None:
        """Assign what `encode` gave."""
        for part, value in zip(self.parts(), values, strict=False):  # `g_idx` stays
            self.variable(part.suffix).assign(value)

    def weight(self) -> ArrayLike:
        """Whole numbers, as Keras shows them; with a correction the floats they stand for."""
        if self.layer.lora_enabled:
            return corrected(self.layer, self.decode())
        return self.whole()

    def stored(self) -> Config:
        """The variables; a correction is added to the weight, which is quantized anew."""
        parts = self.parts()
        values: list[ArrayLike] = [self.variable(part.suffix) for part in parts]
        if self.layer.lora_enabled:
            new = self.encode(ops.convert_to_numpy(self.weight()))
            values[: len(new)] = new
        name = self.layer._dk_weight
        others: Config = self.layer._dk_other_variables()
        further = {self._public(p.suffix): v for p, v in zip(parts, values, strict=True)}
        return {name: values[0], **others, **further}

    def hold(self) -> None:
        """Have plans made anew when the weight changes: they hold what they made of it."""
        for part in self.parts():
            self.variable(part.suffix).notify(self.layer._tracker)

    def constant(self, values: ArrayLike) -> Variable:
        """A variable for a plan."""
        made = np.asarray(ops.convert_to_numpy(values), self.layer.compute_dtype)
        return Variable(made, trainable=False, name="constant")


def group_parts(
    shape: tuple[int, ...], summed: int, block_size: int, along: int, others: int
) -> list[Part]:
    """Scale and zero of groups of `summed` numbers, and which group each number is in.

    Args:
        along: axis of the groups in scale and zero.
        others: size of their other axis.
    """
    groups = math.ceil(summed / block_size)
    sizes = (groups, others) if along == 0 else (others, groups)

    def numbers(shape: Sequence[int], dtype: DTypeLike = None) -> Array:
        return np.floor_divide(np.arange(summed), block_size).astype(dtype)

    return [
        Part("_scale", sizes, "ones"),
        Part("_zero", sizes, dtype="int8"),
        Part("g_idx", (summed,), numbers, "float32"),
    ]
