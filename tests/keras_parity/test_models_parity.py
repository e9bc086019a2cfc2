"""Models held against Keras: structure, configs, summaries, names, errors."""

from __future__ import annotations

import json

import keras as K
import numpy as np
import pytest

import densekit as D

LIBS = (K, D)


def chain(lib):
    L = lib.layers
    return lib.Sequential(
        [lib.Input((4,), name="x"), L.Dense(5, activation="relu"), L.Dropout(0.5), L.Dense(3)]
    )


def branched(lib):
    L = lib.layers
    a, b = lib.Input((4,), name="a"), lib.Input((4,), name="b")
    unused = lib.Input((2,), name="unused")
    dense = L.Dense(6, name="shared")
    left, right = dense(a), dense(b)
    deep = L.Dense(3, name="d2")(L.Dense(3, name="d1")(right))
    both = L.Concatenate(name="both")([deep, left])
    return lib.Model([b, a, unused], [L.Dense(1, name="o")(both), deep])


def nested(lib):
    L = lib.layers
    inner = lib.Sequential([lib.Input((4,)), L.Dense(6, name="in1"), L.Dense(2)], name="inner")
    x = lib.Input((4,), name="x")
    return lib.Model(x, L.Add(name="s")([inner(x), L.Dense(2, name="side")(x)]), name="outer")


def frozen(lib):
    model = chain(lib)
    model.layers[0].trainable = False
    return model


def unbuilt(lib):
    return lib.Sequential([lib.layers.Dense(3), lib.layers.Dense(2)])


BUILDERS = [chain, branched, nested, frozen]


def pair(builder):
    models = []
    for lib in LIBS:
        lib.utils.clear_session(free_memory=False)
        models.append(builder(lib))
    return models


@pytest.mark.parametrize("builder", BUILDERS)
def test_structure(builder) -> None:
    theirs, ours = pair(builder)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert [w.path for w in ours.trainable_weights] == [w.path for w in theirs.trainable_weights]
    assert ours.input_shape == theirs.input_shape
    assert ours.output_shape == theirs.output_shape
    assert ours.count_params() == theirs.count_params()
    if isinstance(theirs, K.Model) and hasattr(theirs, "output_names"):  # no Sequential has them
        assert ours.output_names == theirs.output_names
    assert ours.compute_output_shape(ours.input_shape) == theirs.compute_output_shape(
        theirs.input_shape
    )


@pytest.mark.parametrize("builder", BUILDERS)
def test_json(builder) -> None:
    theirs, ours = (json.loads(model.to_json()) for model in pair(builder))

    def strip(value):
        if isinstance(value, dict):
            return {
                k: strip(v)
                for k, v in value.items()
                if k != "shared_object_id" and (k, v) != ("mask", None)
            }
        return [strip(v) for v in value] if isinstance(value, list) else value

    assert strip(ours) == strip(theirs)


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_reads_the_other_s_json(builder) -> None:
    theirs, ours = pair(builder)
    assert D.models.model_from_json(theirs.to_json()).count_params() == theirs.count_params()
    assert K.models.model_from_json(ours.to_json()).count_params() == theirs.count_params()


def text(model, **kwargs):
    lines = []
    model.summary(print_fn=lambda line, **_: lines.append(line), **kwargs)
    return "".join(lines)


