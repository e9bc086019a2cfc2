"""Gradients made shorter."""

from __future__ import annotations

from densekit import ops
from densekit._core.types import TensorLike


def clip_by_norm(gradient: TensorLike, limit: float) -> TensorLike:
    """``g * limit / max(||g||, limit)``: no longer than `limit`, same direction."""
    norm = ops.sqrt(ops.sum(ops.square(gradient)))
    return gradient * (limit / ops.maximum(norm, limit))


def global_norm(gradients: list[TensorLike]) -> TensorLike:
    """The Euclidean norm of all gradients as one vector."""
    return ops.sqrt(sum(ops.sum(ops.square(g)) for g in gradients))


def clip_by_global_norm(gradients: list[TensorLike], limit: float) -> list[TensorLike]:
    """All gradients scaled by one factor so that their common norm is at most `limit`.

    A norm that is not finite makes every gradient NaN: one bad variable cannot go unnoticed.
    """
    norm = global_norm(gradients)
    factor = ops.where(ops.isfinite(norm), limit / ops.maximum(norm, limit), float("nan"))
    return [g * factor for g in gradients]
