"""What functions of users are made of: what they name outside, and the package they are from."""

from __future__ import annotations

from dis import get_instructions
from functools import cache
from types import CellType, CodeType, FunctionType

OURS = __name__.partition(".")[0]
NOTHING = object()


def content_of(cell: CellType) -> object:
    """What a variable around a function is; `NOTHING` before it is set, or once it is deleted."""
    try:
        content: object = cell.cell_contents
    except ValueError:
        return NOTHING
    return content


def variables_around(function: FunctionType) -> dict[str, CellType]:
    """The variables of the functions around it that it names."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


@cache
def globals_in(code: CodeType) -> tuple[str, ...]:
    """The global names that code reads."""
    found = {str(i.argval): None for i in get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found |= dict.fromkeys(globals_in(part))
    return tuple(found)


def package_of(thing: object) -> str:
    """The package whose module defines a function or class, "" if that is not known.

    What wraps a function takes over its ``__module__``, but not its globals.
    """
    if isinstance(thing, FunctionType):
        module = thing.__globals__.get("__name__")
    else:
        module = getattr(thing, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else ""
