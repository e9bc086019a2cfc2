"""Classes of operations, which Keras' own tests make by their private names, over public ops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import densekit


def _applied(function: Callable[..., Any], tensors: Sequence[Any], options: Any) -> Any:
    """Call a function with options by name, and tensors for its other parameters in order."""
    before = []
    tensors = list(tensors)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL or not tensors:
            break
        if parameter.name in options:
            before.append(options[parameter.name])
            options = {k: v for k, v in options.items() if k != parameter.name}
        else:
            before.append(tensors.pop(0))
    return function(*before, *tensors, **options)


def operation_class(name: str, function: Callable[..., Any], arguments: list[str]) -> type:
    """A class whose objects apply a function with the options that they were made with."""

    class Applied(densekit.Operation):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            named = options.pop("name", None)
            super().__init__(name=named)
            self.options = {**dict(zip(arguments, given, strict=False)), **options}
            unknown = set(self.options) - set(arguments)
            if unknown:
                raise TypeError(f"{name}.__init__() got an unexpected keyword {unknown}")

        def __getattr__(self, wanted: str) -> Any:
            options = self.__dict__.get("options", {})
            if wanted not in options:
                raise AttributeError(wanted)
            return options[wanted]

        def call(self, *tensors: Any, **more: Any) -> Any:
            return _applied(function, tensors, {**self.options, **more})

        def compute_output_spec(self, *tensors: Any, **more: Any) -> Any:
            return densekit.ops.compute_output_spec(
                lambda *t: _applied(function, t, {**self.options, **more}), *tensors
            )

    Applied.__name__ = Applied.__qualname__ = name
    return Applied
