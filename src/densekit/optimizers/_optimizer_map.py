"""`OptimizerMap`: which optimizer a variable has, by its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Self

from densekit._core.errors import describe, message
from densekit._core.registry import Names, export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer
from densekit.optimizers._wrapper import Wrapper


@export("keras.optimizers")
class OptimizerMap(MutableMapping[str, Optimizer]):
    """Optimizers by paths of variables; a key is a path, or a regular expression for whole paths.

    Args:
        default_optimizer: optimizer of the variables that no key fits.
        optimizer_map: dict of keys and optimizers. Default: empty.

    Raises:
        TypeError: if `default_optimizer` is no optimizer or `optimizer_map` no dict.
        ValueError: for a path that several regular expressions fit, when it is looked up; for a key
            that is there already, when it is set.

    Example:

    >>> import densekit as keras
    >>> adam, sgd = keras.optimizers.Adam(), keras.optimizers.SGD()
    >>> optimizers = keras.optimizers.OptimizerMap(sgd, {"encoder/.*": adam})
    >>> optimizers["encoder/kernel"] is adam, optimizers["decoder/kernel"] is sgd
    (True, True)
    """

    def __init__(self, default_optimizer: object, optimizer_map: object = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            found = describe(default_optimizer)
            raise TypeError(
                message("OptimizerMap", "`default_optimizer`, an Optimizer", found, "Pass one.")
            )
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            found = describe(optimizer_map)
            raise TypeError(message("OptimizerMap", "`optimizer_map`, a dict", found, "Pass one."))
        for optimizer in (optimizer_map or {}).values():
            self._dk_check(optimizer)
        self._default_optimizer: Optimizer = default_optimizer
        self._optimizer_map: dict[str, Optimizer] = optimizer_map or {}

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of variables that no key fits."""
        return self._default_optimizer

    def __getitem__(self, key: str) -> Optimizer:
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        fitting = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ValueError(
                message(
                    "OptimizerMap",
                    f"one key at most that fits {key!r}",
                    ", ".join(map(repr, fitting)),
                    "Make the regular expressions narrower.",
                )
            )
        return self._optimizer_map[fitting[0]] if fitting else self._default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self._optimizer_map:
            known = describe(self._optimizer_map[key])
            raise ValueError(
                message("OptimizerMap", f"a new key in place of {key!r}", known, "Delete it first.")
            )
        if not isinstance(key, str):
            raise ValueError(message("OptimizerMap", "a str as key", describe(key), "Pass a path."))
        self._dk_check(optimizer)
        self._optimizer_map[key] = optimizer

    @staticmethod
    def _dk_check(optimizer: object) -> None:
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Wrapper):
            raise ValueError(
                message(
                    "OptimizerMap",
                    "an Optimizer that wraps no other",
                    describe(optimizer),
                    "Pass e.g. keras.optimizers.Adam().",
                )
            )

    def __delitem__(self, key: str) -> None:
        del self._optimizer_map[key]

    def __len__(self) -> int:
        return len(self._optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._optimizer_map)

    def __call__(self, variable: Variable) -> Optimizer:
        """The optimizer of `variable`."""
        return self[variable.path]

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {
            "default_optimizer": serialize_keras_object(self._default_optimizer),
            "optimizer_map": serialize_keras_object(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Self:
        """Create from `get_config`."""
        names = Names("keras.optimizers")
        chosen = config["optimizer_map"]
        if isinstance(chosen, dict):
            chosen = {
                key: deserialize_keras_object(value, custom_objects, module_objects=names)
                for key, value in chosen.items()
            }
        default = deserialize_keras_object(
            config["default_optimizer"], custom_objects, module_objects=names
        )
        return cls(default, chosen)
