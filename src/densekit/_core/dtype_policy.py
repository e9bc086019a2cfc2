"""Which type a layer stores its variables in and which it computes in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping
from importlib import import_module
from typing import Any

from densekit._core import settings
from densekit._core.dtypes import FLOAT_TYPES, standardize_dtype, storable_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config


@export("keras")
class DTypePolicy:
    """A pair of dtypes: one for variables, one for computation.

    Args:
        name: a dtype name, which stands for both, or ``"mixed_float16"`` / ``"mixed_bfloat16"``:
            float32 variables, computation in the 16-bit type. Default: that of the global policy.

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
        name = _global_name() if name is None else name
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

    def of_path(self, path: str | None) -> DTypePolicy:
        """The policy of the layer of that path: this one, unless it is a map."""
        return self

    def with_path(self, path: str | None, policy: DTypePolicy) -> DTypePolicy:
        """The policy of a layer that had this one and gets `policy`; a map notes it."""
        return policy

    def get_config(self) -> Config:
        """``{"name": name}``."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: Config) -> DTypePolicy:
        """Create from `get_config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


def _global_name() -> str:
    """The name of the global policy; of a quantized one or a map, `floatx`."""
    policy = settings.get("dtype_policy")
    return policy.name if type(policy) is DTypePolicy else settings.floatx()


_WHERE = "DTypePolicyMap"


@export("keras.dtype_policies")
class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies by paths of layers; a key is a path, or a regular expression for whole paths.

    Passed as `dtype` of a layer, it gives the layer the policy of its path, and its default policy
    before the layer has one.

    Args:
        default_policy: policy of layers that no key fits, or its name. Default: the global policy.
        policy_map: dict of keys and policies. Default: empty.

    Raises:
        TypeError: if `policy_map` is no dict.
        ValueError: if `default_policy` is a map; for a path that several regular expressions fit,
            when it is looked up; for a key that is there already or no policy, when it is set.

    Example:

    >>> import densekit as keras
    >>> policies = keras.dtype_policies.DTypePolicyMap("float32")
    >>> policies["encoder/.*"] = "mixed_bfloat16"
    >>> policies["encoder/dense"].name, policies["decoder"].name
    ('mixed_bfloat16', 'float32')
    """

    def __init__(self, default_policy: object = None, policy_map: object = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            found = describe(default_policy)
            raise ValueError(message(_WHERE, "`default_policy`, no map", found, "Pass a policy."))
        if policy_map is not None and not isinstance(policy_map, dict):
            found = describe(policy_map)
            raise TypeError(message(_WHERE, "`policy_map`, a dict", found, "Pass one."))
        self._given_default = default_policy
        self._default_policy = get_dtype_policy(default_policy)
        self._policy_map: dict[str, DTypePolicy] = policy_map or {}

    @property
    def name(self) -> str:
        """``map_`` and the name of the default policy."""
        return f"map_{self._default_policy.name}"

    @property
    def default_policy(self) -> DTypePolicy:
        """Policy of layers that no key fits."""
        return self._default_policy

    @property
    def compute_dtype(self) -> str:
        """That of the default policy."""
        return self._default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """That of the default policy."""
        return self._default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """That of the default policy."""
        return self._default_policy.quantization_mode

    def of_path(self, path: str | None) -> DTypePolicy:
        """The policy of a layer; one that is not built has no path yet."""
        return self[path] if path else self._default_policy

    def with_path(self, path: str | None, policy: DTypePolicy) -> DTypePolicy:
        """This map, in which the layer of that path has `policy`."""
        if not path:
            return policy
        self._policy_map[path] = policy
        return self

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policy_map:
            return self._policy_map[key]
        fitting = [pattern for pattern in self._policy_map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            raise ValueError(
                message(
                    _WHERE,
                    f"one key at most that fits {key!r}",
                    ", ".join(map(repr, fitting)),
                    "Make the regular expressions narrower.",
                )
            )
        return self._policy_map[fitting[0]] if fitting else self._default_policy

    def __setitem__(self, key: str, policy: object) -> None:
        if key in self._policy_map:
            known = describe(self._policy_map[key])
            raise ValueError(
                message(_WHERE, f"a new key in place of {key!r}", known, "Delete it first.")
            )
        try:
            self._policy_map[key] = get_dtype_policy(policy)
        except TypeError as error:
            raise ValueError(
                message(_WHERE, "a policy or its name", describe(policy), "Pass e.g. 'float32'.")
            ) from error

    def __delitem__(self, key: str) -> None:
        del self._policy_map[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policy_map

    def __len__(self) -> int:
        return len(self._policy_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policy_map)

    def get_config(self) -> Config:
        """The constructor's arguments."""
        return {"default_policy": self._given_default, "policy_map": self._policy_map}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> DTypePolicyMap:
        """Create from `get_config`; `custom_objects` is of no use to it."""
        default, policies = config.get("default_policy"), config.get("policy_map")
        if isinstance(policies, dict):
            policies = {key: get_dtype_policy(policy) for key, policy in policies.items()}
        return cls(None if default is None else get_dtype_policy(default), policies)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DTypePolicyMap)
            and self._default_policy == other._default_policy
            and self._policy_map == other._policy_map
        )

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        policies = [(key, policy.name) for key, policy in self._policy_map.items()]
        return f"<DTypePolicyMap default_policy={self._default_policy.name}, mapping={policies}>"


def get_dtype_policy(identifier: object) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, a config dict or None (the global default)."""
    if identifier is None:
        policy = settings.get("dtype_policy")
        return policy if policy is not None else DTypePolicy(settings.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return _from_dict(identifier)
    if isinstance(identifier, str):
        if identifier.startswith(QUANTIZATION_MODES):
            by_name: Callable[[str], DTypePolicy] = _quantized("quantized_policy")
            return by_name(identifier)
        return DTypePolicy(identifier)
    return DTypePolicy(standardize_dtype(identifier))


def as_argument(config: Config) -> str | DTypePolicy:
    """What a constructor is handed for the policy of a config: the name of a plain one."""
    policy = get_dtype_policy(config)
    is_plain = type(policy) is DTypePolicy
    return policy.name if is_plain else policy


def _from_dict(config: Config) -> DTypePolicy:
    inner, name = config.get("config"), str(config.get("class_name"))
    cls = _quantized(name) if name in _QUANTIZED else _by_class_name.get(name)
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


def _quantized(name: str) -> Any:
    """What the file of quantized policies defines, which few models load (decision 0015)."""
    return getattr(import_module("densekit._core.quantized_policy"), name)


# Today's, Keras 3.0's and Keras 2's name.
_by_class_name: dict[str, type[DTypePolicy]] = dict.fromkeys(
    ("DTypePolicy", "FloatDTypePolicy", "Policy"), DTypePolicy
)
_by_class_name["DTypePolicyMap"] = DTypePolicyMap
_QUANTIZED = ("QuantizedDTypePolicy", "Int4DTypePolicy")
QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")
