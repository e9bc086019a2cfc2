"""One shape for every error: where, expected, got, one action."""

from __future__ import annotations

import re
from typing import Any, TypeVar

T = TypeVar("T")
_STOP_IN_BRACKETS = re.compile(r"(?<!\.)\.(?=\)+$)")


def message(where: str, expected: str, got: str, action: str) -> str:
    """Compose an error text: ``Dense 'hidden_1': expected ..., got .... Reshape the input.``"""
    return f"{where}: expected {unstopped(expected)}, got {unstopped(got)}. {action}"


def unstopped(quoted: str) -> str:
    """What another message says, to be part of a sentence: without the full stop at its end."""
    if quoted.endswith(".") and not quoted.endswith("..."):
        quoted = quoted[:-1]
    return _STOP_IN_BRACKETS.sub("", quoted)


def before_init(owner: object) -> RuntimeError:
    """The error for an object that is given state before its base class was set up."""
    return RuntimeError(
        message(
            type(owner).__name__,
            "`super().__init__()` first",
            "state before it",
            "Call `super().__init__(...)` as the first statement of `__init__`.",
        )
    )


class StructureError(ValueError, KeyError):
    """Data whose structure does not fit that of the model: Keras raises now one, now the other."""

    def __str__(self) -> str:
        return ValueError.__str__(self) if len(self.args) != 1 else str(self.args[0])


def name_of(component: object) -> str:
    """What users call a function or an object of theirs."""
    own = getattr(component, "__name__", None)
    return str(own or type(component).__name__)


def returned(value: T, component: object, what: str) -> T:
    """`value`, which `component` returned, unless it is None: then it forgot to return `what`."""
    if value is None:
        raise ValueError(
            message(f"`{name_of(component)}`", f"{what} returned", "None", "Does it `return` it?")
        )
    return value


def describe(value: Any) -> str:
    """Name a value shortly: arrays by shape and dtype, never by their content."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)} and dtype {value.dtype}"
    if isinstance(value, list | tuple | dict):
        parts = list(value.values() if isinstance(value, dict) else value)
        first = next((part for part in parts if getattr(part, "shape", None) is not None), None)
        if first is not None:
            return f"a {type(value).__name__} of {len(parts)}, among them {describe(first)}"
    text = repr(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} (of type {type(value).__name__})"
