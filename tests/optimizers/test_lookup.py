"""Names, configs and back."""

from __future__ import annotations

from typing import Any

import pytest

import densekit as keras


@pytest.mark.parametrize("name", ["adam", "ADAM", "Adam", "adamw", "rmsprop", "sgd", "lamb"])
def test_names_in_any_case(name: str) -> None:
    assert type(keras.optimizers.get(name)).__name__.lower() == name.lower()


def test_objects_and_none_come_back() -> None:
    optimizer = keras.optimizers.SGD()
    assert keras.optimizers.get(optimizer) is optimizer
    assert keras.optimizers.get(None) is None


@pytest.mark.parametrize("identifier", ["nope", 3, keras.optimizers.SGD, lambda: 0])
def test_anything_else_is_refused(identifier: Any) -> None:
    with pytest.raises(ValueError, match="Known names: adadelta"):
        keras.optimizers.get(identifier)


def test_config_is_left_as_it_was() -> None:
    config = {"class_name": "SGD", "config": {"learning_rate": 0.5}}
    found = keras.optimizers.get(config)
    assert float(found.learning_rate) == 0.5
    assert config == {"class_name": "SGD", "config": {"learning_rate": 0.5}}


def test_custom_optimizer_goes_round() -> None:
    @keras.saving.register_keras_serializable(package="tests")
    class Mine(keras.optimizers.Optimizer):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            self.assign_sub(variable, gradient)

    config = keras.optimizers.serialize(Mine(0.5, clipnorm=2.0))
    revived = keras.optimizers.deserialize(config)
    assert type(revived) is Mine
    assert revived.clipnorm == 2.0
