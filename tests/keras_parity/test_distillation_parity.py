"""Distillation computes what Keras does."""

from __future__ import annotations

from typing import Any

import keras as reference
import numpy as np
import pytest

import densekit as keras

X = np.random.default_rng(3).normal(size=(24, 5)).astype("float32")
Y = ((X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)).astype("int32")


def fitted(k: Any, make: Any, weights: dict[str, list[Any]]) -> tuple[Any, Any]:
    models = {}
    for name in ("teacher", "student"):
        models[name] = k.Sequential(
            [
                k.Input((5,)),
                k.layers.Dense(6, "tanh", name=f"{name}_hidden"),
                k.layers.Dense(3, name=f"{name}_logits"),
            ]
        )
        if name in weights:
            models[name].set_weights(weights[name])
        weights[name] = models[name].get_weights()
    made = k.distillation.Distiller(**models, **make(k))
    loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(k.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    history = made.fit(X, Y, epochs=3, batch_size=8, shuffle=False, verbose=0).history
    return history, [*made.student.get_weights(), made.evaluate(X, Y, verbose=0)]


@pytest.mark.parametrize(
    "make",
    [
        lambda k: {
            "distillation_losses": k.distillation.LogitsDistillation(2.0, k.losses.KLDivergence())
        },
        lambda k: {
            "distillation_losses": [
                k.distillation.LogitsDistillation(3.0, "mse"),
                k.distillation.FeatureDistillation("mae", "teacher_hidden", "student_hidden"),
            ],
            "distillation_loss_weights": [0.5, 2.0],
            "student_loss_weight": 0.2,
        },
    ],
    ids=["logits", "logits and features"],
)
def test_histories_and_weights_are_those_of_keras(make: Any) -> None:
    weights: dict[str, list[Any]] = {}
    theirs, ours = fitted(reference, make, weights), fitted(keras, make, weights)
    assert list(ours[0]) == list(theirs[0])
    for log, values in theirs[0].items():
        np.testing.assert_allclose(ours[0][log], values, rtol=1e-4, atol=1e-6, err_msg=log)
    for one, two in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
