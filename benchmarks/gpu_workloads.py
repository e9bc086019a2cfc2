"""What `gpu.py` measures: networks for a GPU, and the same in tiny sizes to see that all runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import workloads
from workloads import Training

MEMBERS = 1000


@dataclass(frozen=True)
class Work:
    """A network, in which numbers, and how many of it at once.

    Attributes:
        network: widths, batch and rows.
        policy: ``"float32"`` or ``"mixed_bfloat16"``.
        members: networks that are trained side by side.
        infers: whether predictions are timed, too: of a batch that lies on the device.
    """

    network: Training
    policy: str = "float32"
    members: int = 1
    infers: bool = False

    @property
    def name(self) -> str:
        return self.network.name

    @property
    def flops_per_step(self) -> int:
        return self.network.flops_per_step * self.members


def _narrow(name: str, hidden: int, batch: int) -> Work:
    widths = (64,) * (1 + hidden) + (16,)
    network = Training(name, widths, output="linear", rows=8 * batch, batch=batch, check_steps=2)
    return Work(network, infers=True)


def _broad() -> Work:
    widths = (4096,) * 5 + (10,)
    return Work(Training("broad", widths, rows=4 * 8192, batch=8192), policy="mixed_bfloat16")


def _many(members: int) -> Work:
    network = Training("many", (20, 32, 16, 1), output="linear", rows=2048, batch=32)
    return Work(network, members=members)


FULL = [
    _narrow("narrow-14", 4, 1 << 14),
    _narrow("narrow-17", 4, 1 << 17),
    _narrow("narrow-11-layers", 11, 1 << 17),
    _broad(),
    _many(MEMBERS),
    *(Work(w) for w in workloads.TRAINING),
]


def _tiny(work: Work) -> Work:
    w = work.network
    widths = tuple(min(n, 8) for n in w.widths[:4]) + w.widths[-1:]
    network = replace(w, widths=widths, batch=8, rows=36, check_steps=2, memory=False)
    return replace(work, network=network, members=min(work.members, 3))


TINY = [_tiny(work) for work in FULL]


def find(name: str, tiny: bool) -> Work:
    return next(work for work in (TINY if tiny else FULL) if work.name == name)
