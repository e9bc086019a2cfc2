"""`InputSpec`: which ranks, shapes and dtypes a layer accepts."""

from __future__ import annotations

from typing import Any

from densekit._core import tree
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape
from densekit.ops._keras_tensor import standardize_shape


@export("keras.layers")
class InputSpec:
    """Rank, shape and dtype that a layer expects of an input.

    Args:
        dtype: expected element type. Default: any.
        shape: expected shape, batch axis included; None entries fit any size. Default: any.
        ndim: expected rank. Default: that of `shape`, or any.
        max_ndim: largest rank. Default: any.
        min_ndim: smallest rank. Default: any.
        axes: sizes of single axes, ``{axis: size}``. Default: any.
        allow_last_axis_squeeze: accept one axis more or less if it is a last one of size 1.
            Default: ``False``.
        name: key of this input when inputs come as a dict. Default: none.
        optional: whether None may be passed. Default: ``False``.

    Raises:
        TypeError: if a key of `axes` is no integer.
        ValueError: if an axis lies outside of the rank.

    Example:

    >>> import densekit as keras
    >>> keras.InputSpec(min_ndim=2, axes={-1: 784})
    InputSpec(min_ndim=2, axes={-1: 784})
    """

    def __init__(
        self,
        dtype: object = None,
        shape: object = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else standardize_dtype(dtype)
        self.shape: PartialShape | None = None if shape is None else standardize_shape(shape)
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.optional = optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise TypeError(
                message("InputSpec", "`axes` {axis: size}", describe(axes), "Use integer keys.")
            ) from error
        rank = self.ndim if self.ndim is not None else self.max_ndim
        if self.axes and rank is not None and max(self.axes) >= rank:
            raise ValueError(
                message(
                    "InputSpec",
                    f"axes below the rank {rank}",
                    f"axis {max(self.axes)}",
                    "Raise `ndim` or correct `axes`.",
                )
            )

    def __repr__(self) -> str:
        parts = [
            f"{name}={value}"
            for name in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
            if (value := getattr(self, name))
        ]
        return f"InputSpec({', '.join(parts)})"

    def get_config(self) -> Config:
        """The constructor's arguments."""
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: Config) -> InputSpec:
        """Create from `get_config`."""
        return cls(**config)

    def mismatch(self, shape: PartialShape, dtype: object) -> str | None:
        """What an input of this shape and dtype should be instead, or None if it fits."""
        ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim and not self.allow_last_axis_squeeze:
            return f"rank {self.ndim}"
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"at most rank {self.max_ndim}"
        if self.min_ndim is not None and ndim < self.min_ndim:
            axes = "(batch, ..., features)" if self.min_ndim == 2 else ""
            return f"at least rank {self.min_ndim} {axes}".strip()
        if self.dtype is not None and standardize_dtype(dtype) != self.dtype:
            return f"dtype {self.dtype}"
        for axis, size in self.axes.items():
            if size is not None and shape[axis] is not None and shape[axis] != size:
                where = "last axis" if axis == -1 else f"axis {axis} of size"
                return f"{where} {size} (fixed by build)"
        if self.shape is not None:
            ours, theirs = self.shape, shape
            if self.allow_last_axis_squeeze:
                ours, theirs = _squeezed(ours), _squeezed(theirs)
            for a, b in zip(ours, theirs, strict=False):
                if a is not None and b is not None and a != b:
                    return f"shape {self.shape}"
        return None


def _squeezed(shape: PartialShape) -> PartialShape:
    return shape[:-1] if shape and shape[-1] == 1 else shape


def check_input(specs: object, inputs: object, where: str) -> None:
    """Raise ValueError unless `inputs` fit `specs`, an `InputSpec` or a structure of them."""
    if type(specs) is InputSpec and not isinstance(inputs, dict | list | tuple):
        _check_one(specs, inputs, where)
        return
    spec_list = tree.flatten(specs)
    names = [spec.name for spec in spec_list if spec is not None]
    if isinstance(inputs, dict) and len(names) == len(spec_list) and all(names):
        missing = [name for name in names if name not in inputs]
        if missing:
            raise ValueError(
                message(where, f"inputs {names}", f"keys {list(inputs)}", f"Add {missing[0]!r}.")
            )
        inputs = [inputs[name] for name in names]
    flat = tree.flatten(inputs)
    if len(flat) != len(spec_list):
        raise ValueError(
            message(
                where,
                f"{len(spec_list)} input(s)",
                f"{len(flat)} input tensors",
                "Pass as many inputs as the layer takes.",
            )
        )
    for spec, value in zip(spec_list, flat, strict=True):
        if spec is not None:
            _check_one(spec, value, where)


def _check_one(spec: InputSpec, value: Any, where: str) -> None:
    if value is None and spec.optional:
        return
    shape = getattr(value, "shape", None)
    if shape is None:
        raise ValueError(
            message(where, "a tensor as input", describe(value), "Pass an array, e.g. np.asarray.")
        )
    expected = spec.mismatch(tuple(shape), value.dtype)
    if expected is not None:
        fixed = "(fixed by build)" in expected
        is_dtype = expected.startswith("dtype")
        got = f"dtype {value.dtype}" if is_dtype else f"input shape {tuple(shape)}"
        action = "Reshape the input or rebuild the layer." if fixed else "Reshape the input."
        raise ValueError(message(where, expected, got, action))
