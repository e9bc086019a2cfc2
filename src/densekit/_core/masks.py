"""Masks: which positions of a tensor count. A mask goes along with its tensor, as in Keras.

It is True where a position counts, and has the leading axes of its tensor.
"""

from __future__ import annotations

import weakref
from copy import copy
from typing import Any

from densekit._core import tree
from densekit._core.boxes import BOXES, unboxed

in_use = False  # whether any tensor ever had a mask: until then nobody looks for them

# Of arrays that take no attribute, by id.
_beside: dict[int, object] = {}


def mask_of(x: Any) -> Any:
    """The mask that goes along with a tensor, or None."""
    if not in_use and type(x) in BOXES:
        return None  # what is in a box may be waiting to be computed
    x = unboxed(x)
    found = getattr(x, "_keras_mask", None)
    return _beside.get(id(x)) if found is None and _beside else found


def set_mask(x: Any, mask: object) -> None:
    """Have a mask go along with a tensor; None takes it away."""
    global in_use
    in_use = True
    x = unboxed(x)
    if mask is x:
        mask = copy(x)  # it would be its own mask, and that the mask of itself
    if hasattr(type(x), "_dk_mask"):
        x._dk_mask = mask
        return
    try:
        x._keras_mask = mask
    except AttributeError:
        _keep_beside(x, mask)


def _keep_beside(x: object, mask: object) -> None:
    key = id(x)
    if mask is None:
        _beside.pop(key, None)
        return
    if key not in _beside:
        try:
            weakref.finalize(x, _beside.pop, key, None).atexit = False
        except TypeError:  # a number
            return
    _beside[key] = mask


def masks_of(structure: object) -> Any:
    """The mask of each tensor of a structure."""
    return (
        tree.map_structure(mask_of, structure) if tree.is_nested(structure) else mask_of(structure)
    )


def any_mask(masks: object) -> bool:
    """Whether a structure of masks holds one."""
    return any(mask is not None for mask in tree.flatten(masks))


def carry_masks(source: object, target: object) -> None:
    """Give the tensors of `target` the masks of those of `source` that they were made from."""
    for x, y in zip(tree.flatten(source), tree.flatten(target), strict=False):
        if x is not y:
            mask = mask_of(x)
            if mask is not None:
                set_mask(y, mask)


class HasMask:
    """`_keras_mask` for classes with a place `_dk_mask`: users' code reads it and sets it."""

    __slots__ = ()

    @property
    def _keras_mask(self) -> Any:
        return getattr(self, "_dk_mask", None)

    @_keras_mask.setter
    def _keras_mask(self, mask: object) -> None:
        set_mask(self, mask)
