"""`device` and rematerialization: Keras' names for where and how often things are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, Self, TypeVar

from densekit._core.errors import describe, message
from densekit._core.registry import export

_CPU = ("cpu", "cpu:0")
_MODES = (None, "full", "activations", "larger_than", "list_of_layers")


@export("keras")
@contextmanager
def device(device_name: str) -> Iterator[None]:
    """Compute on a device, of which there is one: ``"cpu"``, or ``"cpu:0"``.

    Args:
        device_name: ``"cpu"`` or ``"cpu:0"``, in any case.

    Raises:
        RuntimeError: for a device of another kind, such as ``"gpu:0"``.
        ValueError: for another CPU, or no text.

    Example:

    >>> import densekit as keras
    >>> with keras.device("cpu:0"):
    ...     keras.ops.add(1.0, 2.0).item()
    3.0
    """
    known = isinstance(device_name, str)
    if not known or device_name.lower() not in _CPU:
        other = known and device_name.lower().partition(":")[0] != "cpu"
        raise (RuntimeError if other else ValueError)(
            message("device", f"one of {_CPU}", describe(device_name), "All is computed there.")
        )
    yield


P = ParamSpec("P")
R = TypeVar("R")


@export("keras")
def remat(f: Callable[P, R]) -> Callable[P, R]:
    """A function of the same values. Nothing is computed twice to save memory.

    Args:
        f: a function, or a layer.

    Example:

    >>> import densekit as keras
    >>> keras.remat(keras.ops.square)(3.0).item()
    9.0
    """
    if not callable(f):
        raise TypeError(message("remat", "a function", describe(f), "Pass a callable."))

    @wraps(f, updated=())
    def again(*args: P.args, **kwargs: P.kwargs) -> R:
        return f(*args, **kwargs)

    return again


@export("keras")
class RematScope:
    """Inside, Keras computes activations twice to save memory; here values and memory stay.

    Args:
        mode: ``"full"``, ``"activations"``, ``"larger_than"``, ``"list_of_layers"`` or None.
            Default: ``"full"``.
        output_size_threshold: kept for Keras' signature. Default: ``1024``.
        layer_names: kept for Keras' signature. Default: none.

    Raises:
        ValueError: for another mode.

    Example:

    >>> import densekit as keras
    >>> with keras.RematScope(mode="full"):
    ...     layer = keras.layers.Dense(2)
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(message("RematScope", f"one of {_MODES}", describe(mode), "Pass one."))
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or [])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass
