"""`Dot`: a diagram as text in Graphviz' language, with the methods of pydot that scripts use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from densekit._core.errors import message
from densekit.utils._plotting.diagram import Box, Cell, Group
from densekit.utils._plotting.raster import as_image
from densekit.utils._plotting.svg import as_svg

_TEXT = ("dot", "gv", "raw")


@dataclass(frozen=True, slots=True)
class Node:
    """A box."""

    box: Box

    def get_name(self) -> str:
        """The name, as in the text."""
        return _quoted(self.box.name)

    def get_label(self) -> str:
        """The text of the box, as a table."""
        rows = ""
        columns = max(map(len, self.box.rows))
        for row in self.box.rows:
            span = f' colspan="{columns}"' if len(row) == 1 and columns > 1 else ""
            rows += "<tr>" + "".join(_cell(cell, span) for cell in row) + "</tr>"
        return f'<<table border="0" cellborder="1" cellspacing="0" cellpadding="10">{rows}</table>>'

    def get(self, name: str) -> str | None:
        """An attribute: the label; None for others."""
        return self.get_label() if name == "label" else None


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow."""

    source: str
    destination: str

    def get_source(self) -> str:
        """Name of the box where it begins."""
        return _quoted(self.source)

    def get_destination(self) -> str:
        """Name of the box where it ends."""
        return _quoted(self.destination)


class Dot:
    """A drawing of a model: `to_string`, `write(path)`, `create(format)`.

    Args:
        diagram: what is drawn.
        rankdir: "TB", "BT", "LR" or "RL".
        dpi: pixels of an inch.
        splines: shape of the arrows.
        is_cluster: whether it is a part of another drawing.
    """

    def __init__(
        self,
        diagram: Group,
        rankdir: str = "TB",
        dpi: float = 200,
        splines: str = "ortho",
        is_cluster: bool = False,
    ) -> None:
        self._diagram = diagram
        self._rankdir, self._dpi, self._splines = rankdir, dpi, splines
        self._is_cluster = is_cluster

    def get_name(self) -> str:
        """The model's name."""
        return _quoted(("cluster_" if self._is_cluster else "") + self._diagram.name)

    def get_node_list(self) -> list[Node]:
        """The boxes, without those of nested models."""
        return [Node(item) for item in self._diagram.items if isinstance(item, Box)]

    def get_edge_list(self) -> list[Edge]:
        """The arrows, without those of nested models."""
        return [Edge(*arrow) for arrow in self._diagram.arrows]

    def get_subgraph_list(self) -> list[Dot]:
        """The nested models that are shown."""
        groups = [item for item in self._diagram.items if isinstance(item, Group)]
        return [Dot(g, self._rankdir, self._dpi, self._splines, True) for g in groups]

    get_nodes, get_edges, get_subgraphs = get_node_list, get_edge_list, get_subgraph_list

    def to_string(self) -> str:
        """The text, which Graphviz reads."""
        head = "subgraph" if self._is_cluster else "digraph"
        return "\n".join([f"{head} {self.get_name()} {{", *self._body(), "}", ""])

    def _body(self) -> list[str]:
        if self._is_cluster:
            lines = [f"label={_quoted(self._diagram.title)};", "labeljust=l;", "style=dashed;"]
        else:
            lines = [
                f"rankdir={self._rankdir};",
                "concentrate=true;",
                f"dpi={self._dpi:g};",
                f"splines={self._splines};",
                'node [shape=plain, fontname="Helvetica"];',
                "edge [penwidth=2];",
            ]
        lines += [f"{node.get_name()} [label={node.get_label()}];" for node in self.get_node_list()]
        for part in self.get_subgraph_list():
            lines += part.to_string().splitlines()
        lines += [f"{e.get_source()} -> {e.get_destination()};" for e in self.get_edge_list()]
        return [f"  {line}" for line in lines]

    def create(self, format: str = "svg") -> bytes:
        """The drawing in a format: svg, html, dot, or one that matplotlib knows.

        Raises:
            ImportError: for other formats without matplotlib.
        """
        if format in _TEXT:
            return self.to_string().encode()
        if format in ("svg", "html"):
            text = as_svg(self._diagram, self._rankdir, self._splines)
            return (text if format == "svg" else _page(self._diagram.title, text)).encode()
        return as_image(self._diagram, self._rankdir, self._splines, self._dpi, format)

    def write(self, path: str | Path, format: str | None = None) -> bool:
        """Write the drawing to a file, in the format that its extension names by default."""
        target = Path(path)
        target.write_bytes(self.create(format or target.suffix[1:] or "raw"))
        return True

    def _repr_svg_(self) -> str:
        return self.create("svg").decode()

    def __getattr__(self, name: str) -> Callable[..., bool | bytes]:
        if name.startswith("write_"):
            return lambda path: self.write(path, name.removeprefix("write_"))
        if name.startswith("create_"):
            return lambda: self.create(name.removeprefix("create_"))
        raise AttributeError(
            message(type(self).__name__, "a method of a drawing", repr(name), "Use `to_string()`.")
        )


def _cell(cell: Cell, span: str) -> str:
    text = "".join(f"<b>{escape(t)}</b>" if bold else escape(t) for t, bold in cell.pieces)
    return (
        f'<td bgcolor="{cell.ground}"{span}><font point-size="{cell.size:g}" '
        f'color="{cell.ink}">{text}</font></td>'
    )


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _page(title: str, svg: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(title)}</title></head>\n<body>\n{svg}</body>\n</html>\n"
    )
