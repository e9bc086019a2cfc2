"""Size penalties: values by hand, legal factors, infinities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from densekit import regularizers

W = np.array([[1.0, -2.0], [0.0, 3.0]], "float32")


@pytest.mark.parametrize(
    ("regularizer", "value"),
    [
        (regularizers.L1(0.5), 3.0),
        (regularizers.L2(0.5), 7.0),
        (regularizers.L1L2(0.5, 0.25), 6.5),
        (regularizers.L1L2(), 0.0),
        (regularizers.L1(None), 0.06),
        (regularizers.L2(None), 0.14),
        (regularizers.L1L2(None, None), 0.0),
    ],
)
def test_values(regularizer: Any, value: float) -> None:
    assert float(regularizer(W)) == pytest.approx(value, rel=float(4 * np.finfo("float32").eps))


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf, "0.1", [0.1]])
@pytest.mark.parametrize("name", ["l1", "l2"])
def test_illegal_factors(name: str, factor: Any) -> None:
    for cls in (getattr(regularizers, name.upper()), regularizers.L1L2):
        with pytest.raises(ValueError, match=f"`{name}` to be a non-negative float"):
            cls(**{name: factor})


def test_strings() -> None:
    for name, cls in [
        ("l1", "L1"),
        ("L1", "L1"),
        ("l2", "L2"),
        ("l1l2", "L1L2"),
        ("l1_l2", "L1L2"),
    ]:
        assert type(regularizers.get(name)) is getattr(regularizers, cls)
    assert regularizers.l1_l2 is regularizers.L1L2
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.0, "l2": 0.0}


def test_a_factor_of_zero_switches_its_term_off() -> None:
    w = np.array([math.inf])
    assert float(regularizers.L1L2(l1=0.0, l2=0.0)(np.array([1e300]))) == 0.0
    assert float(regularizers.L1L2(l1=1.0)(w)) == math.inf


def test_base_class() -> None:
    base = regularizers.Regularizer()
    assert base(W) == 0.0
    with pytest.raises(NotImplementedError, match="get_config"):
        base.get_config()


def test_the_type_of_the_weight_is_kept() -> None:
    for dtype in ("float16", "float32", "float64"):
        for regularizer in (regularizers.L1(0.1), regularizers.L2(0.1), regularizers.L1L2(0.1)):
            assert regularizer(W.astype(dtype)).dtype == dtype
