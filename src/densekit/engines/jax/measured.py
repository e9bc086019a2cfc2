"""`Measured`: metrics that the compiled steps update, each by its own definition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from densekit._core import masks, settings
from densekit._core.engine import Chunk, Measure
from densekit._core.kept import Kept
from densekit._core.registry import public_name
from densekit._core.tensor import lend
from densekit._core.tracked import TrackedMetric
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.columns import Column, Layout, Place, dtype_of
from densekit.engines.jax.scopes import Given, Summing, Values
from densekit.engines.jax.traced import Made, Touched
from densekit.engines.objective import Batch
from densekit.losses import check_chance_broadcast
from densekit.metrics import MeanMetricWrapper, Metric


class Rows(NamedTuple):
    """What metrics of one output look at."""

    y_true: Array | jax.Array | None
    y_pred: Array | jax.Array
    weight: Array | jax.Array | None
    mask: Array | jax.Array | None


class Measured:
    """Some metrics as parts of a step.

    What a built-in one adds to a sum is given step by step: the host adds it up in float64, as it
    does natively. Everything else is carried from step to step. A batch that is filled up with
    rows that do not count is left to the host.

    Args:
        measures: the metrics that are wanted.
        layout: where their targets and weights are.
        chunk: data like those to come.
        dtypes: of the predictions that metrics are handed, by output.
        wide: whether the device computes with 64 bits.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        layout: Layout,
        chunk: Chunk,
        dtypes: Sequence[str],
        wide: bool,
    ) -> None:
        self._wanted = list(measures)
        self._dtypes = list(dtypes)
        self._outputs = sorted({measure.output for measure in measures})
        self._places: dict[tuple[bool, int], Place] = {}
        for i in self._outputs:
            for is_target, data in ((True, chunk.targets[i]), (False, chunk.weights[i])):
                dtype = None if data is None else dtype_of(data, wide)
                column = None if dtype is None else Column(is_target, i, dtype)
                if column is not None and layout.has(column):
                    self._places[is_target, i] = layout.place_of(column)
        self._summed: list[tuple[Metric, Variable]] = []  # in the order of what a step adds
        self.taken: list[Measure] = []  # those that can be traced; known after tracing

    @property
    def variables(self) -> list[Variable]:
        """The state of all of them."""
        return [v for measure in self._wanted for v in _metric_of(measure).variables]

    def __call__(
        self,
        values: Given,
        after: Given,
        batch: Batch,
        real: jax.Array | None,
        made: Made,
        touched: Touched,
    ) -> tuple[Given, Made]:
        """A step with its metrics.

        Args:
            values: of all variables before it.
            after: the new ones.
            batch: its rows.
            real: how many of them count; None: all.
            made: what it gave.
            touched: told what is read and written.
        """
        rows = {i: self._rows(batch, made, i) for i in self._outputs}
        counts = True if real is None else real == len(batch.inputs[0])
        self.taken, self._summed = [], []
        changed: dict[Variable, jax.Array] = {}
        amounts: list[jax.Array] = []
        for measure in self._wanted:
            metric = _metric_of(measure)
            mine = Touched({}, {})
            scope = Summing(values, mine) if _only_adds(metric) else Values(values, mine)
            kept = Kept([metric])
            try:
                with scope:
                    update(metric, measure.weighted, rows[measure.output])
            except Exception:  # the host will say what is wrong, if anything is
                kept.put_back()
                continue
            if kept.changed():
                kept.put_back()
                continue  # it counts in Python, too
            self.taken.append(measure)
            for known, more in zip(touched, mine, strict=True):
                known.update(more)
            found = scope.values()
            changed |= {
                v: jnp.where(counts, found[v], values[v]) for v in mine.written if v in values
            }
            if isinstance(scope, Summing):
                self._summed += [(metric, v) for v in scope.amounts]
                amounts += [jnp.where(counts, a, 0) for a in scope.amounts.values()]
        last: list[jax.Array] = []
        if real is not None:
            for i in self._outputs:
                last += [made.outputs[i], *(m for m in (made.masks[i],) if m is not None)]
        return {**after, **changed}, made._replace(amounts=amounts, last=last)

    def _rows(self, batch: Batch, made: Made, i: int) -> Rows:
        y_pred = made.outputs[i].astype(self._dtypes[i])
        return Rows(
            self._column(batch, True, i), y_pred, self._column(batch, False, i), made.masks[i]
        )

    def _column(self, batch: Batch, is_target: bool, i: int) -> jax.Array | None:
        place = self._places.get((is_target, i))
        if place is None:
            return None
        column: jax.Array | None = batch[place.group][place.number]
        return column

    def add(self, amounts: Sequence[jax.Array], steps: int) -> None:
        """Add what the steps of a run gave."""
        for (metric, variable), of_steps in zip(self._summed, amounts, strict=True):
            grown = np.asarray(of_steps)[:steps]
            metric._dk_add(variable, np.sum(grown, axis=0, dtype=np.float64))

    def add_last(
        self, chunk: Chunk, rows: int, last: Sequence[jax.Array], masked: list[bool]
    ) -> None:
        """Add the last batch of a chunk, which was filled up.

        Args:
            rows: how many it has.
            last: what the step gave.
            masked: for each output whether it has a mask.
        """
        given = iter(last)
        picks = chunk.picks[-rows:]

        def picked(column: Array | None) -> Array | None:
            if column is None:
                return None
            found = column[picks]
            return found.astype(settings.floatx(), copy=False) if found.dtype.kind == "f" else found

        for i in self._outputs:
            y_pred = np.asarray(next(given))[:rows].astype(self._dtypes[i], copy=False)
            mask = np.asarray(next(given))[:rows] if masked[i] else None
            found = Rows(picked(chunk.targets[i]), y_pred, picked(chunk.weights[i]), mask)
            for measure in self.taken:
                if measure.output == i:
                    update(_metric_of(measure), measure.weighted, found)


def _metric_of(measure: Measure) -> Metric:
    assert isinstance(measure.metric, Metric)
    return measure.metric


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


def may_be_traced(metric: TrackedMetric) -> bool:
    """Whether it is worth a try: what is written on NumPy would be called back at every step."""
    return isinstance(metric, Metric) and not any(
        part._dk_of_numpy for part in (metric, *metric._metrics)
    )


def _only_adds(metric: Metric) -> bool:
    """Whether nothing that a batch adds depends on what was added before."""
    return type(metric) is MeanMetricWrapper or public_name(type(metric)) is not None
