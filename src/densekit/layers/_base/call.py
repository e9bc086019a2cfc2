"""What is known while layers call each other: who called whom, and in which phase."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from densekit._core.name_scope import joined, open_scopes
from densekit._core.types import Config


class CallInfo(NamedTuple):
    """What `Layer.__call__` needs to know about a `call` method."""

    names: tuple[str, ...]
    has_training: bool
    default_training: bool | None
    mask_names: tuple[str, ...] = ()  # arguments that are filled with the masks of others


def call_info(call: Callable[..., object]) -> CallInfo:
    """Read the signature of a bound `call` method."""
    parameters = inspect.signature(call).parameters
    training = parameters.get("training")
    default = None if training is None or training.default is training.empty else training.default
    masks = tuple(name for name in parameters if name == "mask" or name.endswith("_mask"))
    return CallInfo(tuple(parameters), training is not None, default, masks)


class CallContext:
    """A layer being called or built, linked to the one that does so.

    `calling` is False while the outermost layer is only being built: a layer called from there is
    an entry of its own, as if called by the user.
    """

    __slots__ = ("calling", "owner", "parent", "scopes", "training")

    def __init__(
        self, owner: Any, parent: CallContext | None, calling: bool, training: bool | None = None
    ) -> None:
        self.owner = owner
        self.parent = parent
        self.calling = calling
        self.training = training
        self.scopes = open_scopes()

    def path(self) -> str:
        """Names from the outermost owner down: ``model/dense``."""
        names: list[tuple[str, int]] = []
        last: object = None
        context: CallContext | None = self
        while context is not None:
            if context.owner is not last:
                names.append((context.owner.name, context.scopes))
            last, context = context.owner, context.parent
        return joined(reversed(names))


call_context: ContextVar[CallContext | None] = ContextVar("densekit_call", default=None)


def is_computing() -> bool:
    """Whether a layer is being called, not only built."""
    context = call_context.get()
    return context is not None and context.calling


def shapes_for(
    method: Callable[..., object], shapes: Config, arguments: tuple[str, ...], owner: str
) -> Config:
    """Match shapes, ``{"inputs_shape": ...}``, to the parameters of `method`.

    A method of one parameter gets the first shape. Otherwise each parameter ``x_shape`` must belong
    to an argument ``x`` of `call`.
    """
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(method).parameters.values()
    names = [p.name for p in parameters if p.kind not in kinds]
    if len(names) == 1:
        return {names[0]: next(iter(shapes.values()), None)}
    for name in names:
        if name.removesuffix("_shape") == name or name.removesuffix("_shape") not in arguments:
            raise ValueError(
                f"{owner}.{method.__name__}: expected parameters named after those of `call` "
                f"{arguments} with the suffix '_shape', got {name!r}. Rename the parameter."
            )
    return {name: shapes[name] for name in names if name in shapes}
