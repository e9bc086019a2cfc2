"""Symbolic tensors: shape and dtype without a value."""

from __future__ import annotations

import numpy as np
import pytest

from densekit.ops._keras_tensor import KerasTensor, any_symbolic


def test_no_value() -> None:
    x = KerasTensor((None, 3))
    with pytest.raises(TypeError, match="truth value"):
        bool(x)
    with pytest.raises(ValueError, match="NumPy array"):
        np.asarray(x)
    with pytest.raises(ValueError, match="float"):
        float(x)
    with pytest.raises(NotImplementedError, match="iterable"):
        iter(x)
    with pytest.raises(TypeError, match="length"):
        len(x)
    assert len(KerasTensor((4, 1))) == 4


def test_any_symbolic() -> None:
    x = KerasTensor((1,))
    assert any_symbolic((1, [2, {"a": (x,)}]), {})
    assert any_symbolic((), {"x": [x]})
    assert not any_symbolic((np.ones(2), [1, "x", None]), {"y": {"z": 1}})
