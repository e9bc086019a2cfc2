"""The shape of an arrow between the points that it passes."""

from __future__ import annotations

from itertools import pairwise

from densekit.utils._plotting.layout import Point

Piece = tuple[str, tuple[Point, ...]]  # "M", "L" or "C" of SVG and their points

STYLES = ("ortho", "curved", "spline", "polyline", "line")


def pieces(way: list[Point], style: str, sideways: bool) -> list[Piece]:
    """Straight lines at right angles ("ortho"), through the points ("polyline"), from end to end
    ("line"), or curves.
    """
    if style == "line":
        return [("M", (way[0],)), ("L", (way[-1],))]
    found: list[Piece] = [("M", (way[0],))]
    for a, b in pairwise(way):
        if style == "polyline" or _is_straight(a, b, sideways):
            found.append(("L", (b,)))
            continue
        halfway = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        first = (halfway[0], a[1]) if sideways else (a[0], halfway[1])
        second = (halfway[0], b[1]) if sideways else (b[0], halfway[1])
        if style == "ortho":
            found += [("L", (first,)), ("L", (second,)), ("L", (b,))]
        else:
            found.append(("C", (first, second, b)))
    return found


def direction(found: list[Piece]) -> Point:
    """Where the last piece comes from, as a vector of length 1."""
    points = [point for _, group in found for point in group]
    (x0, y0), (x1, y1) = points[-2:]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    return (x1 - x0) / length, (y1 - y0) / length


def _is_straight(a: Point, b: Point, sideways: bool) -> bool:
    return abs(a[1] - b[1] if sideways else a[0] - b[0]) < 0.5
