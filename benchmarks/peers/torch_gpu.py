"""PyTorch on a GPU, data and order there: eager, compiled, or steps replayed as a CUDA graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from workloads import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, Network, Training

from peers.torch import _LOSSES, build

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_HOW = os.environ.get("DENSEKIT_BENCHMARK_TORCH", "eager")
_BFLOAT16 = os.environ.get("DENSEKIT_BENCHMARK_POLICY") == "mixed_bfloat16"
_WARM_UP = 3  # steps on a stream beside, before one is captured

if _HOW == "graphs" and _DEVICE == "cpu":
    raise RuntimeError("CUDA graphs need a GPU")


def version() -> str:
    return torch.__version__


def device() -> str:
    return torch.cuda.get_device_name() if _DEVICE == "cuda" else "cpu"


def _numbers() -> AbstractContextManager[Any]:
    return torch.autocast(_DEVICE, torch.bfloat16) if _BFLOAT16 else nullcontext()


class Stack(nn.Module):
    """Several networks at once: one product for all of them."""

    def __init__(self, w: Network, members: int) -> None:
        super().__init__()
        self.hidden = {"relu": nn.functional.relu, "gelu": nn.functional.gelu}[w.activation]
        pairs = [(torch.from_numpy(k), torch.from_numpy(b)) for k, b in w.weights()]
        self.kernels = nn.ParameterList(k.expand(members, *k.shape).clone() for k, _ in pairs)
        self.biases = nn.ParameterList(b.expand(members, 1, *b.shape).clone() for _, b in pairs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = len(self.kernels) - 1
        x = x.expand(len(self.kernels[0]), *x.shape)
        for n, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, kernel)
            x = self.hidden(x) if n < last else x
        return x


class Run:
    late_epsilon = True
    note = _HOW if _DEVICE == "cuda" else f"{_HOW}, cpu"

    def __init__(self, w: Training, x: Array, y: Array, members: int = 1) -> None:
        self.w, self.members = w, members
        self.x, self.y = torch.from_numpy(x).to(_DEVICE), torch.from_numpy(y).to(_DEVICE)
        if w.output == "softmax":
            self.y = self.y.long()
        self.step = self._fresh(w)[1]

    def _fresh(self, w: Training) -> tuple[nn.Module, Callable[[torch.Tensor], None]]:
        several = self.members > 1
        model = Stack(w, self.members) if several else build(w, logits=True)
        model = model.to(_DEVICE).train()
        adam = torch.optim.Adam(
            model.parameters(), LEARNING_RATE, (BETA_1, BETA_2), EPSILON,
            fused=True, capturable=_HOW == "graphs",
        )  # fmt: skip
        loss = _LOSSES[w.output]

        def loss_of(rows: torch.Tensor) -> torch.Tensor:
            with _numbers():
                x, y = self.x[rows], self.y[rows]
                if several:  # the sum of the members' means: each learns as if alone
                    return ((model(x) - y) ** 2).mean(dim=(1, 2)).sum()
                return loss(model(x), y)

        value = torch.compile(loss_of) if _HOW == "compile" else loss_of

        def step(rows: torch.Tensor) -> None:
            adam.zero_grad(set_to_none=True)
            value(rows).backward()
            adam.step()

        return model, (_captured(step, model, adam, w.batch) if _HOW == "graphs" else step)

    def epochs(self, k: int, rows: int) -> int:
        for _ in range(k):
            for picked in torch.randperm(rows, device=_DEVICE).split(self.w.batch):
                self.step(picked)
        if _DEVICE == "cuda":
            torch.cuda.synchronize()
        return k * rows

    def check(self, steps: int) -> Array:
        model, step = self._fresh(self.w.without_dropout())
        for rows in torch.arange(steps * self.w.batch, device=_DEVICE).split(self.w.batch):
            step(rows)
        with torch.inference_mode():
            z = model(self.x[:64])
        z = z[0] if self.members > 1 else z
        if self.w.output == "softmax":
            z = z.softmax(-1)
        elif self.w.output == "sigmoid":
            z = z.sigmoid()
        found: Array = z.float().cpu().numpy()
        return found


def _captured(
    step: Callable[[torch.Tensor], None],
    model: nn.Module,
    adam: torch.optim.Optimizer,
    batch: int,
) -> Callable[[torch.Tensor], None]:
    """A step as one graph; what the steps before the capture changed is put back."""
    picked = torch.arange(batch, device=_DEVICE)
    with torch.no_grad():
        before = [p.clone() for p in model.parameters()]
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM_UP):
            step(picked)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(picked)
    with torch.no_grad():
        for p, value in zip(model.parameters(), before, strict=True):
            p.copy_(value)
        for slots in adam.state.values():
            for slot in slots.values():
                slot.zero_()

    def replayed(rows: torch.Tensor) -> None:
        picked.copy_(rows)
        graph.replay()

    return replayed


def training(w: Training, x: Array, y: Array, threads: int) -> Run:
    return Run(w, x, y)


def many(w: Training, x: Array, y: Array, members: int) -> Run:
    return Run(w, x, y, members)


def on_device(w: Network, x: Array) -> Callable[[bool], None]:
    """Predicts a batch on the device; waits for it if told to."""
    model = build(w, logits=False).to(_DEVICE).eval()
    rows = torch.from_numpy(np.ascontiguousarray(x)).to(_DEVICE)
    call = torch.compile(model) if _HOW == "compile" else model

    def run(wait: bool) -> None:
        with torch.inference_mode(), _numbers():
            call(rows)
        if wait and _DEVICE == "cuda":
            torch.cuda.synchronize()

    return run
