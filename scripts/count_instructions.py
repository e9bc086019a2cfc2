"""Counts the instructions of a training step and of a prediction: `make count-instructions`.

Compared with benchmarks/instruction_counts.json, more than 5 % apart fails; `--update` writes it.
Counts do not depend on how busy a machine is, so they show a regression where a stopwatch shows
noise. They do depend on the compiler: with another one than the committed numbers name, they are
printed and nothing is compared. The objects are those of the installed package, the instruction
set is x86-64-v3, which every counting tool understands.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "benchmarks" / "instruction_counts.json"
ISA = "x86-64-v3"
TOLERANCE = 0.05
STEPS = 10  # a round of count_plan
# Rounds. A counting tool's processor has 256 KiB of L2: the last call reads prepacked weights.
WORKLOADS = {
    "train-20-32-16-1": 10,
    "train-784-128-64-10": 1,
    "call-128-128-64-10": 20,
    "call-784-128-64-10": 20,
}


def build_folder() -> Path:
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    caches = sorted((ROOT / "build").glob(f"{tag}-*/CMakeCache.txt"), key=os.path.getmtime)
    if not caches:
        sys.exit("The package is not built here: run make count-instructions.")
    return caches[-1].parent


def build(folder: Path) -> Path:
    """Builds count_plan in the package's build folder, from the package's objects."""
    cmake = Path(sys.executable).parent / "cmake"
    command = [str(cmake), "--build", str(folder), "--target", "count_plan"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(f"count_plan does not build:\n{made.stdout}{made.stderr}")
    return folder / "native" / "count_plan"


def compiler(folder: Path) -> str:
    """The compiler as CMake names it: "GNU 12.2.0"."""
    notes = sorted(folder.glob("CMakeFiles/*/CMakeCXXCompiler.cmake"))[-1].read_text()
    found = dict(re.findall(r'^set\(CMAKE_CXX_COMPILER_(ID|VERSION) "(.*)"\)', notes, re.MULTILINE))
    return f"{found['ID']} {found['VERSION']}"


def instructions(program: Path, workload: str, rounds: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
        command += [f"--cachegrind-out-file={folder}/out", str(program), workload, str(rounds)]
        environment = {**os.environ, "DENSEKIT_ISA": ISA, "DENSEKIT_THREADS": "1"}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"I\s+refs:\s+([\d,]+)", run.stderr)
    if run.returncode or not found:
        sys.exit(f"Counting {workload} failed:\n{run.stdout}{run.stderr}")
    return int(found[1].replace(",", ""))


def count(program: Path) -> dict[str, int]:
    """Instructions a step: what more rounds add, so that setting up does not count."""
    return {
        name: round(
            (instructions(program, name, 1 + n) - instructions(program, name, 1)) / (n * STEPS)
        )
        for name, n in WORKLOADS.items()
    }


def main() -> int:
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"not counted: the committed numbers are for x86-64, this is {platform.machine()}")
        return 0
    folder = build_folder()
    version = compiler(folder)
    counts = count(build(folder))
    if "--update" in sys.argv:
        content = {"compiler": version, "isa": ISA, "instructions": counts}
        COMMITTED.write_text(json.dumps(content, indent=2) + "\n")
        print(f"wrote {COMMITTED.relative_to(ROOT)}: {counts}")
        return 0
    committed = json.loads(COMMITTED.read_text())
    same = committed["compiler"] == version
    worse = []
    for name, now in counts.items():
        before = committed["instructions"][name]
        change = now / before - 1
        print(f"{name:22} {now:>10,} instructions a step, committed {before:>10,} ({change:+.1%})")
        if abs(change) > TOLERANCE:
            worse.append(name)
    if not same:
        print(f"not compared: compiled by {version}, committed for {committed['compiler']}")
    elif worse:
        print(
            f"{', '.join(worse)}: more than {TOLERANCE:.0%} from the committed number. If that is"
            " meant, run `make count-instructions UPDATE=1` and commit"
            " benchmarks/instruction_counts.json."
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
