"""`CompileMetrics`: the metrics that `compile` was given, as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

import numpy as np

from densekit import engines, losses, metrics
from densekit._core import masks, tree
from densekit._core.engine import Measure
from densekit._core.errors import describe, message, returned
from densekit._core.scope import in_stateless_scope
from densekit._core.tensor import lend
from densekit._core.types import Array, ArrayLike, Logs
from densekit._core.variable import Variable
from densekit.data._columns import Column, Signature, output_keys
from densekit.metrics import Mean, MeanMetricWrapper, Metric
from densekit.metrics._lookup import check
from densekit.metrics._metric import ExactSums


class LossMean(Mean):
    """The mean of the losses of batches, each weighted by its rows; summed as Python floats."""

    def add(self, losses: Array, batch_size: int, rows: int) -> None:
        """Add the losses of some steps, `rows` rows together, the last one with what is left."""
        if len(losses) == 1:
            self.add_step(float(losses[0]), rows)
            return
        sizes = np.full(len(losses), float(batch_size))
        sizes[-1] = rows - batch_size * (len(losses) - 1)
        self._dk_add_sums(float(np.dot(losses, sizes)), float(rows))

    def add_step(self, loss: float, rows: int) -> None:
        """Add the loss of one step."""
        self._dk_add_sums(loss * rows, float(rows))

    def _dk_add_sums(self, loss: float, rows: float) -> None:
        known = self._dk_sums
        if known is None:
            known = float(self.total.array), float(self.count.array)
        total, count = sums = known[0] + loss, known[1] + rows
        self.__dict__["_dk_sums"] = sums  # nothing that is tracked: a step would wait for that
        totals, counts = self.total.array, self.count.array
        if abs(total) < 3e38 and totals.itemsize >= 4:  # nothing overflows
            totals[()], counts[()] = total, count
            return
        with np.errstate(over="ignore"):
            totals[...], counts[...] = total, count

    _dk_sums: tuple[float, float] | None = None

    def reset_state(self) -> None:
        self.__dict__["_dk_sums"] = 0.0, 0.0
        self.total.array[()] = self.count.array[()] = 0.0

    def forget_sums(self) -> None:
        """The variables have got other values: they count."""
        self.__dict__["_dk_sums"] = None

    def _dk_exact_sums(self) -> ExactSums:
        return super()._dk_exact_sums()[0], self._dk_sums

    def _dk_set_exact_sums(self, known: ExactSums) -> None:
        super()._dk_set_exact_sums(known)
        self.__dict__["_dk_sums"] = known[1]

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values as any mean does: a user's own step may."""
        self.forget_sums()
        super().update_state(values, sample_weight)

    def result(self) -> Any:
        """The mean so far."""
        if self._dk_sums is None or in_stateless_scope():
            return super().result()
        total, count = self._dk_sums
        return self._dk_rounded(total / count if count else 0.0)


