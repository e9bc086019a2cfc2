"""`keras.ops.nn`: those ops that networks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.ops import batch_normalization as batch_normalization
    from densekit.ops import binary_crossentropy as binary_crossentropy
    from densekit.ops import categorical_crossentropy as categorical_crossentropy
    from densekit.ops import celu as celu
    from densekit.ops import depth_to_space as depth_to_space
    from densekit.ops import elu as elu
    from densekit.ops import gelu as gelu
    from densekit.ops import glu as glu
    from densekit.ops import hard_shrink as hard_shrink
    from densekit.ops import hard_sigmoid as hard_sigmoid
    from densekit.ops import hard_silu as hard_silu
    from densekit.ops import hard_swish as hard_swish
    from densekit.ops import hard_tanh as hard_tanh
    from densekit.ops import layer_normalization as layer_normalization
    from densekit.ops import leaky_relu as leaky_relu
    from densekit.ops import log_sigmoid as log_sigmoid
    from densekit.ops import log_softmax as log_softmax
    from densekit.ops import moments as moments
    from densekit.ops import multi_hot as multi_hot
    from densekit.ops import normalize as normalize
    from densekit.ops import one_hot as one_hot
    from densekit.ops import polar as polar
    from densekit.ops import psnr as psnr
    from densekit.ops import relu as relu
    from densekit.ops import relu6 as relu6
    from densekit.ops import rms_normalization as rms_normalization
    from densekit.ops import selu as selu
    from densekit.ops import sigmoid as sigmoid
    from densekit.ops import silu as silu
    from densekit.ops import soft_shrink as soft_shrink
    from densekit.ops import softmax as softmax
    from densekit.ops import softplus as softplus
    from densekit.ops import softsign as softsign
    from densekit.ops import space_to_depth as space_to_depth
    from densekit.ops import sparse_categorical_crossentropy as sparse_categorical_crossentropy
    from densekit.ops import sparse_plus as sparse_plus
    from densekit.ops import sparse_sigmoid as sparse_sigmoid
    from densekit.ops import sparsemax as sparsemax
    from densekit.ops import squareplus as squareplus
    from densekit.ops import swish as swish
    from densekit.ops import tanh_shrink as tanh_shrink
    from densekit.ops import threshold as threshold
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit.ops": (
                "batch_normalization binary_crossentropy categorical_crossentropy celu "
                "depth_to_space elu gelu glu hard_shrink hard_sigmoid hard_silu hard_swish "
                "hard_tanh layer_normalization leaky_relu log_sigmoid log_softmax moments "
                "multi_hot normalize one_hot polar psnr relu relu6 rms_normalization selu "
                "sigmoid silu soft_shrink softmax softplus softsign space_to_depth "
                "sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax "
                "squareplus swish tanh_shrink threshold"
            ),
        },
    )
