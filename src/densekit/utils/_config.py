"""`Config`: named values of a program."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from difflib import get_close_matches
from typing import Any

from densekit._core.errors import message
from densekit._core.registry import export

_OWN = frozenset({"_config", "_frozen"})


@export("keras.utils")
class Config:
    """A dict whose entries are attributes, too, and that can be frozen.

    Args:
        **kwargs: first entries.

    Raises:
        ValueError: for changes while it is frozen.
        AttributeError: for an attribute that is no entry.

    Example:

    >>> import densekit as keras
    >>> config = keras.utils.Config(learning_rate=0.1)
    >>> config.seed = 3
    >>> config["seed"], config.learning_rate
    (3, 0.1)
    >>> config.to_json()
    '{"learning_rate": 0.1, "seed": 3}'
    """

    _config: dict[str, object]
    _frozen: bool

    def __init__(self, **kwargs: object) -> None:
        self._config = kwargs
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether changes are refused."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        self._frozen = True

    def unfreeze(self) -> None:
        """Allow changes again."""
        self._frozen = False

    def _changeable(self) -> dict[str, object]:
        if self._frozen:
            raise ValueError(
                message("Config", "no changes, as it is frozen", "one", "Call `unfreeze()` first.")
            )
        return self._config

    def as_dict(self) -> dict[str, object]:
        """The entries as a new dict."""
        return dict(self._config)

    def to_json(self) -> str:
        """The entries as JSON."""
        return json.dumps(self._config)

    def keys(self) -> KeysView[str]:
        """Names of the entries."""
        return self._config.keys()

    def values(self) -> ValuesView[object]:
        """Values of the entries."""
        return self._config.values()

    def items(self) -> ItemsView[str, object]:
        """Names and values of the entries."""
        return self._config.items()

    def get(self, keyname: str, value: object = None) -> Any:
        """The value of an entry, `value` if there is none."""
        return self._config.get(keyname, value)

    def pop(self, keyname: str, *default: object) -> Any:
        """Take an entry out, as from a dict."""
        return self._changeable().pop(keyname, *default)

    def update(
        self, *args: Mapping[str, object] | Iterable[tuple[str, object]], **kwargs: object
    ) -> None:
        """Set several entries, as of a dict."""
        self._changeable().update(*args, **kwargs)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _OWN or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            self._changeable()[name] = value

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name in config:
            return config[name]
        near = get_close_matches(name, config, n=1, cutoff=0.7)
        action = f"Did you mean {near[0]!r}?" if near else "Set it first."
        raise AttributeError(
            message("Config", f"an entry, of {sorted(config)}", repr(name), action)
        )

    def __setitem__(self, key: str, item: object) -> None:
        self._changeable()[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __delitem__(self, key: str) -> None:
        del self._changeable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __contains__(self, item: object) -> bool:
        return item in self._config

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
