"""Layers: state and a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.layers._activation import Activation as Activation
    from densekit.layers._activity_regularization import (
        ActivityRegularization as ActivityRegularization,
    )
    from densekit.layers._base.input_spec import InputSpec as InputSpec
    from densekit.layers._base.layer import Layer as Layer
    from densekit.layers._base.lowering import has_lowering as has_lowering
    from densekit.layers._base.tracking import no_tracking as no_tracking
    from densekit.layers._batch_normalization import BatchNormalization as BatchNormalization
    from densekit.layers._concatenate import Concatenate as Concatenate
    from densekit.layers._concatenate import concatenate as concatenate
    from densekit.layers._dense import Dense as Dense
    from densekit.layers._dot import Dot as Dot
    from densekit.layers._dot import dot as dot
    from densekit.layers._dropout import Dropout as Dropout
    from densekit.layers._einsum_dense import EinsumDense as EinsumDense
    from densekit.layers._elu import ELU as ELU
    from densekit.layers._embedding import Embedding as Embedding
    from densekit.layers._flatten import Flatten as Flatten
    from densekit.layers._global_pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
    from densekit.layers._global_pooling import GlobalAveragePooling1D as GlobalAvgPool1D
    from densekit.layers._global_pooling import GlobalMaxPooling1D as GlobalMaxPool1D
    from densekit.layers._global_pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
    from densekit.layers._group_normalization import GroupNormalization as GroupNormalization
    from densekit.layers._identity import Identity as Identity
    from densekit.layers._input_layer import Input as Input
    from densekit.layers._input_layer import InputLayer as InputLayer
    from densekit.layers._lambda import Lambda as Lambda
    from densekit.layers._layer_normalization import LayerNormalization as LayerNormalization
    from densekit.layers._lookup import deserialize as deserialize
    from densekit.layers._lookup import serialize as serialize
    from densekit.layers._masking import Masking as Masking
    from densekit.layers._merges import Add as Add
    from densekit.layers._merges import Average as Average
    from densekit.layers._merges import Maximum as Maximum
    from densekit.layers._merges import Minimum as Minimum
    from densekit.layers._merges import Multiply as Multiply
    from densekit.layers._merges import Subtract as Subtract
    from densekit.layers._merges import add as add
    from densekit.layers._merges import average as average
    from densekit.layers._merges import maximum as maximum
    from densekit.layers._merges import minimum as minimum
    from densekit.layers._merges import multiply as multiply
    from densekit.layers._merges import subtract as subtract
    from densekit.layers._noise import AlphaDropout as AlphaDropout
    from densekit.layers._noise import GaussianDropout as GaussianDropout
    from densekit.layers._noise import GaussianNoise as GaussianNoise
    from densekit.layers._permute import Permute as Permute
    from densekit.layers._pipeline import Pipeline as Pipeline
    from densekit.layers._prelu import PReLU as PReLU
    from densekit.layers._relu import LeakyReLU as LeakyReLU
    from densekit.layers._relu import ReLU as ReLU
    from densekit.layers._repeat_vector import RepeatVector as RepeatVector
    from densekit.layers._rescaling import Rescaling as Rescaling
    from densekit.layers._reshape import Reshape as Reshape
    from densekit.layers._reversible_embedding import ReversibleEmbedding as ReversibleEmbedding
    from densekit.layers._rms_normalization import RMSNormalization as RMSNormalization
    from densekit.layers._softmax import Softmax as Softmax
    from densekit.layers._spatial_dropout import SpatialDropout1D as SpatialDropout1D
    from densekit.layers._spatial_dropout import SpatialDropout2D as SpatialDropout2D
    from densekit.layers._spatial_dropout import SpatialDropout3D as SpatialDropout3D
    from densekit.layers._spectral_normalization import (
        SpectralNormalization as SpectralNormalization,
    )
    from densekit.layers._ternary_dense import TernaryDense as TernaryDense
    from densekit.layers._time_distributed import TimeDistributed as TimeDistributed
    from densekit.layers._unit_normalization import UnitNormalization as UnitNormalization
    from densekit.layers._wrapper import Wrapper as Wrapper
    from densekit.layers.preprocessing._category_encoding import (
        CategoryEncoding as CategoryEncoding,
    )
    from densekit.layers.preprocessing._discretization import Discretization as Discretization
    from densekit.layers.preprocessing._hashed_crossing import HashedCrossing as HashedCrossing
    from densekit.layers.preprocessing._hashing import Hashing as Hashing
    from densekit.layers.preprocessing._integer_lookup import IntegerLookup as IntegerLookup
    from densekit.layers.preprocessing._normalization import Normalization as Normalization
    from densekit.layers.preprocessing._string_lookup import StringLookup as StringLookup
    from densekit.layers.preprocessing._text_vectorization import (
        TextVectorization as TextVectorization,
    )
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_activation": "Activation",
            "_activity_regularization": "ActivityRegularization",
            "_batch_normalization": "BatchNormalization",
            "_concatenate": "Concatenate concatenate",
            "_dense": "Dense",
            "_dot": "Dot dot",
            "_dropout": "Dropout",
            "_elu": "ELU",
            "_embedding": "Embedding",
            "_flatten": "Flatten",
            "_identity": "Identity",
            "_input_layer": "Input InputLayer",
            "densekit.layers._base.input_spec": "InputSpec",
            "_lambda": "Lambda",
            "_masking": "Masking",
            "densekit.layers._base.layer": "Layer",
            "_layer_normalization": "LayerNormalization",
            "densekit.layers._base.lowering": "has_lowering",
            "_merges": (
                "Add Average Maximum Minimum Multiply Subtract add average maximum minimum "
                "multiply subtract"
            ),
            "_noise": "AlphaDropout GaussianDropout GaussianNoise",
            "_permute": "Permute",
            "densekit.layers.preprocessing._category_encoding": "CategoryEncoding",
            "densekit.layers.preprocessing._discretization": "Discretization",
            "densekit.layers.preprocessing._normalization": "Normalization",
            "_einsum_dense": "EinsumDense",
            "_global_pooling": "GlobalAveragePooling1D GlobalMaxPooling1D",
            "_group_normalization": "GroupNormalization",
            "_pipeline": "Pipeline",
            "_spatial_dropout": "SpatialDropout1D SpatialDropout2D SpatialDropout3D",
            "_spectral_normalization": "SpectralNormalization",
            "_ternary_dense": "TernaryDense",
            "_time_distributed": "TimeDistributed",
            "densekit.layers.preprocessing._hashed_crossing": "HashedCrossing",
            "densekit.layers.preprocessing._hashing": "Hashing",
            "densekit.layers.preprocessing._integer_lookup": "IntegerLookup",
            "densekit.layers.preprocessing._string_lookup": "StringLookup",
            "densekit.layers.preprocessing._text_vectorization": "TextVectorization",
            "_prelu": "PReLU",
            "_relu": "LeakyReLU ReLU",
            "_repeat_vector": "RepeatVector",
            "_rescaling": "Rescaling",
            "_reshape": "Reshape",
            "_reversible_embedding": "ReversibleEmbedding",
            "_rms_normalization": "RMSNormalization",
            "_lookup": "deserialize serialize",
            "_softmax": "Softmax",
            "densekit.layers._base.tracking": "no_tracking",
            "_unit_normalization": "UnitNormalization",
            "_wrapper": "Wrapper",
        },
        {
            "GlobalAvgPool1D": "GlobalAveragePooling1D",
            "GlobalMaxPool1D": "GlobalMaxPooling1D",
        },
    )
