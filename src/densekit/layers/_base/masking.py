"""Masks around a call: they go to the arguments that want them, and along with the outputs."""

from __future__ import annotations

from typing import Any

from densekit._core import masks, tree
from densekit._core.frames import warn
from densekit._core.types import Config
from densekit.layers._base.call import CallInfo
from densekit.layers._base.shapes import has_tensors


class MaskOwner:
    """The part of `Layer` that passes masks on."""

    name: str
    supports_masking: bool
    _dk_call_info: CallInfo
    _dk_reads_masks = False  # whether `call` looks at the masks of its inputs
    _dk_lowers_mask = False  # whether `lower` takes the mask of its input as `mask`

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output: that of the input."""
        return previous_mask

    def _dk_take_masks(self, given: Any, args: Any, kwargs: Config) -> Any:
        """Fill arguments named after masks; gives the mask of the first argument.

        Args:
            given: arguments as they came, with their masks.
            args, kwargs: the same as `call` gets them; masks are put in.
        """
        masks.carry_masks(given[0], args)
        for name, value in kwargs.items():
            masks.carry_masks(given[1].get(name), value)
        names = self._dk_call_info.names
        arguments = dict(zip(names, args, strict=False)) | kwargs
        wanted = self._dk_masks_wanted(arguments)
        kwargs.update(wanted)
        previous = kwargs.get("mask")
        if previous is None:
            previous = masks.masks_of(next(iter(arguments.values()), None))
        return previous if masks.any_mask(previous) else None

    def _dk_masks_wanted(self, arguments: Config) -> Config:
        """Masks for the arguments of `call` that ask for them and were not given."""
        info = self._dk_call_info
        if not info.mask_names:
            return {}
        tensors = {k: v for k, v in arguments.items() if has_tensors(v)}
        if len(tensors) == 1:
            pairs = [("mask", next(iter(tensors.values())))]
        else:
            pairs = [(f"{name}_mask", value) for name, value in tensors.items()]
        wanted = {}
        for name, value in pairs:
            if name in info.mask_names and arguments.get(name) is None:
                mask = masks.masks_of(value)
                if masks.any_mask(mask):
                    wanted[name] = mask
        return wanted

    def _dk_pass_mask(self, inputs: object, outputs: object, previous: Any) -> None:
        """Have the mask of the layer go along with its outputs."""
        if not self.supports_masking:
            warn(
                f"Layer '{self.name}' (of type {type(self).__name__}) was passed an input with a "
                "mask attached to it. However, this layer does not support masking and will "
                "therefore destroy the mask information. Downstream layers will not see the mask."
            )
            return
        flat = tree.flatten(outputs)
        if all(masks.mask_of(y) is not None for y in flat):
            return
        made = self.compute_mask(inputs, previous)
        if made is None:
            return
        for y, mask in zip(flat, tree.flatten(made), strict=False):
            if mask is not None and masks.mask_of(y) is None:
                masks.set_mask(y, mask)
