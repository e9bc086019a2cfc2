"""The source of a function that a user wrote, as a syntax tree that is known to be its code."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

_known: WeakKeyDictionary[FunctionType, tuple[CodeType, ast.FunctionDef | None]] = (
    WeakKeyDictionary()
)


def definition_of(function: FunctionType) -> ast.FunctionDef | None:
    """The ``def`` of a function; None if its source is not there, or is no longer its code."""
    known = _known.get(function)
    if known is None or known[0] is not function.__code__:
        known = _known[function] = function.__code__, _find(function)
    return known[1]


def _find(function: FunctionType) -> ast.FunctionDef | None:
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    try:
        # The whole file: what a name is compiled to depends on whether the file imports it.
        tree = ast.parse("".join(lines))
        compiled = compile(tree, code.co_filename, "exec", code.co_flags & _FUTURES, True)
    except (SyntaxError, ValueError):
        return None
    same = [made for made in _codes_in(compiled) if _is_same(made, code)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name and same:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes_in(inner)


def _is_same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, and stand in the same line."""
    if len(one.co_consts) != len(other.co_consts):
        return False
    for a, b in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(a, CodeType) and isinstance(b, CodeType):
            if not _is_same(a, b):
                return False
        elif repr(a) != repr(b):
            return False
    return all(getattr(one, name) == getattr(other, name) for name in _PARTS)


_PARTS = (
    *("co_name", "co_firstlineno", "co_code", "co_names", "co_varnames", "co_freevars"),
    *("co_cellvars", "co_argcount", "co_kwonlyargcount", "co_posonlyargcount"),
)
_FUTURES = 0x1000000  # `from __future__ import annotations`
