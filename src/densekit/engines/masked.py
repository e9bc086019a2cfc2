"""Masks in plans: a mask is a value beside the value of its tensor.

What a layer does with masks when it is called, its lowering does with handles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from densekit._core import tree
from densekit._core.masks import any_mask, mask_of, masks_of, set_mask
from densekit._core.types import TensorLike
from densekit.engines.plan_op import DRAWING, Handle, NotLowerable, PlanOp
from densekit.layers import Layer
from densekit.ops import KerasTensor

Masks = list[Handle | None]


@dataclass(slots=True)
class Values:
    """What a graph's tensors are in the plan, by id, and their masks."""

    handles: dict[int, Handle] = field(default_factory=dict)
    masks: dict[int, Handle] = field(default_factory=dict)

    def put(self, tensors: Sequence[KerasTensor], handles: Sequence[Handle], masks: Masks) -> None:
        """Enter tensors that have been computed."""
        for tensor, handle, mask in zip(tensors, handles, masks, strict=True):
            self.handles[id(tensor)] = handle
            if mask is not None:
                self.masks[id(tensor)] = mask

    def of(self, tensors: Sequence[KerasTensor]) -> list[Handle]:
        """The values of tensors."""
        return [self.handles[id(tensor)] for tensor in tensors]

    def masks_of(self, tensors: Sequence[KerasTensor]) -> Masks:
        """The masks of tensors."""
        return [self.masks.get(id(tensor)) for tensor in tensors]


def stand_ins(tensors: Sequence[KerasTensor], masks: Masks) -> list[KerasTensor]:
    """Symbolic tensors to follow a call with, their masks attached."""
    made = [KerasTensor(t.shape, dtype=t.dtype) for t in tensors]
    for x, mask in zip(made, masks, strict=True):
        if mask is not None:
            set_mask(x, KerasTensor(mask.shape, dtype="bool"))
    return made


def reads_masks(
    layer: Layer, masks: Masks, args: tuple[object, ...], kwargs: dict[str, object]
) -> bool:
    """Whether what a call computes follows from masks, not only from its tensors."""
    if any(isinstance(kwargs.get(name), KerasTensor) for name in layer._dk_call_info.mask_names):
        return True
    if all(mask is None for mask in masks):
        return False
    named = dict(zip(layer._dk_call_info.names, args, strict=False)) | kwargs
    asks = any(f"{name}_mask" in layer._dk_call_info.mask_names for name in named)
    return asks or "mask" in layer._dk_call_info.mask_names or layer._dk_reads_masks


def mask_outputs(
    layer: Layer, inputs: object, outputs: Sequence[object], previous: object
) -> list[Any]:
    """The masks that go along with symbolic outputs of a call."""
    found = [mask_of(y) for y in outputs]
    if not layer.supports_masking or all(mask is not None for mask in found):
        return found
    if not any_mask(previous):
        if not layer._dk_makes_mask:
            return found
        previous = None
    made = tree.flatten(layer.compute_mask(inputs, previous))
    made += [None] * (len(found) - len(made))
    return [old if old is not None else new for old, new in zip(found, made, strict=False)]


def previous_mask(args: Sequence[object], kwargs: dict[str, object]) -> object:
    """The mask that a call goes on from: the one it was given, or that of its first argument."""
    given = kwargs.get("mask")
    if given is not None:
        return given
    return masks_of(args[0] if args else next(iter(kwargs.values()), None))


def checked(masks: Sequence[Any]) -> list[KerasTensor | None]:
    """Masks that are symbolic or None.

    Raises:
        NotLowerable: for others.
    """
    if not all(mask is None or isinstance(mask, KerasTensor) for mask in masks):
        raise NotLowerable("its mask does not depend on its inputs")
    return list(masks)


class MaskedFunction:
    """A definition to run on the host: masks of inputs and outputs are more arrays.

    Args:
        function: takes the inputs.
        masks: which of them have a mask, given behind them.
    """

    def __init__(self, function: Callable[..., object], masks: Sequence[object] = ()) -> None:
        self._function = function
        self._given = [mask is not None for mask in masks]
        self.made: list[bool] | None = None  # which outputs have one, once it was called

    def __call__(self, *arrays: TensorLike, **flag: bool) -> list[Any]:
        count = len(arrays) - sum(self._given)
        inputs, rest = arrays[:count], iter(arrays[count:])
        for x, has in zip(inputs, self._given, strict=False):
            if has:
                set_mask(x, next(rest))
        outputs = tree.flatten(self._function(*inputs, **flag))
        masks = [mask_of(y) for y in outputs]
        if self.made is None:
            self.made = [mask is not None for mask in masks]
        pairs = zip(masks, self.made, strict=False)
        return [*outputs, *(mask for mask, has in pairs if has)]

    def split(self, handles: list[Handle]) -> tuple[list[Handle], Masks]:
        """The values of the outputs, and their masks."""
        made = self.made or []
        count = len(handles) - sum(made)
        rest = iter(handles[count:])
        masks = [next(rest) if has else None for has in made]
        return handles[:count], masks + [None] * (count - len(masks))


# What does more than make values: it adds to the loss, draws a number in its turn, or is Python.
_NOT_PURE = DRAWING | {"host", "activity"}


def without_unused(ops: list[PlanOp], wanted: set[int]) -> list[PlanOp]:
    """The ops without those whose results nobody reads, such as masks that no layer hands on.

    Args:
        wanted: values that are read from outside.
    """
    wanted, kept = set(wanted), []
    for op in reversed(ops):
        pure = op.kind not in _NOT_PURE and not op.arguments.get("state")
        if pure and not wanted.intersection(op.outputs):
            continue
        wanted.update(op.inputs)
        kept.append(op)
    return kept[::-1]
