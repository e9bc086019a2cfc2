"""PyTorch, eager: the loop its tutorials write, with the fused Adam and losses on logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, Network, Training

from peers._tuning import fastest


def version() -> str:
    return torch.__version__


def build(w: Network, logits: bool) -> nn.Sequential:
    hidden = {"relu": nn.ReLU, "gelu": nn.GELU}[w.activation]
    layers: list[nn.Module] = []
    pairs = w.weights()
    for n, (kernel, bias) in enumerate(pairs):
        linear = nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        layers.append(linear)
        if n + 1 < len(pairs):
            layers.append(hidden())
            if w.dropout:
                layers.append(nn.Dropout(w.dropout))
    last = {"softmax": nn.Softmax(-1), "sigmoid": nn.Sigmoid()}.get(w.output)
    if last is not None and not logits:
        layers.append(last)
    return nn.Sequential(*layers)


_LOSSES = {
    "softmax": nn.functional.cross_entropy,
    "sigmoid": nn.functional.binary_cross_entropy_with_logits,
    "linear": nn.functional.mse_loss,
}


class Run:
    late_epsilon = True

    def __init__(self, w: Training, x: Array, y: Array, threads: int) -> None:
        self.w, self.loss = w, _LOSSES[w.output]
        self.x = torch.from_numpy(x)
        self.y = torch.from_numpy(y).long() if w.output == "softmax" else torch.from_numpy(y)
        self.model, self.adam = self._fresh(w)
        few = min(len(x), 8 * w.batch)
        self.note = fastest(torch.set_num_threads, threads, lambda: self.epochs(1, few))

    def _fresh(self, w: Training) -> tuple[nn.Sequential, torch.optim.Optimizer]:
        model = build(w, logits=True).train()
        return model, torch.optim.Adam(
            model.parameters(), LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True
        )

    def _pass(self, model: nn.Sequential, adam: torch.optim.Optimizer, order: Any) -> None:
        for rows in order.split(self.w.batch):
            adam.zero_grad(set_to_none=True)
            self.loss(model(self.x[rows]), self.y[rows]).backward()
            adam.step()

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            self._pass(self.model, self.adam, torch.randperm(rows))
        return k * rows

    def check(self, steps: int) -> Array:
        model, adam = self._fresh(self.w.without_dropout())
        self._pass(model, adam, torch.arange(steps * self.w.batch))
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
