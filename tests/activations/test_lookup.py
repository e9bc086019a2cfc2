"""Names, aliases and configs of activations."""

from __future__ import annotations

from typing import Any

import pytest

from densekit import activations
from densekit._core.registry import custom_object_scope, register_keras_serializable


def test_aliases() -> None:
    assert activations.get("swish") is activations.silu is activations.swish
    assert activations.get("hard_swish") is activations.hard_silu is activations.hard_swish
    assert activations.serialize(activations.swish) == "silu"


def test_custom_function_comes_back_by_name() -> None:
    def double(x: Any) -> Any:
        return 2 * x

    data = activations.serialize(double)
    assert data["config"] == "double"
    assert activations.deserialize(data, custom_objects={"double": double}) is double
    with custom_object_scope({"double": double}):
        assert activations.get("double") is double
    with pytest.raises(ValueError, match="activation function: expected"):
        activations.get("double")
    with pytest.raises(TypeError, match="could not be located"):
        activations.deserialize(data)


def test_registered_function_keeps_its_package() -> None:
    @register_keras_serializable(package="lookup")
    def triple(x: Any) -> Any:
        return 3 * x

    data = activations.serialize(triple)
    assert data["config"] == "lookup>triple"
    assert activations.get(data) is triple


def test_objects_with_a_config() -> None:
    class Scale:
        def __init__(self, factor: float = 2.0) -> None:
            self.factor = factor

        def __call__(self, x: Any) -> Any:
            return self.factor * x

        def get_config(self) -> dict[str, Any]:
            return {"factor": self.factor}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Scale:
            return cls(**config)

    data = activations.serialize(Scale(3.0))
    revived = activations.deserialize(data, custom_objects={"Scale": Scale})
    assert revived(1.0) == 3.0
    assert isinstance(activations.get(Scale), Scale)


def test_what_cannot_be_serialized() -> None:
    class Nameless:
        def __call__(self, x: Any) -> Any:
            return x

    with pytest.raises(TypeError, match="get_config"):
        activations.serialize(Nameless())
