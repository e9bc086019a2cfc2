"""Errors of layers are of the types that Keras raises."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit


def _dense(k: Any, **kwargs: Any) -> Any:
    return k.layers.Dense(2, name="d", **kwargs)


def _built(k: Any) -> Any:
    layer = _dense(k)
    layer.build((None, 3))
    return layer


ERRORS: dict[str, Any] = {
    "units float": lambda k: k.layers.Dense(2.0),
    "units zero": lambda k: k.layers.Dense(0),
    "units negative": lambda k: k.layers.Dense(-3),
    "units string": lambda k: k.layers.Dense("4"),
    "activation unknown": lambda k: _dense(k, activation="nope"),
    "activation number": lambda k: _dense(k, activation=3),
    "initializer unknown": lambda k: _dense(k, kernel_initializer="nope"),
    "regularizer unknown": lambda k: _dense(k, kernel_regularizer="nope"),
    "constraint unknown": lambda k: _dense(k, kernel_constraint="nope"),
    "dtype unknown": lambda k: _dense(k, dtype="floaty"),
    "keyword unknown": lambda k: _dense(k, foo=3),
    "trainable number": lambda k: _dense(k, trainable=1),
    "name with slash": lambda k: k.layers.Dense(2, name="a/b"),
    "name number": lambda k: k.layers.Dense(2, name=3),
    "initial array": lambda k: _dense(k, kernel_initializer=np.ones((2, 2))).build((None, 3)),
    "build unknown": lambda k: _dense(k).build((None, None)),
    "build twice": lambda k: _built(k).build((None, 3)),
    "nested list": lambda k: _built(k)([[1.0, 2.0, 3.0]]),
    "strings": lambda k: _built(k)(np.array([["a", "b", "c"]])),
    "a string": lambda k: _built(k)("abc"),
    "None": lambda k: _built(k)(None),
    "no input": lambda k: _built(k)(),
    "two inputs": lambda k: _built(k)([np.ones((1, 3)), np.ones((1, 3))]),
    "rank 0": lambda k: _built(k)(np.float32(3)),
    "rank 1": lambda k: _built(k)(np.ones(3)),
    "width": lambda k: _built(k)(np.ones((2, 4))),
    "width, symbolic": lambda k: _built(k)(k.Input((4,))),
    "extra argument": lambda k: _built(k)(np.ones((2, 3)), foo=1),
    "kernel unbuilt": lambda k: _dense(k).kernel,
    "bias unbuilt": lambda k: _dense(k).bias,
    "count unbuilt": lambda k: _dense(k).count_params(),
    "weights count": lambda k: _built(k).set_weights([np.ones((3, 2))]),
    "weights shape": lambda k: _built(k).set_weights([np.ones((3, 2)), np.ones(3)]),
    "new layer": lambda k: setattr(_built(k), "more", _dense(k)),
    "new weight": lambda k: _built(k).add_weight(shape=(1,)),
    "weight by name": lambda k: _dense(k).add_weight("kernel", shape=(1,)),
    "loss number": lambda k: _built(k).add_loss(3.0),
    "stateless unbuilt": lambda k: _dense(k).stateless_call([], [], np.ones((1, 3))),
    "stateless count": lambda k: _built(k).stateless_call([], [], np.ones((1, 3))),
    "load count": lambda k: _built(k).load_own_variables({}),
    "call missing": lambda k: k.layers.Layer()(np.ones((1, 2))),
    "ReLU negative": lambda k: k.layers.ReLU(max_value=-1.0),
    "LeakyReLU None": lambda k: k.layers.LeakyReLU(negative_slope=None),
    "Dropout rate": lambda k: k.layers.Dropout(1.5),
    "Dropout shape": lambda k: k.layers.Dropout(0.5, noise_shape="ab"),
    "Dropout shape size": lambda k: k.layers.Dropout(0.5, noise_shape=(0, 2)),
    "Flatten format": lambda k: k.layers.Flatten(data_format="first"),
    "Flatten rank 0": lambda k: k.layers.Flatten()(np.float32(1)),
    "Reshape two": lambda k: k.layers.Reshape((-1, -1)),
    "Reshape size": lambda k: k.layers.Reshape((5,))(np.ones((2, 3))),
    "Permute": lambda k: k.layers.Permute((1, 3)),
    "RepeatVector zero": lambda k: k.layers.RepeatVector(0),
    "RepeatVector float": lambda k: k.layers.RepeatVector(2.0),
    "Add tensor": lambda k: k.layers.Add()(np.ones((2, 3))),
    "Add shapes": lambda k: k.layers.Add()([np.ones((2, 3)), np.ones((2, 4))]),
    "Add batches": lambda k: k.layers.Add()([np.ones((2, 3)), np.ones((3, 3))]),
    "Subtract one": lambda k: k.layers.Subtract()([np.ones((2, 3))]),
    "Concatenate": lambda k: k.layers.Concatenate()([np.ones((2, 3)), np.ones((3, 3))]),
    "Dot axes": lambda k: k.layers.Dot("a"),
    "Dot pair": lambda k: k.layers.Dot((1, 2, 3)),
    "Dot sizes": lambda k: k.layers.Dot(1)([np.ones((2, 3)), np.ones((2, 4))]),
    "Input nothing": lambda k: k.Input(),
    "Input both": lambda k: k.Input((2,), batch_shape=(1, 2)),
    "Input tensor": lambda k: k.Input(tensor=np.ones(2)),
    "InputSpec axes": lambda k: k.InputSpec(axes={"a": 1}),
    "InputSpec rank": lambda k: k.InputSpec(ndim=2, axes={2: 1}),
    "Wrapper": lambda k: k.layers.Wrapper(3),
    "Activation": lambda k: k.layers.Activation("nope"),
    "einsum form": lambda k: k.layers.EinsumDense("ab", 2).build((None, 3)),
    "einsum size": lambda k: k.layers.EinsumDense("abc,cd->abd", (5, 2)).build((None, 3, 4)),
    "einsum kernel": lambda k: k.layers.EinsumDense("ab,bz->ac", 2).build((None, 3)),
    "einsum bias": lambda k: k.layers.EinsumDense("ab,bc->ac", 2, bias_axes="z").build((None, 3)),
    "einsum unbuilt": lambda k: k.layers.EinsumDense("ab,bc->ac", 2).kernel,
    "groups": lambda k: k.layers.GroupNormalization(0),
    "groups many": lambda k: k.layers.GroupNormalization(8).build((None, 4)),
    "groups uneven": lambda k: k.layers.GroupNormalization(3).build((None, 4)),
    "groups unknown": lambda k: k.layers.GroupNormalization(3).build((None, None)),
    "pooling rank": lambda k: k.layers.GlobalMaxPooling1D()(np.ones((2, 3))),
    "pooling format": lambda k: k.layers.GlobalMaxPooling1D("first"),
    "time layer": lambda k: k.layers.TimeDistributed(3),
    "time rank": lambda k: k.layers.TimeDistributed(_dense(k))(np.ones((2, 3))),
    "time mask": lambda k: k.layers.TimeDistributed(_dense(k))(
        np.ones((2, 3, 4)), mask=np.ones((2, 4))
    ),
    "spectral iterations": lambda k: k.layers.SpectralNormalization(_dense(k), 0),
    "spectral kernel": lambda k: k.layers.SpectralNormalization(k.layers.ReLU()).build((None, 3)),
    "spatial rank": lambda k: k.layers.SpatialDropout1D(0.5)(np.ones((2, 3))),
    "pipeline": lambda k: k.layers.Pipeline.from_config({"layers": 3}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_type_is_that_of_keras(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        ERRORS[name](keras)
    with pytest.raises(theirs.type) as ours:
        ERRORS[name](densekit)
    assert ours.type is theirs.type
