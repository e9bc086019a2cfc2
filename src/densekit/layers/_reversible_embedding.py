"""`ReversibleEmbedding`: a table of rows, and the way back from a row to scores of all numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from densekit import ops
from densekit._core.dtypes import is_float_dtype
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, DTypeLike, Identifier, PartialShape, TensorLike
from densekit.layers._embedding import Embedding
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class ReversibleEmbedding(Embedding):
    """`Embedding` that also projects back: ``reverse=True`` gives ``inputs @ embeddings.T``.

    Shapes:
        inputs ``(batch, ...)`` of whole numbers give ``(batch, ..., output_dim)``; with
            ``reverse=True`` floats ``(batch, ..., output_dim)`` give ``(batch, ..., input_dim)``.

    Args:
        input_dim: number of rows, an integer >= 1.
        output_dim: length of a row, an integer >= 1.
        tie_weights: whether the way back uses the same table, transposed, or a matrix
            ``reverse_embeddings`` of its own. Default: ``True``.
        embeddings_initializer: distribution of the initial rows. Default: ``"uniform"``.
        embeddings_regularizer: penalty on the rows. Default: none.
        embeddings_constraint: function of the rows, applied after each update. Default: none.
        mask_zero: whether inputs of 0 are masked. Default: ``False``.
        reverse_dtype: type the way back computes in. Default: the compute dtype.
        logit_soft_cap: if given, scores become ``tanh(scores / cap) * cap``. Default: none.
        **kwargs: of `Embedding`.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.ReversibleEmbedding(5, 2)
    >>> rows = layer(keras.ops.array([[1, 4]]))
    >>> rows.shape, layer(rows, reverse=True).shape
    ((1, 2, 2), (1, 2, 5))

    Reference: Press and Wolf, "Using the Output Embedding to Improve Language Models" (EACL 2017).
    """

    _dk_weight_kind: ClassVar[str] = "reversible"
    _dk_others: ClassVar[tuple[str, ...]] = ("reverse_embeddings",)

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        reverse_dtype: DTypeLike = None,
        logit_soft_cap: float | None = None,
        **kwargs: Unpack[AllLayerOptions],
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: object = None) -> None:
        """Create the table, and the matrix of the way back where it has its own."""
        super().build(input_shape)
        if not self.tie_weights and self.quantization_mode is None:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: TensorLike, reverse: bool = False) -> TensorLike:
        """The rows, or with `reverse` the scores."""
        if not reverse:
            return super().call(inputs)
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = (ops.cast(x, self.reverse_dtype) for x in (inputs, kernel))
        return self._dk_capped(ops.matmul(inputs, kernel))

    def _dk_capped(self, scores: TensorLike) -> TensorLike:
        cap = self.logit_soft_cap
        return scores if cap is None else ops.multiply(ops.tanh(ops.divide(scores, cap)), cap)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike | None:
        """True where the number is not 0, if `mask_zero`; what comes back has no mask."""
        return None if is_float_dtype(inputs.dtype) else super().compute_mask(inputs, mask)

    def compute_output_shape(
        self, input_shape: PartialShape, reverse: bool = False
    ) -> PartialShape:
        """`output_dim` behind the shape of the input; with `reverse` `input_dim` as last axis."""
        if reverse:
            return (*input_shape[:-1], self.input_dim)
        return super().compute_output_shape(input_shape)

    def compute_output_spec(self, inputs: TensorLike, reverse: bool = False) -> KerasTensor:
        """That shape, of the compute dtype, or of `reverse_dtype` on the way back."""
        dtype = self.reverse_dtype if reverse and self.reverse_dtype else self.compute_dtype
        return KerasTensor(self.compute_output_shape(inputs.shape, reverse), dtype=dtype)

    def lower(self, plan: PlanBuilder, x: Handle, reverse: bool = False) -> Handle:
        """A look-up; a way back with a matrix of its own is a product."""
        if not reverse:
            return super().lower(plan, x)
        if self.tie_weights or self.reverse_dtype is not None or self.logit_soft_cap is not None:
            return plan.by_definition()
        return plan.dense(x, self.reverse_embeddings, None)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }
