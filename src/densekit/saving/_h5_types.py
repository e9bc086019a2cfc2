"""Which element types of HDF5 are read: those whose bits mean what the name of the type says.

HDF5 describes a number by fields (where its sign, exponent and mantissa lie, the bias, the padding)
and converts by them. A flipped byte in such a description scales every weight without a word. So a
type is compared as a whole with the standard ones.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from h5py.h5t import TypeID


@cache
def _standard() -> list[TypeID]:
    from h5py import h5t  # optional at import: training does not need it

    sizes = (8, 16, 32, 64)
    integers = [f"STD_{sign}{n}{end}" for sign in "IU" for n in sizes for end in ("LE", "BE")]
    floats = [f"IEEE_F{n}{end}" for n in sizes[1:] for end in ("LE", "BE")]
    return [getattr(h5t, name) for name in (*integers, *floats)]


@cache
def _brain() -> list[TypeID]:
    """bfloat16 as a float type of HDF5: the upper half of an IEEE float of 32 bits."""
    from h5py import h5t

    found = []
    for base in (h5t.IEEE_F32LE, h5t.IEEE_F32BE):
        kind = base.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_precision(16)
        kind.set_size(2)
        found.append(kind)
    return found


def is_known(kind: object) -> bool:
    """Whether a type of HDF5 is an IEEE float, a plain integer or a boolean."""
    from h5py import h5t

    if isinstance(kind, h5t.TypeEnumID):
        return kind.dtype.kind == "b" and kind.get_super() in _standard()
    return kind in _standard()


def is_bfloat16(kind: object, marked: object) -> bool:
    """Whether a type of HDF5 is bfloat16: as a float, or as two raw bytes that are `marked` so.

    Keras writes raw bytes and names their type in an attribute: HDF5 had no bfloat16 of its own.
    """
    from h5py import h5t

    raw = isinstance(kind, h5t.TypeOpaqueID) and kind.get_size() == 2 and marked == "bfloat16"
    return raw or kind in _brain()
