"""`tf.TensorShape` and `tf.TensorSpec`: what scripts say about tensors."""

from __future__ import annotations

from collections.abc import Iterable

from densekit._core.types import DTypeLike
from densekit.compat.tensorflow.dtypes import as_dtype


class TensorShape(tuple[int | None, ...]):
    """A shape: a tuple with the methods of TensorFlow's."""

    __slots__ = ()

    def __new__(cls, dims: Iterable[int | None] = ()) -> TensorShape:
        return super().__new__(cls, dims)

    @property
    def rank(self) -> int:
        """How many axes there are."""
        return len(self)

    ndims = rank

    @property
    def dims(self) -> list[int | None]:
        """The sizes."""
        return list(self)

    def as_list(self) -> list[int | None]:
        """The sizes."""
        return list(self)

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return None not in self

    def num_elements(self) -> int | None:
        """The number of elements, if it is known."""
        count = 1
        for n in self:
            if n is None:
                return None
            count *= n
        return count


class TensorSpec:
    """Shape and type of an argument of `tf.function`, which looks at neither here."""

    def __init__(
        self, shape: Iterable[int | None], dtype: DTypeLike = "float32", name: str | None = None
    ) -> None:
        self.shape, self.dtype, self.name = TensorShape(shape), as_dtype(dtype), name

    def __repr__(self) -> str:
        return f"TensorSpec(shape={tuple(self.shape)}, dtype={self.dtype}, name={self.name!r})"
