"""The dtypes of a layer, all from its policy."""

from __future__ import annotations

from typing import Any

from densekit._core.dtype_policy import DTypePolicy, get_dtype_policy


class TypedByPolicy:
    """The part of `Layer` that knows which types to store and to compute in."""

    _dtype_policy: DTypePolicy

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The dtypes of variables and of computation."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._dtype_policy = get_dtype_policy(value)

    @property
    def dtype(self) -> str:
        """The same as `variable_dtype`."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """Type of the computation and of the output."""
        return self._dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Type of the weights."""
        return self._dtype_policy.variable_dtype

    @property
    def input_dtype(self) -> str:
        """Type that float inputs are cast to."""
        return self.compute_dtype
