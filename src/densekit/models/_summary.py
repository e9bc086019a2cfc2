"""`Model.summary`: a table of layers in plain text, laid out as Keras lays it out."""

from __future__ import annotations

import contextlib
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from densekit._core import tree
from densekit._core.console import showable
from densekit._core.errors import describe, message
from densekit._core.native_form import native_form
from densekit._core.variable import Variable
from densekit.layers import InputLayer, Layer, has_lowering
from densekit.layers._base.shapes import is_shape
from densekit.models._explain import plan_parts
from densekit.models._followed import FollowedLayer
from densekit.models._given_graph import GivenGraph, given_graph
from densekit.ops import Operation

if TYPE_CHECKING:
    from densekit.models._inspection import Inspection

_Row = list[str]
_WIDE = 120  # of all tables the widest


def print_summary(
    model: Inspection,
    line_length: int | None,
    positions: Sequence[float] | None,
    print_fn: Callable[[str], object] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Sequence[str] | None,
) -> None:
    """Print what `Model.summary` promises."""
    given = given_graph(model)
    operations = model.layers if given is None else given.operations or model.layers
    nodes = None if given is None else given.nodes
    branched = given is not None and _branched(given)
    header = ["Layer (type)", "Output Shape", "Param #"]
    align = ["<", "<", ">"]
    width, ends = 88, list(positions or (0.45, 0.80, 1.0))
    if branched:
        width, ends = 108, list(positions or (0.3, 0.56, 0.74, 1.0))
        header.append("Connected to")
        align.append("<")
    if show_trainable:
        width, ends = width + 12, [*(end * 0.90 for end in ends), 1.0]
        header.append("Trainable")
        align.append("^")
    if line_length is None:
        columns = _widths_for(min(width, shutil.get_terminal_size().columns - 4), ends)
    else:
        columns = _column_widths(line_length, ends)
    inside = {id(node) for node in nodes} if branched and nodes is not None else None
    rows: list[_Row] = []
    known = {name: bool(reason) for name, _, reason in plan_parts(model) or ()}
    for operation in _range(operations, layer_range):
        rows += _rows(operation, 0, inside, expand_nested, show_trainable, known)
    text = "\n".join(
        [f'Model: "{model.name}"', *_table(header, rows, columns, align), *_totals(model)]
    )
    if print_fn is None:
        print(showable(text))
    elif print_fn is print:
        print(showable(f"{text}\n"))
    else:
        print_fn(text + "\n")


def _branched(given: GivenGraph) -> bool:
    """Whether the graph is more than one chain of layers, each used once."""
    nodes = given.nodes
    operations = [id(node.operation) for node in nodes]
    parents = [id(parent) for node in nodes for parent in node.parent_nodes]
    return (
        len(given.inputs) != 1
        or any(len(node.input_tensors) > 1 for node in nodes)
        or len(set(parents)) < len(parents)
        or len(set(operations)) < len(operations)
    )


def _widths_for(width: int, ends: Sequence[float]) -> list[int]:
    """Columns for a terminal, which breaks the lines of a table that it is too narrow for."""
    for wider in range(max(width, 1), _WIDE):
        with contextlib.suppress(ValueError):
            return _column_widths(wider, ends)
    return _column_widths(_WIDE, ends)


def _column_widths(width: int, ends: Sequence[float]) -> list[int]:
    """Characters of each column, so that the frame of the table is `width` wide."""
    columns = []
    start = 0
    for end in ends:
        columns.append(int(end * width) - start)
        start = int(end * width)
    if min(columns) < 4:
        raise ValueError(
            message("summary", "columns of at least 4 characters", f"{columns}", "Widen the table.")
        )
    excess = sum(columns) + 3 * len(columns) + 1 - width
    for i, left in enumerate(range(len(columns), 0, -1)):  # taken from all columns alike
        share = round(excess / left)
        columns[i] -= share
        excess -= share
    if min(columns) < 1:
        raise ValueError(
            message("summary", "room for every column", f"line_length={width}", "Widen the table.")
        )
    return columns


