"""NaN and infinity are said once, with their place."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import densekit as keras

ROWS = 70


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 3)).astype("float32"), rng.normal(size=ROWS).astype("float32")


def compiled(activation="relu", loss="mse"):
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, activation=activation), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.01), loss)
    return model


def warnings_of(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in found if w.category is RuntimeWarning]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
def test_one_warning_names_column_row_and_step(value, activation):
    x, y = data()
    x[37, 1] = value
    model = compiled(activation)
    found = warnings_of(lambda: model.fit(x, y, epochs=3, shuffle=False, verbose=0))
    assert len(found) == 1
    assert "epoch 1, step 2" in found[0]
    assert f"got {np.float32(value)} in `x` column 1, row 37" in found[0]


def test_the_row_is_that_of_the_data_when_shuffled_and_when_copied():
    x, y = data()
    x[37, 1] = np.nan
    assert "row 37" in warnings_of(lambda: compiled().fit(x, y, verbose=0))[0]
    swapped = x.astype(">f4")
    assert "row 37" in warnings_of(lambda: compiled().fit(swapped, y, verbose=0))[0]


def test_frames_name_the_column():
    x, y = data()
    x[5, 2] = np.nan
    frame = pd.DataFrame(x, columns=["age", "sex", "pay"])
    (text,) = warnings_of(lambda: compiled().fit(frame, y, verbose=0))
    assert "column 2 ('pay'), row 5" in text


def test_targets_weights_and_losses_are_told_apart():
    x, y = data()
    bad = y.copy()
    bad[3] = np.inf
    assert "in `y`, row 3" in warnings_of(lambda: compiled().fit(x, bad, verbose=0))[0]
    weight = np.ones(ROWS, "float32")
    weight[4] = np.nan
    call = lambda: compiled().fit(x, y, sample_weight=weight, verbose=0)  # noqa: E731
    assert "in `sample_weight`, row 4" in warnings_of(call)[0]
    model = compiled("linear")
    model.optimizer.learning_rate = 1e30
    (text,) = warnings_of(lambda: model.fit(x, y, epochs=2, verbose=0))
    assert "finite data" in text and "learning rate" in text


def test_evaluate_streams_and_validation_warn():
    x, y = data()
    model = compiled()
    model.fit(x, y, verbose=0)
    x[40, 0] = np.nan
    assert "row 40" in warnings_of(lambda: model.evaluate(x, y, verbose=0))[0]
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, ROWS, 10)]
    (text,) = warnings_of(lambda: model.evaluate(batches_of(batches), verbose=0))
    assert "step 5" in text and "row 0" in text
    fresh, clean = compiled(), data()
    call = lambda: fresh.fit(*clean, validation_data=(x, y), epochs=2, verbose=0)  # noqa: E731
    (text,) = warnings_of(call)
    assert "fit, validation after epoch 1, step 2" in text


def test_weights_that_are_not_finite_are_asked_for_at_the_first_step():
    model = compiled()
    model.layers[0].kernel.assign(np.full((3, 4), np.nan))
    (text,) = warnings_of(lambda: model.fit(*data(), verbose=0))
    assert "step 1" in text and "weights are finite" in text


def batches_of(batches):
    yield from batches


def test_finite_data_bring_no_warning():
    x, y = data()
    x[:, 0] = 3e18  # squares of it overflow in float32
    model = compiled("tanh")
    assert warnings_of(lambda: model.fit(x, y, verbose=0)) == []


def test_targets_without_a_number_are_refused():
    x, _ = data()
    model = compiled()
    before = model.get_weights()
    with pytest.raises(ValueError, match="nan alone"):
        model.fit(x, np.full(ROWS, np.nan), verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_single_batches_warn_once():
    x, y = data()
    model = compiled()
    assert warnings_of(lambda: model.train_on_batch(x, y)) == []
    x[7, 2] = np.nan
    (text,) = warnings_of(lambda: [model.train_on_batch(x, y) for _ in range(3)])
    assert text.startswith("train_on_batch: expected finite") and "column 2, row 7" in text
    (text,) = warnings_of(lambda: compiled().test_on_batch(x, y))
    assert text.startswith("test_on_batch: expected finite")


class OwnStep(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            loss = keras.ops.mean((self(x, training=True)[:, 0] - y) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    def test_step(self, data):
        x, y = data
        return {"loss": keras.ops.mean((self(x)[:, 0] - y) ** 2)}


@pytest.mark.parametrize("steps", [1, 3])
def test_own_steps_warn(steps):
    x, y = data()
    model = OwnStep()
    model.compile("sgd", steps_per_execution=steps)
    assert warnings_of(lambda: model.fit(x, y, verbose=0)) == []
    x[40, 1] = np.nan
    call = lambda: model.fit(x, y, epochs=2, shuffle=False, verbose=0)  # noqa: E731
    (text,) = warnings_of(call)
    assert text.startswith("fit, epoch 1, step 2: ") and "in `x` column 1, row 40" in text
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    x = np.roll(x, 25, axis=0)  # into the last batch, whose loss is what several steps return
    (text,) = warnings_of(lambda: model.evaluate(x, y, verbose=0))
    assert "row 65" in text


class Batches(keras.utils.PyDataset):
    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, number):
        return self.batches[number]


def test_a_stream_that_begins_without_a_number_is_refused():
    x, y = data()
    model = compiled()
    before = model.get_weights()
    with pytest.raises(ValueError, match="nan alone"):
        model.fit(Batches((x, np.full(ROWS, np.nan)), (x, y)), verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_a_loss_that_knows_what_to_do_without_numbers_gets_them():
    def masked(y_true, y_pred):
        known = keras.ops.logical_not(keras.ops.isnan(y_true))
        error = keras.ops.where(known, y_pred - keras.ops.nan_to_num(y_true), 0.0)
        return keras.ops.mean(error**2, axis=-1)

    x, y = data()
    model = compiled(loss=masked)
    history = model.fit(Batches((x, np.full((ROWS, 1), np.nan)), (x, y[:, None])), verbose=0)
    assert np.isfinite(history.history["loss"][0])
