"""What runs in Python is on a list, each with its sentence; everything else is native."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.contracts.test_layers_contract import NOT_CALLABLE, layer_classes

import densekit as keras
from densekit import ops
from densekit.engines import NotLowerable, lower_graph
from densekit.engines.op_lowerings import native_names
from densekit.ops._symbolic import FunctionOperation

L = keras.layers
Make = Callable[[], Any]
RANKS = [(6,), (4, 6), (2, 4, 6)]
SEQUENCE = [(4, 6)]
WORDS = [(5,)]


def inner() -> Any:
    return L.Dense(3, "relu")


def two(shapes: list[Any], *makes: Make) -> list[tuple[Make, list[Any], str]]:
    return [(make, shapes, "float32") for make in makes]


# Per layer: how it is made, of which inputs, of which dtype. A list inside is that of one call.
LAYERS: dict[str, list[tuple[Make, list[Any], str]]] = {
    "Activation": two(
        RANKS,
        lambda: L.Activation("softmax"),
        lambda: L.Activation(lambda x: x * ops.sigmoid(x)),
    ),
    "ActivityRegularization": two(RANKS, lambda: L.ActivityRegularization(0.1, 0.1)),
    "AlphaDropout": [
        *two(RANKS, lambda: L.AlphaDropout(0.3)),
        *two(SEQUENCE, lambda: L.AlphaDropout(0.3, noise_shape=(None, 1, 6))),
    ],
    "BatchNormalization": two(
        RANKS,
        L.BatchNormalization,
        lambda: L.BatchNormalization(axis=1),
        lambda: L.BatchNormalization(trainable=False),
        lambda: L.BatchNormalization(renorm=True),
        lambda: L.BatchNormalization(1, renorm=True, renorm_clipping={"rmax": 2.0, "dmax": 1.0}),
    ),
    "Dense": two(
        RANKS,
        lambda: L.Dense(3, "softmax"),
        lambda: L.Dense(4, "glu", use_bias=False),
        lambda: L.Dense(3, lambda x: x * x, activity_regularizer="l1"),
        lambda: L.Dense(3, flatten=True),
        lambda: L.Dense(3, lora_rank=2),
    ),
    "Dropout": [
        *two(RANKS, lambda: L.Dropout(0.3), lambda: L.Dropout(1.0)),
        *two(SEQUENCE, lambda: L.Dropout(0.3, noise_shape=(None, 1, 6))),
    ],
    "ELU": two(RANKS, lambda: L.ELU(0.5)),
    "EinsumDense": two(
        SEQUENCE,
        lambda: L.EinsumDense("abc,cd->abd", (4, 5), bias_axes="d"),
        lambda: L.EinsumDense("...x,xy->...y", 5, "tanh", bias_axes="y"),
        lambda: L.EinsumDense("ab...,bc->ac...", 5, bias_axes="c"),
        lambda: L.EinsumDense("abc,bcd->ad", 5),
        lambda: L.EinsumDense("abc,cde->adbe", (2, 4, 3), bias_axes="de"),
        lambda: L.EinsumDense("abc,bcd->abd", (4, 5), bias_axes="bd"),
        lambda: L.EinsumDense("abc,dc->abd", (4, 5)),
    ),
    "Embedding": [
        (make, WORDS, dtype)
        for dtype in ("int32", "float32")
        for make in (
            lambda: L.Embedding(7, 3),
            lambda: L.Embedding(7, 3, mask_zero=True),
            lambda: L.Embedding(7, 3, lora_rank=1),
        )
    ],
    "Flatten": two(RANKS, L.Flatten, lambda: L.Flatten("channels_first")),
    "GaussianDropout": two(RANKS, lambda: L.GaussianDropout(0.3)),
    "GaussianNoise": two(RANKS, lambda: L.GaussianNoise(0.3)),
    "GlobalAveragePooling1D": two(
        SEQUENCE,
        L.GlobalAveragePooling1D,
        lambda: L.GlobalAveragePooling1D("channels_first", keepdims=True),
    ),
    "GlobalMaxPooling1D": two(SEQUENCE, L.GlobalMaxPooling1D),
    "GroupNormalization": two(
        RANKS, lambda: L.GroupNormalization(2), lambda: L.GroupNormalization(2, axis=1)
    ),
    "Identity": two(RANKS, L.Identity),
    "Lambda": two(RANKS, lambda: L.Lambda(lambda x: x * 2 + 1)),
    "LayerNormalization": two(
        RANKS,
        L.LayerNormalization,
        lambda: L.LayerNormalization(axis=1, center=False),
    ),
    "LeakyReLU": two(RANKS, L.LeakyReLU),
    "Masking": two(SEQUENCE, L.Masking),
    "Normalization": [
        *two(RANKS, lambda: L.Normalization(mean=0.0, variance=1.0)),
        (lambda: L.Normalization(mean=[0.0] * 6, variance=[1.0] * 6), [(6,)], "int32"),
    ],
    "PReLU": two(RANKS, L.PReLU),
    "Permute": two(SEQUENCE, lambda: L.Permute((2, 1))),
    "Pipeline": two(
        RANKS, lambda: L.Pipeline([L.Dense(3), L.Dropout(0.2), L.BatchNormalization()])
    ),
    "RMSNormalization": two(RANKS, L.RMSNormalization, lambda: L.RMSNormalization(axis=1)),
    "ReLU": two(RANKS, lambda: L.ReLU(2.0, 0.1, 0.2)),
    "RepeatVector": two([(6,)], lambda: L.RepeatVector(3)),
    "ReversibleEmbedding": [(lambda: L.ReversibleEmbedding(7, 3), WORDS, "int32")],
    "Rescaling": [
        *two(RANKS, lambda: L.Rescaling(2.0, 1.0), lambda: L.Rescaling([1.0] * 6, 0.5)),
        *two(SEQUENCE, lambda: L.Rescaling(np.ones((4, 1)))),
        (lambda: L.Rescaling(1 / 255), RANKS, "uint8"),
    ],
    "Reshape": two(RANKS, lambda: L.Reshape((-1,))),
    "Softmax": two(RANKS, L.Softmax, lambda: L.Softmax(axis=1)),
    "SpatialDropout1D": two(SEQUENCE, lambda: L.SpatialDropout1D(0.3)),
    "SpatialDropout2D": two([(2, 4, 6)], lambda: L.SpatialDropout2D(0.3)),
    "SpatialDropout3D": two([(2, 2, 4, 6)], lambda: L.SpatialDropout3D(0.3)),
    "SpectralNormalization": [
        *two(RANKS, lambda: L.SpectralNormalization(L.Dense(3), power_iterations=2)),
        *two(SEQUENCE, lambda: L.SpectralNormalization(L.EinsumDense("abc,bcd->abd", (4, 5)))),
        (lambda: L.SpectralNormalization(L.Embedding(7, 3)), WORDS, "int32"),
    ],
    "TernaryDense": two(RANKS, lambda: L.TernaryDense(3), lambda: L.TernaryDense(3, 0.1, "relu")),
    "TimeDistributed": two(
        [(4, 6), (2, 4, 6)],
        lambda: L.TimeDistributed(inner()),
        lambda: L.TimeDistributed(L.BatchNormalization()),
        lambda: L.TimeDistributed(L.Dropout(0.3)),
        lambda: L.TimeDistributed(L.GaussianNoise(0.3)),
        lambda: L.TimeDistributed(L.Flatten()),
        lambda: L.TimeDistributed(keras.Sequential([inner(), L.BatchNormalization()])),
    ),
    "UnitNormalization": two(RANKS, L.UnitNormalization, lambda: L.UnitNormalization(axis=1)),
    "CategoryEncoding": [
        (lambda mode=mode: L.CategoryEncoding(7, mode), WORDS, "int32")
        for mode in ("multi_hot", "count")
    ],
    "Discretization": [
        (lambda mode=mode: L.Discretization([0.0, 1.0], output_mode=mode), [(1,)], "float32")
        for mode in ("int", "one_hot", "multi_hot", "count")
    ],
    "Concatenate": two([[(4, 6), (4, 3)], [(6,), (2,)]], L.Concatenate),
    "Dot": two(
        [[(4, 6), (4, 6)], [(6,), (6,)]], lambda: L.Dot(-1), lambda: L.Dot(-1, normalize=True)
    ),
    **{
        name: two([[(6,), (6,)], [(4, 6), (1, 6)], [(4, 6), (6,)]], getattr(L, name))
        for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
    },
}
# What runs in Python, and why.
IN_PYTHON: dict[str, tuple[Make, Any, str, str]] = {
    "Dropout with one mask for all rows": (
        lambda: L.Dropout(0.3, noise_shape=(1, 4, 6)),
        (4, 6),
        "float32",
        "",
    ),
    "Hashing": (lambda: L.Hashing(5), (1,), "int32", "it computes in int64"),
    "IntegerLookup": (
        lambda: L.IntegerLookup(vocabulary=[1, 2]),
        (1,),
        "int64",
        "it computes in int64",
    ),
    "StringLookup": (
        lambda: L.StringLookup(vocabulary=["a"]),
        (1,),
        "string",
        "it reads strings",
    ),
    "TextVectorization": (
        lambda: L.TextVectorization(vocabulary=["a"], output_sequence_length=3),
        (1,),
        "string",
        "it reads strings",
    ),
}
ELSEWHERE = NOT_CALLABLE | {"HashedCrossing"}  # of two columns of strings or whole numbers


# Ops that run in Python, and why.
OPS_IN_PYTHON = {
    "they compute with whole numbers, which floats may round": (
        "bincount bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor gcd lcm left_shift right_shift unravel_index"
    ),
    "they decompose or solve": (
        "cholesky cholesky_inverse det eig eigh inv logdet lstsq lu_factor matrix_rank pinv qr "
        "slogdet solve solve_triangular svd"
    ),
    "they give complex numbers, or take them apart": (
        "angle conjugate imag isreal polar real view_as_complex view_as_real"
    ),
    "they take other functions, which may look at values": (
        "associative_scan jvp map scan switch vectorized_map while_loop"
    ),
    "their rows depend on other rows, or on numbers of the batch": (
        "append corrcoef correlate diag diagflat flipud histogram inner kron meshgrid outer "
        "psnr segment_max segment_min segment_prod segment_sum vdot vsplit vstack"
    ),
    "the size of what they give follows from values": "nonzero unique",
    "they make arrays of numbers alone": (
        "arange bartlett blackman full geomspace hamming hanning kaiser linspace logspace vander"
    ),
    "they put values in places that others name": "scatter scatter_update slice_update",
    "they change how bytes are read": "nextafter saturate_cast signbit view",
    "they say something of shapes": "ndim size",
    "they are seldom in a network": (
        "allclose argpartition batch_normalization cdist cross empty_like erfinv fmod i0 "
        "in_top_k isin ldexp nanargmax nanargmin nancumprod nancumsum nanmedian nanpercentile "
        "nanquantile percentile quantile rearrange select sinc trapezoid"
    ),
}


def reasons(model: Any, training: bool) -> list[tuple[str, str]]:
    """The host nodes of the model's plan, or why it has none."""
    try:
        return list(lower_graph(model._dk_graph(), "float32", training).host_reasons)
    except NotLowerable as why:
        return [("all of it", str(why))]


