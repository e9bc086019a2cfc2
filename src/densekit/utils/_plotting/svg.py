"""A diagram as SVG text."""

from __future__ import annotations

from html import escape

from densekit.utils._plotting.diagram import Box, Group
from densekit.utils._plotting.layout import (
    PADDING,
    Picture,
    Placed,
    cell_widths,
    lay_out,
    row_height,
)
from densekit.utils._plotting.lines import Piece, direction, pieces

MARGIN = 8.0
_HEAD = 7.0  # length of the head of an arrow
_LINE = "#333333"
_FONT = "'DejaVu Sans', Verdana, Geneva, sans-serif"


def as_svg(diagram: Group, rankdir: str, splines: str) -> str:
    """The drawing, one unit a point."""
    picture = lay_out(diagram, rankdir)
    width, height = picture.width + 2 * MARGIN, picture.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}pt" height="{_n(height)}pt" '
        f'viewBox="{_n(-MARGIN)} {_n(-MARGIN)} {_n(width)} {_n(height)}" '
        f'font-family="{_FONT}">',
        f"<title>{escape(diagram.title)}</title>",
        f'<rect x="{_n(-MARGIN)}" y="{_n(-MARGIN)}" width="{_n(width)}" height="{_n(height)}" '
        'fill="#ffffff"/>',
        *_groups(diagram, picture),
        *(_arrow(pieces(way, splines, rankdir in ("LR", "RL"))) for way in picture.arrows),
    ]
    for box in diagram.boxes():
        parts += _box(box, picture.boxes[box.name])
    return "\n".join([*parts, "</svg>", ""])


def _groups(group: Group, picture: Picture) -> list[str]:
    parts = []
    for item in group.items:
        if isinstance(item, Group):
            place = picture.groups[item.name]
            parts += [
                f'<rect {_rectangle(place)} fill="none" stroke="{_LINE}" stroke-dasharray="5 4"/>',
                f'<text x="{_n(place.x + PADDING)}" y="{_n(place.y + 16)}" font-size="14">'
                f"{escape(item.title)}</text>",
                *_groups(item, picture),
            ]
    return parts


def _box(box: Box, place: Placed) -> list[str]:
    parts = [f"<g><title>{escape(box.name)}</title>"]
    y = place.y
    for row in box.rows:
        x, height = place.x, row_height(row)
        for cell, width in zip(row, cell_widths(row, place.width), strict=True):
            spot = Placed(x, y, width, height)
            spans = "".join(
                f'<tspan font-weight="bold">{escape(piece)}</tspan>' if bold else escape(piece)
                for piece, bold in cell.pieces
            )
            parts += [
                f'<rect {_rectangle(spot)} fill="{cell.ground}" stroke="#000000"/>',
                f'<text x="{_n(x + width / 2)}" y="{_n(y + height / 2)}" fill="{cell.ink}" '
                f'font-size="{_n(cell.size)}" text-anchor="middle" dominant-baseline="central" '
                f'xml:space="preserve">{spans}</text>',
            ]
            x += width
        y += height
    return [*parts, "</g>"]


def _arrow(found: list[Piece]) -> str:
    dx, dy = direction(found)
    x, y = found[-1][1][-1]
    path = " ".join(
        f"{kind} " + " ".join(f"{_n(px)},{_n(py)}" for px, py in points) for kind, points in found
    )
    head = [
        (x, y),
        (x - _HEAD * dx - 0.5 * _HEAD * dy, y - _HEAD * dy + 0.5 * _HEAD * dx),
        (x - _HEAD * dx + 0.5 * _HEAD * dy, y - _HEAD * dy - 0.5 * _HEAD * dx),
    ]
    corners = " ".join(f"{_n(px)},{_n(py)}" for px, py in head)
    return (
        f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'
        f'<polygon points="{corners}" fill="{_LINE}"/>'
    )


def _rectangle(place: Placed) -> str:
    return (
        f'x="{_n(place.x)}" y="{_n(place.y)}" width="{_n(place.width)}" height="{_n(place.height)}"'
    )


def _n(value: float) -> str:
    """A number with as few digits as do."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
