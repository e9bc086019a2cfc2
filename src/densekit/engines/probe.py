"""What a definition does, found by trying it out on a few rows before it enters a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.scope import stateless_scope


@dataclass(slots=True)
class Findings:
    """What a trial showed.

    `outputs` are shapes, with None for the batch, and dtypes; `keeps_rows` tells whether each
    output has one row for each row of the inputs.
    """

    outputs: list[tuple[tuple[int | None, ...], str]] = field(default_factory=list)
    keeps_rows: bool = True
    adds_losses: bool = False
    writes: bool = False


def probe(function: Callable[..., Any], inputs: Sequence[tuple[Any, str]]) -> Findings:
    """Try `function` on rows of these shapes (None for the batch) and dtypes. Changes no variable.

    Raises:
        Exception: what the function raises.
    """
    found = Findings()

    def watched(*arrays: Any) -> Any:
        scope = stateless_scope()
        assert scope is not None
        scope.collect_losses = True
        results = function(*arrays)
        rows = len(arrays[0])
        kept = all(np.shape(leaf)[:1] == (rows,) for leaf in tree.flatten(results))
        found.keeps_rows = found.keeps_rows and kept
        found.adds_losses = found.adds_losses or bool(scope.losses)
        found.writes = found.writes or scope.has_updates
        return results

    tensors = [ops.KerasTensor(shape, dtype) for shape, dtype in inputs]
    spec = tree.flatten(ops.compute_output_spec(watched, *tensors))
    found.outputs = [(tuple(t.shape), t.dtype) for t in spec]
    return found
