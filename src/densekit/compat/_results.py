"""`.numpy()` on what layers, losses, `ops` and metrics return: scripts of TensorFlow call it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from densekit import layers, metrics, models, tree
from densekit._core.tensor import TENSORS_TOO, Tensor
from densekit._core.types import Array
from densekit.training import GradientTape


def let_results_tell_numpy() -> None:
    """From now on these results are tensors with `numpy()`, arrays in all else."""
    Tensor.numpy = _as_array  # type: ignore[attr-defined]
    Tensor.__getitem__ = _element  # type: ignore[method-assign, assignment]
    Tensor.__float__ = _number(float)  # type: ignore[method-assign, assignment]
    Tensor.__int__ = _number(int)  # type: ignore[method-assign, assignment]
    TENSORS_TOO.update(np.dtype(code).type for code in np.typecodes["All"] if code not in "OSUVMm")
    methods = ((layers.Layer, "__call__"), (models.Model, "__call__"), (GradientTape, "gradient"))
    for family, method in methods:
        _wrap(family, method)
    for name in dir(metrics):
        metric = getattr(metrics, name)
        if isinstance(metric, type) and "result" in vars(metric):
            _wrap(metric, "result")


def _wrap(family: type, method: str) -> None:
    plain: Callable[..., object] = getattr(family, method)

    @wraps(plain)
    def call(*args: object, **kwargs: object) -> object:
        result = plain(*args, **kwargs)
        if type(result) is np.ndarray or isinstance(result, np.generic):
            return _tensor(result)
        return (
            tree.map_structure(_tensor, result)
            if isinstance(result, tuple | list | dict)
            else result
        )

    setattr(family, method, call)


def _as_array(tensor: Tensor) -> Array:
    """A NumPy array of the caller's own, or number."""
    number_or_array: Array = np.array(tensor)[()]
    return number_or_array


def _number(kind: type) -> Callable[[Tensor], object]:
    """What makes a tensor of one element a number, whatever its shape."""
    return lambda tensor: kind(tensor.item())


def _element(tensor: Tensor, index: object) -> object:
    """A part of a tensor, which is one too if it is a single number."""
    return _tensor(np.ndarray.__getitem__(tensor, index))  # type: ignore[call-overload]


def _tensor(value: object) -> object:
    plain = type(value) is np.ndarray or isinstance(value, np.generic)
    return np.asarray(value).view(Tensor) if plain else value
