"""Runs the tests of the native engine with each instruction set forced; `make test-isa`."""

from __future__ import annotations

import os
import subprocess
import sys

from densekit import _native

ALL = [
    "x86-64-v4-amx",
    "x86-64-v4-bf16",
    "x86-64-v4-vnni",
    "x86-64-v4",
    "x86-64-v3",
    "x86-64-v2",
    "neon",
    "reference",
]
# What XLA computes does not depend on our instruction sets.
TESTS = ["tests/engines", "tests/contracts/test_native.py", "--ignore=tests/engines/jax"]
PYTEST = ["-m", "pytest", "-q", "--no-header", "-n", "auto", "--maxprocesses", "8"]


def main() -> int:
    chosen = _native.active_isa()
    available = _native.available_isas()
    failed = []
    for isa in ALL:
        if isa == chosen:
            print(f"{isa}: chosen by this machine, tested by `make test`", flush=True)
        elif isa not in available:
            print(f"{isa}: not on this machine", flush=True)
        else:
            print(f"{isa}:", flush=True)
            environment = {**os.environ, "DENSEKIT_ISA": isa}
            run = [sys.executable, *PYTEST, "--dist", "loadfile", *TESTS]
            if subprocess.run(run, env=environment, check=False).returncode:
                failed.append(isa)
    if failed:
        print(f"failed under DENSEKIT_ISA={' and '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
