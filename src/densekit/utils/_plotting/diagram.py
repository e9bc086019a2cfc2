"""A model as a diagram: boxes with text, groups for nested models, arrows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from densekit._core import tree
from densekit.models import Sequential
from densekit.models._given_graph import given_graph
from densekit.ops import Operation

End = tuple[Operation, int]  # a layer, and which of its outputs or inputs

_HEADER, _PLAIN, _GOOD, _BAD = "#1f2933", "#ffffff", "#22863a", "#b22222"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text on a ground, as pieces that are bold or not."""

    pieces: tuple[tuple[str, bool], ...]
    ground: str = _PLAIN
    ink: str = "#000000"
    size: float = 14.0

    @property
    def text(self) -> str:
        """The text without its looks."""
        return "".join(piece for piece, _ in self.pieces)


@dataclass(slots=True)
class Box:
    """A layer: rows of cells."""

    name: str
    rows: list[list[Cell]]


@dataclass(slots=True)
class Group:
    """A model: what is in it, in order, and arrows between any boxes of it by their names."""

    name: str
    title: str
    items: list[Box | Group] = field(default_factory=list)
    arrows: list[tuple[str, str]] = field(default_factory=list)

    def boxes(self) -> Iterator[Box]:
        """All boxes, those of inner groups included."""
        for item in self.items:
            yield from item.boxes() if isinstance(item, Group) else [item]

    def connect(self, source: str, target: str) -> None:
        """An arrow, once."""
        if (source, target) not in self.arrows:
            self.arrows.append((source, target))


@dataclass(frozen=True, slots=True)
class Shown:
    """What the boxes say of a layer."""

    shapes: bool = False
    dtype: bool = False
    names: bool = True
    activations: bool = False
    trainable: bool = False


def diagram_of(model: Operation, shown: Shown, expand: bool, path: str = "") -> Group:
    """The diagram of a built model; one that is no graph of layers is one box."""
    group = Group(f"{path}{model.name}", model.name)
    inner = f"{group.name}/"
    if isinstance(model, Sequential):
        layers: list[Operation] = [*model.layers]
    elif (given := given_graph(model)) is not None:
        layers = given.operations
    else:
        group.items.append(Box(inner + model.name, _rows(model, shown)))
        return group
    for layer in layers:
        if expand and _is_graph(layer):
            group.items.append(diagram_of(layer, shown, True, inner))
        else:
            group.items.append(Box(inner + layer.name, _rows(layer, shown)))
    for (source, output), (target, taken) in _connections(model, layers):
        ends = _end(source, output, inner, expand, True), _end(target, taken, inner, expand, False)
        group.connect(*ends)
    return group


def _is_graph(layer: object) -> bool:
    return isinstance(layer, Sequential) or given_graph(layer) is not None


def _connections(model: Operation, layers: list[Operation]) -> Iterator[tuple[End, End]]:
    """Pairs of ``(layer, which output)`` and ``(layer, which input)``."""
    if isinstance(model, Sequential):
        for source, target in pairwise(layers):
            yield (source, 0), (target, 0)
        return
    given = given_graph(model)
    for node in [] if given is None else given.nodes:
        for i, tensor in enumerate(node.input_tensors):
            if tensor._keras_history is not None:
                source, _, position = tensor._keras_history
                yield (source, position), (node.operation, i)


def _end(layer: Operation, position: int, path: str, expand: bool, outgoing: bool) -> str:
    """The box where an arrow ends: inside of a nested model, if that is shown."""
    while expand and _is_graph(layer):
        path = f"{path}{layer.name}/"
        if isinstance(layer, Sequential):
            layer = layer.layers[-1 if outgoing else 0]
        elif (given := given_graph(layer)) is not None:
            tensor = (given.outputs if outgoing else given.inputs)[position]
            assert tensor._keras_history is not None  # a node made it
            layer, _, position = tensor._keras_history
    return f"{path}{layer.name}"


def _rows(layer: Operation, shown: Shown) -> list[list[Cell]]:
    kind = type(layer).__name__
    title = ((layer.name, True), (f" ({kind})", False)) if shown.names else ((kind, True),)
    rows = [[Cell(title, _HEADER, "#ffffff", 16.0)]]
    activation = getattr(layer, "activation", None)
    if shown.activations and activation is not None:
        rows.append([_labelled("Activation", _name(activation))])
    cells = []
    if shown.shapes:
        if kind != "InputLayer":
            cells.append(_labelled("Input shape", _described(layer, "input", "shape")))
        cells.append(_labelled("Output shape", _described(layer, "output", "shape")))
    if shown.dtype:
        cells.append(_labelled("Output dtype", _described(layer, "output", "dtype")))
    if shown.trainable and getattr(layer, "weights", None):
        trained = getattr(layer, "trainable", False)
        text, ground = ("Trainable", _GOOD) if trained else ("Non-trainable", _BAD)
        cells.append(Cell(((text, True),), ground, "#ffffff"))
    return [*rows, cells] if cells else rows


def _labelled(label: str, value: str) -> Cell:
    return Cell(((f"{label}: ", False), (value, True)))


def _name(activation: object) -> str:
    name = getattr(activation, "name", None) or getattr(activation, "__name__", None)
    return str(name or activation)


def _described(layer: object, side: str, what: str) -> str:
    """Shapes or dtypes of a layer's tensors, as they are nested; ``?`` before it is called."""
    try:
        tensors = getattr(layer, side)
    except (AttributeError, ValueError):
        return "?"
    found = tree.map_structure(lambda tensor: getattr(tensor, what), tensors)
    if isinstance(found, dict):
        return ", ".join(f"{key}: {value}" for key, value in found.items())
    if isinstance(found, list):
        return ", ".join(map(str, found))
    return str(found)
