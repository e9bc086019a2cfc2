"""`class_weight` where batches are yielded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras

X = np.random.RandomState(0).rand(20, 3).astype("float32")
Y = (np.arange(20) % 2).astype("float32")
CLASSES = {0: 1.0, 1: 5.0}


def model(kind: type = keras.Model) -> Any:
    x = keras.Input((3,))
    made = kind(x, keras.layers.Dense(1, kernel_initializer="ones")(x))
    made.compile("sgd", "mse")
    return made


def endless() -> Any:
    while True:
        for start in (0, 10):
            yield X[start : start + 10], Y[start : start + 10]


def test_generators_are_weighted() -> None:
    whole = model().fit(X, Y, batch_size=10, shuffle=False, class_weight=CLASSES, verbose=0)
    yielded = model().fit(endless(), steps_per_epoch=2, class_weight=CLASSES, verbose=0)
    assert yielded.history == whole.history


def test_steps_of_users_are_weighted() -> None:
    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            assert data[2].tolist() == [1.0, 5.0] * 5
            return super().train_step(data)

    own = model(Own).fit(endless(), steps_per_epoch=2, class_weight=CLASSES, verbose=0)
    plain = model().fit(endless(), steps_per_epoch=2, class_weight=CLASSES, verbose=0)
    assert own.history["loss"] == pytest.approx(plain.history["loss"], rel=1e-6)


def test_what_is_yet_to_come_cannot_be_balanced() -> None:
    with pytest.raises(ValueError, match="yet to come"):
        model().fit(endless(), steps_per_epoch=2, class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="sample_weight"):
        model().fit(iter([(X, Y, Y)]), steps_per_epoch=1, class_weight=CLASSES, verbose=0)
