"""Metrics inside JAX: `stateless_update_state` and `stateless_result`, compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .test_metrics_contract import METRICS, ROWS, create, data


@pytest.mark.parametrize("name", METRICS)
def test_traced_metrics_measure_the_same(name: str) -> None:
    y_true, y_pred, weight = data(name)
    plain, traced = create(name), create(name)
    plain(y_true[:1], y_pred[:1], weight[:1])  # some make their state when they see data
    traced(y_true[:1], y_pred[:1], weight[:1])

    @jax.jit
    def update(state: Any, y_true: Any, y_pred: Any, weight: Any) -> Any:
        return traced.stateless_update_state(state, y_true, y_pred, weight)

    state = [jnp.asarray(v.numpy()) for v in traced.variables]
    before = [v.numpy() for v in traced.variables]
    for rows in (slice(0, 10), slice(10, ROWS)):
        plain.update_state(y_true[rows], y_pred[rows], weight[rows])
        state = update(state, y_true[rows], y_pred[rows], weight[rows])
    np.testing.assert_allclose(jax.jit(traced.stateless_result)(state), plain.result(), rtol=1e-5)
    for variable, value in zip(traced.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
