"""`OrbaxCheckpoint`: what it writes and when, as Keras; what is read of it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import keras as original
import numpy as np
import pytest

import densekit
from densekit.callbacks import OrbaxCheckpoint

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = X[:, :2] ** 2


def net(room: Any = densekit, units: int = 4, first: Any = "glorot_uniform") -> Any:
    inputs = room.Input((3,))
    hidden = room.layers.Dense(units, "tanh", kernel_initializer=first, name="a")(inputs)
    if first != "ones":
        hidden = room.layers.Dropout(0.25, seed=3, name="drop")(hidden)
    model = room.Model(
        inputs, room.layers.Dense(2, kernel_initializer=first, name="b")(hidden), name="net"
    )
    model.compile(room.optimizers.Adam(0.01, name="adam"), "mse", metrics=["mae"])
    return model


def fit(
    model: Any, folder: Path | None = None, epochs: int = 3, first: int = 0, **more: Any
) -> Any:
    room = densekit if isinstance(model, densekit.Model) else original
    keeps = [] if folder is None else [room.callbacks.OrbaxCheckpoint(str(folder), **more)]
    model.fit(X, Y, 4, epochs, verbose=0, callbacks=keeps, initial_epoch=first)
    return model


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def same(model: Any, other: Any) -> None:
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_steps_that_are_kept_are_those_of_keras(tmp_path: Path) -> None:
    models = [net(room, first="ones") for room in (densekit, original)]
    start = models[0].get_weights()
    for n, how in enumerate(
        [
            {},
            {"max_to_keep": 2, "save_on_background": False},
            {"save_freq": 4, "max_to_keep": None},
            {"save_best_only": True, "monitor": "loss", "max_to_keep": None},
            {"save_best_only": True, "monitor": "mae", "mode": "max", "max_to_keep": None},
            {"save_best_only": True, "monitor": "loss", "initial_value_threshold": 0.0},
        ]
    ):
        found = []
        for i, model in enumerate(models):
            model.set_weights(start)
            model.optimizer.iterations.assign(0)
            folder = tmp_path / f"{n} {i}"
            fit(model, folder, **how)
            found.append(steps(folder) if folder.exists() else [])
        assert found[0] == found[1], how


def test_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    """Weights, slots, the optimizer's count, the seeds of dropout and of the order are there."""
    densekit.utils.set_random_seed(1)
    whole = fit(net(), epochs=4)
    densekit.utils.set_random_seed(1)
    fit(net(), tmp_path, epochs=2)
    densekit.utils.set_random_seed(2)
    revived = densekit.models.load_model(tmp_path)
    assert int(revived.optimizer.iterations) == 4
    same(fit(revived, tmp_path, epochs=4, first=2), whole)
    assert steps(tmp_path) == [3]
    other = net()
    other.load_weights(tmp_path)  # an optimizer that has not begun has its slots then
    for ours, theirs in zip(other.optimizer.variables, revived.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize("sequential", [False, True])
def test_files_go_both_ways(tmp_path: Path, sequential: bool) -> None:
    def made(room: Any) -> Any:
        if not sequential:
            return net(room)
        layers = [room.Input((3,)), room.layers.Dense(4, name="a"), room.layers.Dense(2, name="b")]
        model = room.Sequential(layers, name="net")
        model.compile(room.optimizers.Adam(name="adam"), "mse")
        return model

    theirs = fit(made(original), tmp_path / "theirs")
    ours = densekit.models.load_model(tmp_path / "theirs")
    same(ours, theirs)
    for one, two in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    ours = fit(made(densekit), tmp_path / "ours")
    theirs.load_weights(str(tmp_path / "ours"))
    same(theirs, ours)
    if not sequential:  # of which Keras revives the layers with other paths, and fresh weights
        same(original.models.load_model(str(tmp_path / "ours")), ours)


def test_a_sequential_that_keras_has_loaded_before(tmp_path: Path) -> None:
    layers = [original.Input((3,)), original.layers.Dense(2, name="a")]
    model = original.Sequential(layers, name="net")
    model.compile(original.optimizers.Adam(name="adam"), "mse")
    fit(model).save(str(tmp_path / "m.keras"))
    again = fit(original.models.load_model(str(tmp_path / "m.keras")), tmp_path / "there")
    assert [v.path for v in again.variables] == ["a/kernel", "a/bias"]
    same(densekit.models.load_model(tmp_path / "there"), again)


def test_weights_alone(tmp_path: Path) -> None:
    model = fit(net(), tmp_path, max_to_keep=2, save_weights_only=True)
    with pytest.raises(ValueError, match="describes its model"):
        densekit.models.load_model(tmp_path)
    other = net()
    other.load_weights(tmp_path / "2")
    same(other, model)
    assert int(other.optimizer.iterations) == 0
    other.load_weights(tmp_path / "1")
    with pytest.raises(AssertionError):
        same(other, model)


def test_names_that_were_numbered(tmp_path: Path) -> None:
    """The layers are called otherwise in a model that is made after others."""

    def made() -> Any:
        layers = [densekit.layers.Dense(3, "tanh") for _ in range(3)]
        layers += [densekit.layers.Dropout(0.5)]
        model = densekit.Sequential([densekit.Input((3,)), *layers, densekit.layers.Dense(2)])
        model.compile("adam", "mse")
        return model

    model, other = fit(made(), tmp_path), made()
    assert other.weights[2].path != model.weights[2].path
    other.load_weights(tmp_path)
    same(other, model)
    same(densekit.models.load_model(tmp_path), model)
    for one, two in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    model = fit(net(), tmp_path)
    renamed = densekit.Sequential([densekit.Input((3,)), densekit.layers.Dense(4, name="q")])
    for other in (net(units=5), renamed):
        before = other.get_weights()
        with pytest.raises(ValueError, match="an array in the checkpoint for each"):
            other.load_weights(tmp_path)
        for one, two in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, two)
    wider = net(units=5)
    with pytest.warns(UserWarning, match="left as they are"):
        wider.load_weights(tmp_path, skip_mismatch=True)
    np.testing.assert_array_equal(wider.get_layer("b").bias, model.get_layer("b").bias)


