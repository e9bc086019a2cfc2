"""Masks against Keras: what layers do with one, what losses, metrics and weights make of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.backend import get_keras_mask, set_keras_mask
from tests.contracts.test_layers_contract import NOT_CALLABLE, SAMPLES, layer_classes

import densekit
from densekit._core.masks import mask_of, set_mask
from densekit._core.tensor import lend

Array = np.ndarray[Any, Any]
# They run users' functions.
OTHER = {"Lambda", "Pipeline"}


def both(name: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    def of(module: Any) -> Any:
        given = {
            key: module.layers.Dense(2, kernel_initializer=module.initializers.Constant(0.25))
            if key == "layer"
            else value
            for key, value in arguments.items()
        }
        return getattr(module.layers, name)(**given)

    return of(densekit), of(keras)


def masked_inputs(shapes: list[tuple[int, ...]], rng: Any) -> tuple[list[Array], list[Array]]:
    """Rows of each shape with the mask of their first axis behind the batch."""
    rows = [rng.standard_normal((4, *shape)).astype("float32") for shape in shapes]
    masks = [rng.random((4, *shape[:-1])) > 0.4 for shape in shapes]
    for mask in masks:
        if mask.ndim > 1:
            mask[:, 0] = True
    return rows, masks


def cases() -> list[Any]:
    found = []
    for name, entries in SAMPLES.items():
        for i, (arguments, shape) in enumerate(entries):
            shapes = shape if isinstance(shape, list) else [shape]
            # Keras has no such argument, and cannot scale along this axis.
            ours = "flatten" in arguments or (name == "RMSNormalization" and "axis" in arguments)
            ours = ours or not hasattr(keras.layers, name)  # of a later release
            if name not in OTHER and not ours and all(len(one) > 1 for one in shapes):
                found.append(pytest.param(name, arguments, shape, id=f"{name}-{i}"))
    return found


@pytest.mark.parametrize(("name", "arguments", "shape"), cases())
def test_every_layer_does_with_a_mask_what_keras_does(
    name: str, arguments: dict[str, Any], shape: Any, rng: Any
) -> None:
    ours, theirs = both(name, arguments)
    assert ours.supports_masking == theirs.supports_masking
    rows, masks = masked_inputs(shape if isinstance(shape, list) else [shape], rng)
    if name == "Embedding":
        rows = [np.abs(rows[0] * 2).astype("int32")]
    xs = [lend(x) for x in rows]
    ks = [keras.ops.convert_to_tensor(x) for x in rows]
    one = not isinstance(shape, list)
    ours(xs[0] if one else xs)
    theirs(ks[0] if one else ks)
    theirs.set_weights(ours.get_weights())
    for x, k, mask in zip(xs, ks, masks, strict=True):
        set_mask(x, lend(mask))
        set_keras_mask(k, keras.ops.convert_to_tensor(mask))
    told: list[int] = []
    made = []
    for layer, given in ((ours, xs), (theirs, ks)):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                made.append(layer(given[0] if one else given))
            except ValueError:
                made.append(None)
        told.append(sum("does not support masking" in str(w.message) for w in heard))
    assert told[0] == told[1]
    if made[1] is None:
        assert made[0] is None
        return
    wanted = np.asarray(made[1])
    close = 64 * np.finfo(np.float32).eps * max(1.0, float(np.nanmax(np.abs(wanted))))
    np.testing.assert_allclose(made[0], wanted, rtol=0, atol=close)
    theirs_mask, mask = get_keras_mask(made[1]), mask_of(made[0])
    assert (mask is None) == (theirs_mask is None)
    if mask is not None:
        np.testing.assert_array_equal(mask, np.asarray(theirs_mask))


def test_the_samples_are_those_of_every_layer() -> None:
    assert {case.values[0] for case in cases()} <= set(layer_classes()) - NOT_CALLABLE


def test_supports_masking_follows_compute_mask() -> None:
    for module in (densekit, keras):

        class Plain(module.layers.Layer):  # type: ignore[misc, name-defined]
            pass

        class Own(module.layers.Layer):  # type: ignore[misc, name-defined]
            def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
                return previous_mask

        assert not Plain().supports_masking
        assert Own().supports_masking


def own_layer(module: Any) -> Any:
    class Own(module.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1], 4))

        def call(self, x: Any, mask: Any = None) -> Any:
            h = module.ops.matmul(x, self.w)
            if mask is not None:
                h = h * module.ops.cast(module.ops.expand_dims(mask, -1), h.dtype)
            return h

    return Own()


def sequence(module: Any, *layers: Any) -> Any:
    return module.Sequential([module.Input((6, 3)), *layers])


def embedded(module: Any, *layers: Any) -> Any:
    table = module.layers.Embedding(4, 5, mask_zero=True)
    return module.Sequential([module.Input((6,), dtype="int32"), table, *layers])


def merged(name: str, **arguments: Any) -> Callable[[Any], Any]:
    def build(module: Any) -> Any:
        L = module.layers
        ids, x = module.Input((6,), dtype="int32"), module.Input((6, 3))
        a, b = L.Embedding(4, 3, mask_zero=True)(ids), L.Masking()(x)
        return module.Model([ids, x], L.Dense(2)(getattr(L, name)(**arguments)([a, b])))

    return build


def nested(module: Any) -> Any:
    L = module.layers
    inner = module.Sequential([module.Input((6, 5)), L.Dense(4, activation="tanh"), L.Dense(3)])
    ids = module.Input((6,), dtype="int32")
    h = L.Embedding(4, 5, mask_zero=True)(ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return module.Model(ids, L.Dense(2)(inner(h)))


def subclass(module: Any) -> Any:
    class Sub(module.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = module.layers.Embedding(4, 5, mask_zero=True)
            self.own = own_layer(module)
            self.head = module.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.head(self.own(self.table(x)))

    return Sub()


def explicit(module: Any) -> Any:
    """A mask that the user passes."""
    L = module.layers
    ids = module.Input((6,), dtype="int32")
    table = L.Embedding(4, 5)
    mask = module.ops.not_equal(ids, 0)
    pooled = L.GlobalAveragePooling1D()(L.Dense(4)(table(ids)), mask=mask)
    return module.Model(ids, L.Dense(1)(pooled))


MODELS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "embedding": (lambda m: embedded(m, m.layers.Dense(4, "relu"), m.layers.Dense(2)), "rows"),
    "masking": (
        lambda m: sequence(m, m.layers.Masking(), m.layers.LayerNormalization(), m.layers.Dense(2)),
        "rows",
    ),
    "pooling": (
        lambda m: embedded(m, m.layers.GlobalAveragePooling1D(), m.layers.Dense(1)),
        "one",
    ),
    "classes": (lambda m: embedded(m, m.layers.Dense(2, activation="softmax")), "labels"),
    "time": (
        lambda m: sequence(
            m, m.layers.Masking(), m.layers.TimeDistributed(m.layers.Dense(4)), m.layers.Dense(2)
        ),
        "rows",
    ),
    "flatten": (
        lambda m: sequence(m, m.layers.Masking(), m.layers.Flatten(), m.layers.Dense(1)),
        "one",
    ),
    "batch": (
        lambda m: sequence(m, m.layers.Masking(), m.layers.Dense(4), m.layers.BatchNormalization()),
        "rows4",
    ),
    "own": (lambda m: sequence(m, m.layers.Masking(), own_layer(m), m.layers.Dense(2)), "rows"),
    "nested": (nested, "rows"),
    "subclass": (subclass, "rows"),
    "explicit": (explicit, "one"),
    **{name: (merged(name), "rows") for name in ("Add", "Subtract", "Average")},
    **{name: (merged(name), "rows") for name in ("Multiply", "Maximum", "Minimum", "Concatenate")},
    "joined": (merged("Concatenate", axis=1), "rows12"),
}
NOT_NATIVE: set[str] = {"batch"}


def data(kind: str, rng: Any) -> tuple[list[Array], Array]:
    ids = rng.integers(0, 4, (40, 6)).astype("int32")
    ids[:, 0] = 1
    x = rng.standard_normal((40, 6, 3)).astype("float32")
    x[ids == 0] = 0
    shapes = {"rows": (6, 2), "rows4": (6, 4), "rows12": (12, 2), "one": (1,)}
    if kind == "labels":
        return [ids, x], rng.integers(0, 2, (40, 6))
    return [ids, x], rng.standard_normal((40, *shapes[kind])).astype("float32")


def inputs_of(model: Any, arrays: list[Array]) -> Any:
    built = getattr(model, "inputs", None)
    if built and len(built) == 2:
        return arrays
    wide = built is not None and len(built[0].shape) == 3
    return arrays[1] if wide else arrays[0]


REDUCED = ("embedding", "Add", "classes")  # in every way, and with a short last batch
CASES = [
    *((name, "sum_over_batch_size") for name in MODELS),
    *((name, how) for name in REDUCED for how in ("sum", "mean_with_sample_weight")),
]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(("name", "reduction"), CASES)
@pytest.mark.filterwarnings("ignore:Layer")
def test_losses_metrics_and_weights_follow_keras(
    name: str, weighted: bool, reduction: str, rng: Any
) -> None:
    build, kind = MODELS[name]
    arrays, y = data(kind, rng)
    batch = {"batch_size": 16 if name in REDUCED else 20, "verbose": 0}
    sizes = y.shape[: 1 if kind == "one" else 2]
    weight = rng.random(sizes).astype("float32") if weighted else None
    found: list[Any] = []
    start: list[Array] = []
    for module in (densekit, keras):
        model = build(module)
        x = inputs_of(model, arrays)
        if not model.built:
            model(x[:2])
        start = start or [rng.standard_normal(w.shape) * 0.5 for w in model.get_weights()]
        start = [np.abs(w) for w in start] if name == "batch" else start
        model.set_weights(start)
        sparse = "SparseCategoricalCrossentropy" if kind == "labels" else "MeanSquaredError"
        loss = getattr(module.losses, sparse)(reduction=reduction)
        measured = ["accuracy" if kind == "labels" else "mae"]
        model.compile(
            module.optimizers.SGD(0.05 if reduction != "sum" else 5e-4),
            loss,
            metrics=measured,
            weighted_metrics=measured,
        )
        fit = {"sample_weight": weight, "epochs": 2, "shuffle": False, **batch}
        history = model.fit(x, y, **fit).history["loss"]
        result = model.evaluate(x, y, sample_weight=weight, return_dict=True, **batch)
        found.append((history, result, model.get_weights()))
        if module is densekit and name not in NOT_NATIVE:
            assert not any(e.has_host_nodes for e in model._dk_runtime._engines.values())
    ours, theirs = found
    np.testing.assert_allclose(ours[0], theirs[0], rtol=2e-5)
    assert ours[1].keys() == theirs[1].keys()
    for key, value in theirs[1].items():
        np.testing.assert_allclose(ours[1][key], value, rtol=2e-5, err_msg=key)
    for mine, other in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(mine, other, rtol=0, atol=5e-5 * max(1, np.abs(other).max()))
