"""`Embedding`: a learned row for each whole number."""

from __future__ import annotations

from typing import Any

from densekit import constraints, initializers, ops, regularizers
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.plan import Handle, PlanBuilder
from densekit._core.registry import export
from densekit._core.variable import Variable
from densekit.layers._base.layer import Layer
from densekit.ops._symbolic import KerasTensor


@export("keras.layers")
class Embedding(Layer):
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
        lora_rank: must be None; low-rank adaption is not offered.
        lora_alpha: must be None.
        quantization_config: must be None; quantization is not offered.

    Raises:
        ValueError: for sizes below 1 or a table of another shape.

    Example:

    >>> import densekit as keras
    >>> layer = keras.layers.Embedding(3, 2, embeddings_initializer="ones")
    >>> layer(keras.ops.array([[0, 2]])).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: None = None,
        lora_alpha: None = None,
        quantization_config: None = None,
        **kwargs: Any,
    ) -> None:
        for name, size in {"input_dim": input_dim, "output_dim": output_dim}.items():
            if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
                raise ValueError(
                    message(
                        "Embedding", f"`{name}`, an integer >= 1", describe(size), "Pass e.g. 8."
                    )
                )
        absent = {"lora_rank": lora_rank, "lora_alpha": lora_alpha}
        for name, value in {**absent, "quantization_config": quantization_config}.items():
            if value is not None:
                raise ValueError(
                    message("Embedding", f"`{name}=None`", describe(value), "It is not offered.")
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
        if weights is not None:
            self.build()
            self.set_weights(
                weights if isinstance(weights, list) and len(weights) == 1 else [weights]
            )

    def build(self, input_shape: Any = None) -> None:
        """Create the table."""
        if self.built:
            return
        self._embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.built = True

    @property
    def embeddings(self) -> Variable:
        """The table ``(input_dim, output_dim)``."""
        return self._embeddings

    def call(self, inputs: Any) -> Any:
        """The rows."""
        numbers = ops.stop_gradient(ops.cast(inputs, "int32"))
        inside = ops.logical_and(numbers >= -self.input_dim, numbers < self.input_dim)
        rows = ops.take(self.embeddings, ops.where(inside, numbers, 0), axis=0)
        rows = ops.where(ops.expand_dims(inside, -1), rows, float("nan"))
        return ops.cast(rows, self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where the number is not 0, if `mask_zero`."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The shape of the input, with `output_dim` behind."""
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: Any) -> KerasTensor:
        """The shape of the input with `output_dim` behind, of the compute dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def lower(self, plan: PlanBuilder, x: Handle) -> Handle:
        """One step, whose gradient knows the rows that were looked up."""
        return plan.embedding(x, self.embeddings)

    def get_config(self) -> dict[str, Any]:
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
            "quantization_config": None,
        }
