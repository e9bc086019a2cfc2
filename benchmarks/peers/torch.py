"""PyTorch, eager: the loop its tutorials write, with the fused Adam and losses on logits."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, Network, Training

from peers._tuning import fastest

_POLICY = os.environ.get("DENSEKIT_BENCHMARK_POLICY", "float32")
_FLOAT = torch.float64 if _POLICY == "float64" else torch.float32


def version() -> str:
    return torch.__version__


def build(w: Network, logits: bool) -> nn.Sequential:
    hidden = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[w.activation]
    layers: list[nn.Module] = []
    pairs = w.weights()
    for n, (kernel, bias) in enumerate(pairs):
        linear = nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.append(linear)
        if n + 1 < len(pairs):
            if w.normalized:
                layers.append(nn.BatchNorm1d(kernel.shape[1], eps=1e-3, momentum=0.01))
            layers.append(hidden())
            if w.dropout:
                layers.append(nn.Dropout(w.dropout))
    last = {"softmax": nn.Softmax(-1), "sigmoid": nn.Sigmoid()}.get(w.output)
    if last is not None and not logits:
        layers.append(last)
    return nn.Sequential(*layers).to(_FLOAT)


_LOSSES = {
    "softmax": nn.functional.cross_entropy,
    "sigmoid": nn.functional.binary_cross_entropy_with_logits,
    "linear": nn.functional.mse_loss,
}


class Run:
    late_epsilon = True

    def __init__(self, w: Training, x: Array, y: Array, threads: int) -> None:
        self.w, self.loss = w, _LOSSES[w.output]
        self.x = torch.from_numpy(x).to(_FLOAT)
        self.y = torch.from_numpy(y).to(torch.int64 if w.output == "softmax" else _FLOAT)
        self.model, self.optimizer = self._fresh(w)
        few = min(len(x), 8 * w.batch)
        self.note = fastest(torch.set_num_threads, threads, lambda: self.epochs(1, few))

    def _fresh(self, w: Training) -> tuple[nn.Sequential, torch.optim.Optimizer]:
        model = build(w, logits=True).train()
        weights = model.parameters()
        if w.optimizer == "sgd":
            return model, torch.optim.SGD(weights, LEARNING_RATE, fused=True)
        adam = torch.optim.Adam(weights, LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)
        return model, adam

    def _pass(self, model: nn.Sequential, optimizer: torch.optim.Optimizer, order: Any) -> None:
        for rows in order.split(self.w.batch):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=_POLICY == "mixed_bfloat16"):
                z = model(self.x[rows])
            self.loss(z.to(_FLOAT), self.y[rows]).backward()
            optimizer.step()

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            self._pass(self.model, self.optimizer, torch.randperm(rows))
        return k * rows

    def check(self, steps: int) -> Array:
        model, optimizer = self._fresh(self.w.without_dropout())
        self._pass(model, optimizer, torch.arange(steps * self.w.batch))
        with torch.inference_mode():
            z = model(self.x[:64])
        if self.w.output == "softmax":
            z = z.softmax(-1)
        elif self.w.output == "sigmoid":
            z = z.sigmoid()
        return z.numpy()


def training(w: Training, x: Array, y: Array, threads: int) -> Run:
    return Run(w, x, y, threads)


def inference(w: Network, x: Array, threads: int) -> dict[str, Any]:
    model = build(w, logits=False).eval()

    def call() -> Array:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    note = fastest(torch.set_num_threads, threads, call)
    return {f"inference_mode, {note}": call}


def dense(width: int, kernel: Array, bias: Array, threads: int) -> Any:
    torch.set_num_threads(threads)
    linear = nn.Linear(width, kernel.shape[1])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
        linear.bias.copy_(torch.from_numpy(bias))

    def call(x: Array) -> Array:
        with torch.inference_mode():
            return linear(torch.from_numpy(x)).numpy()

    return call