def _table(header: _Row, rows: list[_Row], widths: list[int], align: list[str]) -> list[str]:
    def rule(left: str, middle: str, right: str, line: str) -> str:
        return left + middle.join(line * (width + 2) for width in widths) + right

    def cells(row: _Row, bar: str) -> list[str]:
        wrapped = [
            textwrap.wrap(_cut(cell, width, bar), width, break_on_hyphens=False) or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        lines = []
        for i in range(max(map(len, wrapped))):
            parts = [
                f"{cell[i] if i < len(cell) else '':{side}{width}}"
                for cell, width, side in zip(wrapped, widths, align, strict=True)
            ]
            lines.append(f"{bar} " + f" {bar} ".join(parts) + f" {bar}")
        return lines

    lines = [rule("┏", "┳", "┓", "━"), *cells(header, "┃"), rule("┡", "╇", "┩", "━")]
    for i, row in enumerate(rows):
        lines += [rule("├", "┼", "┤", "─")] if i else []
        lines += cells(row, "│")
    return [*lines, rule("└", "┴", "┘", "─")]


def _cut(text: str, width: int, bar: str) -> str:
    """A header word too long for its column, shortened; names of layers are shown in full."""
    return text if bar == "│" or " " in text or len(text) <= width else text[: width - 1] + "…"


def _rows(
    operation: Operation,
    level: int,
    inside: set[int] | None,
    expand: bool,
    show_trainable: bool,
    known: dict[str, bool],
) -> list[_Row]:
    prefix = "   " * level + "└ " if level else ""
    mark = " [python]" if _in_python(operation, known) else ""
    row = [f"{prefix}{operation.name} ({type(operation).__name__}){mark}", _shape(operation)]
    if not isinstance(operation, Layer):
        row.append("0")
    elif not operation.built:
        row.append("0 (unbuilt)")
    else:
        row.append(f"{operation.count_params():,}")
    if inside is not None:
        row.append(_connections(operation, inside))
    if show_trainable:
        trained = "-"
        if isinstance(operation, Layer) and operation.weights:
            trained = "Y" if operation.trainable else "N"
        row.append(trained)
    rows = [row]
    for layer in getattr(operation, "layers", ()) if expand else ():
        rows += _rows(layer, level + 1, inside, expand, show_trainable, known)
    return rows


def _in_python(operation: Operation, known: dict[str, bool]) -> bool:
    """Whether Python runs it, for want of a native form; `known` is what the plan says."""
    if operation.name in known:
        return known[operation.name]
    if isinstance(operation, InputLayer):
        return False
    if isinstance(operation, FollowedLayer):
        return operation.built and operation._dk_graph() is None
    if not (isinstance(operation, Layer) and has_lowering(operation)):
        return True
    activation = getattr(operation, "activation", None)  # a user's function runs on the host
    return activation is not None and native_form(activation) is None


def _shape(operation: Operation) -> str:
    if operation._inbound_nodes:
        outputs = operation._inbound_nodes[-1].output_structure
        shapes = tree.map_structure(lambda tensor: _text(tensor.shape), outputs)
    else:
        built_on = operation._dk_build_shapes if isinstance(operation, Layer) else None
        if not isinstance(operation, Layer) or not built_on:
            return "?"
        try:
            shape = operation.compute_output_shape(*built_on.values())
        except Exception:  # no shape is a fair answer in a table
            return "?"
        shapes = _text(shape) if is_shape(shape) else str(shape)
    flat = tree.flatten(shapes)
    return flat[0] if len(flat) == 1 else str(shapes).replace("'", "")


def _text(shape: Iterable[int | None]) -> str:
    return f"({', '.join(map(str, shape))})"


def _connections(operation: Operation, inside: set[int]) -> str:
    tensors = [t for n in operation._inbound_nodes if id(n) in inside for t in n.input_tensors]
    sources = [t._keras_history for t in tensors if t._keras_history is not None]
    return ", ".join(f"{source.name}[{node}][{i}]" for source, node, i in sources) or "-"


def _totals(model: Inspection) -> list[str]:
    parts = {
        "Trainable params": model.trainable_weights,
        "Non-trainable params": model.non_trainable_weights,
    }
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and getattr(optimizer, "built", False):
        parts["Optimizer params"] = list(optimizer.variables)
    everything = [variable for variables in parts.values() for variable in variables]
    return [
        f" {name}: {_count(variables):,} ({_memory(variables)})"
        for name, variables in {"Total params": everything, **parts}.items()
    ]


def _count(variables: Sequence[Variable]) -> int:
    return sum(variable.size for variable in variables)


def _memory(variables: Sequence[Variable]) -> str:
    size = float(sum(variable.value.nbytes for variable in variables))
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"


def _range(operations: Sequence[Operation], bounds: Sequence[str] | None) -> list[Operation]:
    """The operations from the first that matches one pattern to the last that matches the other."""
    if bounds is None:
        return list(operations)
    if len(bounds) != 2 or not all(isinstance(bound, str) for bound in bounds):
        raise ValueError(
            message("summary", "`layer_range` of two names", describe(bounds), "Pass two strings.")
        )
    found = [[i for i, op in enumerate(operations) if re.match(b, op.name)] for b in bounds]
    if not all(found):
        names = [operation.name for operation in operations]
        raise ValueError(
            message("summary", f"`layer_range` among {names}", f"{bounds}", "See `layers`.")
        )
    first, last = min(found[0]), max(found[1])
    if first > last:
        first, last = min(found[1]), max(found[0])
    return list(operations[first : last + 1])