def model_of(layer: Any, shapes: Any, dtype: str = "float32", masked: bool = False) -> Any:
    """A model with the layer inside, after one that computes where inputs are floats."""
    several = isinstance(shapes, list)
    inputs = [keras.Input(shape, dtype=dtype) for shape in (shapes if several else [shapes])]
    values = list(inputs)
    if dtype == "float32" and type(layer).__name__ not in ("Embedding", "Discretization"):
        values = [L.Masking()(x) if masked else L.Dense(x.shape[-1])(x) for x in inputs]
    return keras.Model(inputs, layer(values if several else values[0]))


def test_every_layer_is_looked_at() -> None:
    listed = {*LAYERS, *ELSEWHERE, *(name.partition(" ")[0] for name in IN_PYTHON)}
    assert set(layer_classes()) == listed


@pytest.mark.parametrize("name", LAYERS)
def test_layers_run_natively(name: str) -> None:
    for make, shapes, dtype in LAYERS[name]:
        for shape in shapes:
            model = model_of(make(), shape, dtype)
            for training in (True, False):
                assert reasons(model, training) == [], (shape, dtype, training)
            assert "0 of" in model.explain_plan()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in LAYERS
        if getattr(L, name)._dk_lowers_mask
        or name
        in (
            "Dense",
            "Dropout",
            "LayerNormalization",
            "GlobalAveragePooling1D",
            "TimeDistributed",
            "Add",
            "Concatenate",
            "Activation",
        )
    ],
)
def test_layers_of_masked_sequences_run_natively(name: str) -> None:
    for make, shapes, dtype in LAYERS[name]:
        layer = make()
        odd = (
            getattr(layer, "axis", -1) == 1 or getattr(layer, "data_format", "") == "channels_first"
        )
        for shape in shapes:
            pair = isinstance(shape, list)
            is_sequence = all(len(s) == 2 for s in shape) if pair else len(shape) == 2
            softmax = getattr(layer, "flatten", False) is True
            if not is_sequence or odd or softmax or (pair and shape[0][0] != shape[1][0]):
                continue
            model = model_of(make(), shape, dtype, masked=True)
            for training in (True, False):
                assert reasons(model, training) == [], (shape, training)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_what_runs_in_python_says_why(name: str) -> None:
    make, shape, dtype, sentence = IN_PYTHON[name]
    found = reasons(model_of(make(), shape, dtype), True)
    assert found
    assert sentence in found[0][1]


def test_ops_that_run_in_python_are_listed() -> None:
    assert all(hasattr(ops, name) for name in ops.__all__)  # which loads all of them
    every = {kind.function.__name__ for kind in FunctionOperation.__subclasses__()}
    every = {name for name in every if getattr(ops, name, None) is not None}
    listed = [name for names in OPS_IN_PYTHON.values() for name in names.split()]
    assert len(set(listed)) == len(listed)
    assert every - set(native_names()) == set(listed)
