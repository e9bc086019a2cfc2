"""`PlanLosses`: what a native plan minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from densekit._core.engine import Array, Chunk, LossTerm
from densekit._core.errors import message
from densekit._core.native_form import NativeForm, native_form
from densekit.engines.host import HostLoss, Programs
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle
from densekit.engines.reductions import reduction_of

if TYPE_CHECKING:
    from densekit._native import Plan

_NO_MASK = -1


class PlanLosses:
    """Losses in a plan of the core: natively, by the ops they were followed to, or on the host.

    Args:
        plan: the plan.
        builder: what it was made from, with the losses that could be followed.
        masks: by output.
        values: numbers in the plan by those of the builder.
        on_host: wraps what the core calls back.
    """

    def __init__(
        self,
        plan: Plan,
        builder: PlanBuilder,
        masks: Sequence[Handle | None],
        values: dict[int, int],
        on_host: Callable[[HostLoss], Callable[..., tuple[float, Array | None]]],
    ) -> None:
        self._plan = plan
        self._builder = builder
        self._masks = masks
        self._values = values
        self._on_host = on_host
        self.of_whole_batch: dict[int, str] = {}  # by output: names of losses without weights

    def add(self, number: int, term: LossTerm) -> None:
        """The loss of that number."""
        followed = self._builder.losses.get(number)
        if followed is None:
            self._add_unfollowed(term, self._builder.batch_losses.get(number))
            return
        if followed.whole_batch:
            self.of_whole_batch[term.output] = term.loss.name
        mask = _NO_MASK if followed.whole_batch else self._mask_of(term.output)
        value = self._values[followed.rows.value]
        self._plan.given_loss(value, term.weight, followed.reduction, mask)

    def _add_unfollowed(self, term: LossTerm, programs: Programs | None) -> None:
        output = self._builder.outputs[term.output]
        form = native_form(term.loss)
        reduction = reduction_of(term.loss)
        mask = self._mask_of(term.output)
        if form is not None and output.sample_shape and self._takes_mask(term.output, form):
            width = 0 if form.whole_batch else output.sample_shape[-1]
            if form.whole_batch:
                self.of_whole_batch[term.output] = term.loss.name
            given = form.kind, list(form.parameters), width, term.weight, reduction
            self._plan.loss(term.output, *given, mask)
            return
        handle = self._masks[term.output]
        of_mask = None if handle is None else handle.sample_shape
        loss = HostLoss(term.loss, output.sample_shape, self._builder.dtype, of_mask, programs)
        self._plan.host_loss(term.output, self._on_host(loss), term.weight, mask)

    def _mask_of(self, output: int) -> int:
        mask = self._masks[output]
        return _NO_MASK if mask is None else self._values[mask.value]

    def _takes_mask(self, output: int, form: NativeForm) -> bool:
        """Whether a loss over the last axis counts what the output's mask says, if it has one."""
        mask = self._masks[output]
        if mask is None:
            return True
        positions = self._builder.outputs[output].sample_shape[:-1]
        own = mask.sample_shape
        return not form.whole_batch and own == positions[: len(own)] and 0 not in positions

    def check_weights(self, chunk: Chunk) -> None:
        """Refuse sample weights where a loss is one number for the whole batch."""
        for output, name in self.of_whole_batch.items():
            weights = chunk.weights[output]
            if weights is not None:
                raise ValueError(
                    message(
                        f"loss {name!r}",
                        "no sample weights, as it is one number for the whole batch",
                        f"weights of shape {weights.shape}",
                        "Pass no weights, or a loss per sample (axis=-1).",
                    )
                )
