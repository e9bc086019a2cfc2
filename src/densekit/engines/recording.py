"""What tapes need: batches kept for their backward, and arrays that formulas read as boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core.masks import set_mask
from densekit._core.tensor import Tensor, as_tensor
from densekit._core.tensor import lend as lent
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit._core.watched import equip
from densekit.engines.native import NativeEngine, array_class, set_class
from densekit.engines.plan import PlanBuilder
from densekit.engines.rows import is_readable, readable

if TYPE_CHECKING:
    from densekit._native import Recorded

_Watched = array_class("densekit.Watched")
equip(_Watched)


class _WatchedTensor(Tensor):
    """A tensor meanwhile: Python itself can change its class."""

    __slots__ = ()


equip(_WatchedTensor)

_lent: dict[int, int] = {}  # by id: how many tapes watch an array


class _Masked:
    """A recorded call whose masks, outputs of the plan as well, have no gradients."""

    __slots__ = ("_count", "_recorded")

    def __init__(self, recorded: Recorded, count: int) -> None:
        self._recorded, self._count = recorded, count

    def gradients(self, d_outputs: list[Array | None]) -> tuple[list[Array], list[Array]]:
        """Of parameters and inputs, from those of the outputs."""
        return self._recorded.gradients([*d_outputs, *[None] * self._count])


class Recorder:
    """An engine without losses, whose calls can be taken back later.

    Args:
        plan: without host nodes, with outputs in its own dtype.
        trainable: the variables; gradients are given by those that the plan reads.
    """

    def __init__(self, plan: PlanBuilder, trainable: list[Variable]) -> None:
        read = plan.variables
        self.variables = [v for v in trainable if id(v) in read]
        self._engine = NativeEngine(plan, self.variables, penalties=False)
        self.input_shapes = [h.sample_shape for h in plan.inputs]
        self._shapes = [h.sample_shape for h in plan.outputs]
        self._masks = list(plan.masks)
        self._has_masks = any(mask is not None for mask in self._masks)
        self._is_bare = all(len(shape) == 1 for shape in self._shapes) and not self._has_masks
        self._seeds = self._engine.draws.distinct
        self._draws = bool(plan.seed_generators)
        self._always_draws = not plan.learns

    @staticmethod
    def can_record(plan: PlanBuilder) -> bool:
        """Whether all of a plan runs natively, in one dtype."""
        if plan.has_host_nodes or plan.adds_losses:
            return False
        return all(h.dtype == plan.dtype for h in plan.outputs)

    def seed_states(self) -> list[tuple[Variable, Array]]:
        """The states of the seed generators as they are now."""
        return [(g.state, np.array(g.state.array)) for g in self._seeds] if self._seeds else []

    def record(
        self, inputs: list[Array], training: bool, input_gradients: bool
    ) -> tuple[Any, list[Array]]:
        """All rows as one batch: what gives gradients of it later, and the outputs."""
        engine = self._engine
        if not self._draws and self._is_bare and len(inputs) == 1 and inputs[0].ndim > 1:
            try:
                return engine.plan.record(inputs, (), (), training, input_gradients)
            except (TypeError, ValueError):  # a small step would wait for a look at each array
                return engine.plan.record(_readable(inputs), (), (), training, input_gradients)
        if not all(map(is_readable, inputs)):
            inputs = _readable(inputs)
        keys, counters = engine.draws.words()
        recorded, flat = engine.plan.record(inputs, keys, counters, training, input_gradients)
        if training or self._always_draws:
            engine.draws.advance(1)
        pairs = zip(flat, self._shapes, strict=False)  # masks come behind
        outputs = [y if len(s) == 1 else y.reshape(-1, *s) for y, s in pairs]
        return self._with_masks(recorded, outputs, flat) if self._has_masks else (recorded, outputs)

    def _with_masks(
        self, recorded: Recorded, outputs: list[Array], flat: list[Array]
    ) -> tuple[_Masked, list[Array]]:
        """The outputs as tensors with the masks that the plan gave behind them."""
        masks = flat[len(outputs) :]
        rooms = iter(masks)
        for i, mask in enumerate(self._masks):
            if mask is not None:
                outputs[i] = as_tensor(outputs[i])
                set_mask(outputs[i], lent(next(rooms).reshape(-1, *mask.sample_shape) != 0))
        return _Masked(recorded, len(masks)), outputs


def _readable(inputs: list[Array]) -> list[Array]:
    """The inputs, with copies of those that the core cannot read where they are."""
    return [readable(x) for x in inputs]


def lend(array: object) -> None:
    """Let the formulas of users read an array as a box, until it is taken back."""
    _lent[id(array)] = _lent.get(id(array), 0) + 1
    if type(array) is Tensor:
        array.__class__ = _WatchedTensor
    elif type(array) is np.ndarray:
        set_class(array, _Watched)


def take_back(array: Any) -> None:
    """Make an array that was lent an ordinary one again, once nobody watches it."""
    count = _lent.pop(id(array), 1) - 1
    if count:
        _lent[id(array)] = count
    elif type(array) is _WatchedTensor:
        array.__class__ = Tensor  # type: ignore[assignment]
    else:
        set_class(array, np.ndarray)
