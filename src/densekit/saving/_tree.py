"""Nested dicts of what belongs to paths, and which path is of which variable."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from densekit._core.errors import message
from densekit._core.types import Config
from densekit._core.variable import Variable

if TYPE_CHECKING:
    from densekit.saving._model import SavedModel

_NUMBER = re.compile(r"_(\d+)(?=/|$)")  # that names have which were not given


def nested(pairs: Iterable[tuple[str, object]], where: str) -> Config:
    """Values by path, with a dict for each folder.

    Raises:
        ValueError: if two have one path.
    """
    tree: Config = {}
    for path, value in pairs:
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        if name in place:
            raise ValueError(
                message(
                    where,
                    "a path for each variable",
                    f"two of {path!r}",
                    "Give layers names of their own.",
                )
            )
        place[name] = value
    return tree


def flat(tree: Config, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values with their paths."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{name}/")
        else:
            yield f"{path}{name}", value


def matches(model: SavedModel, paths: Sequence[str]) -> dict[Variable, str]:
    """For variables of a model the path among ``kind/path`` that is of them.

    Names that were numbered count by their order, as numbers go on from model to model.
    """
    weights = [
        v for kind in ("trainable", "non_trainable") for v in model._dk_state(f"{kind}_variables")
    ]
    there = {
        path.partition("/")[2]: path for path in paths if "trainable" in path.partition("/")[0]
    }
    found = _of_weights([v.path for v in weights], list(there), model.name)
    all_found = {v: there[found[v.path]] for v in weights if v.path in found}
    for kind in ("optimizer_variables", "metrics_variables"):
        here = {path.partition("/")[2]: path for path in paths if path.startswith(f"{kind}/")}
        owners = {path.partition("/")[0] for path in here}
        for variable in model._dk_state(kind):
            path = variable.path
            if kind == "optimizer_variables":
                owner, _, slot = path.partition("/")
                if variable.reference is not None and variable.reference.path in found:
                    before = variable.reference.path.replace("/", "_")
                    after = found[variable.reference.path].replace("/", "_")
                    slot = after + slot.removeprefix(before)
                path = f"{owner if len(owners) > 1 else next(iter(owners), owner)}/{slot}"
            if path in here:
                all_found[variable] = here[path]
    return all_found


def _of_weights(wanted: list[str], there: list[str], name: str) -> dict[str, str]:
    """For each path one that is there: the same for all, or what they are called but for numbers.

    The name of a `Sequential` goes from paths when it is loaded from a file.
    """
    if set(wanted) <= set(there):
        return {path: path for path in wanted}
    ranked = dict(zip(_ranked(there, name), there, strict=True))
    mine = dict(zip(wanted, _ranked(wanted, name), strict=True))
    if ranked.keys() >= set(mine.values()):
        return {path: ranked[rank] for path, rank in mine.items()}
    return {path: path for path in wanted if path in there}


def _ranked(paths: list[str], name: str) -> list[tuple[str, int]]:
    """For each path what it is without numbers, and the how-manieth of these."""
    counts: dict[str, int] = {}
    ranks: dict[str, tuple[str, int]] = {}
    own = _NUMBER.sub("", name) + "/"
    for path in sorted(paths, key=lambda path: _NUMBER.sub(lambda n: f"_{int(n[1]):09d}", path)):
        plain = _NUMBER.sub("", path).removeprefix(own)
        ranks[path] = plain, counts.get(plain, 0)
        counts[plain] = counts.get(plain, 0) + 1
    return [ranks[path] for path in paths]
