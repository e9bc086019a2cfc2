"""The circle loss in training."""

from __future__ import annotations

import numpy as np
import pytest

import densekit as keras


def model() -> keras.Sequential:
    built = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3), keras.layers.UnitNormalization()]
    )
    built.compile("adam", keras.losses.Circle(gamma=16.0))
    return built


def test_it_brings_classes_together_and_apart(rng: np.random.Generator) -> None:
    """Labels number classes, of which there may be more than the output has columns."""
    keras.utils.set_random_seed(2)
    y = np.repeat(np.arange(5), 8)
    angle = 2 * np.pi * y / 5
    x = np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(scale=0.05, size=(40, 2))
    embedding = model()
    losses = embedding.fit(x, y, epochs=40, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    whole = float(embedding.loss(y, embedding.predict(x, verbose=0)))
    assert embedding.evaluate(x, y, batch_size=40, verbose=0) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("y", [np.zeros((4, 3)), np.array([0.0, 0.5, 1.0, 1.0])])
def test_targets_that_are_no_labels_are_refused(y: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"argmax|labels"):
        model().fit(np.ones((4, 2)), y, verbose=0)