def test_steps_that_were_there_before(tmp_path: Path) -> None:
    model = fit(net(), tmp_path, epochs=2)
    with pytest.raises(ValueError, match="a step after 1, the latest there"):
        fit(model, tmp_path, epochs=1)
    fit(model, tmp_path, epochs=3, first=2)
    assert steps(tmp_path) == [2]


def test_numbers_of_all_types_and_files_of_layers(tmp_path: Path) -> None:
    inputs = densekit.Input((1,), dtype="string")
    codes = densekit.layers.StringLookup(vocabulary=["one", "two"])(inputs)
    wide = densekit.layers.Embedding(3, 2, dtype="float64")(codes)
    narrow = densekit.layers.Dense(2, dtype="bfloat16")(wide)
    model = densekit.Model(inputs, narrow)
    model.compile("sgd", "mse")
    words = np.array([["one"], ["two"], ["three"]])
    keep = OrbaxCheckpoint(tmp_path, save_freq=1)
    model.fit(words, np.ones((3, 1, 2)), verbose=0, callbacks=[keep])
    revived = densekit.models.load_model(tmp_path)
    assert [v.dtype for v in revived.weights] == [v.dtype for v in model.weights]
    same(revived, model)
    np.testing.assert_array_equal(revived.predict(words), model.predict(words))


def test_what_a_crash_leaves_is_passed_over(tmp_path: Path) -> None:
    model = fit(net(), tmp_path)
    shutil.copytree(tmp_path / "2", tmp_path / "3.orbax-checkpoint-tmp")
    (tmp_path / "4").mkdir()
    same(densekit.models.load_model(tmp_path), model)
    (tmp_path / "2" / "model_config" / "_strings.json").write_text("{")
    with pytest.raises(ValueError, match="intact"):
        densekit.models.load_model(tmp_path)
    with pytest.raises(ValueError, match="load_model"):
        densekit.models.load_model(tmp_path / "4")


def test_waiting_and_processes(tmp_path: Path) -> None:
    keep = OrbaxCheckpoint(tmp_path)
    assert not keep.is_multihost_enabled()
    assert keep.is_primary_host()
    keep.wait_until_finished()
    seen: list[list[int]] = []

    class Looking(densekit.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            keep.wait_until_finished()
            seen.append(steps(tmp_path))

    net().fit(X, Y, epochs=2, verbose=0, callbacks=[keep, Looking()])
    assert seen == [[0], [1]]


@pytest.mark.parametrize("wrong", ["batch", 1.5, None])
def test_arguments(tmp_path: Path, wrong: Any) -> None:
    for room in (densekit, original):
        with pytest.raises(ValueError, match="save_freq"):
            room.callbacks.OrbaxCheckpoint(str(tmp_path), save_freq=wrong)


def test_a_value_that_is_not_there(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="only with nothing available, skipping save at epoch 0"):
        fit(net(), tmp_path, epochs=1, save_best_only=True, monitor="nothing", mode="min")
    assert steps(tmp_path) == []


def test_without_orbax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(net(), tmp_path)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    for act in (lambda: OrbaxCheckpoint(tmp_path), lambda: net().load_weights(tmp_path)):
        with pytest.raises(ImportError, match=r"pip install \"densekit\[orbax\]\""):
            act()
