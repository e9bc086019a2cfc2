"""`keras.ops.linalg`: linear algebra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.ops import cholesky as cholesky
    from densekit.ops import cholesky_inverse as cholesky_inverse
    from densekit.ops import det as det
    from densekit.ops import eig as eig
    from densekit.ops import eigh as eigh
    from densekit.ops import inv as inv
    from densekit.ops import jvp as jvp
    from densekit.ops import lstsq as lstsq
    from densekit.ops import lu_factor as lu_factor
    from densekit.ops import matrix_rank as matrix_rank
    from densekit.ops import norm as norm
    from densekit.ops import pinv as pinv
    from densekit.ops import qr as qr
    from densekit.ops import solve as solve
    from densekit.ops import solve_triangular as solve_triangular
    from densekit.ops import svd as svd
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit.ops": (
                "cholesky cholesky_inverse det eig eigh inv jvp lstsq lu_factor matrix_rank "
                "norm pinv qr solve solve_triangular svd"
            ),
        },
    )
