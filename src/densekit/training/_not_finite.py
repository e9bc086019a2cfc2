"""NaN and infinity while training: said once a run, with the place they come from.

Nothing is looked through beforehand: what is not finite in the data reaches the loss of its step,
or the loss of the next one through the weights. So the sum of a chunk's losses, which is there
anyway, tells; only then the rows of the chunk are searched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.frames import warn
from densekit._core.types import Array
from densekit.data._columns import Column
from densekit.data._tables import KnownColumns

# What to do about finite data: nothing has been learned before the first step.
_FIRST = "Look whether the weights are finite, and scale inputs and targets."
_LATER = "Lower the learning rate, set clipnorm=1.0, or scale inputs and targets."


class FiniteWatch:
    """Looks at the losses of one `fit` or `evaluate` and warns of the first that is not finite.

    Args:
        what: the method, for the text.
        input_names: a name for each input; none: they go by number.
        output_names: a name for each output; none: they go by number.
        known: names of the columns of inputs that were frames.
        epochs: whether steps are counted in epochs; else each is one of its own.
    """

    def __init__(
        self,
        what: str,
        input_names: Sequence[str],
        output_names: Sequence[str],
        known: KnownColumns,
        epochs: bool = True,
    ) -> None:
        self._counts = epochs
        self._what = what
        self._input_names, self._output_names = list(input_names), list(output_names)
        self._known = known
        self._warned = False
        self.epoch = 0
        self.validates = False

    def silence(self) -> None:
        """Say nothing in this run."""
        self._warned = True

    def look(self, chunk: Chunk, losses: Array) -> None:
        """Check the total losses of the steps of a chunk."""
        if self._warned or math.isfinite(losses.sum() if len(losses) > 1 else losses[0]):
            return
        step = int(np.argmin(np.isfinite(losses)))
        self._warned = True
        warn(self._text(chunk, step, losses[step]), RuntimeWarning)

    def look_at_last(self, chunk: Chunk, loss: float) -> None:
        """Check the one loss that the steps of a chunk gave."""
        if not math.isfinite(loss):
            losses = np.zeros(chunk.steps)
            losses[-1] = loss
            self.look(chunk, losses)

    def _text(self, chunk: Chunk, step: int, loss: object) -> str:
        found = self._first_bad(chunk, step)
        if found is None:
            return message(
                self._when(chunk.first_step + step + 1),
                "a finite loss",
                f"{loss} from finite data",
                _FIRST if self.epoch + chunk.first_step + step == 0 else _LATER,
            )
        place, row, value = found
        number = chunk.first_step + row // chunk.batch_size + 1
        source = chunk.source_row(row)
        return message(
            self._when(number),
            "finite numbers",
            f"{value} in {place}, row {source}",
            "Remove such rows or fill them, e.g. by np.nan_to_num.",
        )

    def _when(self, step: int) -> str:
        if not self._counts:
            return self._what
        validation = "validation after " if self.validates else ""
        return f"{self._what}, {validation}epoch {self.epoch + 1}, step {step}"

    def _first_bad(self, chunk: Chunk, step: int) -> tuple[str, int, object] | None:
        """Place, row of the chunk and value of what is not finite up to a step of the chunk."""
        rows = min((step + 1) * chunk.batch_size, chunk.rows)
        found = [
            (int(row), place, name, array[row])
            for place, name, array in self._arrays(chunk)
            for row in _bad_rows(array[:rows])
        ]
        if not found:
            return None
        row, place, name, values = min(found, key=lambda f: f[0])
        flat = np.ravel(values)
        column = int(np.argmin(np.isfinite(flat)))
        if np.size(values) > 1:
            place.append(f"column {column}")
            names = self._known.names.get(name) if place[0] == "`x`" else None
            place += [] if names is None else [f"({names[column]!r})"]
        return " ".join(place), row, flat[column]

    def _arrays(self, chunk: Chunk) -> Iterator[tuple[list[str], str, Array]]:
        """Words for the place, name of the input or output, and rows of every column."""
        groups: list[tuple[str, list[str], list[Column]]] = [
            ("x", self._input_names, list(chunk.inputs)),
            ("y", self._output_names, chunk.targets),
            ("sample_weight", self._output_names, chunk.weights),
        ]
        for what, given, columns in groups:
            names = given or [str(i) for i in range(len(columns))]
            for name, column in zip(names, columns, strict=False):
                picked = chunk.pick(column)
                if picked is not None and picked.dtype.kind == "f":
                    several = [repr(name)] if len(columns) > 1 else []
                    yield [f"`{what}`", *several], name, picked


def unnamed_watch(what: str) -> FiniteWatch:
    """For steps that users write: of a model without `call` no inputs are known."""
    return FiniteWatch(what, (), (), KnownColumns("input"))


def _bad_rows(array: Array) -> Array:
    """The first row that holds something not finite, or none."""
    good = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return np.flatnonzero(~good)[:1]


def refuse_all_nan(targets: list[Column], names: Sequence[str]) -> None:
    """Raise for targets of an output without any number among them.

    Raises:
        ValueError: naming the output.
    """
    for target, name in zip(targets, names, strict=True):
        if target is None or target.dtype.kind != "f" or not target.size:
            continue
        if np.isnan(target[:1]).all() and np.isnan(target).all():
            raise ValueError(
                message(
                    f"Output {name!r}", "numbers as targets", "nan alone", "Look where `y` is read."
                )
            )
