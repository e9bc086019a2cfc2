"""scikit-learn's multi-layer perceptrons: relu, Adam, the same batches."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor
from workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, Training

from peers._tuning import blas_threads, fastest

warnings.filterwarnings("ignore")


def version() -> str:
    return sklearn.__version__


class Run:
    def __init__(self, w: Training, x: Array, y: Array, threads: int) -> None:
        self.w, self.x, self.y = w, x, y if w.output == "softmax" else y.ravel()
        self.model = self._fresh(shuffle=True)
        few = min(len(x), 8 * w.batch)
        self.note = fastest(blas_threads, threads, lambda: self.epochs(1, few))

    def _fresh(self, shuffle: bool) -> Any:
        """A network that holds the starting weights and an optimizer at step 0."""
        kind = MLPRegressor if self.w.output == "linear" else MLPClassifier
        model = kind(
            hidden_layer_sizes=self.w.widths[1:-1],
            alpha=0.0,
            batch_size=self.w.batch,
            learning_rate_init=LEARNING_RATE,
            beta_1=BETA_1,
            beta_2=BETA_2,
            epsilon=EPSILON,
            shuffle=shuffle,
            max_iter=1,
        )
        self._fit(model, self.w.batch)
        pairs = self.w.weights()
        model.coefs_ = [np.array(kernel) for kernel, _ in pairs]
        model.intercepts_ = [np.array(bias) for _, bias in pairs]
        del model._optimizer
        return model

    def _fit(self, model: Any, rows: int) -> None:
        classes = {"softmax": range(self.w.widths[-1]), "sigmoid": (0, 1)}.get(self.w.output)
        first = {} if classes is None else {"classes": np.array(classes, self.y.dtype)}
        model.partial_fit(self.x[:rows], self.y[:rows], **first)

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            self._fit(self.model, rows)
        return k * rows

    def check(self, steps: int) -> Array:
        model = self._fresh(shuffle=False)
        self._fit(model, steps * self.w.batch)
        if self.w.output == "linear":
            return model.predict(self.x[:64]).reshape(-1, 1)
        p = model.predict_proba(self.x[:64])
        return p[:, 1:] if self.w.output == "sigmoid" else p


def training(w: Training, x: Array, y: Array, threads: int) -> Run | None:
    if w.activation != "relu" or w.dropout:
        return None
    return Run(w, x, y, threads)
