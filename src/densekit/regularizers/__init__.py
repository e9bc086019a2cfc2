"""Regularizers: penalties on weights or outputs that join the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.regularizers._base import Regularizer as Regularizer
    from densekit.regularizers._l1_l2 import L1 as L1
    from densekit.regularizers._l1_l2 import L1L2 as L1L2
    from densekit.regularizers._l1_l2 import L2 as L2
    from densekit.regularizers._lookup import deserialize as deserialize
    from densekit.regularizers._lookup import get as get
    from densekit.regularizers._lookup import serialize as serialize
    from densekit.regularizers._orthogonal import OrthogonalRegularizer as OrthogonalRegularizer

    l1 = L1
    l2 = L2
    l1_l2 = L1L2
    orthogonal_regularizer = OrthogonalRegularizer
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_base": "Regularizer",
            "_l1_l2": "L1 L1L2 L2",
            "_lookup": "deserialize get serialize",
            "_orthogonal": "OrthogonalRegularizer",
        },
        {
            "l1": "L1",
            "l1_l2": "L1L2",
            "l2": "L2",
            "orthogonal_regularizer": "OrthogonalRegularizer",
        },
    )
