"""Activation functions: what a unit does with its weighted sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.activations._lookup import deserialize as deserialize
    from densekit.activations._lookup import get as get
    from densekit.activations._lookup import serialize as serialize
    from densekit.activations._rectifiers import celu as celu
    from densekit.activations._rectifiers import elu as elu
    from densekit.activations._rectifiers import leaky_relu as leaky_relu
    from densekit.activations._rectifiers import linear as linear
    from densekit.activations._rectifiers import relu as relu
    from densekit.activations._rectifiers import relu6 as relu6
    from densekit.activations._rectifiers import selu as selu
    from densekit.activations._rectifiers import threshold as threshold
    from densekit.activations._rows import glu as glu
    from densekit.activations._rows import log_softmax as log_softmax
    from densekit.activations._rows import softmax as softmax
    from densekit.activations._rows import sparsemax as sparsemax
    from densekit.activations._shrink import hard_shrink as hard_shrink
    from densekit.activations._shrink import soft_shrink as soft_shrink
    from densekit.activations._shrink import tanh_shrink as tanh_shrink
    from densekit.activations._sigmoids import hard_sigmoid as hard_sigmoid
    from densekit.activations._sigmoids import hard_tanh as hard_tanh
    from densekit.activations._sigmoids import log_sigmoid as log_sigmoid
    from densekit.activations._sigmoids import sigmoid as sigmoid
    from densekit.activations._sigmoids import softsign as softsign
    from densekit.activations._sigmoids import sparse_sigmoid as sparse_sigmoid
    from densekit.activations._sigmoids import tanh as tanh
    from densekit.activations._smooth import exponential as exponential
    from densekit.activations._smooth import gelu as gelu
    from densekit.activations._smooth import hard_silu as hard_silu
    from densekit.activations._smooth import hard_silu as hard_swish
    from densekit.activations._smooth import mish as mish
    from densekit.activations._smooth import silu as silu
    from densekit.activations._smooth import silu as swish
    from densekit.activations._smooth import softplus as softplus
    from densekit.activations._smooth import sparse_plus as sparse_plus
    from densekit.activations._smooth import squareplus as squareplus
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_lookup": "deserialize get serialize",
            "_rectifiers": "celu elu leaky_relu linear relu relu6 selu threshold",
            "_rows": "glu log_softmax softmax sparsemax",
            "_shrink": "hard_shrink soft_shrink tanh_shrink",
            "_sigmoids": "hard_sigmoid hard_tanh log_sigmoid sigmoid softsign sparse_sigmoid tanh",
            "_smooth": "exponential gelu hard_silu mish silu softplus sparse_plus squareplus",
        },
        {
            "hard_swish": "hard_silu",
            "swish": "silu",
        },
    )
