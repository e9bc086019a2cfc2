"""Names of the data types and what follows from them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from densekit._core import settings
from densekit._core.errors import describe, message

FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")
INTEGER_TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPLEX_TYPES = ("complex64", "complex128")
ALLOWED_TYPES = (*FLOAT_TYPES, *INTEGER_TYPES, "bool", *COMPLEX_TYPES)
STRING = "string"  # of inputs alone: nothing is computed in it

_PYTHON_TYPES = {float: "float32", int: "int32", bool: "bool", str: STRING}


def standardize_dtype(dtype: Any) -> str:
    """The canonical name of a dtype given as name, NumPy dtype or type; None means `floatx`.

    Raises:
        ValueError: for a dtype that is unknown.

    Example:

    >>> import densekit as keras
    >>> [keras.utils.standardize_dtype(dtype) for dtype in ("int", float, None)]
    ['int32', 'float32', 'float32']
    """
    if dtype is None:
        return settings.floatx()
    if isinstance(dtype, type) and dtype in (float, int, bool, str):  # np.dtype('float64') == float
        return settings.floatx() if dtype is float else _PYTHON_TYPES[dtype]
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if name == "int":
        return _PYTHON_TYPES[int]
    if name is None:
        try:
            name = np.dtype(dtype).name
        except TypeError:
            name = repr(dtype)
    if name == STRING or (isinstance(dtype, np.dtype) and dtype.kind in "UST"):
        return STRING
    if name not in ALLOWED_TYPES:
        raise ValueError(
            message("dtype", f"one of {ALLOWED_TYPES}", describe(dtype), "Pass a known data type.")
        )
    return str(name)


def storable_dtype(dtype: object) -> str:
    """`standardize_dtype` for what variables hold and layers compute in: real numbers."""
    name = standardize_dtype(dtype)
    if name in COMPLEX_TYPES or name == STRING:
        real = tuple(known for known in ALLOWED_TYPES if known not in COMPLEX_TYPES)
        raise ValueError(message("dtype", f"one of {real}", repr(name), "Pass a real type."))
    return name


def is_float_dtype(dtype: object) -> bool:
    """Whether `dtype` is a floating-point type."""
    return standardize_dtype(dtype) in FLOAT_TYPES


def is_int_dtype(dtype: object) -> bool:
    """Whether `dtype` is an integer type (bool is not)."""
    return standardize_dtype(dtype) in INTEGER_TYPES


def to_numpy_dtype(dtype: object) -> np.dtype[Any]:
    """The NumPy dtype of a name; bfloat16 needs the `ml_dtypes` package."""
    name = standardize_dtype(dtype)
    if name == STRING:
        raise TypeError(
            message("dtype", "a type of numbers", repr(name), "Look strings up in a layer.")
        )
    if name == "bfloat16":
        import ml_dtypes  # optional: only bfloat16 needs it

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    return np.dtype(name)


def data_dtype(dtype: object) -> np.dtype[Any]:
    """The NumPy dtype of what models are fed: of numbers, or of strings of any length."""
    name = standardize_dtype(dtype)
    return np.dtype(str) if name == STRING else to_numpy_dtype(name)


def table_dtype(value: object) -> type[np.float64] | None:
    """What to read a table as whose columns are numbers of different kinds; None: as it is.

    NumPy has no common type for, say, a column of booleans and one of floats.
    """
    dtypes: Any = getattr(value, "dtypes", None)
    columns = list(dtypes) if hasattr(dtypes, "__iter__") else [dtypes]
    if all(isinstance(dtype, np.dtype) and dtype == columns[0] for dtype in columns):
        return None  # whole numbers stay whole
    kinds = {getattr(dtype, "kind", "O") for dtype in columns}
    return np.float64 if kinds and kinds <= set("biuf") else None


@cache
def _meet(first: str, second: str) -> str:
    """Type of ``a + b`` for arrays, by JAX's lattice: integers never widen a float."""
    if first == second or second == "bool":
        return first
    if first == "bool":
        return second
    if first in COMPLEX_TYPES or second in COMPLEX_TYPES:
        wide = {"complex128", "float64"} & {first, second}
        return "complex128" if wide else "complex64"
    floats = [name for name in (first, second) if name in FLOAT_TYPES]
    if len(floats) == 1:
        return floats[0]
    if set(floats) == {"float16", "bfloat16"}:
        return "float32"
    met = np.promote_types(to_numpy_dtype(first), to_numpy_dtype(second)).name
    return "float" if met in FLOAT_TYPES and not floats else str(met)


def result_type(*dtypes: object) -> str:
    """Name of the type that arrays of these types produce together.

    Python types are weak: ``result_type("float16", float) == "float16"``.
    """
    strong = [standardize_dtype(d) for d in dtypes if d not in (float, int, bool, None)]
    weak = [d for d in dtypes if d in (float, int, bool)]
    if not strong and not weak:
        return settings.floatx()
    name = strong[0] if strong else "bool"
    for other in strong[1:]:
        name = _meet(name, other)
        name = settings.floatx() if name == "float" else name
    if float in weak and name not in (*FLOAT_TYPES, *COMPLEX_TYPES):
        return settings.floatx()
    if int in weak and name == "bool":
        return "int32"
    return name
