"""Metrics on formulas of NumPy, inside functions that JAX traces: they are called back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from densekit._core import tree
from densekit._core.scope import StatelessScope
from densekit._core.types import Array, TensorLike
from densekit._core.variable import Variable
from densekit.ops._called_back import Result, called_back


class Measure(Protocol):
    """What a metric is here: named state."""

    @property
    def variables(self) -> list[Variable]:
        """The state."""


def update_back(
    metric: Measure,
    update: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> None:
    """``update(metric, *args, **kwargs)``, made by NumPy whenever the compiled function runs."""
    if not metric.variables:  # it makes its state when it sees data
        with StatelessScope():
            zeros = tree.map_structure(_zeros_like, (args, kwargs))
            update(metric, *zeros[0], **zeros[1])
    variables = metric.variables

    def after(
        values: Sequence[TensorLike], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> list[Array]:
        pairs = zip(variables, map(np.asarray, values), strict=True)
        args, kwargs = tree.map_structure(_as_numpy, (args, kwargs))
        with StatelessScope(pairs) as scope:
            update(metric, *args, **kwargs)
        return [np.asarray(scope.get_current_value(v), v.dtype) for v in variables]

    shapes = [Result(v.shape, v.dtype) for v in variables]
    values = [v.current() for v in variables]
    found = called_back(after, shapes, values, args, kwargs)
    for variable, value in zip(variables, found, strict=True):
        variable.assign(value)


def result_back(metric: Measure, result: Callable[..., object]) -> object:
    """``result(metric)``, computed by NumPy whenever the compiled function runs."""
    variables = metric.variables

    def of(values: Sequence[TensorLike]) -> list[Array]:
        with StatelessScope(zip(variables, map(np.asarray, values), strict=True)):
            return [np.asarray(result(metric))]

    (shown,) = of([np.ones(v.shape, v.dtype) for v in variables])
    to_come = [Result(shown.shape, shown.dtype.name)]
    (found,) = called_back(of, to_come, [v.current() for v in variables])
    return found


def _zeros_like(leaf: object) -> object:
    return np.zeros(leaf.shape, getattr(leaf, "dtype", None)) if hasattr(leaf, "shape") else leaf


def _as_numpy(leaf: object) -> object:
    return np.asarray(leaf) if hasattr(leaf, "shape") else leaf
