"""The options every optimizer takes, and what makes them legal."""

from __future__ import annotations

import numbers
from typing import Any, TypedDict

import numpy as np

from densekit._core.absent import advice_on_arguments
from densekit._core.errors import describe, message
from densekit._core.frames import warn


class OtherOptions(TypedDict, total=False):
    """Keyword arguments common to all optimizers, `weight_decay` apart."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(OtherOptions, total=False):
    """Keyword arguments common to all optimizers; `Optimizer` describes them."""

    weight_decay: float | None


def number(where: str, name: str, value: object, legal: str, test: bool = True) -> Any:
    """`value` as a Python number; ValueError unless it is one and `test` holds."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not test:
        raise ValueError(
            message(where, f"`{name}` {legal}", describe(value), f"Pass `{name}` {legal}.")
        )
    return value


def within(where: str, name: str, value: object, low: float, high: float) -> float:
    """`value` as a Python number in ``[low, high]``, else ValueError."""
    found: float = number(where, name, value, f"a number in [{low}, {high}]")
    number(where, name, value, f"a number in [{low}, {high}]", low <= found <= high)
    return found


def at_least_0(where: str, name: str, value: object) -> float:
    """`value` as a Python number >= 0, else ValueError."""
    found: float = number(where, name, value, "a number >= 0")
    number(where, name, value, "a number >= 0", found >= 0)
    return found


def optional(where: str, name: str, value: object) -> float | None:
    """None, or `value` as a Python number >= 0."""
    return None if value is None else at_least_0(where, name, value)


def check_clipping(where: str, given: dict[str, object]) -> None:
    """At most one way to clip gradients."""
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise ValueError(
            message(
                where,
                "only one of `clipnorm`, `clipvalue` and `global_clipnorm`",
                ", ".join(f"{name}={given[name]}" for name in chosen),
                "Leave the others at None.",
            )
        )


def check_count(where: str, name: str, value: object, least: int) -> int | None:
    """None, or an integer of at least `least`; 0 and False stand for None, as in Keras."""
    if not value:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(
            message(
                where,
                f"`{name}` an integer >= {least} or None",
                describe(value),
                f"Pass e.g. {max(least, 2)}.",
            )
        )
    return int(value)


def check_unknown(owner: type, given: dict[str, object]) -> None:
    """Nothing may be left over but the `decay` of old Keras, which is ignored."""
    if given.pop("decay", None) is not None:
        warn(f"{owner.__name__}: `decay` is ignored. Use a schedule as `learning_rate`.")
    if given:
        action = advice_on_arguments(owner, given)
        raise ValueError(message(owner.__name__, "known arguments", ", ".join(given), action))
