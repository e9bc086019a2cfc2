"""Constraints on single weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from densekit.constraints import Clip, NonNeg

W = np.array([[-1.0, 0.25], [0.0, 2.0]], "float32")


def test_non_neg() -> None:
    assert NonNeg()(W).tolist() == [[0.0, 0.25], [0.0, 2.0]]
    assert math.isnan(NonNeg()(np.array([math.nan]))[0])


def test_clip() -> None:
    assert Clip(-0.5, 1.0)(W).tolist() == [[-0.5, 0.25], [0.0, 1.0]]
    assert Clip(-math.inf, 1.0)(W).tolist() == [[-1.0, 0.25], [0.0, 1.0]]
    assert Clip(-0.5, 1)(W).dtype == "float32"


def test_clip_is_a_projection() -> None:
    constraint = Clip(-0.01, 0.01)
    once = constraint(W)
    assert np.array_equal(constraint(once), once)
    assert np.abs(once).max() <= np.float32(0.01)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1.0, -1.0), "min_value <= max_value"),
        (("a", 1.0), "`min_value` to be a number"),
        ((0.0, math.nan), "`max_value` to be a number"),
        ((None, 1.0), "`min_value` to be a number"),
    ],
)
def test_illegal_bounds(bounds: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Clip(*bounds)
