"""The legacy format carries what a resumed run follows from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras as reference
import numpy as np
import pytest

import densekit as keras

X = np.linspace(-1, 1, 256, dtype="float32").reshape(64, 4)
Y = X[:, :1] ** 2


def trained(model: Any, epochs: int) -> list[Any]:
    model.fit(X, Y, epochs=epochs, batch_size=16, verbose=0)
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def model() -> Any:
    keras.utils.set_random_seed(3)
    made = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    made.compile("adam", "mse")
    return made


def test_a_resumed_run_gives_the_bits_of_the_whole_one(tmp_path: Path) -> None:
    whole = trained(model(), 4)
    half = model()
    trained(half, 2)
    half.save(tmp_path / "half.h5")
    resumed = trained(keras.models.load_model(tmp_path / "half.h5"), 2)
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_without_seeds_is_read_as_before(tmp_path: Path) -> None:
    half = model()
    trained(half, 1)
    half.save(tmp_path / "half.h5")
    with h5py.File(tmp_path / "half.h5", "a") as file:
        del file["seed_generators"]
    loaded = keras.models.load_model(tmp_path / "half.h5")
    for a, b in zip(half.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_keras_ignores_the_seeds(tmp_path: Path) -> None:
    half = model()
    trained(half, 1)
    half.save(tmp_path / "half.h5")
    loaded = reference.models.load_model(tmp_path / "half.h5", compile=False)
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), half.predict(X, verbose=0), rtol=1e-5, atol=1e-6
    )


LOSSES = ["mse", "MAE", "mape", "msle", "kld", "bce", "hinge", "log_cosh", "mean_squared_error"]


@pytest.mark.parametrize("loss", LOSSES)
def test_keras_opens_files_with_short_names(loss: str, tmp_path: Path) -> None:
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, "sigmoid")])
    made.compile("adam", loss, metrics=["mae", "acc"], weighted_metrics=["mape"])
    made.fit(X, Y, epochs=1, verbose=0)
    made.save(tmp_path / "m.h5")
    theirs = reference.models.load_model(tmp_path / "m.h5")
    mine = keras.models.load_model(tmp_path / "m.h5")
    expected = made.evaluate(X, Y, verbose=0, return_dict=True)
    np.testing.assert_allclose(theirs.evaluate(X, Y, verbose=0)[0], expected["loss"], rtol=1e-5)
    assert mine.evaluate(X, Y, verbose=0, return_dict=True) == expected


def test_keras_opens_files_with_several_losses(tmp_path: Path) -> None:
    x = keras.Input((4,))
    heads = [keras.layers.Dense(1, name=name)(x) for name in "ab"]
    made = keras.Model(x, dict(zip("ab", heads, strict=True)))
    made.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"a": ["mape"], "b": ["mse"]})
    made.fit(X, {"a": Y, "b": Y}, epochs=1, verbose=0)
    made.save(tmp_path / "m.h5")
    theirs = reference.models.load_model(tmp_path / "m.h5")
    assert set(theirs.loss) == {"a", "b"}
    mine = keras.models.load_model(tmp_path / "m.h5")
    targets = {"a": Y, "b": Y}
    np.testing.assert_allclose(
        mine.evaluate(X, targets, verbose=0), made.evaluate(X, targets, verbose=0), rtol=1e-6
    )


@pytest.mark.parametrize("by_name", [False, True])
def test_the_weights_of_the_model_are_gathered_once_for_all_layers(by_name, tmp_path) -> None:
    class Counting(keras.Sequential):
        gathered = 0

        @property
        def weights(self):
            Counting.gathered += 1
            return super().weights

    stack = [keras.Input((1,)), *(keras.layers.Dense(1, name=f"d{i}") for i in range(30))]
    model = Counting(stack)
    keras.Sequential(model.layers).save(tmp_path / "deep.h5")
    Counting.gathered = 0
    model.load_weights(tmp_path / "deep.h5", by_name=by_name)
    assert 0 < Counting.gathered < 10


def test_arguments_that_a_file_cannot_heed_are_refused(tmp_path: Path) -> None:
    made = model()
    made.save(tmp_path / "m.h5")
    with pytest.raises(ValueError, match="objects_to_skip"):
        made.load_weights(tmp_path / "m.h5", objects_to_skip=[made.layers[0]])
    with pytest.raises(ValueError, match="skip_mismach"):
        made.load_weights(tmp_path / "m.h5", skip_mismach=True)