class CompileMetrics(Metric):
    """All metrics of a compiled model; they are made when the shapes of the data are known.

    Args:
        metrics: as for `compile`, updated without weights.
        weighted_metrics: as for `compile`, updated with the sample weights.

    Attributes:
        measures: each metric with the output that it looks at.

    Raises:
        ValueError: for anything but a list, tuple or dict.
    """

    def __init__(self, metrics: object, weighted_metrics: object) -> None:
        super().__init__(name="compile_metrics")
        for name, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given and not isinstance(given, list | tuple | dict):
                raise ValueError(
                    message(
                        "compile",
                        f"`{name}` to be a list, tuple, or dict",
                        describe(given),
                        f"Write {name}=[...].",
                    )
                )
            check_metrics(given)
        self._given = (metrics, weighted_metrics)
        self._checked: set[int] = set()  # outputs whose functions have been tried
        self.built = False
        self._plain: list[list[Metric]] = []
        self._weighted: list[list[Metric]] = []
        self._prefixes: list[str] = []
        self.measures: list[Measure] = []

    @property
    def metrics(self) -> list[Metric]:
        """The single metrics, unweighted ones first."""
        return [m for group in (*self._plain, *self._weighted) for m in group]

    @property
    def variables(self) -> list[Variable]:
        """The state of all of them."""
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def needs_predictions(self) -> list[bool]:
        """For each output whether a metric looks at it."""
        return [bool(p or w) for p, w in zip(self._plain, self._weighted, strict=True)]

    @property
    def are_rowwise(self) -> bool:
        """Whether several batches may be added at once."""
        return all(metric.rowwise for metric in self.metrics)

    def build(self, signature: Signature, targets: list[Column], named: bool) -> None:
        """Make the metrics.

        Args:
            named: whether the model knows its outputs by name: several outputs then prefix theirs.
        """
        plain = self._resolve(self._given[0], signature, targets, "metrics")
        weighted = self._resolve(self._given[1], signature, targets, "weighted_metrics")
        several = len(signature.output_names) > 1
        deep = tree.is_deep(signature.output_structure)
        names = signature.output_names if deep else output_keys(signature)
        by_name = named or (isinstance(signature.output_structure, dict) and not deep)
        self._prefixes = [f"{n}_" if several and by_name else "" for n in names]
        self._plain, self._weighted = plain, weighted
        self.measures = [
            Measure(i, metric, weighted)
            for groups, weighted in ((self._plain, False), (self._weighted, True))
            for i, group in enumerate(groups)
            for metric in group
        ]
        self.built = True

    def _resolve(
        self, given: object, signature: Signature, targets: list[Column], what: str
    ) -> list[list[Metric]]:
        names = output_keys(signature)
        n = len(names)
        if not given:
            return [[] for _ in names]
        if n == 1:
            groups = [tree.flatten(given)]
        elif tree.is_deep(signature.output_structure):
            found = tree.along(signature.output_structure, given, partial=False)
            if found is None or not all(map(_are_metrics, found)):
                raise _no_match(signature, what, names, given)
            groups = [_as_list(group) for group in found]
        elif isinstance(given, dict) and set(given) <= set(names):
            groups = [_as_list(given.get(name)) for name in names]
        elif isinstance(given, list | tuple) and len(given) == n:
            groups = [_as_list(group) for group in given]
        else:
            raise _no_match(signature, what, names, given)
        made = []
        for group, target, shape in zip(groups, targets, signature.output_shapes, strict=True):
            if group and target is None:
                raise ValueError(
                    message(f"{signature.where} `{what}`", "targets", "y=None", "Pass `y`.")
                )
            true = shape if target is None else target.shape
            made.append([metrics.resolve(one, true, shape) for one in group])
        return made

    def update_state(self, y_true: object, y_pred: object, sample_weight: object = None) -> None:
        """Add a batch: a column of targets, predictions and weights for each output."""
        known = sample_weight is None and len(self._plain) == 1 and 0 in self._checked
        if known and type(y_true) is type(y_pred) is np.ndarray and not in_stateless_scope():
            return self._update_plainly(y_true, y_pred)
        columns = tree.flatten(y_true), tree.flatten(y_pred)
        weights = [None] if sample_weight is None else tree.flatten(sample_weight)
        if len(weights) < len(columns[0]):
            weights = [weights[0]] * len(columns[0])
        for i, (true, pred, weight) in enumerate(zip(*columns, weights, strict=True)):
            self.update_output(i, true, pred, weight)

    def _update_plainly(self, y_true: Array, y_pred: Array) -> None:
        """Add a batch of the only output, without weights: by kernels where they are the same."""
        alike = y_true.dtype is y_pred.dtype and y_true.shape == y_pred.shape
        alike = alike and y_pred.ndim == 2 and len(y_pred) > 0
        if alike and masks.in_use:
            alike = masks.mask_of(y_pred) is None
        for group in (self._plain[0], self._weighted[0]):
            for metric in group:
                if not alike or not _add_total(metric, y_true, y_pred):
                    metric.update_state(lend(y_true), lend(y_pred))

    def update_output(
        self,
        i: int,
        y_true: Array | None,
        y_pred: Any,
        weight: Any,
        mask: Array | None = None,
        done: Collection[int] = (),
    ) -> None:
        """Add a batch of one output; a mask is a weight of the means.

        Args:
            done: ids of the metrics to leave out.
        """
        if i not in self._checked and y_true is not None and len(y_pred) > 1:
            self._checked.add(i)
            for metric in (*self._plain[i], *self._weighted[i]):
                if isinstance(metric, MeanMetricWrapper) and not metric.rowwise:
                    function = partial(metric._fn, **metric._fn_kwargs)
                    where = f"metric {metric.name!r}"
                    losses.check_chance_broadcast(function, y_true, y_pred, where)
        y_true, y_pred, weight = lend(y_true), lend(y_pred), lend(weight)
        if mask is not None:
            masks.set_mask(y_pred, lend(mask != 0))
        for metric in self._plain[i]:
            if id(metric) not in done:
                metric.update_state(y_true, y_pred)
        for metric in self._weighted[i]:
            if id(metric) not in done:
                metric.update_state(y_true, y_pred, sample_weight=weight)

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> Logs:
        """Value of each metric under the name it has in the logs."""
        if not self.built:
            raise ValueError(
                message("CompileMetrics", "data before a result", "none", "Call `fit` first.")
            )
        results: Logs = {}
        for prefix, group in zip(self._prefixes, self._plain, strict=True):
            for metric in group:
                results[_free(f"{prefix}{metric.name}", results)] = _result(metric)
        for prefix, group in zip(self._prefixes, self._weighted, strict=True):
            for metric in group:
                name = f"{prefix}{metric.name}"
                if name in results:
                    name = _free(f"{prefix}weighted_{metric.name}", results)
                results[name] = _result(metric)
        return results


