"""Every layer: it has samples, and each sample keeps the promises of a layer."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.contracts.test_preprocessing_contract import PREPROCESSING

import densekit as keras
from densekit._core.native_form import NativeForm
from densekit._core.registry import components
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit.engines import NativeEngine, PlanBuilder
from densekit.layers import Layer, has_lowering
from densekit.ops._gradient import value_and_vjp

Shape = tuple[int, ...]


def double(x: Any) -> Any:
    """A user's function."""
    return x * 2


def inner(**more: Any) -> Any:
    """A layer inside another, with the same weights each time."""
    return keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(1), **more)


# Per layer: arguments and the shape of one sample, or a list of shapes.
SAMPLES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "Activation": [({"activation": "tanh"}, (3,)), ({"activation": "softmax"}, (2, 3))],
    "ActivityRegularization": [({"l1": 0.1, "l2": 0.2}, (3,))],
    "Add": [({}, [(3,), (3,)]), ({}, [(3,), (2, 3)]), ({}, [(3,)])],
    "AlphaDropout": [({"rate": 0.5, "seed": 1}, (3,))],
    "Average": [({}, [(3,), (3,), (3,)])],
    "BatchNormalization": [
        ({}, (3,)),
        ({"axis": 1, "center": False}, (2, 3)),
        ({"renorm": True}, (3,)),
    ],
    "Concatenate": [({}, [(3,), (2,)]), ({"axis": 1}, [(3, 2), (1, 2)])],
    "Dense": [
        ({"units": 4}, (3,)),
        ({"units": 1, "activation": "relu", "use_bias": False}, (1,)),
        ({"units": 3, "activation": "softmax", "bias_initializer": "ones"}, (2, 3)),
        ({"units": 2, "kernel_regularizer": "l2", "activity_regularizer": "l2"}, (3,)),
        ({"units": 4, "flatten": True, "bias_initializer": "ones"}, (2, 3)),
        ({"units": 4, "lora_rank": 2, "lora_alpha": 3, "activation": "tanh"}, (3,)),
    ],
    "Dot": [({"axes": 1}, [(3,), (3,)]), ({"axes": (1, 2), "normalize": True}, [(3,), (2, 3)])],
    "Dropout": [({"rate": 0.5, "seed": 1}, (3,)), ({"rate": 0.5, "noise_shape": (None, 1)}, (3,))],
    "EinsumDense": [
        ({"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c"}, (3,)),
        ({"equation": "abc,cd->abd", "output_shape": (None, 4), "activation": "tanh"}, (2, 3)),
        ({"equation": "...x,xy->...y", "output_shape": 4, "bias_axes": "y"}, (2, 3)),
        ({"equation": "...x,xy->...y", "output_shape": 4, "lora_rank": 2}, (2, 3)),
        ({"equation": "abc,bcd->ad", "output_shape": 4, "bias_axes": "d"}, (2, 3)),
        ({"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}, (3, 2)),
        ({"equation": "abc,cde->abde", "output_shape": (None, 2, 4), "bias_axes": "de"}, (2, 3)),
        ({"equation": "abc,bcd->abd", "output_shape": (2, 4), "activation": "elu"}, (2, 3)),
        ({"equation": "abc,dc->adb", "output_shape": (4, None), "bias_axes": "d"}, (2, 3)),
        ({"equation": "abc,cbd->ad", "output_shape": 4}, (2, 3)),
        ({"equation": "abc,cb->ab", "output_shape": (2,)}, (2, 3)),
    ],
    "ELU": [({}, (3,)), ({"alpha": 0.3}, (2, 3))],
    "Embedding": [
        ({"input_dim": 7, "output_dim": 2}, (3,)),
        ({"input_dim": 7, "output_dim": 1}, (2, 3)),
        ({"input_dim": 7, "output_dim": 2, "lora_rank": 1}, (3,)),
    ],
    "Flatten": [({}, (2, 3)), ({}, (3,)), ({"data_format": "channels_first"}, (2, 3))],
    "GaussianDropout": [({"rate": 0.5, "seed": 1}, (3,))],
    "GaussianNoise": [({"stddev": 0.5, "seed": 1}, (3,))],
    "GlobalAveragePooling1D": [({}, (4, 3)), ({"data_format": "channels_first"}, (4, 3))],
    "GlobalMaxPooling1D": [({}, (4, 3)), ({"keepdims": True}, (4, 3))],
    "GroupNormalization": [
        ({"groups": 1}, (3,)),
        ({"groups": -1, "beta_initializer": "ones"}, (4, 3)),
        ({"groups": 2, "axis": 1, "scale": False}, (4, 2)),
    ],
    "Identity": [({}, (2, 3))],
    "Lambda": [({"function": double}, (3,))],
    "LayerNormalization": [({}, (3,)), ({"axis": (1, 2), "center": False}, (2, 3))],
    "LeakyReLU": [({}, (3,)), ({"negative_slope": 0.0}, (3,))],
    "Masking": [({}, (2, 3)), ({"mask_value": 1.0}, (2, 3))],
    "Maximum": [({}, [(3,), (3,)])],
    "Minimum": [({}, [(3,), (3,)])],
    "Multiply": [({}, [(3,), (3,)]), ({}, [(1,), (3,)])],
    "Normalization": [
        ({"mean": 2000.0, "variance": 9.0}, (3,)),
        ({"mean": [0.5, 1.0], "variance": [2.0, 0.5], "axis": 1}, (2, 3)),
        ({"mean": [0.5, 1.0, 3.0], "variance": [2.0, 1.0, 4.0], "invert": True}, (2, 3)),
        ({}, (3,)),
    ],
    "PReLU": [({"alpha_initializer": "ones"}, (3,)), ({"shared_axes": [1]}, (2, 3))],
    "Permute": [({"dims": (2, 1)}, (2, 3))],
    "Pipeline": [({"layers": lambda **k: [inner(**k), keras.layers.ReLU(**k)]}, (3,))],
    "RMSNormalization": [({}, (3,)), ({"axis": 1}, (2, 3))],
    "ReLU": [({}, (3,)), ({"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}, (3,))],
    "RepeatVector": [({"n": 2}, (3,))],
    "ReversibleEmbedding": [
        ({"input_dim": 7, "output_dim": 2}, (3,)),
        ({"input_dim": 7, "output_dim": 2, "tie_weights": False}, (3,)),
    ],
    "Rescaling": [({"scale": 2.0, "offset": 1.0}, (3,)), ({"scale": [1.0, 2.0, 3.0]}, (3,))],
    "Reshape": [({"target_shape": (3, -1)}, (2, 3))],
    "Softmax": [({}, (3,)), ({"axis": 1}, (2, 3)), ({"axis": (1, 2)}, (2, 3))],
    "SpatialDropout1D": [({"rate": 0.5, "seed": 1}, (3, 4))],
    "SpatialDropout2D": [({"rate": 0.5, "seed": 1}, (3, 2, 4))],
    "SpatialDropout3D": [({"rate": 0.5, "seed": 1, "data_format": "channels_first"}, (3, 2, 2, 4))],
    "SpectralNormalization": [({"layer": inner, "power_iterations": 2}, (3,))],
    "Subtract": [({}, [(3,), (3,)])],
    "TernaryDense": [
        ({"units": 4, "activation": "tanh", "bias_initializer": "ones"}, (3,)),
        ({"units": 2, "threshold": 0.5, "use_bias": False}, (2, 3)),
    ],
    "TimeDistributed": [({"layer": inner}, (4, 3))],
    "UnitNormalization": [({}, (3,)), ({"axis": 1}, (2, 3))],
}
# They run users' code, or are followed op by op. Every other layer has a native form.
NOT_NATIVE = {"Lambda", "GlobalAveragePooling1D", "GlobalMaxPooling1D"}
NOT_NATIVE |= {"Masking"}
NOT_NATIVE |= {"TernaryDense"}  # its gradient is its own
NOT_NATIVE |= {"Pipeline", "SpectralNormalization", "TimeDistributed"}  # run their layers in Python
STRAIGHT_THROUGH = {"TernaryDense"}  # steps whose gradient is that of a slope
# Bases of users' layers, and layers that need a graph.
NOT_CALLABLE = {"InputLayer", "Layer", "Wrapper"}
OF_TWO_COLUMNS = {"HashedCrossing"}  # tests/layers/preprocessing/test_hashed_crossing.py


def layer_classes() -> dict[str, Any]:
    table = components("keras.layers").items()
    return {n: c for n, c in table if isinstance(c, type) and issubclass(c, Layer)}


def cases() -> Iterator[Any]:
    for name, entries in SAMPLES.items():
        for i, (arguments, shape) in enumerate(entries):
            yield pytest.param(name, arguments, shape, id=f"{name}-{i}")


each_sample = pytest.mark.parametrize(("name", "arguments", "shape"), list(cases()))


def made(arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The arguments, with layers inside of the same dtype."""
    own = {k: v for k, v in more.items() if k == "dtype"}
    return {k: v(**own) if k in ("layer", "layers") else v for k, v in arguments.items()}


def create(kind: str, arguments: dict[str, Any], **more: Any) -> Any:
    return layer_classes()[kind](**made(arguments, **more), **more)


def rows_of(shape: Any, rows: int, rng: Any, dtype: str = "float32") -> Any:
    if isinstance(shape, list):
        return [rows_of(one, rows, rng, dtype) for one in shape]
    return rng.standard_normal((rows, *shape)).astype(dtype)


def take(inputs: Any, index: Any) -> Any:
    return [x[index] for x in inputs] if isinstance(inputs, list) else inputs[index]


def tolerance(wanted: Any) -> float:
    return 64 * float(np.finfo(wanted.dtype).eps) * max(1.0, float(np.abs(wanted).max(initial=0)))


def test_every_layer_has_samples() -> None:
    elsewhere = NOT_CALLABLE | OF_TWO_COLUMNS
    assert set(SAMPLES) | set(PREPROCESSING) | elsewhere == set(layer_classes())


@each_sample
def test_config_comes_back(name: str, arguments: Any, shape: Any, rng: Any) -> None:
    layer = create(name, arguments, name="it", trainable=False)
    config = layer.get_config()
    assert config["name"] == "it"
    with keras.saving.custom_object_scope({"double": double}):
        for again in (
            type(layer).from_config(json.loads(json.dumps(config))),
            deserialize_keras_object(json.loads(json.dumps(serialize_keras_object(layer)))),
        ):
            assert type(again) is type(layer)
            assert json.dumps(again.get_config()) == json.dumps(config)
            assert not again.trainable or "trainable" not in config
    assert name == "Lambda" or arguments.keys() <= config.keys()


@each_sample
def test_a_batch_is_its_rows(name: str, arguments: Any, shape: Any, rng: Any) -> None:
    layer, inputs = create(name, arguments), rows_of(shape, 5, rng)
    batch = layer(inputs)
    for i in range(5):
        row = layer(take(inputs, slice(i, i + 1)))
        np.testing.assert_allclose(row[0], batch[i], rtol=0, atol=tolerance(batch))


@each_sample
def test_no_rows(name: str, arguments: Any, shape: Any, rng: Any) -> None:
    layer, some = create(name, arguments), rows_of(shape, 3, rng)
    none = take(some, slice(0, 0))
    for training in (False, True):
        empty, full = layer(none, training=training), layer(some, training=training)
        assert empty.shape == (0, *full.shape[1:])
        assert empty.dtype == full.dtype
        assert all(np.isfinite(loss) for loss in layer.losses)


@each_sample
def test_the_symbolic_shape_is_the_eager_one(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    layer, inputs = create(name, arguments), rows_of(shape, 4, rng)
    shapes = shape if isinstance(shape, list) else [shape]
    symbolic = [keras.Input(one) for one in shapes]
    spec = layer(symbolic if isinstance(shape, list) else symbolic[0])
    batched = [(None, *one) for one in shapes]
    told = layer.compute_output_shape(batched if isinstance(shape, list) else batched[0])
    eager = layer(inputs)
    assert spec.shape == told == (None, *eager.shape[1:])
    assert spec.dtype == eager.dtype.name
    assert spec._keras_history[0] is layer


@each_sample
def test_copies_compute_the_same_and_share_nothing(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    layer, inputs = create(name, arguments), rows_of(shape, 3, rng)
    wanted = layer(inputs)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again(inputs), wanted)
        assert [v.path for v in again.variables] == [v.path for v in layer.variables]
        for v in again.weights:
            v.assign(v.value + 1)
    np.testing.assert_array_equal(layer(inputs), wanted)


@each_sample
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "mixed_float16"])
def test_outputs_have_the_compute_dtype(
    name: str, arguments: Any, shape: Any, dtype: str, rng: Any
) -> None:
    layer = create(name, arguments, dtype=dtype)
    outputs = layer(rows_of(shape, 3, rng), training=True)
    assert outputs.dtype == layer.compute_dtype
    floats = {v.name: v.dtype for v in layer.weights if "int" not in v.dtype}
    for name, kind in floats.items():
        assert kind == ("float32" if name.startswith("lora_") else layer.variable_dtype)


@each_sample
def test_training_with_a_seed_repeats(name: str, arguments: Any, shape: Any, rng: Any) -> None:
    inputs = rows_of(shape, 3, rng)
    if "seed" in arguments:
        first, second = create(name, arguments), create(name, arguments)
        wanted = [first(inputs, training=True) for _ in range(2)]
        np.testing.assert_array_equal(second(inputs, training=True), wanted[0])
        np.testing.assert_array_equal(second(inputs, training=True), wanted[1])
        assert not np.array_equal(*wanted)
    else:
        layer = create(name, arguments)
        if name not in ("Dropout", "BatchNormalization"):
            layer(inputs)
            before = [v.numpy() for v in layer.non_trainable_variables]
            trained = layer(inputs, training=True)
            for v, value in zip(layer.non_trainable_variables, before, strict=True):
                v.assign(value)
            np.testing.assert_array_equal(trained, layer(inputs))


@each_sample
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_native_form_is_the_definition(
    name: str, arguments: Any, shape: Any, dtype: str, rng: Any
) -> None:
    layer, inputs = create(name, arguments, dtype=dtype), rows_of(shape, 7, rng, dtype)
    wanted = layer(inputs)
    assert has_lowering(layer) == (name not in NOT_NATIVE)
    if name in NOT_NATIVE:
        return
    plan = PlanBuilder(dtype)
    shapes = shape if isinstance(shape, list) else [shape]
    handles = [plan.input(one, dtype) for one in shapes]
    plan.outputs = [layer.lower(plan, *handles)]
    assert not plan.has_host_nodes
    engine = NativeEngine(plan, [], [], None)
    arrays = inputs if isinstance(inputs, list) else [inputs]
    got = engine.predict(arrays, 7)[0].reshape(wanted.shape)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance(wanted))


@each_sample
def test_the_gradient_is_a_difference_quotient(
    name: str, arguments: Any, shape: Any, rng: Any
) -> None:
    if name in STRAIGHT_THROUGH:
        return
    layer, inputs = create(name, arguments, dtype="float64"), rows_of(shape, 3, rng, "float64")
    layer(inputs)
    state = [v.numpy() for v in layer.non_trainable_variables]
    n = len(layer.trainable_variables)
    is_list = isinstance(inputs, list)
    values = [v.numpy() for v in layer.trainable_variables] + (inputs if is_list else [inputs])

    def loss(*values: Any) -> list[Any]:
        x = list(values[n:]) if is_list else values[n]
        return [keras.ops.sum(keras.ops.sin(layer.stateless_call(values[:n], state, x)[0]))]

    _, vjp = value_and_vjp(loss, values)
    gradients = vjp([np.float64(1)])
    directions = [rng.standard_normal(v.shape) for v in values]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    h = 1e-6
    ahead = loss(*(v + h * d for v, d in zip(values, directions, strict=True)))[0]
    behind = loss(*(v - h * d for v, d in zip(values, directions, strict=True)))[0]
    assert slope == pytest.approx(float(ahead - behind) / (2 * h), rel=1e-5, abs=1e-7)


def test_a_wrong_native_form_is_noticed(rng: Any) -> None:
    class Wrong(keras.layers.Activation):  # type: ignore[misc]
        def lower(self, plan: Any, x: Any) -> Any:
            return plan.activation(x, NativeForm("sigmoid"))

    layer, x = Wrong("tanh"), rows_of((3,), 2, rng)
    plan = PlanBuilder("float32")
    plan.outputs = [layer.lower(plan, plan.input((3,)))]
    got = NativeEngine(plan, [], [], None).predict([x], 2)[0]
    assert not np.allclose(got, layer(x), atol=tolerance(got))
