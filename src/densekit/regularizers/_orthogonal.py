"""A penalty on the angle between the rows, or columns, of a matrix."""

from __future__ import annotations

from densekit import ops
from densekit._core.errors import describe, message
from densekit._core.native_form import NativeForm
from densekit._core.registry import export
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.regularizers._base import Regularizer, check_factor

_MODES = ("rows", "columns")


@export("keras.regularizers", "orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """A penalty that makes the rows (or columns) of a matrix orthogonal to each other.

    Formula: ``factor * sum over pairs i < j of abs(u_i . u_j) / pairs`` with the vectors ``u``
    scaled to length 1 and ``pairs = n * (n - 1) / 2``; 0 for a single vector.

    Args:
        factor: factor >= 0. Default: ``0.01``.
        mode: ``"rows"`` or ``"columns"``. Default: ``"rows"``.

    Raises:
        ValueError: for an illegal `factor` or `mode`, or a weight whose rank is not 2.

    Example:

    >>> import densekit as keras
    >>> float(keras.regularizers.OrthogonalRegularizer(factor=1.0)([[1.0, 0.0], [0.0, 2.0]]))
    0.0

    Reference: Vorontsov et al., "On orthogonality and learning recurrent networks with long term
    dependencies", arXiv:1702.00071, section 2.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_factor("OrthogonalRegularizer", "factor", factor)
        if mode not in _MODES:
            raise ValueError(
                message(
                    "OrthogonalRegularizer",
                    f"`mode` to be one of {_MODES}",
                    describe(mode),
                    "Pass mode='rows' or mode='columns'.",
                )
            )
        self.mode = mode

    def __call__(self, inputs: ArrayLike) -> TensorLike:
        """The penalty of a matrix ``(rows, columns)``, a scalar."""
        inputs = ops.convert_to_tensor(inputs)
        if len(inputs.shape) != 2:
            raise ValueError(
                message(
                    "OrthogonalRegularizer",
                    "a weight of rank 2",
                    f"shape {tuple(inputs.shape)}",
                    "Use it on matrices only.",
                )
            )
        vectors = inputs if self.mode == "rows" else ops.transpose(inputs)
        count = vectors.shape[0]
        if count == 1:
            return 0.0 * ops.sum(inputs)
        unit = ops.normalize(vectors, axis=1)
        cosines = ops.matmul(unit, ops.transpose(unit))
        off_diagonal = cosines * (1.0 - ops.eye(count, dtype=inputs.dtype))
        pairs = count * (count - 1) / 2
        return self.factor * 0.5 * ops.sum(ops.abs(off_diagonal)) / pairs

    def get_config(self) -> Config:
        """``{"factor": ..., "mode": ...}``."""
        return {"factor": self.factor, "mode": self.mode}

    def native_form(self) -> NativeForm:
        """``orthogonal``, for matrices."""
        return NativeForm("orthogonal", (self.factor, float(_MODES.index(self.mode))), ranks=(2,))
