"""How a formula says which native kernel computes the same thing.

A definition without a native form runs on the host: the plan calls back into Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., object])


class NativeForm(NamedTuple):
    """Name of a native kernel and its numbers, e.g. ``NativeForm("elu", (1.0,))``."""

    kind: str
    parameters: tuple[float, ...] = ()
    whole_batch: bool = False  # a loss that is one number for the batch, not one for each row
    ranks: tuple[int, ...] | None = None  # of weights, where it is not that of others


_functions: dict[object, NativeForm] = {}


def has_native_form(kind: str, *parameters: float) -> Callable[[F], F]:
    """Declare that a function, called with its defaults, is the native kernel `kind`."""

    def declare(function: F) -> F:
        _functions[function] = NativeForm(kind, parameters)
        return function

    return declare


def native_form(definition: object) -> NativeForm | None:
    """The native form of a function or of an object with a ``native_form()`` method, or None.

    The method is looked up on the object's own class and never inherited: a subclass may have
    changed the formula.
    """
    try:
        if definition in _functions:
            return _functions[definition]
    except TypeError:  # unhashable callable
        pass
    method = type(definition).__dict__.get("native_form")
    form = method(definition) if method is not None else None
    assert form is None or isinstance(form, NativeForm)
    return form


def native_form_of_weights(definition: object, rank: int) -> NativeForm | None:
    """The native form of a constraint or penalty for weights of that rank, or None.

    The kernels see each weight as a matrix with as many columns as its last axis.
    """
    form = native_form(definition)
    return form if form is None or form.ranks is None or rank in form.ranks else None
