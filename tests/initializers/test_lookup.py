"""Names of initializers."""

from __future__ import annotations

import pytest

from densekit import initializers


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("normal", "RandomNormal"),
        ("uniform", "RandomUniform"),
        ("zero", "Zeros"),
        ("one", "Ones"),
        ("IdentityInitializer", "Identity"),
        ("OrthogonalInitializer", "Orthogonal"),
        ("glorot_uniform", "GlorotUniform"),
        ("HeNormal", "HeNormal"),
    ],
)
def test_aliases(name: str, cls: str) -> None:
    assert type(initializers.get(name)) is getattr(initializers, cls)


def test_a_config_with_arguments() -> None:
    initializer = initializers.get(
        {"class_name": "RandomNormal", "config": {"stddev": 2.0, "seed": 1}}
    )
    assert initializer.get_config() == {"seed": 1, "mean": 0.0, "stddev": 2.0}


def test_a_function() -> None:
    def halves(shape, dtype=None):  # type: ignore[no-untyped-def]
        return [0.5] * shape[0]

    assert initializers.get(halves) is halves
    assert initializers.serialize(halves)["config"] == "halves"
