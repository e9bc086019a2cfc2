"""Losses of several outputs together: said for a nested part of the outputs as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from densekit import losses
from densekit._core import tree
from densekit._core.engine import LossTerm, OutputPart
from densekit._core.plan import NotLowerable
from densekit.data._columns import Signature

_Found = list[tuple[OutputPart, int]]


def part_losses(loss: object, structure: object) -> _Found | None:
    """The outputs that each loss is of, and its place among all that were given.

    A list which cannot be one of outputs holds several losses of the same outputs.

    Returns:
        None if each loss is of a single output, which may be said in more ways.
    """
    count = len(tree.flatten(structure)) if tree.is_nested(loss) else 1
    if count == 1:
        return None
    given = tree.flatten(loss)
    places = tree.pack_as(loss, range(len(given)))
    found = _walk(places, tree.pack_as(structure, range(count)), ())
    found = [(part, i) for part, i in found or () if given[i] is not None]
    together = [(p.numbers, given[i]) for p, i in found if tree.is_nested(p.numbers)]
    if any(isinstance(numbers, dict) and _is_ours(one) for numbers, one in together):
        return None  # of arrays by name ours are those of each
    return found if together else None


def _is_ours(loss: object) -> bool:
    return isinstance(loss, str) or losses.is_built_in(losses.as_loss(loss))


def _walk(places: object, numbers: object, path: tree.Path) -> _Found | None:
    """None where losses and outputs do not fit together."""
    if isinstance(places, list | tuple):
        if not tree.is_deep(places) and len(places) == len(tree.flatten(numbers)):
            places = tree.pack_as(numbers, places)
        elif not isinstance(numbers, type(places)):
            return _joined([_walk(place, numbers, path) for place in places])
    if isinstance(places, int):
        return [(OutputPart(path, numbers), places)]
    if isinstance(places, dict) and isinstance(numbers, dict):
        if not places.keys() <= numbers.keys():
            return None
        return _joined([_walk(places[key], numbers[key], (*path, key)) for key in places])
    if isinstance(places, list | tuple) and isinstance(numbers, list | tuple):
        if not isinstance(places, type(numbers)) or len(places) > len(numbers):
            return None
        pairs = zip(places, numbers, strict=False)
        return _joined([_walk(*pair, (*path, i)) for i, pair in enumerate(pairs)])
    return None


def _joined(found: Sequence[_Found | None]) -> _Found | None:
    there = [one for one in found if one is not None]
    return [pair for one in there for pair in one] if len(there) == len(found) else None


def part_name(part: OutputPart, signature: Signature) -> str:
    """How a loss of several outputs goes by in the logs."""
    structure = signature.output_structure
    names = structure if isinstance(structure, dict) else signature.output_names
    return "/".join(map(str, part.path)) or "_".join(map(str, names))


def refuse_parts(terms: Sequence[LossTerm]) -> None:
    """A plan computes losses of single outputs.

    Raises:
        NotLowerable: if one is of several together.
    """
    if any(term.part is not None for term in terms):
        raise NotLowerable("a loss is of several outputs together")
