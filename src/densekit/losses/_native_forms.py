"""Which loss functions the native core computes, and with which numbers.

A loss' parameters are keyword arguments, and epsilon is a setting that may change: so each such
function declares how to make its form, instead of one fixed form.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import TypeVar

from densekit._core import settings
from densekit._core.native_form import NativeForm
from densekit._core.types import Config

F = TypeVar("F", bound=Callable[..., object])

_makers: dict[object, Callable[..., NativeForm | None]] = {}


def has_native_loss(make: Callable[..., NativeForm | None]) -> Callable[[F], F]:
    """Declare how the native form follows from a loss function's keyword arguments."""

    def declare(function: F) -> F:
        _makers[function] = make
        return function

    return declare


def plain_form(kind: str) -> Callable[[], NativeForm]:
    """Of a loss without arguments, whose kernel has no numbers."""
    return lambda: NativeForm(kind)


def epsilon_form(kind: str) -> Callable[[], NativeForm]:
    """Of a loss without arguments, whose kernel needs the present epsilon."""
    return lambda: NativeForm(kind, (settings.epsilon(),))


def are_numbers(*values: object) -> bool:
    """Whether a kernel can hold the values: arguments may be arrays, too."""
    return all(isinstance(value, Real) for value in values)


def loss_form(function: object, arguments: Config) -> NativeForm | None:
    """The native form of a loss function called with these keyword arguments, or None."""
    make = _makers.get(function)
    return None if make is None else make(**arguments)
