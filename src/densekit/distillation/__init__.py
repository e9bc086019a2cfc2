"""A student network is trained to do what a teacher does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.distillation._distillation_loss import DistillationLoss as DistillationLoss
    from densekit.distillation._distiller import Distiller as Distiller
    from densekit.distillation._feature_distillation import (
        FeatureDistillation as FeatureDistillation,
    )
    from densekit.distillation._logits_distillation import (
        LogitsDistillation as LogitsDistillation,
    )
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_distillation_loss": "DistillationLoss",
            "_distiller": "Distiller",
            "_feature_distillation": "FeatureDistillation",
            "_logits_distillation": "LogitsDistillation",
        },
    )
