"""`get_config` for free: the constructor's arguments of a user's class, if they are plain data."""

from __future__ import annotations

import inspect
from typing import Any

from densekit._core import tree
from densekit._core.types import Config

_PLAIN = (str, int, float, bool, type(None))


class AutoConfig:
    """Remembers how an instance of a class without `get_config` was created."""

    _dk_constructor_arguments: Config | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        if _writes_no_config(cls):
            instance.__dict__["_dk_constructor_arguments"] = _arguments(cls, args, kwargs)
        return instance

    def _auto_config(self) -> Config:
        """The arguments, or nothing if the class writes its config itself."""
        if not _writes_no_config(type(self)):
            return {}
        arguments = self.__dict__.get("_dk_constructor_arguments")
        if arguments is None:
            raise NotImplementedError(
                f"{type(self).__name__}: expected a `get_config` method, since the constructor was "
                "given arguments that are no plain data. Return them from `get_config`:\n\n"
                "    def get_config(self):\n"
                "        return {**super().get_config(), 'argument': self.argument}"
            )
        from copy import deepcopy  # looks for Jython: slower than a room

        return deepcopy(arguments)

    def _dk_accepted(self, config: Config) -> Config:
        """The entries that the constructor takes."""
        if not _writes_no_config(type(self)):
            return config
        parameters = inspect.signature(type(self).__init__).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return config
        return {key: value for key, value in config.items() if key in parameters}


def _writes_no_config(cls: type) -> bool:
    owner = next(base for base in cls.__mro__ if "get_config" in base.__dict__)
    return owner.__dict__.get("_dk_config_is_default", False) is True


def _arguments(cls: type, args: Any, kwargs: Any) -> Config | None:
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:  # the constructor itself will say what is wrong
        return None
    bound.apply_defaults()
    found: Config = {}
    for name, parameter in list(signature.parameters.items())[1:]:
        value = bound.arguments[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            return None
        elif parameter.kind is parameter.VAR_POSITIONAL:
            if value:
                return None
        else:
            found[name] = value
    for name in ("name", "trainable", "dtype", "activity_regularizer"):
        found.pop(name, None)  # written by `get_config` of our own
    plain = all(isinstance(leaf, _PLAIN) for leaf in tree.flatten(found))
    return found if plain else None
