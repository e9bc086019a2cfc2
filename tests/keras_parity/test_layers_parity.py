"""Layers against Keras: outputs with copied weights, configs, losses, gradients."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import densekit
from densekit.ops._gradient import value_and_vjp

EPS = float(np.finfo(np.float32).eps)

# name, arguments, shape of the input, training
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Dense", {"units": 3}, (4, 5)),
    ("Dense", {"units": 3, "activation": "relu", "use_bias": False}, (4, 5)),
    ("Dense", {"units": 2, "activation": "softmax", "bias_initializer": "ones"}, (2, 3, 4)),
    ("Dense", {"units": 1, "activation": "tanh", "kernel_regularizer": "l2"}, (1, 1)),
    ("Dense", {"units": 4, "kernel_constraint": "max_norm", "trainable": False}, (0, 3)),
    ("Dense", {"units": 4, "activity_regularizer": "l2", "dtype": "float16"}, (3, 2)),
    ("Activation", {"activation": "gelu"}, (4, 5)),
    ("ReLU", {}, (4, 5)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.5}, (4, 5)),
    ("LeakyReLU", {}, (4, 5)),
    ("LeakyReLU", {"negative_slope": 0.1}, (2, 3, 4)),
    ("PReLU", {"alpha_initializer": "ones"}, (4, 5)),
    ("PReLU", {"alpha_initializer": "random_uniform", "shared_axes": [1]}, (2, 3, 4)),
    ("ELU", {"alpha": 0.5}, (4, 5)),
    ("Softmax", {}, (4, 5)),
    ("Softmax", {"axis": 1}, (2, 3, 4)),
    ("Softmax", {"axis": (1, 2)}, (2, 3, 4)),
    ("Flatten", {}, (2, 3, 4)),
    ("Flatten", {}, (3,)),
    ("Flatten", {"data_format": "channels_first"}, (2, 3, 4, 5)),
    ("Reshape", {"target_shape": (2, -1)}, (3, 6)),
    ("Reshape", {"target_shape": (6,)}, (3, 2, 3)),
    ("Permute", {"dims": (2, 1)}, (3, 2, 4)),
    ("RepeatVector", {"n": 3}, (3, 2)),
    ("Dropout", {"rate": 0.5, "seed": 3}, (4, 5)),
    ("Dropout", {"rate": 0.0}, (4, 5)),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, (4, 5)),
    ("Rescaling", {"scale": [1.0, 2.0], "offset": [0.0, 1.0]}, (4, 2)),
    ("Identity", {}, (4, 5)),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (4, 5)),
    ("LayerNormalization", {}, (4, 5)),
    ("LayerNormalization", {"axis": [1, 2], "scale": False}, (2, 3, 4)),
    ("RMSNormalization", {}, (4, 5)),
    ("BatchNormalization", {}, (4, 5)),
    ("BatchNormalization", {"axis": 1, "scale": False, "epsilon": 0.1}, (2, 3, 4)),
    ("UnitNormalization", {"axis": 1}, (4, 5)),
    ("GaussianNoise", {"stddev": 0.5, "seed": 1}, (4, 5)),
    ("GaussianDropout", {"rate": 0.5, "seed": 1}, (4, 5)),
    ("AlphaDropout", {"rate": 0.5, "seed": 1}, (4, 5)),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, (4, 5)),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (3, 2)}, (2, 3, 4)),
    (
        "EinsumDense",
        {"equation": "...x,xy->...y", "output_shape": 2, "bias_axes": "y", "activation": "relu"},
        (2, 3, 4),
    ),
    ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 2}, (3, 4)),
    (
        "EinsumDense",
        {"equation": "ab...,bc->ac...", "output_shape": 3, "bias_axes": "c"},
        (2, 5, 4),
    ),
    (
        "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (3, 2, 5), "bias_axes": "de"},
        (2, 3, 4),
    ),
    (
        "EinsumDense",
        {"equation": "abcd,cde->abe", "output_shape": (3, 2), "bias_axes": "b"},
        (2, 3, 4, 5),
    ),
    ("GlobalAveragePooling1D", {}, (2, 3, 4)),
    ("GlobalAveragePooling1D", {"data_format": "channels_first", "keepdims": True}, (2, 3, 4)),
    ("GlobalMaxPooling1D", {}, (2, 3, 4)),
    ("GlobalMaxPooling1D", {"data_format": "channels_first"}, (2, 3, 4)),
    ("GroupNormalization", {"groups": 2}, (3, 4)),
    ("GroupNormalization", {"groups": -1, "center": False}, (2, 3, 4)),
    ("GroupNormalization", {"groups": 2, "axis": 1, "epsilon": 0.1}, (2, 4, 3)),
    ("SpatialDropout1D", {"rate": 0.5, "seed": 1}, (2, 3, 4)),
    ("SpatialDropout2D", {"rate": 0.5}, (2, 3, 2, 4)),
    ("SpatialDropout3D", {"rate": 0.5, "data_format": "channels_first"}, (2, 3, 2, 2, 4)),
]
MERGES: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    *((n, {}, [(4, 5)] * 3) for n in ("Add", "Multiply", "Average", "Maximum", "Minimum")),
    ("Add", {}, [(4, 5)]),
    ("Add", {}, [(4, 5), (4, 3, 5)]),
    ("Multiply", {}, [(4, 1), (4, 3)]),
    ("Subtract", {}, [(4, 5)] * 2),
    ("Concatenate", {}, [(4, 5), (4, 2)]),
    ("Concatenate", {"axis": 1}, [(4, 5, 3), (4, 2, 3)]),
    ("Dot", {"axes": 1}, [(4, 5), (4, 5)]),
    ("Dot", {"axes": (1, 2), "normalize": True}, [(4, 5, 2), (4, 3, 5)]),
    ("Dot", {"axes": -1}, [(4, 5, 2), (4, 2)]),
]


def _ids(cases: list[Any]) -> list[str]:
    return [f"{name}-{i}" for i, (name, *_) in enumerate(cases)]


def _both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    ours = getattr(densekit.layers, name)(name="it", **arguments)
    theirs = getattr(keras.layers, name)(name="it", **arguments)
    return ours, theirs


def _as_json(value: Any) -> str:
    return json.dumps(value)  # keeps the order of keys; tuples become lists


def _compare(ours: Any, theirs: Any, inputs: Any) -> None:
    wanted = np.asarray(theirs(inputs))
    ours(inputs)
    assert [v.shape for v in ours.weights] == [tuple(v.shape) for v in theirs.weights]
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    ours.set_weights(theirs.get_weights())
    got = ours(inputs)
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    eps = float(np.finfo(wanted.dtype).eps)
    scale = float(np.abs(wanted).max(initial=1.0))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=64 * eps * scale)
    assert len(ours.losses) == len(theirs.losses)
    for a, b in zip(ours.losses, theirs.losses, strict=True):
        np.testing.assert_allclose(float(a), float(b), rtol=64 * eps, atol=64 * eps)
    assert _as_json(ours.get_config()) == _as_json(theirs.get_config())
    assert _as_json(ours.get_build_config()) == _as_json(theirs.get_build_config())


@pytest.mark.parametrize(("name", "arguments", "shape"), CASES, ids=_ids(CASES))
def test_layer_is_that_of_keras(name: str, arguments: Any, shape: Any, rng: Any) -> None:
    ours, theirs = _both(name, arguments)
    assert _as_json(ours.get_config()) == _as_json(theirs.get_config())
    _compare(ours, theirs, rng.standard_normal(shape).astype(np.float32))
    if len(shape) > 1:
        symbolic = (None, *shape[1:])
        ours, theirs = _both(name, arguments)
        assert ours.compute_output_shape(symbolic) == theirs.compute_output_shape(symbolic)
        a, b = ours(densekit.Input(shape[1:])), theirs(keras.Input(shape[1:]))
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


@pytest.mark.parametrize(("name", "arguments", "shapes"), MERGES, ids=_ids(MERGES))
def test_merge_is_that_of_keras(name: str, arguments: Any, shapes: Any, rng: Any) -> None:
    ours, theirs = _both(name, arguments)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    _compare(ours, theirs, inputs)
    symbolic = [(None, *shape[1:]) for shape in shapes]
    assert ours.compute_output_shape(symbolic) == theirs.compute_output_shape(symbolic)
    function = getattr(densekit.layers, name.lower())
    np.testing.assert_array_equal(function(inputs, **arguments), ours(inputs))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float16", "float64", ">f4"])
def test_dense_takes_any_numbers(dtype: str) -> None:
    ours, theirs = _both("Dense", {"units": 2, "kernel_initializer": "ones"})
    x = np.arange(6).reshape(2, 3).astype(dtype)
    wanted = np.asarray(theirs(x))
    for layout in (x, np.asfortranarray(x), x[::-1][::-1], np.ascontiguousarray(x.T).T):
        got = ours(layout)
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=8 * EPS)


def _loss_counts(k: Any) -> list[int]:
    layer = k.layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1")
    layer.build((None, 3))
    counts = [len(layer.losses)]
    for _ in range(2):
        layer(np.ones((4, 3), np.float32))
        counts.append(len(layer.losses))
    layer.trainable = False
    counts.append(len(layer.losses))
    return counts


def test_losses_come_and_go_as_in_keras() -> None:
    assert _loss_counts(densekit) == _loss_counts(keras) == [1, 2, 2, 1]


def _nested(k: Any) -> Any:
    class Block(k.layers.Layer):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.parts = [k.layers.Dense(2, name="a")]
            self.drop = k.layers.Dropout(0.5, seed=1, name="drop")
            self.table = {"z": k.layers.Dense(1, name="z")}
            self.parts.append(k.layers.Dense(2, name="b", trainable=False))

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(name="scale", initializer="ones")
            self.count = self.add_weight(name="count", initializer="zeros", trainable=False)
            self.parts[0].build(input_shape)
            self.parts[1].build((None, 2))
            self.table["z"].build((None, 2))

        def call(self, x: Any, training: Any = None) -> Any:
            self.add_loss(k.ops.sum(x))
            x = self.drop(self.parts[1](self.parts[0](x)))
            return self.table["z"](x) * self.scale

    return Block(name="block")


def _names(k: Any) -> list[list[str]]:
    k.utils.clear_session(free_memory=False)
    layer = _nested(k)
    layer(np.ones((2, 3), np.float32))
    lists = []
    for trainable in (True, False, True):
        layer.trainable = trainable
        for kind in ("weights", "variables", "trainable_weights", "non_trainable_variables"):
            lists.append([v.path for v in getattr(layer, kind)])
        lists.append([str(part.trainable) for part in layer.parts])
    lists.append([type(part).__name__ for part in layer._flatten_layers()])
    lists.append([str(float(loss)) for loss in layer.losses])
    return lists


def test_nested_layers_list_their_variables_as_keras_does() -> None:
    assert _names(densekit) == _names(keras)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("activation", ["linear", "tanh", "softplus", "softmax"])
def test_gradient_of_dense_is_that_of_jax(rank: int, activation: str, rng: Any) -> None:
    shape = (4, 3, 5)[:rank]
    x = rng.standard_normal(shape).astype(np.float32)
    ours, theirs = _both("Dense", {"units": 3, "activation": activation})
    theirs(x)
    ours(x)
    ours.set_weights(theirs.get_weights())

    def their_loss(values: list[Any], x: Any) -> Any:
        return jnp.sum(theirs.stateless_call(values, [], x)[0] ** 2)

    def our_loss(kernel: Any, bias: Any, x: Any) -> list[Any]:
        return [densekit.ops.sum(ours.stateless_call([kernel, bias], [], x)[0] ** 2)]

    wanted, d_input = jax.grad(their_loss, argnums=(0, 1))(
        [jnp.asarray(w) for w in theirs.get_weights()], jnp.asarray(x)
    )
    _, vjp = value_and_vjp(our_loss, [*ours.get_weights(), x])
    got = vjp([np.float32(1)])
    for a, b in zip(got, [*wanted, d_input], strict=True):
        scale = float(np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=256 * EPS * max(1.0, scale))


def test_stateless_call_works_on_tracers() -> None:
    layer = densekit.layers.Dense(2, activation="relu", kernel_regularizer="l2")
    x = np.ones((3, 4), np.float32)
    wanted = layer(x)
    values = [jnp.asarray(w) for w in layer.get_weights()]
    y, state, losses = jax.jit(lambda v, x: layer.stateless_call(v, [], x, return_losses=True))(
        values, x
    )
    np.testing.assert_allclose(y, wanted, rtol=16 * EPS)
    assert state == []
    np.testing.assert_allclose(losses[0], layer.losses[0], rtol=16 * EPS)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"axis": 1, "momentum": 0.5},
        {"center": False, "scale": False},
        {"renorm": True, "renorm_momentum": 0.9},
        {"renorm": True, "renorm_clipping": {"rmax": 1.1, "rmin": 0.9, "dmax": 0.1}},
        {"trainable": False},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_batch_normalization_trains_as_in_keras(arguments: Any, masked: bool, rng: Any) -> None:
    ours, theirs = _both("BatchNormalization", arguments)
    x = (2 * rng.standard_normal((6, 3, 3)) + 1).astype(np.float32)
    mask = rng.random((6, 3)) < 0.7 if masked else None
    for _ in range(3):
        wanted = theirs(x, training=True, mask=None if mask is None else jnp.asarray(mask))
        got = ours(x, training=True, mask=mask)
        np.testing.assert_allclose(got, np.asarray(wanted), rtol=0, atol=1e-5)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "arguments", [{}, {"mask_zero": True}, {"embeddings_constraint": "max_norm"}]
)
def test_embedding_is_that_of_keras(arguments: Any) -> None:
    ours, theirs = _both("Embedding", {"input_dim": 5, "output_dim": 3, **arguments})
    x = np.array([[0, 4, 1], [2, -1, 3], [7, -6, 0]], np.int32)
    wanted = np.asarray(theirs(x))
    ours(x)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(x), wanted)
    assert _as_json(ours.get_config()) == _as_json(theirs.get_config())
    masks = ours.compute_mask(x), theirs.compute_mask(x)
    assert (masks[0] is None) == (masks[1] is None)
    if masks[0] is not None:
        np.testing.assert_array_equal(masks[0], np.asarray(masks[1]))
    with pytest.raises(ValueError):
        densekit.layers.Embedding(0, 3)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["TimeDistributed", "SpectralNormalization", "Pipeline"])
def test_layers_around_layers(name: str, training: bool, tmp_path: Any, rng: Any) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)

    def made(k: Any) -> Any:
        if name == "Pipeline":
            parts = [
                k.layers.Dense(3, name="a"),
                k.layers.ReLU(name="r"),
                k.layers.Dense(2, name="b"),
            ]
            return k.layers.Pipeline(parts, name="it")
        more = {"power_iterations": 3} if name == "SpectralNormalization" else {}
        return getattr(k.layers, name)(k.layers.Dense(2, name="d"), name="it", **more)

    ours, theirs = made(densekit), made(keras)
    theirs(x)
    ours(x)
    ours.set_weights(theirs.get_weights())
    for _ in range(2):
        wanted, got = theirs(x, training=training), ours(x, training=training)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=64 * EPS * float(np.abs(wanted).max()))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    assert _as_json(ours.get_config()) == _as_json(theirs.get_config())
    for k, path in ((densekit, "ours.keras"), (keras, "theirs.keras")):
        layer = ours if k is densekit else theirs
        inputs = k.Input((3, 4))
        model = k.Model(inputs, layer(inputs))
        model.save(tmp_path / path)
        wanted = np.asarray(model.predict(x, verbose=0))
        for reader in (densekit, keras):
            y = np.asarray(reader.saving.load_model(tmp_path / path).predict(x, verbose=0))
            np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5)


def test_means_leave_masked_steps_out(rng: Any) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    mask = np.array([[True, False, True], [False, True, True]])
    for arguments in ({}, {"keepdims": True}):
        ours, theirs = _both("GlobalAveragePooling1D", arguments)
        np.testing.assert_allclose(ours(x, mask=mask), theirs(x, mask=mask), rtol=8 * EPS)


def test_spatial_dropout_drops_whole_features() -> None:
    y = densekit.layers.SpatialDropout1D(0.5, seed=1)(np.ones((8, 5, 6), "float32"), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    assert np.all(y == y[:, :1])
    assert 0 < np.mean(y[:, 0]) < 2
