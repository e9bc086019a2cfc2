"""Inputs that models are built on: symbolic tensors for shapes and arrays, tables as arrays."""

from __future__ import annotations

import numpy as np

from densekit._core import tree
from densekit._core.dtypes import STRING
from densekit._core.errors import describe, message
from densekit._core.text import as_strings, holds_text
from densekit._core.types import Tree
from densekit.data._arrays import as_array
from densekit.layers._base.shapes import is_shape
from densekit.ops import KerasTensor


def tensors_of(shape: object) -> Tree[KerasTensor]:
    """Symbolic tensors for a shape or a structure of shapes."""
    if isinstance(shape, dict):
        return {key: tensors_of(value) for key, value in shape.items()}
    if shape is None or not isinstance(shape, list | tuple):
        raise ValueError(
            message("build", "the shape of the input", describe(shape), "Write e.g. (None, 4).")
        )
    if is_shape(shape):
        return KerasTensor(tuple(shape))
    return [tensors_of(value) for value in shape]


def reads_text(tensors: object) -> bool:
    return any(getattr(leaf, "dtype", None) == STRING for leaf in tree.flatten(tensors))


def of_any_batch(leaf: object) -> object:
    """A symbolic tensor for an array whose first axis is the batch; anything else as it is."""
    shape = getattr(leaf, "shape", ())
    return KerasTensor((None, *shape[1:]), dtype=getattr(leaf, "dtype", None)) if shape else leaf


def as_plain(leaf: object, text: bool) -> object:
    """Tables and what derives from arrays as arrays."""
    if type(leaf) is np.ndarray and leaf.dtype.kind in "OST" and text:
        return as_strings(leaf, "inputs")
    is_table = isinstance(leaf, np.ndarray) or hasattr(leaf, "dtypes")
    if not is_table or type(leaf) is np.ndarray:
        return leaf
    return as_strings(leaf, "inputs") if text and holds_text(leaf) else as_array(leaf, "inputs")
