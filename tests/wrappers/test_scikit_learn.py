"""The estimators pass scikit-learn's own checks, and do what those do not ask."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import densekit as keras
from densekit.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

QUIET = {"verbose": 0}


class Builder:
    """Builds the network of a test; its name is part of names of tests."""

    def __call__(
        self, X: Any, y: Any, loss: str, last: str = "linear", layers: tuple[int, ...] = (10,)
    ) -> keras.Model:
        keras.utils.set_random_seed(0)  # the checks compare fits
        rows = h = keras.Input(X.shape[1:])
        for units in layers:
            h = keras.layers.Dense(units, activation="relu")(h)
        columns = y.shape[1] if y.ndim > 1 else 1
        model = keras.Model(rows, keras.layers.Dense(columns, activation=last)(h))
        model.compile(keras.optimizers.RMSprop(0.01), loss)
        return model

    def __repr__(self) -> str:
        return "network"


network = Builder()


def classifier(**fit: Any) -> SKLearnClassifier:
    arguments = {"loss": "categorical_crossentropy", "last": "softmax", "layers": (20,)}
    return SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs={**QUIET, **fit})


# What Keras' own estimators are excused from, less what ours need not be.
EXCUSED = {
    "SKLearnClassifier": {
        "check_classifiers_classes": "outputs are a column for each class, of two classes as well",
        "check_classifiers_train": "outputs are a column for each class, of two classes as well",
    },
    "SKLearnRegressor": {},
    "SKLearnTransformer": {},
}


@parametrize_with_checks(
    [
        classifier(epochs=20),
        SKLearnRegressor(network, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
        SKLearnTransformer(network, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET),
    ],
    expected_failed_checks=lambda estimator: EXCUSED[type(estimator).__name__],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    keras.utils.set_random_seed(0)
    check(estimator)


X = np.linspace(-1, 1, 48).reshape(-1, 1)


def test_selection_and_pipelines() -> None:
    y = np.where(X[:, 0] > 0.1, "up", "down")
    pipeline = make_pipeline(StandardScaler(), classifier(epochs=60))
    assert cross_val_score(pipeline, X[::-1], y[::-1], cv=3).mean() > 0.5
    search = GridSearchCV(
        SKLearnClassifier(
            network,
            model_kwargs={"loss": "categorical_crossentropy", "last": "softmax"},
            fit_kwargs={"epochs": 5, **QUIET},
        ),
        {"fit_kwargs": [{"epochs": 1, **QUIET}, {"epochs": 80, **QUIET}]},
        cv=2,
    )
    assert search.fit(X[np.arange(48) % 48], y).best_params_["fit_kwargs"]["epochs"] == 80


def test_a_model_given_is_cloned_unless_warm() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    cold = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, X[:, 0])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert cold.model_ is not model
    warm = SKLearnRegressor(model, warm_start=True, fit_kwargs=QUIET).fit(X, X[:, 0])
    assert warm.model_ is model
    steps = int(model.optimizer.iterations)
    warm.fit(X, X[:, 0], epochs=2)
    assert int(model.optimizer.iterations) == 3 * steps
    assert warm.epoch_ == 2
    made = SKLearnRegressor(
        network, warm_start=True, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET
    )
    first = made.fit(X, X[:, 0]).model_
    assert made.fit(X, X[:, 0]).model_ is first


def test_clones_keep_what_was_given() -> None:
    """Keras forgets `fit_kwargs`; and arguments of one fit are not those of the next."""
    given = {"epochs": 2, **QUIET}
    estimator = SKLearnRegressor(network, model_kwargs={"loss": "mse"}, fit_kwargs=given)
    copied = clone(estimator)
    assert copied.get_params() == estimator.get_params()
    assert len(copied.fit(X, X[:, 0], epochs=3).history_.epoch) == 3
    assert len(copied.fit(X, X[:, 0]).history_.epoch) == 2
    assert given == {"epochs": 2, **QUIET}
    assert SKLearnRegressor(network).epoch_ == 0


def test_fitted_estimators_are_pickled() -> None:
    y = np.digitize(X[:, 0], [-0.3, 0.3])
    fitted = classifier(epochs=2).fit(X, y)
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.decision_function(X), fitted.decision_function(X))
    assert fitted.decision_function(X).shape == (48, 3)
    np.testing.assert_array_equal(
        copied.predict(X), copied.classes_[fitted.decision_function(X).argmax(1)]
    )


def test_several_targets() -> None:
    y = np.hstack([X, -X])
    fitted = SKLearnRegressor(network, model_kwargs={"loss": "mse"}, fit_kwargs=QUIET).fit(X, y)
    assert fitted.predict(X).shape == (48, 2)
    assert np.isfinite(fitted.score(X, y))


def test_refusals() -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    with pytest.raises(RuntimeError, match="compile"):
        SKLearnClassifier(model).fit(X, X[:, 0] > 0)
    with pytest.raises(ValueError, match="one class"):
        classifier().fit(X, np.zeros(48, int))
    with pytest.raises(ValueError, match="Only binary and multiclass"):
        classifier().fit(X, X[:, 0])
    with pytest.raises(RuntimeError, match="enable_metadata_routing"):
        classifier().set_fit_request(sample_weight=True)


def test_metadata_routing_reaches_fit() -> None:
    y = np.where(X[:, 0] > 0, 1, 0)
    weight = np.where(y == 1, 1.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = classifier(epochs=30).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), estimator)
        pipeline.fit(X, y, sample_weight=weight)
        assert (pipeline.predict(X) == 1).all()  # of 0 nothing was seen


def test_without_scikit_learn_one_sentence_says_what_to_install() -> None:
    script = """
import sys
sys.modules["sklearn"] = None
import densekit as keras
try:
    keras.wrappers.SKLearnRegressor(None)
except ImportError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install densekit[sklearn]" in said.stdout, said.stderr


def test_scikit_learn_is_imported_by_use_alone() -> None:
    """Neither the package, nor the room, nor the look-up of a name that nobody knows."""
    script = """
import sys
import densekit as keras
keras.wrappers
try:
    keras.losses.deserialize({"class_name": "Nothing", "config": {}, "module": "keras.nowhere"})
except Exception:
    pass
assert "sklearn" not in sys.modules
keras.wrappers.SKLearnRegressor
assert "sklearn" in sys.modules
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