def parts_of(metrics: Iterable[Metric]) -> list[Metric]:
    """Metrics, with those that were compiled one by one."""
    return [
        part
        for metric in metrics
        for part in ([metric, *metric.metrics] if isinstance(metric, CompileMetrics) else [metric])
    ]


def _add_total(metric: Metric, y_true: Array, y_pred: Array) -> bool:
    """Add a batch by the kernel of the metric's function; False if only its definition will do."""
    if not isinstance(metric, MeanMetricWrapper) or metric.total.numpy_dtype != y_pred.dtype:
        return False
    form = metric.form_of_total()
    if form is None or form.whole_batch or form.kind.startswith("sparse"):
        return False
    found = engines.engine_kind().mean_loss(form, y_true, y_pred, 1.0)
    if found is not None:
        metric.add_total(found[0], len(y_pred))
    return found is not None


def _are_metrics(group: Iterable[object]) -> bool:
    """Whether what was said for one output is no structure."""
    return not isinstance(group, dict) and not tree.is_deep(group)


def _no_match(signature: Signature, what: str, names: list[str], given: object) -> ValueError:
    return ValueError(
        message(
            f"{signature.where} `{what}`",
            f"a list with an entry, or a dict with a key, for each of {names}",
            f"{given!r}",
            "Use [] or None for an output without metrics.",
        )
    )


def check_metrics(given: object) -> None:
    """What `compile` can tell about metrics before the shapes are known: that they exist."""
    for one in tree.flatten(given or ()):
        if one is not None:
            check(one)


def _result(metric: Metric) -> object:
    return returned(metric.result(), metric, "a result")


def _free(name: str, taken: Logs) -> str:
    """`name`, numbered if it is taken."""
    count = 1
    candidate = name
    while candidate in taken:
        candidate, count = f"{name}_{count}", count + 1
    return candidate


def _as_list(group: object) -> list[Any]:
    if group is None:
        return []
    return list(group) if isinstance(group, list | tuple) else [group]
