"""The dtypes of a layer, all from its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit._core.dtype_policy import DTypePolicy, get_dtype_policy


class TypedByPolicy:
    """The part of `Layer` that knows which types to store and to compute in."""

    _dtype_policy: DTypePolicy
    _dk_path: str | None
    built: bool
    _dk_form: Any
    quantize: Callable[..., None]

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The dtypes of variables and of computation."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: object) -> None:
        policy = get_dtype_policy(value)
        before = self._dtype_policy
        self._dtype_policy = before.with_path(self._dk_path, policy)
        new = self._dtype_policy.of_path(self._dk_path).quantization_mode is not None
        if new and self.built and getattr(self._dk_form, "bits", None) is None:
            try:
                self.quantize(self._dtype_policy.of_path(self._dk_path).quantization_mode)
            except BaseException:
                self._dtype_policy = before
                raise

    @property
    def dtype(self) -> str:
        """The same as `variable_dtype`."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """Type of the computation and of the output."""
        return self._dtype_policy.of_path(self._dk_path).compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Type of the weights."""
        return self._dtype_policy.of_path(self._dk_path).variable_dtype

    @property
    def input_dtype(self) -> str:
        """Type that float inputs are cast to."""
        return self.compute_dtype
