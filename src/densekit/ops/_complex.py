"""Real and imaginary parts, angles, and the way from one to the other."""

from __future__ import annotations

import numpy as np

from densekit._core.errors import message
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import dtype_name, floating, is_jax, meet_floats, namespace
from densekit.ops._operation import operation


@operation("numpy", views=True)
def real(x: TensorLike) -> TensorLike:
    """Real part; a real array is its own.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.real(np.array([1 + 2j])).tolist()
    [1.0]
    """
    return namespace(x).real(x) if _is_complex(x) else x


@operation("numpy", views=True)
def imag(x: TensorLike) -> TensorLike:
    """Imaginary part; zeros of a real array.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.imag(np.array([1 + 2j])).tolist()
    [2.0]
    """
    return namespace(x).imag(x) if _is_complex(x) else namespace(x).zeros_like(x)


def _is_complex(x: object) -> bool:
    return dtype_name(x).startswith("complex")


@operation("numpy", alias="conj")
def conjugate(x: TensorLike) -> TensorLike:
    """The imaginary part negated.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.conj(np.array([1 + 2j])).tolist()
    [(1-2j)]
    """
    return namespace(x).conjugate(x)


conj = conjugate


@operation("numpy")
def angle(x: TensorLike) -> TensorLike:
    """Angle in the complex plane, ``arctan2(imag, real)``: 0 or pi of a real array.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> round(float(ops.angle(np.complex64(1j))), 4)
    1.5708
    """
    xp, x = namespace(x), floating(x)
    if _is_complex(x) or is_jax(xp):
        return xp.angle(x)
    return xp.arctan2(xp.zeros_like(x), x)


@operation("numpy")
def isreal(x: TensorLike) -> TensorLike:
    """Whether the imaginary part is 0.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.isreal(np.array([1 + 2j, 3 + 0j])).tolist()
    [False, True]
    """
    return namespace(x).isreal(x)


@operation("nn", tensors=2)
def polar(abs_: ArrayLike, angle: ArrayLike) -> TensorLike:
    """The complex numbers ``abs_ * (cos(angle) + i sin(angle))``.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.polar(np.float32([2]), np.float32([0])).tolist()
    [(2+0j)]
    """
    xp, abs_, angle = meet_floats(abs_, angle)
    return _joined(abs_ * xp.cos(angle), abs_ * xp.sin(angle))


def _joined(a: TensorLike, b: TensorLike) -> TensorLike:
    return a + np.complex64(1j) * b


@operation("math")
def view_as_complex(x: TensorLike) -> TensorLike:
    """Pairs in the last axis as complex numbers: shape (..., 2) to (...).

    Raises:
        ValueError: if the last axis has another size.

    Example:

    >>> from densekit import ops
    >>> ops.view_as_complex([[1.0, 2.0]]).tolist()
    [(1+2j)]
    """
    if x.ndim == 0 or x.shape[-1] != 2:
        raise ValueError(
            message(
                "ops.view_as_complex",
                "shape (..., 2)",
                f"{tuple(x.shape)}",
                "Stack both parts: `ops.stack([a, b], axis=-1)`.",
            )
        )
    return _joined(floating(x)[..., 0], floating(x)[..., 1])


@operation("math")
def view_as_real(x: TensorLike) -> TensorLike:
    """Complex numbers as pairs: shape (...) to (..., 2).

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> ops.view_as_real(np.array([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    xp = namespace(x)
    return xp.stack([real(x), imag(x)], axis=-1)
