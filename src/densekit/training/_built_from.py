"""What an engine was told once of objects that users may change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from densekit._core.engine import LossTerm
from densekit._core.errors import message
from densekit._core.native_form import native_form
from densekit._core.variable import Variable
from densekit.layers import Layer


def numbers_of(
    layers: Sequence[Layer],
    trainable: Sequence[Variable],
    terms: Sequence[LossTerm],
    optimizer: Any,
) -> object:
    """What an engine is told once, of objects that users may change; what runs in Python is not."""
    penalties = [(_form(v.regularizer), _form(v.constraint)) for v in trainable]
    activities = [_form(layer.activity_regularizer) for layer in layers]
    losses = [(_form_of_loss(term.loss), term.loss.reduction) for term in terms]
    if native_form(optimizer) is None:
        return penalties, activities, losses, id(optimizer)
    try:
        for variable in trainable:
            part = optimizer.native_part_of(variable)
            part.native_slots(variable)
            part.native_ema(variable), part.native_accumulator(variable)
    except IndexError as error:
        raise ValueError(
            message(
                f"Optimizer {optimizer.name!r}",
                "options that need no more state than those it was built with",
                "one that was off then",
                "Call `compile` with a new optimizer.",
            )
        ) from error
    decays = [optimizer.native_part_of(v).weight_decay_of(v) for v in trainable]
    rules = [(_form(part), part.native_options()) for part in optimizer.native_parts if part.built]
    scale = optimizer.native_loss_scale()
    factor = scale.growth_steps if scale.is_dynamic else scale.fixed
    return penalties, activities, losses, _form(optimizer), rules, decays, factor


def _form(definition: object) -> object:
    return native_form(definition) or id(definition)


def identity(terms: Sequence[LossTerm]) -> tuple[Hashable, ...]:
    return tuple(
        (t.output, id(t.loss), t.weight, t.target if native_form(t.loss) is None else None)
        for t in terms
    )


def _form_of_loss(loss: object) -> object:
    """What an engine knows of a loss: of a user's own its attributes, as it may be followed."""
    form = native_form(loss)
    if form is not None:
        return form
    return id(loss), {k: v for k, v in vars(loss).items() if not k.startswith("_dk_")}
