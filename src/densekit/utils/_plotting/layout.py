"""Where the boxes of a diagram go: ranks from top to bottom, few crossings, short arrows.

Layers of a graph (Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical
system structures", 1981): longest ways give the ranks, arrows over several ranks get a place in
each, barycentres the order inside a rank; then each rank moves as near to its neighbours as the
widths allow, which is an isotonic regression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from densekit.utils._plotting.diagram import Box, Cell, Group

Point = tuple[float, float]

PADDING = 10.0  # around the text of a cell
_GAP, _RANK_GAP, _GROUP_GAP = 24.0, 34.0, 16.0
_TITLE = 24.0  # of a group
_SWEEPS = 8

# Widths of letters in DejaVu Sans, as parts of its size; others are as wide as most small ones.
_WIDTHS = {
    letter: width
    for letters, width in (
        ("ijlIJ'", 0.29),
        (" ,./:;|f-", 0.34),
        ("()[]tr!", 0.40),
        ("_*szc", 0.52),
        ("LFkvxyPTY", 0.59),
        ("AVBRXKZC", 0.69),
        ("DGHNUOQ&", 0.77),
        ("mwMW%@#+<=>", 0.92),
    )
    for letter in letters
}
_USUAL, _BOLD = 0.63, 1.14


@dataclass(slots=True)
class Placed:
    """A rectangle: its upper left corner and size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Picture:
    """Places of all boxes and groups by name, arrows as lists of points."""

    width: float
    height: float
    boxes: dict[str, Placed] = field(default_factory=dict)
    groups: dict[str, Placed] = field(default_factory=dict)
    arrows: list[list[Point]] = field(default_factory=list)


def text_width(cell: Cell) -> float:
    """About how wide a text is."""
    return sum(
        _WIDTHS.get(letter, _USUAL) * cell.size * (_BOLD if bold else 1.0)
        for piece, bold in cell.pieces
        for letter in piece
    )


def row_height(row: Sequence[Cell]) -> float:
    """The height of a row of a box."""
    return max(cell.size for cell in row) + 1.2 * PADDING


def cell_widths(row: Sequence[Cell], width: float) -> list[float]:
    """The widths of the cells of a row, which fill a box of that width."""
    own = [text_width(cell) + 2 * PADDING for cell in row]
    spare = (width - sum(own)) / len(own)
    return [w + spare for w in own]


def size_of(box: Box) -> Point:
    """Width and height of a box."""
    width = max(sum(text_width(cell) + 2 * PADDING for cell in row) for row in box.rows)
    return width, sum(map(row_height, box.rows))


def lay_out(diagram: Group, rankdir: str) -> Picture:
    """Places for a diagram whose arrows go down ("TB"), up ("BT"), right ("LR") or left ("RL")."""
    sideways = rankdir in ("LR", "RL")
    picture = Picture(0.0, 0.0)
    width, height = _place(diagram, diagram.arrows, sideways, picture, (0.0, 0.0))
    picture.width, picture.height = width, height
    if rankdir in ("BT", "RL"):
        _mirror(picture, sideways)
    return picture


def _place(
    group: Group, arrows: list[tuple[str, str]], sideways: bool, picture: Picture, at: Point
) -> Point:
    """Place what is in a group; its size."""
    inner: dict[str, Picture] = {}
    sizes: dict[str, Point] = {}
    owner: dict[str, str] = {}
    for item in group.items:
        if isinstance(item, Group):
            part = Picture(0.0, 0.0)
            w, h = _place(item, item.arrows, sideways, part, (0.0, 0.0))
            inner[item.name] = part
            sizes[item.name] = (
                max(w + 2 * _GROUP_GAP, len(item.title) * 9 + 2 * PADDING),
                h + _GROUP_GAP + _TITLE,
            )
            owner.update(dict.fromkeys((box.name for box in item.boxes()), item.name))
        else:
            sizes[item.name] = size_of(item)
            owner[item.name] = item.name
    ways = [(owner[a], owner[b]) for a, b in arrows]
    spots, bends = _ranked(sizes, ways, sideways)
    for name, (x, y) in spots.items():
        w, h = sizes[name]
        x, y = x + at[0], y + at[1]
        if name in inner:
            picture.groups[name] = Placed(x, y, w, h)
            _take_over(picture, inner[name], x + _GROUP_GAP, y + _TITLE)
        else:
            picture.boxes[name] = Placed(x, y, w, h)
    for (a, b), way in zip(arrows, bends, strict=True):
        middle = [(x + at[0], y + at[1]) for x, y in way]
        ends = [_end(picture, name, owner[name]) for name in (a, b)]
        picture.arrows.append(_way(ends[0], middle, ends[1], sideways))
    right = max((spots[n][0] + sizes[n][0] for n in spots), default=0.0)
    bottom = max((spots[n][1] + sizes[n][1] for n in spots), default=0.0)
    for way in bends:
        right = max([right, *(x for x, _ in way)])
        bottom = max([bottom, *(y for _, y in way)])
    return right, bottom


def _end(picture: Picture, box: str, owner: str) -> tuple[Placed, Placed]:
    """The box where an arrow ends, and the group around it if it leaves one."""
    place = picture.boxes[box]
    return place, picture.groups.get(owner, place)


def _way(
    a: tuple[Placed, Placed], middle: list[Point], b: tuple[Placed, Placed], sideways: bool
) -> list[Point]:
    """The points of an arrow: out of a box and its group, straight on, into the other ones."""

    def out(box: Placed, group: Placed, after: bool) -> list[Point]:
        points = []
        for around in (box, group):
            if sideways:
                edge = around.x + around.width if after else around.x
                points.append((edge, box.y + box.height / 2))
            else:
                edge = around.y + around.height if after else around.y
                points.append((box.x + box.width / 2, edge))
        return points[:1] if points[0] == points[1] else points

    forward = (a[1].x < b[1].x) if sideways else (a[1].y < b[1].y)
    return [*out(*a, forward), *middle, *reversed(out(*b, not forward))]


