"""What stands for Keras' compiled losses and metrics: what densekit makes of a `compile`.

Their tests say what `compile` may be given for nested outputs, and what comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import densekit
from densekit._core import tree
from densekit.data._columns import Signature, match_outputs, match_weights
from densekit.training import _run_metrics
from densekit.training._loss_terms import resolve_terms, term_names, wants_target


def _signature(y_pred: Any, names: Sequence[str] | None) -> Signature:
    shapes = [tuple(leaf.shape) for leaf in tree.flatten(y_pred)]
    outputs = list(names or [f"output_{i}" for i in range(len(shapes))])
    known = names is not None
    return Signature("model", [], [], None, outputs, shapes, y_pred, None, [], known)


def _arrays(structure: Any) -> Any:
    """Arrays in the place of symbolic tensors."""
    return tree.map_structure(
        lambda leaf: np.zeros(leaf.shape) if isinstance(leaf, densekit.KerasTensor) else leaf,
        structure,
    )


class CompileLoss:
    """The losses of a compiled model."""

    def __init__(
        self,
        loss: Any,
        loss_weights: Any = None,
        reduction: Any = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self._loss, self._weights, self._names = loss, loss_weights, output_names
        self._signature: Signature | None = None

    def build(self, y_true: Any, y_pred: Any) -> None:
        y_true, y_pred = _arrays(y_true), _arrays(y_pred)
        signature = self._signature = _signature(y_pred, self._names)
        targets = match_outputs(y_true, signature, wants_target(self._loss, signature), "y")
        self._terms = resolve_terms(self._loss, self._weights, signature, targets)
        names = term_names(self._terms, signature, signature.outputs_are_named)
        self.metrics = [_run_metrics.LossMean(name=name) for name in names]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self._signature is None:
            self.build(y_true, y_pred)
        signature = self._signature
        assert signature is not None
        wanted = wants_target(self._loss, signature)
        targets = match_outputs(y_true, signature, wanted, "y")
        weights = match_weights(sample_weight, targets, signature, wanted)
        predictions = match_outputs(y_pred, signature, [True] * len(targets), "y_pred")
        total = 0.0
        for i, term in enumerate(self._terms):
            value = term.loss(term.of(targets), term.of(predictions), term.weight_of(weights))
            total += value * term.weight
            if self.metrics:
                self.metrics[i].update_state(value)
        return total


class CompileMetrics(_run_metrics.CompileMetrics):
    """The metrics of a compiled model."""

    def __init__(
        self, metrics: Any, weighted_metrics: Any, name: Any = None, output_names: Any = None
    ) -> None:
        super().__init__(metrics, weighted_metrics)
        self._names = output_names

    def build(self, y_true: Any, y_pred: Any) -> None:  # type: ignore[override]
        y_true, y_pred = _arrays(y_true), _arrays(y_pred)
        signature = self._signature = _signature(y_pred, self._names)
        wanted = [True] * len(signature.output_names)
        targets = match_outputs(y_true, signature, wanted, "y")
        super().build(signature, targets, signature.outputs_are_named)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        wanted = [True] * len(self._signature.output_names)
        targets = match_outputs(y_true, self._signature, wanted, "y")
        super().update_state(targets, tree.flatten(y_pred), sample_weight)
