"""Arguments without meaning: refused with a text that says what to pass.

Where Keras refuses, the type of the exception is the same; what it lets through is listed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras as reference
import numpy as np
import pytest

import densekit

X = np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4)
Y = X[:, :1].copy()


def model(keras: Any, optimizer: Any = "sgd") -> Any:
    made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    made.compile(optimizer, "mse")
    return made


def fit(**arguments: Any) -> Callable[[Any], Any]:
    return lambda keras: model(keras).fit(X, **{"y": Y, "verbose": 0, **arguments})


def optimizer(name: str, **arguments: Any) -> Callable[[Any], Any]:
    return lambda keras: getattr(keras.optimizers, name)(**arguments)


BOTH_REFUSE: dict[str, Callable[[Any], Any]] = {
    "epochs=1.5": fit(epochs=1.5),
    "momentum=2": optimizer("SGD", momentum=2.0),
    "Dropout('a')": lambda keras: keras.layers.Dropout("a"),
    "Dropout(None)": lambda keras: keras.layers.Dropout(None),
    "GaussianNoise('a')": lambda keras: keras.layers.GaussianNoise("a"),
    "LeakyReLU('a')": lambda keras: keras.layers.LeakyReLU("a"),
    "load_weights(None)": lambda keras: model(keras).load_weights(None),
    "save_weights(None)": lambda keras: model(keras).save_weights(None),
    "save(None)": lambda keras: model(keras).save(None),
    "y=short list": fit(y=Y[1:].tolist()),
}
ONLY_WE_ACCEPT: dict[str, Callable[[Any], Any]] = {
    "y=list": fit(y=Y.tolist()),
    "y=flat list": fit(y=Y[:, 0].tolist()),
}
ONLY_WE_REFUSE: dict[str, Callable[[Any], Any]] = {
    "initial_epoch=-1": fit(initial_epoch=-1),
    "epochs=-1": fit(epochs=-1),
    "verbose=9": fit(verbose=9),
    "verbose=-1": fit(verbose=-1),
    "verbose='x'": fit(verbose="x"),
    "learning_rate=-1": optimizer("SGD", learning_rate=-1.0),
    "learning_rate=nan": optimizer("SGD", learning_rate=float("nan")),
    "clipnorm=-1": optimizer("SGD", clipnorm=-1.0),
    "clipvalue=-1": optimizer("SGD", clipvalue=-1.0),
    "global_clipnorm=-1": optimizer("SGD", global_clipnorm=-1.0),
    "weight_decay=-1": optimizer("SGD", weight_decay=-1.0),
    "loss_scale_factor=-1": optimizer("SGD", loss_scale_factor=-1.0),
    "beta_1=1": optimizer("Adam", beta_1=1.0),
    "beta_1=-0.5": optimizer("Adamax", beta_1=-0.5),
    "beta_2=2": optimizer("Nadam", beta_2=2.0),
    "epsilon=-1": optimizer("Adam", epsilon=-1.0),
    "rho=2": optimizer("RMSprop", rho=2.0),
    "RMSprop momentum=-1": optimizer("RMSprop", momentum=-1.0),
    "Adadelta rho=-1": optimizer("Adadelta", rho=-1.0),
    "initial_accumulator_value=-1": optimizer("Adagrad", initial_accumulator_value=-1.0),
}
BOTH_ACCEPT: dict[str, Callable[[Any], Any]] = {
    "epochs=0": fit(epochs=0),
    "initial_epoch beyond epochs": fit(initial_epoch=5, epochs=2),
    "verbose=True": fit(verbose=True),
    "learning_rate=0": optimizer("SGD", learning_rate=0.0),
    "clipnorm=0": optimizer("SGD", clipnorm=0.0),
    "beta_1=0": optimizer("Adam", beta_1=0.0),
    "beta_2=1": optimizer("Adamax", beta_2=1.0),
    "epsilon=0": optimizer("Adam", epsilon=0.0),
    "Dropout(1)": lambda keras: keras.layers.Dropout(1),
}


@pytest.mark.parametrize("case", BOTH_REFUSE)
def test_refused_with_the_type_of_keras(case: str) -> None:
    with pytest.raises(Exception) as expected:
        BOTH_REFUSE[case](reference)
    with pytest.raises(type(expected.value), match=r"expected .+, got .+\. [A-Z`]"):
        BOTH_REFUSE[case](densekit)


@pytest.mark.parametrize("case", ONLY_WE_REFUSE)
def test_stricter_than_keras(case: str) -> None:
    ONLY_WE_REFUSE[case](reference)
    with pytest.raises(ValueError, match=r"expected .+, got .+\. [A-Z`]"):
        ONLY_WE_REFUSE[case](densekit)


@pytest.mark.parametrize("case", ONLY_WE_ACCEPT)
def test_taken_where_keras_refuses(case: str) -> None:
    with pytest.raises(ValueError):
        ONLY_WE_ACCEPT[case](reference)
    ONLY_WE_ACCEPT[case](densekit)


@pytest.mark.parametrize("case", BOTH_ACCEPT)
def test_accepted_as_by_keras(case: str) -> None:
    BOTH_ACCEPT[case](reference)
    BOTH_ACCEPT[case](densekit)


@pytest.mark.parametrize("arguments", [{"verbose": 9}, {"epochs": -1}, {"y": Y[1:].tolist()}])
def test_a_refused_fit_leaves_the_model_as_it_was(arguments: dict[str, Any]) -> None:
    made, clone = model(densekit), model(densekit)
    clone.set_weights(made.get_weights())
    with pytest.raises(ValueError, match="expected"):
        made.fit(X, **{"y": Y, "verbose": 0, **arguments})
    assert int(made.optimizer.iterations) == 0
    for ours, untouched in zip(made.get_weights(), clone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, untouched)
