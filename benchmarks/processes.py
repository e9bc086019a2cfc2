"""Processes that measure: one a peer, started alike, held to the same cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers import PEERS

HERE = Path(__file__).parent
# A setting of the shell must not slow or speed a peer.
_TUNING = (
    "OPENBLAS_CORETYPE", "NVPL_BLAS_DEBUG_CPU_TYPE", "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS", "XLA_FLAGS", "DENSEKIT_ISA", "DENSEKIT_MACHINE", "DENSEKIT_FUSE",
    "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
    "PYTHONDONTWRITEBYTECODE",  # would compile densekit anew in every process of a source tree
)  # fmt: skip


class PeerError(RuntimeError):
    """A peer's process ended or never answered."""


class Worker:
    """A peer's process; `ask` waits for its answer."""

    def __init__(self, peer: str, workload: str, threads: int, python: str = "") -> None:
        self.peer = peer
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        program = [python or sys.executable, str(HERE / "worker.py")]
        command = [*program, peer, workload, str(threads)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment(peer, threads),
        )

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            last = self.log.read().strip().splitlines()[-1:] or ["no message"]
            raise PeerError(f"{self.peer}: {last[0]}")
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() tells why
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            assert stream is not None
            stream.close()


def environment(peer: str, threads: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in _TUNING}
    count = {k: str(threads) for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
             "MKL_NUM_THREADS", "DENSEKIT_THREADS")}  # fmt: skip
    return {**kept, **count, **PEERS[peer][1], "TF_CPP_MIN_LOG_LEVEL": "3"}


def pin(threads: int) -> None:
    """Holds this process and those it starts to `threads` cores, which every library counts.

    Not by a `preexec_fn`: a fork may hang on the threads of NumPy's BLAS.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
