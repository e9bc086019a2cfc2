"""Write docs/coverage.md: every public name of Keras, here or absent, with the reason.

`--check` writes nothing and fails if the page is not current: `make docs`. Both packages are asked;
reasons are those that errors give (`densekit/_core/absent.py`), and, for attributes of objects,
those below.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

import densekit
from densekit._core.absent import reason

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
NOT_PUBLIC = ("src", "legacy")
LATER = "it is not there yet"

# Attributes of objects that are absent, each pattern with its reason.
ATTRIBUTES = [
    (r"quantized_\w+|\w*_quantiz\w+|variable_serialization_spec", "Keras' own machinery"),
    (r"export", LATER),
    (r"rematerialized_call", "nothing is computed twice to save memory"),
    (r"jax_state_sync|compute_loss_and_updates", "part of Keras' JAX backend"),
    (
        r"(train|test|predict)_function|supports_jit|call_signature_parameters",
        "Keras' own machinery",
    ),
]


def rooms(module: types.ModuleType, path: str = "") -> Iterator[tuple[str, types.ModuleType]]:
    """The public modules of Keras with their paths, ``""`` first."""
    yield path, module
    for name, value in sorted(vars(module).items()):
        public = not name.startswith("_") and name not in NOT_PUBLIC
        if public and isinstance(value, types.ModuleType) and value.__name__.startswith("keras"):
            yield from rooms(value, f"{path}.{name}".strip("."))


def ours(path: str) -> types.ModuleType | None:
    """The room of that path here, None if there is none."""
    found: Any = densekit
    for part in filter(None, path.split(".")):
        found = getattr(found, part, None)
    return found if isinstance(found, types.ModuleType) else None


def why_absent(path: str) -> str:
    """The reason of a whole room: its own, or that of the room around it."""
    while path:
        around, _, name = path.rpartition(".")
        why = reason(f"densekit.{around}".strip("."), name)
        if why:
            return why
        path = around
    return ""


def names_of(thing: Any) -> list[str]:
    """Public names, sorted."""
    return sorted(n for n in dir(thing) if not n.startswith("_") and n not in NOT_PUBLIC)


def attribute_reason(name: str) -> str:
    """Why an attribute of Keras' objects is absent, or ``""``."""
    return next((why for pattern, why in ATTRIBUTES if re.fullmatch(pattern, name)), "")


def objects(library: Any) -> dict[str, Any]:
    """One object of each kind that has attributes of its own."""
    model = library.Sequential([library.Input((1,)), library.layers.Dense(1)])
    model.compile("sgd", "mse")
    return {
        "Layer": model.layers[0],
        "Sequential": model,
        "Model": library.Model(model.inputs, model.outputs),
        "Optimizer": model.optimizer,
        "Metric": library.metrics.Mean(),
        "Loss": library.losses.Huber(),
        "Variable": library.Variable(1.0),
    }


def paragraph(text: str, indent: str = "") -> list[str]:
    """Lines of a page."""
    return textwrap.wrap(
        text, 150, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def section(title: str, present: list[str], absent: dict[str, list[str]]) -> list[str]:
    """A room: what is there, what is not, and why."""
    total = len(present) + sum(map(len, absent.values()))
    lines = [f"## {title}: {len(present)} of {total}", ""]
    if present:
        lines += [*paragraph(", ".join(f"`{name}`" for name in present)), ""]
    for why, names in sorted(absent.items()):
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        lines += paragraph(f"- Absent, {why}: {listed}", "  ")
    return [*lines, ""] if absent else lines


def page() -> tuple[str, list[str]]:
    """The page, and the names that are absent without reason."""
    sections: list[str] = []
    unexplained: list[str] = []
    table = ["| | there | of |", "|---|---|---|"]
    whole: defaultdict[str, list[str]] = defaultdict(list)

    def add(title: str, theirs: list[str], present: list[str], why: Any) -> None:
        absent: defaultdict[str, list[str]] = defaultdict(list)
        for name in theirs:
            if name not in present:
                absent[why(name) or "?"].append(name)
        unexplained.extend(f"{title}: {name}" for name in absent.get("?", []))
        sections.extend(section(title, present, absent))
        table.append(f"| {title} | {len(present)} | {len(theirs)} |")

    for path, module in rooms(keras):
        here = ours(path)
        if here is None:
            whole[why_absent(path) or "?"].append(path)
            continue
        known = names_of(module)
        present = [name for name in known if hasattr(here, name)]
        title = f"`keras.{path}`" if path else "`keras`"
        add(title, known, present, lambda name, here=here: reason(here.__name__, name))
    mine, theirs = objects(densekit), objects(keras)
    for kind, thing in theirs.items():
        known = names_of(thing)
        present = [name for name in known if hasattr(mine[kind], name)]
        add(f"Attributes of `{kind}`", known, present, attribute_reason)
    unexplained += whole.get("?", [])

    head = [
        "# Coverage of Keras",
        "",
        *paragraph(
            f"Every public name of Keras {keras.__version__}, and every attribute of its objects: "
            "here, or absent with the reason. Written by `scripts/coverage_of_keras.py` from the "
            "two packages; `make docs` checks that it is current. How what is here differs is in "
            "[Differences from Keras](differences-from-keras.md)."
        ),
        "",
        *table,
        "",
        "## Rooms that are absent as a whole",
        "",
    ]
    for why, paths in sorted(whole.items()):
        listed = ", ".join(f"`keras.{path}`" for path in paths)
        head += paragraph(f"- {why[0].upper()}{why[1:]}: {listed}", "  ")
    return "\n".join([*head, "", *sections]).rstrip() + "\n", unexplained


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    check = parser.parse_args().check
    text, unexplained = page()
    if unexplained:
        print("absent without reason:", ", ".join(unexplained), file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(text)
    elif PAGE.exists() and f"Keras {keras.__version__}," not in PAGE.read_text():
        print("docs/coverage.md was written with another Keras: not compared", file=sys.stderr)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print("docs/coverage.md is not current: run scripts/coverage_of_keras.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
