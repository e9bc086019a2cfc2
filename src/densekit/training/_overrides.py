"""Which parts of a step a subclass of a model wrote anew."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

STEPS = {"train": "train_step", "test": "test_step", "predict": "predict_step"}
_LOSSES = ("compute_loss", "compute_metrics", "stateless_compute_loss")

_Method = TypeVar("_Method", bound=Callable[..., object])
_base_methods: set[object] = set()


def base_method(method: _Method) -> _Method:
    """A part of a step as the package has it: a class with another one has a step of its own."""
    _base_methods.add(method)
    return method


def is_base_method(method: object) -> bool:
    """Whether a part of a step is that of the package."""
    return method in _base_methods


_followed: set[object] = set()


def followed(method: _Method) -> _Method:
    """A function of the package that is read as one of a user's, in a step that is followed."""
    _followed.add(method)
    return method


def is_followed(method: object) -> bool:
    """Whether a function of the package is read, rather than known by its name."""
    return method in _followed


@cache
def has_own_step(kind: type, mode: str) -> bool:
    """Whether a subclass wrote a part of the step anew, so that it is called from Python."""
    names = [STEPS[mode], f"make_{mode}_function"]
    names += _LOSSES if mode != "predict" else []
    return any(getattr(kind, name) not in _base_methods for name in names)


@cache
def has_own_loss(kind: type) -> bool:
    """Whether a subclass wrote the loss or the metrics of a step anew."""
    return any(getattr(kind, name) not in _base_methods for name in _LOSSES)