def _take_over(picture: Picture, part: Picture, dx: float, dy: float) -> None:
    for mine, theirs in ((picture.boxes, part.boxes), (picture.groups, part.groups)):
        for name, place in theirs.items():
            mine[name] = Placed(place.x + dx, place.y + dy, place.width, place.height)
    picture.arrows += [[(x + dx, y + dy) for x, y in way] for way in part.arrows]


def _mirror(picture: Picture, sideways: bool) -> None:
    for place in (*picture.boxes.values(), *picture.groups.values()):
        if sideways:
            place.x = picture.width - place.x - place.width
        else:
            place.y = picture.height - place.y - place.height
    for way in picture.arrows:
        way[:] = [(picture.width - x, y) if sideways else (x, picture.height - y) for x, y in way]


# Ranks


def _ranked(
    sizes: dict[str, Point], ways: list[tuple[str, str]], sideways: bool
) -> tuple[dict[str, Point], list[list[Point]]]:
    """Upper left corners of the items, and the points at which each way passes a rank."""
    names = list(sizes)
    order = {name: i for i, name in enumerate(names)}  # a model lists what runs first
    # A layer that is called twice may stand before and behind another: ranks follow the list.
    forward = [(a, b) if order[a] < order[b] else (b, a) for a, b in ways]
    rank = dict.fromkeys(names, 0)
    for name in names:
        for a, b in forward:
            if a == name and a != b:
                rank[b] = max(rank[b], rank[a] + 1)
    chains: list[list[str]] = []
    across = {name: sizes[name][1 if sideways else 0] for name in names}
    along = {name: sizes[name][0 if sideways else 1] for name in names}
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for name in names:
        rows[rank[name]].append(name)
    links: list[tuple[str, str]] = []
    for i, (a, b) in enumerate(forward):
        chain = [f"{i}:{r}" for r in range(rank[a] + 1, rank[b])]
        for r, point in enumerate(chain, rank[a] + 1):
            rows[r].append(point)
            across[point], along[point] = 2.0, 0.0
        chains.append(chain)
        stops = [a, *chain, b]
        links += pairwise(stops) if a != b else []
    above: dict[str, list[str]] = {name: [] for row in rows for name in row}
    below: dict[str, list[str]] = {name: [] for row in rows for name in row}
    for a, b in links:
        below[a].append(b)
        above[b].append(a)
    _uncross(rows, above, below)
    centre = _centred(rows, above, below, across)
    start = 0.0
    corner: dict[str, Point] = {}
    middle: dict[str, list[Point]] = {}  # straight past what else stands in a rank
    for row in rows:
        depth = max(along[name] for name in row)
        for name in row:
            place = centre[name] - across[name] / 2, start + (depth - along[name]) / 2
            if name in sizes:
                corner[name] = place[::-1] if sideways else place
            else:
                spots = [(centre[name], start), (centre[name], start + depth)]
                middle[name] = [spot[::-1] if sideways else spot for spot in spots]
        start += depth + _RANK_GAP
    bends = []
    for way, chain, ahead in zip(ways, chains, forward, strict=True):
        points = [point for name in chain for point in middle[name]]
        bends.append(points if way == ahead else points[::-1])
    return corner, bends


def _uncross(
    rows: list[list[str]], above: dict[str, list[str]], below: dict[str, list[str]]
) -> None:
    """Order each row by the mean places of its neighbours, from above and from below in turn."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row, beside in _pairs(rows, down):
            place = {name: i for i, name in enumerate(beside)}
            near = above if down else below
            own = {name: float(i) for i, name in enumerate(row)}
            row.sort(key=lambda name: _mean([place[n] for n in near[name]], own[name]))


def _pairs(rows: list[list[str]], down: bool) -> list[tuple[list[str], list[str]]]:
    pairs = list(zip(rows[1:], rows, strict=False))
    return pairs if down else [(b, a) for a, b in reversed(pairs)]


def _centred(
    rows: list[list[str]],
    above: dict[str, list[str]],
    below: dict[str, list[str]],
    width: dict[str, float],
) -> dict[str, float]:
    """A centre for each item: near the mean of its neighbours, without overlaps, from 0 on."""
    centre: dict[str, float] = {}
    for row in rows:
        end = 0.0
        for name in row:
            centre[name] = end + width[name] / 2
            end += width[name] + _GAP
    near: Callable[[str], list[str]]
    for sweep in range(_SWEEPS):
        both = sweep >= _SWEEPS - 2
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            if both:
                near = lambda name: above[name] + below[name]  # noqa: E731
            else:
                near = above.__getitem__ if down else below.__getitem__
            wanted = [_mean([centre[n] for n in near(name)], centre[name]) for name in row]
            centre.update(zip(row, _spaced(wanted, [width[n] for n in row]), strict=True))
    left = min((centre[name] - width[name] / 2 for name in centre), default=0.0)
    return {name: place - left for name, place in centre.items()}


def _spaced(wanted: list[float], widths: list[float]) -> list[float]:
    """The places nearest to those `wanted` (least squares) that keep the order and the gaps."""
    offsets, end = [], 0.0
    for i, width in enumerate(widths):
        end += (width + widths[i - 1]) / 2 + _GAP if i else 0.0
        offsets.append(end)
    blocks: list[tuple[float, int]] = []  # sums and counts that share a mean
    for place, offset in zip(wanted, offsets, strict=True):
        total, count = place - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    means = [total / count for total, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
