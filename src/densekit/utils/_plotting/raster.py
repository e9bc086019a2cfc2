"""A diagram as pixels, or as whatever else matplotlib writes."""

from __future__ import annotations

import io
from typing import Any

from densekit._core.errors import message
from densekit.utils._plotting.diagram import Cell, Group
from densekit.utils._plotting.layout import PADDING, cell_widths, lay_out, row_height
from densekit.utils._plotting.lines import pieces
from densekit.utils._plotting.svg import MARGIN

_POINTS = 72.0  # of an inch


def as_image(diagram: Group, rankdir: str, splines: str, dpi: float, kind: str) -> bytes:
    """The drawing in a format that matplotlib knows.

    Raises:
        ImportError: if matplotlib is not there.
        ValueError: for a format that it does not know.
    """
    figures, agg, patches, paths = _matplotlib(kind)
    picture = lay_out(diagram, rankdir)
    size = picture.width + 2 * MARGIN, picture.height + 2 * MARGIN
    inches = size[0] / _POINTS, size[1] / _POINTS
    figure = figures.Figure(figsize=inches, dpi=dpi, facecolor="white")
    agg.FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-MARGIN, picture.width + MARGIN)
    axes.set_ylim(picture.height + MARGIN, -MARGIN)
    for group in _inner(diagram):
        place = picture.groups[group.name]
        axes.add_patch(
            patches.Rectangle(
                (place.x, place.y), place.width, place.height, fill=False, linestyle="--"
            )
        )
        axes.text(place.x + PADDING, place.y + 16, group.title, fontsize=14)
    codes = {"M": [1], "L": [2], "C": [4, 4, 4]}
    for way in picture.arrows:
        found = pieces(way, splines, rankdir in ("LR", "RL"))
        path = paths.Path(
            [point for _, points in found for point in points],
            [code for kind_, _ in found for code in codes[kind_]],
        )
        axes.add_patch(
            patches.FancyArrowPatch(
                path=path, arrowstyle="-|>", mutation_scale=14, color="#333333", linewidth=1.5
            )
        )
    for box in diagram.boxes():
        place, y = picture.boxes[box.name], picture.boxes[box.name].y
        for row in box.rows:
            x, height = place.x, row_height(row)
            for cell, width in zip(row, cell_widths(row, place.width), strict=True):
                axes.add_patch(
                    patches.Rectangle(
                        (x, y), width, height, facecolor=cell.ground, edgecolor="black"
                    )
                )
                _write(axes, cell, x + width / 2, y + height / 2)
                x += width
            y += height
    written = io.BytesIO()
    figure.savefig(written, format=kind, dpi=dpi)
    return written.getvalue()


def _write(axes: Any, cell: Cell, x: float, y: float) -> None:
    """Write the pieces of a text side by side, centred at a point."""
    texts = [
        axes.text(
            x,
            y,
            piece.replace("$", r"\$"),
            fontsize=cell.size,
            color=cell.ink,
            weight="bold" if bold else "normal",
            va="center_baseline",
        )
        for piece, bold in cell.pieces
    ]
    widths = [_width(axes.figure, text) for text in texts]
    start = x - sum(widths) / 2
    for text, width in zip(texts, widths, strict=True):
        text.set_x(start)
        start += width


def _width(figure: Any, text: Any) -> float:
    """The width of a text in points, blanks at its end included."""
    renderer, font = figure.canvas.get_renderer(), text.get_fontproperties()
    ends = [
        renderer.get_text_width_height_descent(shown, font, False)[0]
        for shown in (f"{text.get_text()}|", "|")
    ]
    return float(ends[0] - ends[1]) * _POINTS / float(figure.dpi)


def _matplotlib(kind: str) -> Any:
    try:
        from matplotlib import figure, patches, path  # optional: SVG needs none of it
        from matplotlib.backends import backend_agg
    except ImportError as error:
        raise ImportError(
            message(
                f"plot_model to {kind!r}",
                "the matplotlib package",
                "none",
                "Install it (pip install matplotlib), or name a file that ends in .svg.",
            )
        ) from error
    return figure, backend_agg, patches, path


def _inner(group: Group) -> list[Group]:
    found = []
    for item in group.items:
        if isinstance(item, Group):
            found += [item, *_inner(item)]
    return found
