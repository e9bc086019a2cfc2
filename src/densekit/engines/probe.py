"""What a definition does, found by trying it out on a few rows before it enters a plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.dtypes import data_dtype
from densekit._core.scope import StatelessScope, stateless_scope
from densekit._core.types import Array, PartialShape, TensorLike


@dataclass(slots=True)
class Findings:
    """What a trial showed.

    `outputs` are shapes, with None for the batch, and dtypes; `keeps_rows` tells whether each
    output has one row for each row of the inputs, `mixes_rows` whether these depend on others.
    `written` are ids of the variables assigned to.
    """

    outputs: list[tuple[tuple[int | None, ...], str]] = field(default_factory=list)
    keeps_rows: bool = True
    mixes_rows: bool = False
    adds_losses: bool = False
    written: set[int] = field(default_factory=set)


def probe(function: Callable[..., object], inputs: Sequence[tuple[PartialShape, str]]) -> Findings:
    """Try `function` on rows of these shapes (None for the batch) and dtypes. Changes no variable.

    Raises:
        Exception: what the function raises.
    """
    found = Findings()

    def watched(*arrays: TensorLike) -> object:
        scope = stateless_scope()
        assert scope is not None
        scope.collect_losses = True
        results = function(*arrays)
        rows = len(arrays[0])
        kept = all(np.shape(leaf)[:1] == (rows,) for leaf in tree.flatten(results))
        found.keeps_rows = found.keeps_rows and kept
        found.adds_losses = found.adds_losses or bool(scope.losses)
        found.written |= scope.updated
        return results

    tensors = [ops.KerasTensor(shape, dtype) for shape, dtype in inputs]
    spec = tree.flatten(ops.compute_output_spec(watched, *tensors))
    found.outputs = [(tuple(t.shape), t.dtype) for t in spec]
    found.mixes_rows = found.keeps_rows and _mixes_rows(function, inputs)
    return found


def _mixes_rows(
    function: Callable[..., object], inputs: Sequence[tuple[PartialShape, str]]
) -> bool:
    """Whether rows come out otherwise behind more and other rows."""
    draw = np.random.RandomState(0)

    def rows(shape: PartialShape, dtype: str, count: int, low: float, high: float) -> Array:
        sizes = [2 if n is None else n for n in shape]
        if shape[0] is None:
            sizes[0] = count
        values = draw.uniform(low, high, sizes)
        return (values if "float" in dtype else values > 1).astype(data_dtype(dtype))

    fixed = [shape[0] // 2 for shape, _ in inputs if shape[0] is not None]
    # One positive row, for what saturates or takes no other numbers; then several.
    for count, low in ((1, 0.5), (4, -2.0)):
        kept = max(1, min([count, *fixed]))
        given = [rows(*each, count, low, 1.5) for each in inputs]
        others = [
            np.concatenate([rows(*each, count + kept, 0.5, 4.0)[:-kept], a[:kept]])
            for a, each in zip(given, inputs, strict=True)
        ]
        try:
            made = [y[:kept] for y in _results(function, given)]
            beside = [y[-kept:] for y in _results(function, others)]
        except Exception:  # it wants other numbers
            continue
        if not _are_close(made, beside):
            return True
    return False


def _results(function: Callable[..., object], arrays: Sequence[Array]) -> list[Array]:
    with StatelessScope(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one row, which no user gave
        return [np.asarray(y) for y in tree.flatten(function(*arrays))]


def _are_close(first: list[Array], second: list[Array]) -> bool:
    return all(
        a.tolist() == b.tolist()
        if a.dtype.kind == "U"
        else np.allclose(
            a.astype(float), b.astype(float), rtol=1e-4, atol=_least(a, b), equal_nan=True
        )
        for a, b in zip(first, second, strict=True)
    )


def _least(a: Array, b: Array) -> float:
    """What is next to nothing beside the largest numbers."""
    sizes = np.abs(np.concatenate([np.ravel(a), np.ravel(b)]).astype(float))
    return 1e-5 * float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))
