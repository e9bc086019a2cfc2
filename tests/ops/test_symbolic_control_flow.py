"""Branches and loops over symbolic tensors, as nodes of models: against Keras where it has them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import densekit

X = (np.arange(12.0).reshape(4, 3) / 10).astype("float32")

BOTH: dict[str, Any] = {
    "map to numbers": lambda ops, x: ops.map(lambda row: ops.sum(row), x),
    "map to rows": lambda ops, x: ops.map(lambda row: row * 2, x),
    "map to several": lambda ops, x: ops.map(lambda row: {"a": row, "b": ops.max(row)}, x),
    "vectorized map": lambda ops, x: ops.vectorized_map(lambda row: ops.sum(row), x),
    "while": lambda ops, x: ops.while_loop(
        lambda a: ops.sum(a) < 100.0, lambda a: (a * 2 + 1,), (x,)
    ),
    "while of one": lambda ops, x: ops.while_loop(
        lambda a: ops.sum(a) < 100.0, lambda a: a * 2 + 1, x, maximum_iterations=2
    ),
    "for": lambda ops, x: ops.fori_loop(0, 3, lambda i, a: a * 2 + i, x),
    "switch": lambda ops, x: ops.switch(1, [lambda a: a * 2, lambda a: a * 3], x),
    "associative scan": lambda ops, x: ops.associative_scan(lambda a, b: a + b, x, axis=1),
}


def of_any_batch(k: Any, make: Any) -> Any:
    x = k.Input((3,))
    return k.Model(x, make(k.ops, x))


@pytest.mark.parametrize("name", BOTH)
def test_nodes_of_keras(name: str) -> None:
    results = []
    for k in (densekit, keras):
        model = of_any_batch(k, BOTH[name])
        described = k.tree.map_structure(lambda t: (tuple(t.shape), t.dtype), model.outputs)
        given = [np.asarray(y) for y in k.tree.flatten(model(X))]
        predicted = [np.asarray(y) for y in k.tree.flatten(model.predict(X, verbose=0))]
        results.append((k.tree.flatten(described), given, predicted))
    assert results[0][0] == results[1][0]
    for ours, theirs in zip(results[0][1:], results[1][1:], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_scans() -> None:
    for k in (densekit, keras):
        x = k.Input(batch_shape=(4, 3))
        start = k.ops.zeros((3,))
        for reverse in (False, True):
            made = k.ops.scan(
                lambda carry, row: (carry + row, carry * 2), start, x, reverse=reverse
            )
            assert [tuple(t.shape) for t in made] == [(3,), (4, 3)]
            carry, rows = k.Model(x, made)(X)
            np.testing.assert_allclose(carry, X.sum(0), rtol=1e-6)
            order = X[::-1] if reverse else X
            sums = np.concatenate([np.zeros((1, 3)), order.cumsum(0)[:-1]])
            np.testing.assert_allclose(rows, 2 * (sums[::-1] if reverse else sums), rtol=1e-6)


def branching(k: Any = densekit) -> Any:
    x = k.Input((3,))
    dense = k.layers.Dense(3, kernel_initializer="ones", name="dense")
    y = k.ops.cond(k.ops.sum(x) > 1.0, lambda: dense(x), lambda: x * 0.0)
    return k.Model(x, y)


def test_branches_see_the_tensors_around_them() -> None:
    model = branching()
    np.testing.assert_allclose(model(X), model.get_layer("dense")(X), rtol=1e-6)
    np.testing.assert_array_equal(model(X / 100), np.zeros((4, 3)))
    model.compile("sgd", "mse")
    before = model.get_weights()[0].copy()
    model.fit(X / 100, X, verbose=0)  # the other branch: nothing to learn
    np.testing.assert_array_equal(model.get_weights()[0], before)
    losses = model.fit(X, X, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_branches_are_kept_in_files(tmp_path: Any) -> None:
    model = branching()
    model.save(tmp_path / "it.keras")
    again = densekit.saving.load_model(tmp_path / "it.keras")
    for rows in (X, X / 100):
        np.testing.assert_array_equal(again(rows), model(rows))


def test_branches_are_alike() -> None:
    x = densekit.Input((3,))
    with pytest.raises(ValueError, match=r"ops\.cond"):
        densekit.ops.cond(densekit.ops.sum(x) > 0, lambda: x, lambda: densekit.ops.sum(x))


def test_loops_that_numbers_end_are_written_out() -> None:
    x = densekit.Input((3,))
    dense = densekit.layers.Dense(3)
    _, y = densekit.ops.while_loop(
        lambda i, a: i < 3, lambda i, a: (i + 1, densekit.ops.tanh(dense(a))), (0, x)
    )
    model = densekit.Model(x, y)
    model.compile("sgd", "mse")
    assert "Python" not in model.explain_plan().split("\n")[1]
    a = X
    for _ in range(3):
        a = np.tanh(dense(a))
    np.testing.assert_allclose(model(X), a, rtol=1e-6)


@pytest.mark.parametrize("name", ["map to rows", "while of one", "switch", "associative scan"])
def test_gradients_flow_through(name: str) -> None:
    x = densekit.Input((3,))
    h = densekit.layers.Dense(3, kernel_initializer="ones")(x)
    model = densekit.Model(x, BOTH[name](densekit.ops, h))
    model.compile(densekit.optimizers.SGD(1e-3), "mse")
    losses = model.fit(X, X, epochs=3, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@densekit.saving.register_keras_serializable("symbolic_control_flow")
def doubled(row: Any) -> Any:
    return row * 2


def test_registered_functions_come_back_from_files(tmp_path: Any) -> None:
    x = densekit.Input((3,))
    model = densekit.Model(x, densekit.ops.map(doubled, x))
    model.save(tmp_path / "it.keras")
    again = densekit.saving.load_model(tmp_path / "it.keras")
    np.testing.assert_array_equal(again(X), model(X))
