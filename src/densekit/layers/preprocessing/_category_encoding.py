"""`CategoryEncoding`: whole numbers to one-hot, multi-hot or count rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, TensorLike
from densekit.layers.preprocessing._base import Preprocessing, as_array
from densekit.layers.preprocessing._encoding import (
    checked_mode,
    encoded,
    encoded_shape,
)
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class CategoryEncoding(Preprocessing):
    """Encodes whole numbers in ``[0, num_tokens)`` as rows of `num_tokens` numbers.

    Shapes:
        inputs: ``(batch, n)``; outputs: ``(batch, num_tokens)``; "one_hot" gives ``(batch, n,
        num_tokens)`` unless n is 1. Without a batch axis all numbers are one sample.

    Args:
        num_tokens: length of a row, an integer >= 1. Default: none.
        output_mode: "multi_hot", 1 at every number of a sample; "one_hot", a row for each number;
            "count", how often each occurs. Default: ``"multi_hot"``.
        sparse: must be False. Default: ``False``.

    Raises:
        ValueError: for `num_tokens` below 1, an unknown mode, or `count_weights` in another mode
            than "count".

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.CategoryEncoding(4, output_mode="count")
    >>> layer([[0, 1], [3, 3]]).tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]]
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if num_tokens is None or num_tokens < 1:
            raise ValueError(
                message(
                    "CategoryEncoding",
                    "`num_tokens`, an integer >= 1",
                    describe(num_tokens),
                    "Pass the largest number plus 1.",
                )
            )
        self.num_tokens = num_tokens
        mode = "multi_hot" if output_mode == "binary" else output_mode  # Keras 2's name
        self.output_mode = checked_mode("CategoryEncoding", mode, ("count", "one_hot", "multi_hot"))
        self.sparse = refuse_sparse("CategoryEncoding", sparse)

    def call(self, inputs: TensorLike, count_weights: TensorLike | None = None) -> TensorLike:
        """The rows; `count_weights`, shaped like the inputs, says what each number counts."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                message(
                    f"CategoryEncoding {self.name!r}",
                    "`count_weights` only for output_mode 'count'",
                    f"output_mode {self.output_mode!r}",
                    "Leave them out.",
                )
            )
        numbers = ops.convert_to_tensor(as_array(inputs))
        return encoded(
            numbers, self.output_mode, self.num_tokens, self.compute_dtype, count_weights
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the rows."""
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def compute_output_spec(
        self, inputs: TensorLike, count_weights: TensorLike | None = None
    ) -> KerasTensor:
        """The rows, of the compute dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "output_mode": self.output_mode,
        }
