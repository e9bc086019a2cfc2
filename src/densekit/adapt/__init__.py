"""What can be done to the weights of layers that exist: low-rank corrections, fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.adapt._form import Form as Form
    from densekit.adapt._low_rank import LowRankForm as LowRankForm
    from densekit.adapt._low_rank import enable_lora as enable_lora
    from densekit.adapt._quantize import build_quantized as build_quantized
    from densekit.adapt._quantize import quantize as quantize
    from densekit.adapt._quantize import quantize_weight as quantize_weight
    from densekit.adapt._uses import EinsumUse as EinsumUse
    from densekit.adapt._uses import MatrixUse as MatrixUse
    from densekit.adapt._uses import TableUse as TableUse
    from densekit.adapt._uses import Use as Use
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_form": "Form",
            "_low_rank": "LowRankForm enable_lora",
            "_quantize": "build_quantized quantize quantize_weight",
            "_uses": "EinsumUse MatrixUse TableUse Use",
        },
        of_components=False,
    )
