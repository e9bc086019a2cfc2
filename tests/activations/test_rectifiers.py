"""Rectifiers: values worked by hand, ties, nan."""

from __future__ import annotations

import numpy as np
import pytest

from densekit import activations


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0.0, 0.0, 0.0, 1.0, 5.0, 10.0]),
        ({"negative_slope": 0.5}, [-5.0, -0.5, 0.0, 1.0, 5.0, 10.0]),
        ({"max_value": 5.0}, [0.0, 0.0, 0.0, 1.0, 5.0, 5.0]),
        ({"max_value": 6}, [0.0, 0.0, 0.0, 1.0, 5.0, 6.0]),
        ({"threshold": 5.0}, [0.0, 0.0, 0.0, 0.0, 0.0, 10.0]),
        ({"threshold": 1.0, "negative_slope": 0.5}, [-5.5, -1.0, -0.5, 0.0, 5.0, 10.0]),
        ({"threshold": -2.0}, [0.0, -1.0, 0.0, 1.0, 5.0, 10.0]),
        ({"threshold": -2.0, "max_value": 5.0}, [0.0, 0.0, 0.0, 1.0, 5.0, 5.0]),
    ],
)
def test_relu_by_hand(arguments: dict[str, float], expected: list[float]) -> None:
    x = np.array([-10.0, -1.0, 0.0, 1.0, 5.0, 10.0], "float32")
    assert activations.relu(x, **arguments).tolist() == expected


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("max_value", [None, 2.0, 6.0])
def test_relu_lets_nan_through(threshold: float, max_value: float | None) -> None:
    y = activations.relu(np.array([np.nan, 1.5]), max_value=max_value, threshold=threshold)
    assert np.isnan(y[0])
    assert y[1] == 1.5


def test_saturation() -> None:
    """elu, celu and selu tend to minus alpha."""
    x = np.array([-1e3])
    assert activations.elu(x, alpha=0.5).tolist() == [-0.5]
    assert activations.celu(x, alpha=0.5).tolist() == [-0.5]
    assert activations.selu(x)[0] == pytest.approx(-1.0507009873554805 * 1.6732632423543772)


def test_types_are_kept() -> None:
    for dtype in ("float16", "float32", "float64"):
        for name in ("relu", "leaky_relu", "elu", "relu6", "gelu", "softmax"):
            assert getattr(activations, name)(np.ones((1, 2), dtype)).dtype == dtype
