"""`tf.linalg`: products and norms."""

from __future__ import annotations

from densekit.compat.tensorflow._names import lookup

__getattr__ = lookup(
    "tf.linalg",
    {name: (name, {"input": "x", "tensor": "x"}) for name in ("inv", "det", "cholesky", "norm")}
    | {"matmul": ("matmul", {"a": "x1", "b": "x2"}), "einsum": ("einsum", {})}
    | {"trace": ("trace", {}), "eye": ("eye", {"num_rows": "N", "num_columns": "M"})},
)
