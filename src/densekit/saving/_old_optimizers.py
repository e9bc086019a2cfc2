"""Optimizers of Keras 1 and 2: arguments under today's names, state in today's order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from densekit._core.frames import warn
from densekit._core.types import Array, ArrayLike, Config, HasShape
from densekit._core.variable import Variable
from densekit.optimizers import Nadam, Optimizer

Pair = tuple[Variable, ArrayLike]  # and what a file has for it

_RENAMED = {"lr": "learning_rate", "beta1": "beta_1", "beta2": "beta_2"}
_WITHOUT_EFFECT = ("is_legacy_optimizer", "jit_compile")


def modern_optimizer_arguments(name: str, config: Config, version: str) -> Config:
    """Arguments of an optimizer that Keras `version` wrote; what cannot be kept is said."""
    config = {_RENAMED.get(key, key): value for key, value in config.items()}
    for key in _WITHOUT_EFFECT:
        config.pop(key, None)
    if config.get("epsilon", 0.0) is None:  # the default of its backend: today's
        config.pop("epsilon")
    if name.lower().endswith("nadam"):
        slow = config.pop("schedule_decay", None), config.pop("decay", None)
        if any(slow):
            warn(
                "This file was written with an older `Nadam`, whose momentum schedule was "
                "0.96 ** (0.004 t) where today's is 0.96 ** t: training goes on by another rule."
            )
    decay = config.pop("decay", None)
    if decay:
        config["learning_rate"] = _decaying(config.get("learning_rate"), decay)
    if _clips_all_together(version) and config.get("clipnorm"):
        config["global_clipnorm"] = config.pop("clipnorm")
    return config


def _decaying(rate: object, decay: float) -> object:
    """``rate / (1 + decay * iterations)``, as a schedule."""
    if isinstance(rate, dict):
        warn("`decay` on top of a learning rate schedule cannot be kept: only the schedule is.")
        return rate
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "InverseTimeDecay",
        "config": {
            "initial_learning_rate": rate,
            "decay_steps": 1,
            "decay_rate": decay,
            "staircase": False,
            "name": "InverseTimeDecay",
        },
        "registered_name": None,
    }


def _clips_all_together(version: str) -> bool:
    """Whether `clipnorm` bounded all gradients together: in Keras until 2.3, not in `tf.keras`."""
    return re.match(r"(1\.|2\.[0-3]\.)", version) is not None and "-tf" not in version


# Slots of each optimizer in the order in which Keras 2.11 to 2.15 made them: those in one group
# side by side for each weight, one group after the other. SGD made its slot even without momentum.
_GROUPS: dict[str, tuple[tuple[str, ...], ...]] = {
    "SGD": (("momentum",),),
    "RMSprop": (("velocity",), ("momentum",), ("average_gradient",)),
    "Adagrad": (("accumulator",),),
    "Adadelta": (("accumulated_grad", "accumulated_delta_var"),),
    "Adam": (("momentum", "velocity"), ("velocity_hat",)),
    "AdamW": (("momentum", "velocity"), ("velocity_hat",)),
    "Nadam": (("momentum", "velocity"),),
    "Adamax": (("momentum", "norm"),),
    "Ftrl": (("accumulator", "linear"),),
    "Lion": (("momentum",),),
}
_SIDE_BY_SIDE_BEFORE = {"Ftrl"}  # everywhere else, earlier releases had one slot after the other


def old_state(
    optimizer: Optimizer, names: Sequence[str] | None, values: Sequence[HasShape]
) -> list[Pair] | None:
    """Pairs of variable and stored array, or None if the arrays are not the optimizer's.

    Args:
        optimizer: built.
        names: what the file calls the arrays; None in a `.keras` file, which Keras 2.12 or newer
            wrote.
        values: the arrays in the order of the file.
    """
    groups = _GROUPS.get(type(optimizer).__name__)
    if groups is None or not values:
        return None
    new = names is None or re.search(r"(^|/)iteration(:0)?$", names[0]) is not None
    if not new and type(optimizer).__name__ not in _SIDE_BY_SIDE_BEFORE:
        groups = tuple((slot,) for group in groups for slot in group)
    if optimizer.use_ema:
        groups = (("average",), *groups)
    head, rest = _head(optimizer, list(values))
    slots = _slots(optimizer)
    weights = [variable.shape for variable in optimizer._trainable_variables]
    pairs = _matched(groups, slots, weights, rest)
    return None if pairs is None else [*head, *pairs, *_product(optimizer, head, new)]


def _head(optimizer: Optimizer, values: list[HasShape]) -> tuple[list[Pair], list[HasShape]]:
    """The count of steps, and the product of momenta that Nadam kept after it."""
    head: list[Pair] = []
    if values and values[0].shape == ():
        head.append((optimizer._iterations, values.pop(0)))
        if isinstance(optimizer, Nadam) and values and values[0].shape == ():
            head.append((optimizer.native_product(), values.pop(0)))
    return head, values


def _slots(optimizer: Optimizer) -> dict[str, list[Variable]]:
    """The slot variables by the last part of their names, in the order of the weights."""
    kinds = {"average", *(slot for groups in _GROUPS.values() for g in groups for slot in g)}
    found: dict[str, list[Variable]] = {}
    for variable in optimizer.variables:
        ends = [kind for kind in kinds if variable.name.endswith(f"_{kind}")]
        if ends:
            found.setdefault(max(ends, key=len), []).append(variable)
    return found


def _matched(
    groups: tuple[tuple[str, ...], ...],
    slots: dict[str, list[Variable]],
    weights: list[tuple[int, ...]],
    values: list[HasShape],
) -> list[Pair] | None:
    """Slots and values paired in the order of `groups`; a group may be missing on either side."""
    pairs: list[Pair] = []
    rest = list(values)
    for group in groups:
        size = len(weights) * len(group)
        shapes = [shape for shape in weights for _ in group]
        if [value.shape for value in rest[:size]] != shapes:
            if any(kind in slots for kind in group):
                return None
            continue
        taken, rest = rest[:size], rest[size:]
        wanted = zip(*(slots.get(kind, [None] * len(weights)) for kind in group), strict=True)
        flat = [slot for of_weight in wanted for slot in of_weight]
        pairs += [(s, value) for s, value in zip(flat, taken, strict=True) if s is not None]
    # Without `amsgrad` Keras until 2.3 kept a single zero for each weight in place of a third slot.
    return None if any(value.shape != (1,) for value in rest) else pairs


def _product(optimizer: Optimizer, head: list[Pair], new: bool) -> Iterator[tuple[Variable, Array]]:
    """Keras 2.11 to 2.15 did not keep the product of Nadam's momenta; it follows from the steps."""
    if isinstance(optimizer, Nadam) and new and head:
        steps = np.arange(1, min(int(np.asarray(head[0][1])), 1 << 16) + 1)
        yield optimizer.native_product(), np.asarray(np.prod(optimizer._dk_u(steps.astype(float))))
