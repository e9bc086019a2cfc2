"""The base class, the wrapper, types and structures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from densekit import losses, ops
from densekit._core import settings
from densekit._core.dtype_policy import DTypePolicy


class Scaled(losses.Loss):
    """A user's loss."""

    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.factor * ops.mean(ops.abs(y_true - y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def test_subclass() -> None:
    loss = Scaled(2.0)
    assert loss.name == "scaled"
    assert Scaled().name == "scaled_1"
    assert float(loss(np.zeros((2, 2)), np.ones((2, 2)))) == 2.0
    revived = losses.deserialize(losses.serialize(loss), custom_objects={"Scaled": Scaled})
    assert revived.factor == 2.0
    with pytest.raises(NotImplementedError, match="call"):
        losses.Loss()(np.zeros(2), np.zeros(2))


def test_types() -> None:
    y_true, y_pred = np.zeros((2, 2)), np.full((2, 2), 1.0)
    assert losses.MeanSquaredError()(y_true, y_pred).dtype == "float32"
    assert losses.MeanSquaredError(dtype="float64")(y_true, y_pred).dtype == "float64"
    assert losses.MeanSquaredError(dtype="float16")(y_true, y_pred).dtype == "float16"
    assert losses.MeanSquaredError(dtype=DTypePolicy("mixed_float16")).dtype == "float16"
    settings.set_floatx("float64")
    try:
        assert losses.MeanSquaredError()(y_true, y_pred).dtype == "float64"
    finally:
        settings.set_floatx("float32")


def test_what_is_passed_is_not_changed() -> None:
    y_true, y_pred = np.array([0, 1]), np.array([[0.2], [0.7]], "float32")
    before = y_pred.copy()
    losses.BinaryCrossentropy(label_smoothing=0.1)(y_true, y_pred)
    assert np.array_equal(y_pred, before)
    assert y_true.tolist() == [0, 1]


def test_structures_reach_a_users_loss() -> None:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_true - y_pred["a"]), axis=-1) + ops.mean(y_pred["b"], axis=-1)

    y_pred = {"a": np.ones((3, 2)), "b": np.ones((3, 1))}
    assert float(losses.LossFunctionWrapper(loss)(np.zeros((3, 2)), y_pred)) == 2.0


def test_wrapper_config() -> None:
    wrapped = losses.LossFunctionWrapper(losses.huber, name="h", delta=0.5)
    config = wrapped.get_config()
    assert config["name"] == "h"
    assert config["delta"] == 0.5
    revived = losses.LossFunctionWrapper.from_config(config)
    assert revived.fn is losses.huber
    assert revived.get_config() == config
    assert "huber" in repr(wrapped)
    assert losses.deserialize(losses.serialize(wrapped)).get_config() == config


def test_get() -> None:
    assert losses.get("mse") is losses.get("MSE") is losses.mean_squared_error
    assert losses.get("mae") is losses.mean_absolute_error
    assert losses.get("mape") is losses.mean_absolute_percentage_error
    assert losses.get("msle") is losses.mean_squared_logarithmic_error
    assert losses.get("bce") is losses.binary_crossentropy
    assert losses.get("kld") is losses.kl_divergence
    loss = losses.get({"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}})
    assert loss.from_logits is True


def test_as_loss() -> None:
    wrapped = losses.as_loss("mse")
    assert isinstance(wrapped, losses.LossFunctionWrapper)
    assert wrapped.name == "mse"
    own = losses.Huber()
    assert losses.as_loss(own) is own
    assert losses.as_loss(None) is None


def test_arguments_keras_forgets_are_written_when_set() -> None:
    assert losses.Huber().get_config().keys() == {"name", "reduction"}
    assert losses.Huber(delta=2.0).get_config()["delta"] == 2.0
    assert losses.CosineSimilarity(axis=0).get_config()["axis"] == 0
    revived = losses.Huber.from_config(losses.Huber(delta=2.0).get_config())
    assert float(revived([[0.0]], [[1.0]])) == 0.5


@pytest.mark.parametrize("q", [0.0, 1.0, -1.0, 2.0])
def test_q(q: float) -> None:
    with pytest.raises(ValueError, match="`q` between 0 and 1"):
        losses.CategoricalGeneralizedCrossEntropy(q)


def test_one_class_warns() -> None:
    for function in (losses.categorical_crossentropy, losses.categorical_focal_crossentropy):
        with pytest.warns(SyntaxWarning, match="more than 1 class"):
            function(np.ones((2, 1)), np.ones((2, 1)))
        with pytest.raises(ValueError, match="`axis` to be an integer"):
            function(np.ones((2, 2)), np.ones((2, 2)), axis=True)
