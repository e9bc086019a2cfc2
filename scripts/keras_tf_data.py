"""What stands for `tensorflow.data` in Keras' tests: sets of NumPy arrays that are iterated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from densekit._core import tree


class Element(np.ndarray[Any, Any]):
    """An array that answers as TensorFlow's do."""

    def numpy(self) -> Any:
        return np.asarray(self)


def _element(value: Any) -> Any:
    return np.asarray(value).view(Element)


class _OfTensorFlow(type):
    def __getattr__(cls, name: str) -> Any:
        return cls.absent(name)  # type: ignore[attr-defined]


class Dataset(metaclass=_OfTensorFlow):
    """Elements, made anew in each pass."""

    absent: Callable[[str], Any]  # what comes of asking for anything else

    def __init__(self, make: Callable[[], Iterator[Any]], size: int | None) -> None:
        self._make, self._size = make, size

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        arrays = tree.flatten(_arrays(tensors))
        structure = _arrays(tensors)

        def rows() -> Iterator[Any]:
            for row in zip(*arrays, strict=True):
                yield tree.pack_as(structure, map(_element, row))

        return Dataset(rows, len(arrays[0]))

    def batch(self, size: int, **_: Any) -> Dataset:
        def batches() -> Iterator[Any]:
            rows = iter(self)
            while batch := list(islice(rows, size)):
                yield tree.map_structure(lambda *leaves: _element(np.stack(leaves)), *batch)

        return Dataset(batches, None if self._size is None else -(-self._size // size))

    def map(self, function: Callable[..., Any], **_: Any) -> Dataset:
        def mapped() -> Iterator[Any]:
            for row in self:
                made = function(*row) if isinstance(row, tuple) else function(row)
                yield tree.map_structure(_element, made)

        return Dataset(mapped, self._size)

    def take(self, count: int) -> Dataset:
        return Dataset(lambda: islice(iter(self), count), count)

    def __getattr__(self, name: str) -> Any:
        return type(self).absent(name)

    def prefetch(self, _: Any) -> Dataset:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError("the data set has no end")
        return self._size


def _arrays(structure: Any) -> Any:
    """Nested lists of numbers are arrays, dicts and tuples structures."""
    if isinstance(structure, dict):
        return {key: _arrays(value) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(map(_arrays, structure))
    return np.asarray(structure)
