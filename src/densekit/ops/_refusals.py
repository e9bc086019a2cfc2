"""What is said where the body of an op fails at arguments that are no tensors, or of other shapes.

A body computes; it does not look at each argument first. So it fails for want of an attribute or of
an axis, and what is then raised says which argument is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.frames import is_of_users
from densekit._core.tensor import Tensor
from densekit.ops._dispatch import SCALARS, as_array

_NO_NUMBERS = "OSUMm"
Arguments = tuple[Sequence[object], dict[str, object]]


class ShapeError(ValueError, IndexError):
    """Arrays of a rank or a size that an op does not take: Keras raises now one, now the other."""


def of_users_code(error: Exception) -> bool:
    """Whether a function that was handed to the op raised it."""
    trace = error.__traceback__
    while trace is not None and not is_of_users(trace.tb_frame):
        trace = trace.tb_next
    return trace is not None


def with_arrays(arguments: Arguments, names: Sequence[str]) -> Arguments | None:
    """The arguments, with the Python numbers among the tensors as arrays; None without any."""
    args, kwargs = arguments
    count = len(names)
    taken = [*args[:count], *(v for k, v in kwargs.items() if k in names)]
    if not any(type(value) in SCALARS for value in taken):
        return None

    def read(value: object) -> object:
        return as_array(value) if type(value) in SCALARS else value

    return [*map(read, args[:count]), *args[count:]], {
        k: read(v) if k in names else v for k, v in kwargs.items()
    }


def refusal(
    function: Callable[..., object], error: Exception, arguments: Arguments, names: Sequence[str]
) -> Exception:
    """What to raise in place of `error`; `names` are those of the tensors."""
    if isinstance(error, ValueError):  # NumPy's AxisError is both, and says all
        return error
    where = f"ops.{function.__name__}"
    args, kwargs = arguments
    tensors = [*zip(names, args, strict=False), *((k, v) for k, v in kwargs.items() if k in names)]
    for name, value in tensors:
        if value is None:
            return missing(function, name)
    for name, value in tensors:
        if not _is_numeric(value):
            got = describe(value)
            return TypeError(message(where, f"numbers as `{name}`", got, "Pass a tensor."))
    given = _given([*args, *kwargs.values()])
    if isinstance(error, AttributeError):
        action = "Each argument has to be of the kind that its documentation says."
        return TypeError(message(where, "tensors and settings", f"{given}: {error}", action))
    if "must be of integer" in str(error):
        return TypeError(message(where, "whole numbers as indices", given, "Cast them to int32."))
    action = "Compare them with the shapes of its documentation."
    return ShapeError(message(where, "arrays of fitting shapes", f"{given}: {error}", action))


def missing(function: Callable[..., object], name: str) -> ValueError:
    """The error for None where a tensor belongs."""
    where = f"ops.{function.__name__}"
    action = "Sizes that are open while a model is built, as of `ops.shape(x)[0]`, are None."
    return ValueError(message(where, f"a tensor or a number as `{name}`", "None", action))


def _is_numeric(value: object) -> bool:
    """Whether it is, or may be, a tensor: what NumPy does not know is of another library."""
    if type(value) not in (np.ndarray, Tensor):
        return not isinstance(value, str | dict | set) and not callable(value)
    return np.asarray(value).dtype.kind not in _NO_NUMBERS


def _given(values: Iterable[object]) -> str:
    return ", ".join(map(describe, values))
