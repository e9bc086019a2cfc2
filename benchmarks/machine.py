"""What a table must say of the machine: a card, and its limits measured in the same run."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_DEFAULT_SIZES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _first(path: str, key: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)


def cache_sizes() -> dict[str, int]:
    """Bytes of a core's L1 and L2 and of the L3, usual ones where the system does not say."""
    sizes = dict(_DEFAULT_SIZES)
    for folder in _CACHES.glob("index*"):
        try:
            kind, level, size = (
                (folder / f).read_text().strip() for f in ("type", "level", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and f"L{level}" in sizes and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) << 10
    return sizes


def card() -> dict[str, Any]:
    """Processor, caches, system and load."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    name = _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    family, model = _first("/proc/cpuinfo", "cpu family"), _first("/proc/cpuinfo", "model\t")
    return {
        "cpu": name,
        "family": f"{family}/{model}" if family else platform.machine(),
        "cores": cores(),
        "caches": cache_sizes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": load,
    }


def limits(threads: int, held: Iterable[int] = ()) -> dict[str, Any] | None:
    """FLOP/s of multiply-adds and bytes/s read from each level, by `threads` at once.

    Multiply-adds of each type by each unit of the processor: the widest vectors, narrower ones,
    tiles where there are any. `flops` is the most of float32. The loops are compiled with the
    system's compiler; None where there is no compiler. Of the sizes in `held`, those little larger
    than the L3 are read as well: a part of them stays there.
    """
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        return None
    caches = cache_sizes()
    sizes = {
        "L1": caches["L1"] // 2,
        "L2": caches["L2"] // 2,
        "L3": caches["L3"] // 2 // threads,
        "memory": max(128 << 20, 4 * caches["L3"]),
    }
    partly = [size for size in held if caches["L3"] < size < sizes["memory"]]
    source = Path(__file__).with_name("peak.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "peak")
        build = [compiler, "-O3", "-std=c++17", "-ffp-contract=fast", "-pthread", str(source)]
        for native in (["-march=native"], ["-mcpu=native"], []):
            if (
                subprocess.run([*build, *native, "-o", program], capture_output=True).returncode
                == 0
            ):
                break
        else:
            return None
        read = [*sizes.values(), *(size // threads for size in partly)]
        command = [program, str(threads), *map(str, read)]
        seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {
        "threads": threads,
        "flops": fastest(seen, "float32"),
        "units": seen["units"],
        "bytes": dict(zip(sizes, seen["read"], strict=False)),
        "partly": dict(zip(partly, seen["read"][len(sizes) :], strict=True)),
    }


def fastest(measured: dict[str, Any], *types: str) -> float:
    """FLOP/s of the fastest unit for any of these types."""
    return max(unit["flops"] for unit in measured["units"] if unit["type"] in types)


def level(size: float, threads: int) -> str:
    """The nearest memory that holds `size` bytes: L1 and L2 belong to a core each."""
    caches = cache_sizes()
    for name, copies in (("L1", threads), ("L2", threads), ("L3", 1)):
        if size <= caches[name] * copies:
            return name
    return "memory"


def least_time(
    flops: float, traffic: dict[str, tuple[float, float]], measured: dict[str, Any]
) -> dict[str, Any]:
    """The roofline: the longest of the arithmetic and each traffic, each alone at full speed.

    Args:
        flops: of the products, a multiply-add counts two.
        traffic: name -> (bytes moved, bytes of what they are moved from).
        measured: what `limits` returned.
    """
    terms = {"arithmetic": flops / measured["flops"]}
    for name, (moved, held) in traffic.items():
        where, rate = "L3 and memory", measured["partly"].get(held)
        if rate is None:
            where = level(held, measured["threads"])
            rate = measured["bytes"][where]
        terms[f"{name} from {where}"] = moved / rate
    term = max(terms, key=lambda t: terms[t])
    return {"seconds": terms[term], "term": term}
