"""Native calls are short, so that Ctrl-C gets its turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.engines import NativeEngine
from densekit.training import _predict_loop

X = np.linspace(-1, 1, 400, dtype="float32").reshape(100, 4)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each native prediction, with room for 8 rows of 64 FLOPs in each."""
    rows: list[int] = []
    into = NativeEngine.predict_into

    def counted(self: Any, inputs: Any, count: int, outputs: Any) -> None:
        rows.append(count)
        into(self, inputs, count, outputs)

    monkeypatch.setattr(NativeEngine, "predict_into", counted)
    monkeypatch.setattr(_predict_loop, "_PREDICT_FLOPS", 512.0)
    return rows


def test_a_large_batch_is_several_native_calls_with_the_same_bits(calls: list[int]) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh")])
    whole = np.asarray(model(X))
    calls.clear()
    np.testing.assert_array_equal(model.predict(X, batch_size=100, verbose=1), whole)
    assert sum(calls) == 100
    assert max(calls) < 20


@pytest.mark.parametrize(("axis", "rows"), [(0, [50, 50]), (-1, [100])])
def test_what_runs_in_python_is_cut_only_where_it_looks_at_the_batch(
    axis: int, rows: list[int], calls: list[int]
) -> None:
    centred = keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=axis, keepdims=True))
    model = keras.Sequential([keras.Input((4,)), centred])
    model.predict(X, batch_size=50, verbose=1)
    assert calls == rows


def test_batch_hooks_see_the_whole_batch(calls: list[int]) -> None:
    seen = []

    class Look(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs["outputs"].copy())

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    predictions = model.predict(X, batch_size=50, verbose=0, callbacks=[Look()])
    assert len(calls) > 2
    np.testing.assert_array_equal(np.concatenate(seen), predictions)
    assert [len(s) for s in seen] == [50, 50]
