"""Operations of users' own are made again from their configs, as in Keras."""

from __future__ import annotations

from typing import Any

import pytest

from densekit import Operation, ops


class Affine(Operation):
    def __init__(self, alpha: object, *, beta: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.alpha, self.beta = alpha, beta

    def call(self, x: Any) -> Any:
        return self.alpha * x + self.beta


class Nameless(Operation):
    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha


class Several(Operation):
    def __init__(self, *alphas: float, name: str | None = None) -> None:
        super().__init__(name=name)


class Own(Affine):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


def test_arguments_of_the_constructor_are_the_config() -> None:
    made = Affine(0.5, name="a")
    assert made.get_config() == {"name": "a", "alpha": 0.5, "beta": 1.0}
    again = Affine.from_config(made.get_config())
    assert again.get_config() == made.get_config()
    assert again(ops.array([2.0])).tolist() == [2.0]


def test_a_name_goes_along_where_the_constructor_takes_one() -> None:
    assert Nameless(0.5).get_config() == {"alpha": 0.5}
    assert Nameless.from_config({"alpha": 0.5}).alpha == 0.5


def test_an_own_config_begins_with_the_name_alone() -> None:
    assert Own(2.0, name="b").get_config() == {"name": "b", "alpha": 2.0}


@pytest.mark.parametrize("made", [Affine(object()), Several(1.0, 2.0)])
def test_what_is_no_plain_data_wants_an_own_config(made: Operation) -> None:
    with pytest.raises(NotImplementedError, match="get_config"):
        made.get_config()


@pytest.mark.parametrize("name", ["a/b", 3])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="name"):
        Operation(name=name)
