"""Which objects of a model have state, and where in a weight file each one's state lies.

Keras names the place of an object by the way to it: attribute names, and inside a list, tuple or
dict the snake_case class name numbered in order. Attributes are visited in alphabetical order,
private ones last, and an object belongs to the first place it is met at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from densekit._core.frames import warn
from densekit._core.naming import to_snake_case
from densekit._core.scope import StatelessScope
from densekit._core.seeds import SeedGenerator
from densekit._core.types import Array, ArrayLike
from densekit._core.variable import Variable
from densekit.layers import Layer
from densekit.losses import Loss
from densekit.metrics import Metric
from densekit.ops import Operation
from densekit.optimizers import Optimizer
from densekit.saving._attributes import attribute_children
from densekit.saving._entries import Entry, NewEntry, Places
from densekit.saving._old_optimizers import Pair, old_state

_STATEFUL = (Operation, Optimizer, Metric, Loss, SeedGenerator)
_CONTAINERS = (list, tuple, dict)
Container = list[object] | tuple[object, ...] | dict[str, object]


@cache
def _own_names(family: type) -> frozenset[str]:
    """Names that every layer (or operation) has: machinery, not the user's."""
    return frozenset(dir(family(name="_")))  # a name of its own, so that none is used up


def _children(obj: object) -> Iterator[tuple[str, object]]:
    own = getattr(obj, "_dk_saved_children", None)  # models say it themselves
    if own is not None:
        return iter(own())
    if isinstance(obj, SeedGenerator):
        return iter(())
    family = Layer if isinstance(obj, Layer) else Operation if isinstance(obj, Operation) else None
    return attribute_children(obj, frozenset() if family is None else _own_names(family))


class _Walk:
    """Visits every stateful object; `visit(path, object)` says whether the object is done with.

    With `twice`, layers that have weights count twice among the names, as in Keras 2.12 and 2.13,
    which numbered a table that listed them a second time.
    """

    def __init__(self, visit: Callable[[str, object], bool], twice: bool = False) -> None:
        self._visit = visit
        self._twice = twice
        self._done: set[int] = set()

    def visit(self, path: str, obj: object) -> None:
        if id(obj) in self._done:
            return
        self._done.add(id(obj))  # before its children: objects may refer back to it
        done = self._visit(path, obj)
        for name, value in _children(obj):
            place = f"{path}/{name}" if path else name
            if isinstance(value, _STATEFUL):
                self.visit(place, value)
            elif isinstance(value, _CONTAINERS):
                self._container(place, value, set())
        if not done:
            self._done.discard(id(obj))

    def _container(self, path: str, container: Container, within: set[int]) -> None:
        if id(container) in within:
            return
        within.add(id(container))
        used: dict[str, int] = {}
        for value in container.values() if isinstance(container, dict) else container:
            if isinstance(value, _STATEFUL):
                name = to_snake_case(type(value).__name__)
                place = _numbered(name, used)
                if self._twice and isinstance(value, Layer) and value.weights:
                    _numbered(name, used)
                self.visit(f"{path}/{place}", value)
            elif isinstance(value, _CONTAINERS):
                self._container(f"{path}/{_numbered('container', used)}", value, within)


def _numbered(name: str, used: dict[str, int]) -> str:
    count = used.get(name, -1) + 1
    used[name] = count
    return f"{name}_{count}" if count else name


def visit_all(model: object) -> list[tuple[str, object]]:
    """Every stateful object that `model` holds, itself included, by the path of its state."""
    found: list[tuple[str, object]] = []

    def visit(path: str, obj: object) -> bool:
        found.append((path, obj))
        return True

    _Walk(visit).visit("", model)
    return found


