"""The order of batches: keyed by a seed and the steps made, so that a resumed run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from densekit._core.seeds import SeedGenerator
from densekit._core.thread_seeds import draw_reserved, reserve

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind

# Keeps the words of an order apart from those of a dropout with the same seed.
_ORDER_STREAM = 1 << 32


def new_shuffle_state() -> SeedGenerator:
    """What the order of batches follows from; files keep it, so that a resumed run goes on.

    Its seed is drawn when the first fit shuffles; until then both words are 0. A fit on another
    thread takes a seed that was reserved here, so that it does not matter when that one comes.
    """
    state = SeedGenerator(0, name="shuffle")
    state._reserved = reserve()
    return state


def shuffle_order(
    kind: EngineKind, state: SeedGenerator, iterations: int, rows: int, block: int
) -> npt.NDArray[np.int64]:
    """The order of a pass that begins after so many training steps.

    Rows change places inside every `block` of them; ``block=rows`` shuffles them all.
    """
    seed, drawn = (int(word) for word in state.state.array)
    if not drawn:
        seed = draw_reserved(state._reserved)
        state.state.assign(np.array([seed, 1], np.uint32))
    return kind.permutation(seed | _ORDER_STREAM, iterations, rows, block)
