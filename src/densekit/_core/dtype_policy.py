"""Which type a layer stores its variables in and which it computes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit._core import settings
from densekit._core.dtypes import FLOAT_TYPES, standardize_dtype, storable_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export


@export("keras")
class DTypePolicy:
    """A pair of dtypes: one for variables, one for computation.

    Args:
        name: a dtype name, which stands for both, or ``"mixed_float16"`` / ``"mixed_bfloat16"``:
            float32 variables, computation in the 16-bit type. Default: `floatx`.

    Raises:
        TypeError: if `name` is not a string.
        ValueError: for an unknown name.

    Example:

    >>> import densekit as keras
    >>> policy = keras.DTypePolicy("mixed_float16")
    >>> policy.compute_dtype, policy.variable_dtype
    ('float16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        name = settings.floatx() if name is None else name
        if not isinstance(name, str):
            raise TypeError(
                message("DTypePolicy", "a policy name", describe(name), "Pass e.g. 'float32'.")
            )
        self._name = name
        if name in ("mixed_float16", "mixed_bfloat16"):
            self._compute_dtype, self._variable_dtype = name.removeprefix("mixed_"), "float32"
            return
        try:
            self._compute_dtype = self._variable_dtype = storable_dtype(name)
        except ValueError as error:
            raise ValueError(
                message(
                    "DTypePolicy",
                    f"'mixed_float16', 'mixed_bfloat16' or one of {FLOAT_TYPES}",
                    describe(name),
                    "Pass a known policy name.",
                )
            ) from error

    @property
    def name(self) -> str:
        """Name of the policy."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """Type the layer computes in, and of its output."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Type the layer stores its variables in."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """None: a float policy."""
        return None

    def get_config(self) -> dict[str, Any]:
        """``{"name": name}``."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """Create from `get_config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


def get_dtype_policy(identifier: Any) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, a config dict or None (the global default)."""
    if identifier is None:
        policy = settings.get("dtype_policy")
        return policy if policy is not None else DTypePolicy(settings.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return _from_dict(identifier)
    if isinstance(identifier, str):
        for prefix, by_name in _by_prefix.items():
            if identifier.startswith(prefix):
                return by_name(identifier)
        return DTypePolicy(identifier)
    return DTypePolicy(standardize_dtype(identifier))


def _from_dict(config: dict[str, Any]) -> DTypePolicy:
    inner = config.get("config")
    cls = _by_class_name.get(str(config.get("class_name")))
    if cls is None or not isinstance(inner, dict):
        raise ValueError(
            message(
                "DTypePolicy",
                "the config of a dtype policy",
                describe(config),
                "Pass what `get_config` of a policy returned, under its class name.",
            )
        )
    return cls.from_config(inner)


def register_policy(
    cls: type[DTypePolicy],
    prefixes: tuple[str, ...] = (),
    by_name: Callable[[str], DTypePolicy] | None = None,
) -> None:
    """Let look-ups find policies of another class: by class name, and by how a name begins."""
    _by_class_name[cls.__name__] = cls
    if by_name is not None:
        _by_prefix.update(dict.fromkeys(prefixes, by_name))


# Today's, Keras 3.0's and Keras 2's name.
_by_class_name = dict.fromkeys(("DTypePolicy", "FloatDTypePolicy", "Policy"), DTypePolicy)
_by_prefix: dict[str, Callable[[str], DTypePolicy]] = {}
