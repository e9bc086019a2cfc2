"""`GradientTape.stop_recording`: what is computed inside is a constant to the tape."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras
from densekit import ops


def model_and_rows():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh")])
    return model, np.random.default_rng(1).normal(size=(5, 3)).astype("float32")


def test_values_of_before_are_constants_inside():
    model, x = model_and_rows()
    with keras.GradientTape() as tape:
        y = model(x, training=True)
        with tape.stop_recording():
            weight = ops.abs(y) + ops.mean(model(x) ** 2)
            looked_at = float(ops.sum(y))
        loss = ops.mean(weight * y)
    gradients = tape.gradient(loss, model.trainable_variables)
    with keras.GradientTape() as plain:
        expected = ops.mean(np.asarray(weight) * model(x, training=True))
    assert looked_at == pytest.approx(float(np.sum(np.asarray(y))), rel=1e-5)
    for one, other in zip(
        gradients, plain.gradient(expected, model.trainable_variables), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_what_waits_keeps_its_gradient_if_it_is_computed_inside():
    model, x = model_and_rows()
    found = []
    for looks in (False, True):
        for _ in range(2):  # formulas wait from the second time on
            with keras.GradientTape() as tape:
                loss = ops.mean(model(x, training=True) ** 2)
                with tape.stop_recording():
                    if looks:
                        float(loss)
                loss = loss * 2
            gradients = tape.gradient(loss, model.trainable_variables)
        found.append(gradients)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        assert np.any(one)


def test_variables_and_watched_arrays_read_as_values_inside():
    v, x = keras.Variable(3.0), np.array([2.0])
    with keras.GradientTape(persistent=True) as tape:
        tape.watch(x)
        with tape.stop_recording():
            constant = v * v + x[0]
            by_numpy = np.square(np.asarray(x))
        y = constant * v + ops.sum(by_numpy * x)
    assert float(tape.gradient(y, v)) == 11.0
    assert tape.gradient(y, x).tolist() == [4.0]


def test_gradients_are_given_inside_and_recording_goes_on():
    v = keras.Variable(3.0)
    with keras.GradientTape(persistent=True) as tape:
        y = v * v
        with tape.stop_recording():
            assert float(tape.gradient(y, v)) == 6.0
        z = y * v
    assert float(tape.gradient(z, v)) == 27.0


def test_tapes_inside_and_around_go_on():
    v = keras.Variable(3.0)
    with keras.GradientTape() as outer:
        with keras.GradientTape() as inner:
            y = v * v
            with outer.stop_recording():
                y = y * v
            y = y * v
        with keras.GradientTape() as own, inner_paused(outer):
            w = v * v
    # The outer tape knows the last factor alone.
    assert float(inner.gradient(y, v)) == 4 * 27.0
    assert float(own.gradient(w, v)) == 6.0
    assert float(outer.gradient(y, v)) == 27.0


def inner_paused(tape):
    return tape.stop_recording()


def test_an_error_inside_leaves_the_tape_recording():
    v = keras.Variable(3.0)
    with keras.GradientTape() as tape:
        y = v * v
        with pytest.raises(KeyError), tape.stop_recording():
            raise KeyError
        y = y * v
    assert float(tape.gradient(y, v)) == 27.0


def test_a_tape_that_does_not_record_cannot_stop():
    tape = keras.GradientTape()
    with pytest.raises(RuntimeError, match="stop_recording"), tape.stop_recording():
        pass
