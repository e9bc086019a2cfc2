"""Tensors in nested arguments, and their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.types import Config, PartialShape
from densekit.ops._keras_tensor import KerasTensor, standardize_shape


def is_tensor(value: object) -> bool:
    """Whether `value` is an array, a foreign array or a symbolic tensor."""
    return isinstance(value, KerasTensor | np.ndarray) or bool(ops.is_tensor(value))


def has_tensors(value: object) -> bool:
    """Whether `value` is a tensor or a structure with one in it."""
    return any(is_tensor(leaf) for leaf in tree.flatten(value))


def shapes_of(value: object) -> Any:
    """The shape, or the structure of shapes, of a tensor or a structure of tensors."""
    return tree.map_structure(lambda x: None if x is None else tuple(x.shape), value)


def shapes_of_arguments(arguments: Mapping[str, object]) -> Config:
    """``{"x_shape": ...}`` of the arguments of a `call` that hold tensors, but for `mask`."""
    return {
        f"{name}_shape": shapes_of(value)
        for name, value in arguments.items()
        if name not in ("mask", "args", "kwargs") and has_tensors(value)
    }


def is_shape(value: object) -> bool:
    """Whether `value` is one shape, of Python's or NumPy's integers, and no structure of shapes."""
    return isinstance(value, tuple | list) and all(
        n is None or isinstance(n, int | np.integer) for n in value
    )


def is_structure_of_shapes(value: object) -> bool:
    """Whether `value` holds shapes by name or in order."""
    if not isinstance(value, dict | tuple | list) or not value:
        return False
    parts = value.values() if isinstance(value, dict) else value
    return all(is_shape(part) or is_structure_of_shapes(part) for part in parts)


def shapes_in(value: object, count: int) -> list[PartialShape]:
    """The `count` shapes of a structure of shapes, in flat order.

    Raises:
        ValueError: for what holds anything but shapes, and for another number of them.
    """
    shapes = _shapes_in(value)
    if len(shapes) != count:
        raise ValueError(
            message("input shape", f"{count} shapes", f"{len(shapes)}", "Give one for each input.")
        )
    return shapes


def _shapes_in(value: object) -> list[PartialShape]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if is_shape(value):
        return [standardize_shape(value)]
    if not isinstance(value, dict | tuple | list):
        raise ValueError(
            message(
                "input shape",
                "a tuple of ints or None, or a list or dict of such tuples",
                describe(value),
                "Write e.g. (None, 4).",
            )
        )
    parts = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
    return [shape for part in parts for shape in _shapes_in(part)]


def specs_of(shape: Any, dtype: str) -> Any:
    """Symbolic tensors for a shape or a structure of shapes."""
    if is_shape(shape):
        return KerasTensor(tuple(shape), dtype=dtype)
    if isinstance(shape, dict):
        return {key: specs_of(value, dtype) for key, value in shape.items()}
    if isinstance(shape, tuple | list):
        return type(shape)(specs_of(value, dtype) for value in shape)
    raise ValueError(
        message("compute_output_shape", "a shape tuple", describe(shape), "Return a tuple.")
    )
