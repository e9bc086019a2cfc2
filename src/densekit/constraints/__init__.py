"""Constraints: what must hold for a weight after every update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.constraints._base import Constraint as Constraint
    from densekit.constraints._bounds import Clip as Clip
    from densekit.constraints._bounds import NonNeg as NonNeg
    from densekit.constraints._lookup import deserialize as deserialize
    from densekit.constraints._lookup import get as get
    from densekit.constraints._lookup import serialize as serialize
    from densekit.constraints._norms import MaxNorm as MaxNorm
    from densekit.constraints._norms import MinMaxNorm as MinMaxNorm
    from densekit.constraints._norms import UnitNorm as UnitNorm

    max_norm = MaxNorm
    min_max_norm = MinMaxNorm
    non_neg = NonNeg
    unit_norm = UnitNorm
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_base": "Constraint",
            "_bounds": "Clip NonNeg",
            "_lookup": "deserialize get serialize",
            "_norms": "MaxNorm MinMaxNorm UnitNorm",
        },
        {
            "max_norm": "MaxNorm",
            "min_max_norm": "MinMaxNorm",
            "non_neg": "NonNeg",
            "unit_norm": "UnitNorm",
        },
    )
