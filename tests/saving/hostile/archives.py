"""Hostile zips, and files with bytes that were changed or cut off."""

from __future__ import annotations

import json
import random
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .parts import CONFIG, EITHER, REFUSED, WEIGHTS, Parts, pack


def zip_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    def made(name, write):
        path = folder / f"zip-{name}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            write(archive)
        return path.name, REFUSED, path

    config = json.dumps(parts.config)

    def both(archive):
        archive.writestr(CONFIG, config)
        archive.writestr(WEIGHTS, parts.weights)

    def twice(name):
        def write(archive):
            both(archive)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(name, b"{}")

        return write

    def squeezed(compression):
        def write(archive):
            archive.writestr(CONFIG, config)
            archive.writestr(WEIGHTS, bytes(200 << 20), compression)

        return write

    yield made("empty", lambda archive: None)
    yield made("no-weights", lambda archive: archive.writestr(CONFIG, config))
    yield made("no-config", lambda archive: archive.writestr(WEIGHTS, parts.weights))
    yield made("config-twice", twice(CONFIG))
    yield made("weights-twice", twice(WEIGHTS))
    yield made("bzip2", squeezed(zipfile.ZIP_BZIP2))
    yield made("lzma", squeezed(zipfile.ZIP_LZMA))
    yield made("deflate", squeezed(zipfile.ZIP_DEFLATED))
    lying = folder / "zip-lying.keras"
    pack(lying, config, bytes(1 << 16), zipfile.ZIP_DEFLATED)
    true, false = struct.pack("<I", 1 << 16), struct.pack("<I", 2 << 30)
    lying.write_bytes(lying.read_bytes().replace(true, false))
    yield lying.name, REFUSED, lying


def byte_cases(parts: Parts, folder: Path) -> Iterator[tuple[str, str, Path]]:
    rng = random.Random(1)
    genuine_bytes = {".keras": parts.keras, ".h5": parts.h5, ".weights.h5": parts.weights}
    for suffix, data in genuine_bytes.items():
        for number in range(60):
            spoilt = bytearray(data)
            for _ in range(rng.choice((1, 1, 4, 16))):
                # The first bytes describe the structure: half of the flips go there.
                end = len(data) if rng.random() < 0.5 else min(len(data), 4096)
                spoilt[rng.randrange(end)] ^= 1 << rng.randrange(8)
            path = folder / f"flip-{number}{suffix}"
            path.write_bytes(spoilt)
            yield path.name, EITHER, path
        for number, keep in enumerate((0, 1, 7, 100, 512, 2048, len(data) // 2, len(data) - 1)):
            path = folder / f"cut-{number}{suffix}"
            path.write_bytes(data[:keep])
            yield path.name, EITHER if keep == len(data) - 1 else REFUSED, path
