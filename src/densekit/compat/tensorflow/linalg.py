"""`tf.linalg`: products, norms and decompositions."""

from __future__ import annotations

from densekit import ops
from densekit._core.types import ArrayLike, TensorLike
from densekit.compat.tensorflow._names import lookup
from densekit.compat.tensorflow.math import l2_normalize as l2_normalize

_OF_ONE = "inv det cholesky norm slogdet pinv"
__getattr__ = lookup(
    "tf.linalg",
    {name: (name, {"input": "x", "tensor": "x"}) for name in _OF_ONE.split()}
    | {"einsum": ("einsum", {}), "eigh": ("eigh", {"tensor": "x"}), "trace": ("trace", {})}
    | {"solve": ("solve", {"matrix": "a", "rhs": "b"}), "lstsq": ("lstsq", {})}
    | {"diag_part": ("diagonal", {"input": "x"}), "tensordot": ("tensordot", {})}
    | {"eye": ("eye", {"num_rows": "N", "num_columns": "M"})},
)


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    transpose_a: object = False,
    transpose_b: object = False,
    name: str | None = None,
) -> TensorLike:
    """`ops.matmul`, of matrices that may be transposed first."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    return ops.matmul(a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def matvec(a: ArrayLike, b: ArrayLike, name: str | None = None) -> TensorLike:
    """The product of a matrix and a vector."""
    return ops.squeeze(ops.matmul(a, ops.expand_dims(b, -1)), -1)


def diag(diagonal: ArrayLike, name: str | None = None) -> TensorLike:
    """A matrix with these numbers on its diagonal."""
    return ops.diag(diagonal)


def matrix_transpose(a: ArrayLike, name: str | None = None) -> TensorLike:
    """The last two axes exchanged."""
    return ops.swapaxes(a, -1, -2)


def svd(
    tensor: ArrayLike, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None
) -> TensorLike | tuple[TensorLike, TensorLike, TensorLike]:
    """Singular values, then left and right vectors in columns: ``u @ diag(s) @ transpose(v)``."""
    if not compute_uv:
        return ops.svd(tensor, full_matrices, False)
    u, s, vh = ops.svd(tensor, full_matrices)
    return s, u, matrix_transpose(vh)
