"""`tf.dtypes`; `tf.float32` and its kin: names of types that know their bounds."""

from __future__ import annotations

import numpy as np

from densekit._core.dtypes import is_float_dtype, to_numpy_dtype
from densekit.backend import standardize_dtype
from densekit.ops import cast as cast


class DType(str):
    """The name of a type of elements, with what TensorFlow tells of one."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name."""
        return str(self)

    @property
    def as_numpy_dtype(self) -> type[np.generic]:
        """NumPy's type."""
        return to_numpy_dtype(self).type

    @property
    def is_floating(self) -> bool:
        """Whether numbers have fractions."""
        return is_float_dtype(self)

    @property
    def is_integer(self) -> bool:
        """Whether numbers are whole."""
        return "int" in self

    @property
    def max(self) -> float:
        """The largest number."""
        return self._limits()[1]

    @property
    def min(self) -> float:
        """The smallest number."""
        return self._limits()[0]

    def _limits(self) -> tuple[float, float]:
        kind = to_numpy_dtype(self)
        if is_float_dtype(self):
            bounds = np.finfo(kind)
            return float(bounds.min), float(bounds.max)
        return np.iinfo(kind).min, np.iinfo(kind).max


def as_dtype(type_value: object) -> DType:
    """A type by its name, or NumPy's."""
    return DType(standardize_dtype(type_value))