@pytest.mark.parametrize("builder", [*BUILDERS, unbuilt])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"line_length": 70},
        {"line_length": 110},
        {"show_trainable": True},
        {"expand_nested": True},
    ],
)
def test_summary(builder, options, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    theirs, ours = pair(builder)
    assert text(ours, **options) == text(theirs, **options)


def test_summary_of_a_range(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    theirs, ours = pair(branched)
    options = {"layer_range": ["d1", "d2"]}
    assert text(ours, **options) == text(theirs, **options)


def test_summary_counts_the_optimizer(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    models = pair(chain)
    for model in models:
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    assert text(models[1]) == text(models[0])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lib: lib.Sequential([3]),
        lambda lib: lib.Sequential([lib.layers.Dense(1, name="a"), lib.layers.Dense(1, name="a")]),
        lambda lib: lib.Sequential([lib.Input((2,)), lib.Input((2,))]),
        lambda lib: chain(lib).add(lib.Input((2,))),
        lambda lib: chain(lib).build((None, 9)),
        lambda lib: lib.Sequential().build((None, 2)),
        lambda lib: unbuilt(lib).input_shape,
        lambda lib: unbuilt(lib).output_shape,
        lambda lib: unbuilt(lib).count_params(),
        lambda lib: setattr(chain(lib), "layers", []),
        lambda lib: setattr(branched(lib), "layers", []),
        lambda lib: chain(lib).get_layer("nope"),
        lambda lib: chain(lib).get_layer(index=9),
        lambda lib: chain(lib).get_layer(),
        lambda lib: chain(lib).get_layer("x", 1),
        lambda lib: lib.Model(lib.Input((2,)), lib.layers.Dense(1)(lib.Input((2,)))),
        lambda lib: lib.Model(np.ones(2), lib.Input((2,))),
        lambda lib: lib.Model(lib.Input((2,)), 3),
        lambda lib: lib.Model([], []),
        lambda lib: chain(lib)(np.ones((2, 5), "float32")),
        lambda lib: branched(lib)([np.ones((2, 4), "float32")]),
        lambda lib: lib.Model()(np.ones((2, 5), "float32")),
        lambda lib: lib.models.clone_model(chain(lib), call_function=lambda layer, x: layer(x)),
        lambda lib: lib.models.clone_model(lib.Model(), clone_function=lambda layer: layer),
        lambda lib: chain(lib).summary(line_length=9),
        lambda lib: chain(lib).summary(layer_range=["zz", "zz"]),
        lambda lib: lib.models.model_from_json("{"),
    ],
)
def test_misuse_raises_the_same_type(wrong) -> None:
    raised = []
    for lib in LIBS:
        with pytest.raises(Exception) as info:
            wrong(lib)
        raised.append(info.type)
    # json.JSONDecodeError is a ValueError; ours is the plain one.
    assert raised[1] is raised[0] or issubclass(raised[0], raised[1])


def test_values_follow_keras(rng) -> None:
    x = rng.normal(size=(6, 4)).astype("float32")
    for builder in BUILDERS:
        theirs, ours = pair(builder)
        ours.set_weights(theirs.get_weights())
        given = [x, x + 1, x[:, :2]] if builder is branched else x
        results = [model(given) for model in (theirs, ours)]
        flat = [r if isinstance(r, list) else [r] for r in results]
        for a, b in zip(*flat, strict=True):
            np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-5, atol=1e-6)


def test_specs_of_inputs() -> None:
    def specs(lib):
        model = branched(lib)
        given = [(spec.shape, spec.name, spec.optional) for spec in model.input_spec]
        a, b = lib.Input((4, 2), name="q"), lib.Input((2,), name="b")
        by_name = lib.Model({"q": a, "b": b}, lib.layers.Dense(1)(a))
        named = [(spec.shape, spec.name) for spec in by_name.input_spec]
        model.input_spec = lib.layers.InputSpec(ndim=3)
        return given, named, model.input_spec.ndim, chain(lib).input_spec

    assert specs(D) == specs(K)


def test_stacks_of_structures_compute_as_in_keras(rng) -> None:
    a, b = rng.normal(size=(2, 6, 3)).astype("float32")
    results = []
    for lib in LIBS:
        model = lib.Sequential([lib.layers.Concatenate(), lib.layers.Dense(2)])
        model([a, b])
        model.set_weights([np.full((6, 2), 0.5), np.ones(2)])
        model.compile("sgd", "mse")
        loss = model.fit([a, b], np.zeros((6, 2)), verbose=0).history["loss"]
        results.append([*loss, *model.get_weights()])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_inputs_that_are_to_be_sparse(rng, tmp_path) -> None:
    from scipy import sparse

    x = sparse.csr_matrix(rng.normal(size=(6, 5)).round().astype("float32"))
    results = []
    for lib in LIBS:
        given = lib.Input((5,), sparse=True, name="i")
        model = lib.Model(given, lib.layers.Dense(2)(given))
        model.set_weights([np.full((5, 2), 0.5), np.ones(2)])
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((6, 2)), batch_size=3, shuffle=False, verbose=0)
        path = tmp_path / f"{lib.__name__}.keras"
        model.save(path)
        again = lib.models.load_model(path)
        config = model.layers[0].get_config()
        notes = [m.inputs[0].sparse for m in (model, again)]
        results.append((config, notes, np.asarray(again.predict(x, verbose=0))))
        with pytest.raises(ValueError):
            lib.layers.InputLayer(input_tensor=lib.KerasTensor((None, 5)), sparse=True)
    (one, noted, y), (other, others_noted, z) = results
    assert one == other and noted == others_noted == [True, True]
    np.testing.assert_allclose(y, z, rtol=1e-5)