def write_state(model: object, new_entry: NewEntry, skip: tuple[object, ...] = ()) -> None:
    """Write the variables of `model` and of everything it holds, but not what is to `skip`."""
    skipped = {id(obj) for obj in skip}

    def visit(path: str, obj: object) -> bool:
        if id(obj) in skipped:
            return True
        if isinstance(obj, SeedGenerator):
            # Beyond Keras, which drops it and ignores the entry: a resumed run draws the same bits.
            new_entry(path, None)["0"] = obj.state
        elif hasattr(obj, "save_own_variables"):
            obj.save_own_variables(new_entry(path, getattr(obj, "name", None)))
        return True

    _Walk(visit).visit("", model)


def _counted_twice(model: object, places: Places) -> dict[int, str]:
    """Paths of the layers, by identity, if the file numbers them as Keras 2.12 and 2.13 did."""
    if not places.old:
        return {}
    paths: dict[int, str] = {}

    def visit(path: str, obj: object) -> bool:
        if isinstance(obj, Layer):
            paths.setdefault(id(obj), path)
        return True

    _Walk(visit, twice=True).visit("", model)
    layers: list[Layer] = getattr(model, "layers", [])
    weighted = [paths[id(layer)] for layer in layers if layer.weights and id(layer) in paths]
    return paths if all(places.find(path) is not None for path in weighted) else {}


def seed_states(model: object) -> list[Variable]:
    """The state of every seed generator that `model` holds, in the order of the files."""
    return [obj.state for _, obj in visit_all(model) if isinstance(obj, SeedGenerator)]


class _Assignments(StatelessScope):
    """Collects assignments, so that a file is read to its end before anything changes."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Variable, Array]] = []

    def add_update(self, update: tuple[Variable, ArrayLike]) -> None:
        variable, value = update
        read = variable, np.asarray(value)  # now: the shape is that of the variable
        self.pairs.append(read)
        super().add_update(read)

    def apply(self) -> None:
        for variable, value in self.pairs:
            variable.assign(value)


def _load_own(obj: object, entry: Entry) -> None:
    if isinstance(obj, SeedGenerator):
        if "0" in entry:
            obj.state.assign(entry["0"])
    elif hasattr(obj, "load_own_variables"):
        pairs = _of_keras2(obj, entry) if isinstance(obj, Optimizer) else None
        if pairs is None:
            obj.load_own_variables(entry)
        for variable, value in pairs or ():
            variable.assign(value)


def _of_keras2(optimizer: Optimizer, entry: Entry) -> list[Pair] | None:
    """The state of an optimizer as Keras 2.12 to 2.15 ordered it, if the file has that."""
    count = len(entry.keys())
    if count == len(optimizer.variables) or not optimizer.built:
        return None
    if count > 4 * len(optimizer.variables) + 64:
        return None
    if not all(str(i) in entry for i in range(count)):
        return None
    return old_state(optimizer, None, [entry[str(i)] for i in range(count)])


def read_state(
    model: object, places: Places, skip_mismatch: bool = False, skip: tuple[object, ...] = ()
) -> None:
    """Read what `write_state` wrote. Unless `skip_mismatch`, all is assigned or nothing.

    Raises:
        ValueError: naming the objects whose variables do not fit the file.
    """
    failures: dict[int, tuple[object, Exception]] = {}
    skipped = {id(obj) for obj in skip}
    assignments = _Assignments()
    renumbered = _counted_twice(model, places)

    def visit(path: str, obj: object) -> bool:
        if id(obj) in skipped:
            return True
        own = _Assignments()
        with own:
            try:
                _load_own(obj, places.find(renumbered.get(id(obj), path)) or Entry())
            except Exception as error:
                failures.setdefault(id(obj), (obj, error))
                return False  # it may lie at another of its places
        assignments.pairs.extend(own.pairs)
        failures.pop(id(obj), None)
        return True

    _Walk(visit).visit("", model)
    if failures:
        obj, error = next(iter(failures.values()))
        names = [str(getattr(o, "name", o)) for o, _ in failures.values()]
        text = (
            f"A total of {len(failures)} objects could not be loaded: {names}. "
            f"The first, {type(obj).__name__} {names[0]!r}: {error}"
        )
        if not skip_mismatch:
            raise ValueError(text)
        warn(text)
    assignments.apply()
