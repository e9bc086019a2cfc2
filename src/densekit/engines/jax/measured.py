"""`Measured`: metrics that the compiled steps update, each by its own definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import masks
from densekit._core.engine import Measure
from densekit._core.registry import public_name
from densekit._core.tensor import lend
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.scopes import Given, Summing, Values
from densekit.engines.jax.traced import Touched
from densekit.losses import check_chance_broadcast
from densekit.metrics import MeanMetricWrapper, Metric

_Attributes: TypeAlias = dict[str, tuple[object, object]]


class Rows(NamedTuple):
    """What metrics of one output look at."""

    y_true: Array | jax.Array | None
    y_pred: Array | jax.Array
    weight: Array | jax.Array | None
    mask: Array | jax.Array | None


class Measured:
    """Some metrics as parts of a step.

    What a built-in one adds to a sum is given step by step: the host adds it up in float64, as it
    does natively. Any other state is carried from step to step.

    Args:
        measures: the metrics that are wanted.
    """

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._wanted = list(measures)
        self.taken: list[Measure] = []  # those that can be traced; known after tracing
        self.summed: list[tuple[Metric, Variable]] = []  # in the order of what a step adds

    @property
    def variables(self) -> list[Variable]:
        """The state of all of them."""
        return [v for measure in self._wanted for v in measure.metric.variables]

    def update(
        self, values: Given, rows: Mapping[int, Rows], touched: Touched
    ) -> tuple[dict[Variable, jax.Array], list[jax.Array]]:
        """New values of the state that is carried, and what is added to the rest.

        Args:
            values: of all variables.
            rows: by output.
            touched: told what is read and written.
        """
        self.taken, self.summed = [], []
        after: dict[Variable, jax.Array] = {}
        amounts: list[jax.Array] = []
        for measure in self._wanted:
            metric = measure.metric
            mine = Touched({}, {})
            scope = Summing(values, mine) if _only_adds(metric) else Values(values, mine)
            before = _attributes_of(metric)
            try:
                with scope:
                    update(metric, measure.weighted, rows[measure.output])
            except Exception:  # the host says what is wrong with it, if anything is
                _put_back(metric, before)
                continue
            if _put_back(metric, before):
                continue  # it counts in Python, too
            self.taken.append(measure)
            for known, more in zip(touched, mine, strict=True):
                known.update(more)
            changed = scope.values()
            after |= {v: changed[v] for v in mine.written}
            if isinstance(scope, Summing):
                self.summed += [(metric, v) for v in scope.amounts]
                amounts += [jnp.asarray(a) for a in scope.amounts.values()]
        return after, amounts

    def add(self, amounts: Sequence[Array]) -> None:
        """Add what steps gave: an axis of steps in front."""
        for (metric, variable), steps in zip(self.summed, amounts, strict=True):
            metric._dk_add(variable, np.sum(steps, axis=0, dtype=np.float64))


def update(metric: Metric, weighted: bool, rows: Rows) -> None:
    """Add a batch to a metric; a mask is a weight of the means."""
    y_true, y_pred, weight = lend(rows.y_true), lend(rows.y_pred), lend(rows.weight)
    if isinstance(metric, MeanMetricWrapper) and not metric.rowwise and y_true is not None:
        function = partial(metric._fn, **metric._fn_kwargs)
        check_chance_broadcast(function, y_true, y_pred, f"metric {metric.name!r}")
    if rows.mask is not None:
        masks.set_mask(y_pred, lend(rows.mask != 0))
    if weighted:
        metric.update_state(y_true, y_pred, sample_weight=weight)
    else:
        metric.update_state(y_true, y_pred)


def may_be_traced(metric: Metric) -> bool:
    """Whether it is worth a try: what is written on NumPy would be called back at every step."""
    parts = [metric, *metric._metrics]
    return not any(part._dk_of_numpy for part in parts)


def _only_adds(metric: Metric) -> bool:
    """Whether nothing that a batch adds depends on what was added before."""
    return type(metric) is MeanMetricWrapper or public_name(type(metric)) is not None


def _attributes_of(metric: Metric) -> _Attributes:
    """The attributes, and of collections what is in them."""
    return {name: (value, _content(value)) for name, value in vars(metric).items()}


def _content(value: object) -> object:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else None


def _put_back(metric: Metric, before: _Attributes) -> bool:
    """Undo what tracing did to attributes; whether it did anything."""
    now = _attributes_of(metric)
    changed = now.keys() != before.keys()
    for name, (value, content) in before.items():
        if name in now and now[name][0] is value and _same(now[name][1], content):
            continue
        changed = True
        metric.__dict__[name] = value
        if isinstance(value, dict) and isinstance(content, dict):
            value.clear()
            value.update(content)
        elif isinstance(value, list) and isinstance(content, list):
            value[:] = content
    for name in now.keys() - before.keys():
        del metric.__dict__[name]
    return changed


def _same(one: object, two: object) -> bool:
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(one[key] is two[key] for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(a is b for a, b in zip(one, two, strict=True))
    return one is two
