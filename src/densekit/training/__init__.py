"""Training a model: compile, sessions, the loop, the metrics of a run, users' own gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.training._tape import GradientTape as GradientTape
    from densekit.training._tape import value_and_grad as value_and_grad
else:
    __getattr__, __dir__, __all__ = lazy_room(__name__, {"_tape": "GradientTape value_and_grad"})
