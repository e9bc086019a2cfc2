"""`Embedding`: a learned row for each whole number."""

from __future__ import annotations

from typing import Any, ClassVar

from densekit import adapt, constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import Config, Identifier, PartialShape, TensorLike
from densekit._core.variable import Variable
from densekit.layers._base.adaptable import Adaptable
from densekit.ops._keras_tensor import KerasTensor


@export("keras.layers")
class Embedding(Adaptable):
    """Looks whole numbers up in a table of learned rows: ``outputs = embeddings[inputs]``.

    Shapes:
        inputs: ``(batch, ...)`` of whole numbers in ``[0, input_dim)``; negative ones count from
            the end, others give NaN. Outputs: ``(batch, ..., output_dim)``.

    Args:
        input_dim: number of rows, an integer >= 1.
        output_dim: length of a row, an integer >= 1.
        embeddings_initializer: distribution of the initial rows. Default: ``"uniform"``.
        embeddings_regularizer: penalty on the rows. Default: none.
        embeddings_constraint: function of the rows, applied after each update. Default: none.
        mask_zero: whether inputs of 0 are masked: losses leave their positions out. Default:
            ``False``.
        weights: the initial table. Default: none, as the initializer says.
        lora_rank: rank of a trained correction of the frozen table, `enable_lora`. Default: none.
        lora_alpha: its strength. Default: `lora_rank`.
        quantization_config: how a quantized `dtype` quantizes, `quantize`. Default: as `dtype`.

    Raises:
        ValueError: for sizes below 1 or a table of another shape.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Embedding(3, 2, embeddings_initializer="ones")
    >>> layer(keras.ops.array([[0, 2]])).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    _dk_weight: ClassVar[str] = "embeddings"
    _dk_weight_kind: ClassVar[str] = "table"
    _dk_others: ClassVar[tuple[str, ...]] = ()

    _embeddings: Variable

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: object = None,
        **kwargs: Any,
    ) -> None:
        for name, size in {"input_dim": input_dim, "output_dim": output_dim}.items():
            if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
                raise ValueError(
                    message(
                        "Embedding", f"`{name}`, an integer >= 1", describe(size), "Pass e.g. 8."
                    )
                )
        if kwargs.pop("input_length", None) is not None:
            warn("Embedding: `input_length` is deprecated, leave it out.")
        super().__init__(**kwargs)
        self.input_dim = input_dim
        self.output_dim = output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False
        self._dk_take_options(lora_rank, lora_alpha, quantization_config)
        if weights is not None:
            self.build()
            self.set_weights(
                weights if isinstance(weights, list) and len(weights) == 1 else [weights]
            )

    def build(self, input_shape: object = None) -> None:
        """Create the table."""
        if self.built:
            return
        self._dk_add_weight((self.input_dim, self.output_dim), self.embeddings_initializer)
        self.built = True
        self._dk_built_weight()

    @property
    def embeddings(self) -> Any:
        """The table ``(input_dim, output_dim)``: a variable; with LoRA or quantized, a tensor."""
        return self._dk_shown_weight()

    def _dk_use(self) -> adapt.TableUse:
        return adapt.TableUse(self.input_dim)

    def call(self, inputs: TensorLike) -> TensorLike:
        """The rows."""
        return ops.cast(self._dk_use().apply(inputs, self.embeddings), self.compute_dtype)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike | None = None) -> TensorLike | None:
        """True where the number is not 0, if `mask_zero`."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the input, with `output_dim` behind."""
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The shape of the input with `output_dim` behind, of the compute dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step, whose gradient knows the rows that were looked up."""
        return plan.embedding(x, self._embeddings)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            **self._dk_config_of_forms(),
        }
