"""The decorator that makes a function of arrays an op.

An op accepts whatever can be read as an array and records a graph node when it meets a
`KerasTensor`; the decorated body only ever sees arrays, foreign arrays and, where several operands
meet, Python scalars.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import numpy as np

from densekit._core import tree
from densekit._core.boxes import DEFERRED
from densekit._core.errors import message
from densekit._core.frames import hide_internal_frames
from densekit._core.registry import export
from densekit._core.tensor import Tensor, as_tensor, lend
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit.ops._dispatch import ARRAYS, PLAIN, as_array, astype, operand, raw
from densekit.ops._keras_tensor import any_symbolic, symbolic_leaves
from densekit.ops._symbolic import FunctionOperation, recorded_nodes

_HALF = ("bfloat16", "float16")
# What a body raises that was handed something else than it computes with.
_MISFITS = (AttributeError, IndexError)
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class UnaryOp(Protocol[P, R]):
    """An op of one tensor: it takes an `ArrayLike`, its body is handed a `TensorLike`."""

    @overload
    def __call__(self, x: ArrayLike, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, **kwargs: object) -> R: ...


class BinaryOp(Protocol[P, R]):
    """An op of two tensors."""

    @overload
    def __call__(self, x1: ArrayLike, x2: ArrayLike, /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, x1: ArrayLike = ..., /, **kwargs: object) -> R: ...


class UnaryDecorator(Protocol):
    """Makes an op of a body."""

    def __call__(self, body: Callable[Concatenate[TensorLike, P], R], /) -> UnaryOp[P, R]: ...


class BinaryDecorator(Protocol):
    """Makes an op of a body."""

    def __call__(
        self, body: Callable[Concatenate[TensorLike, TensorLike, P], R], /
    ) -> BinaryOp[P, R]: ...


class Options(TypedDict, total=False):
    """Further arguments of `operation`."""

    arguments: tuple[str, ...] | None
    quiet: bool
    keeps_dtype: bool
    is_wide: bool
    alias: str
    views: bool
    settle: Callable[[Config], Config]


@overload
def operation(
    module: str,
    class_name: str | None = ...,
    *,
    tensors: Literal[1] = ...,
    convert: Callable[[object], TensorLike] | None = ...,
    **options: Unpack[Options],
) -> UnaryDecorator: ...
@overload
def operation(  # type: ignore[overload-overlap]  # the narrower one is meant
    module: str,
    class_name: str | None = ...,
    *,
    tensors: Literal[2],
    convert: Callable[[object], TensorLike] | None = ...,
    **options: Unpack[Options],
) -> BinaryDecorator: ...
@overload
def operation(
    module: str,
    class_name: str | None = ...,
    *,
    tensors: int = ...,
    convert: Callable[[object], object] | None = ...,
    **options: Unpack[Options],
) -> Callable[[F], F]: ...
def operation(
    module: str,
    class_name: str | None = None,
    *,
    tensors: int = 1,
    arguments: tuple[str, ...] | None = None,
    convert: Callable[[object], object] | None = None,
    quiet: bool = False,
    keeps_dtype: bool = False,
    is_wide: bool = False,
    alias: str = "",
    views: bool = False,
    settle: Callable[[Config], Config] = dict,
) -> Any:
    """Make a function an op.

    Args:
        module: last part of the module Keras' files name for the op's nodes, e.g. ``"numpy"``.
        class_name: name of the node's class in files. Default: the function's name in camel case.
        tensors: how many leading parameters are read as arrays.
        arguments: parameters that are call arguments of the node. Default: the leading ones.
        convert: how an array parameter is read. Default: `as_array` for one, `operand` for several.
        quiet: whether NumPy's floating-point warnings are silenced: infinities and NaNs speak for
            themselves. Costs a microsecond.
        keeps_dtype: whether a bfloat16 result must be asked for: NumPy makes float32 where such an
            array meets a Python number.
        is_wide: whether it is computed in float32 for bfloat16 and float16, which LAPACK does not
            know. The results are of the type that came.
        alias: a second name.
        views: whether the result may lie in the memory of an argument. It is a copy then, unless
            the argument is a tensor: of that, the result is a read-only view.
        settle: brings the node's settings into the form they have in files.
    """
    convert = convert or (as_array if tensors == 1 else operand)
    plain = ARRAYS if tensors == 1 else PLAIN

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        names = _parameters(function)[:tensors]
        node_class = _node_class(module, class_name, arguments or names, function)
        node_class.settle = staticmethod(settle)
        body = _in_dtype_of_input(function) if keeps_dtype else function
        body = _in_float32(body) if is_wide else body
        body = np.errstate(all="ignore")(body) if quiet else body

        def general(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if DEFERRED:
                for value in args:
                    if type(value) in DEFERRED:
                        return value._dk_apply(call, args, kwargs)
            if any_symbolic(args, kwargs):
                return _record(node_class, function, args, kwargs)
            if recorded_nodes.get() is not None:  # variables may read as tensors of the graph
                read, named = tree.map_structure(raw, (args, kwargs))
                if any_symbolic(read, named):
                    return _record(node_class, function, read, named)
            if tensors:
                args = (*map(convert, args[:tensors]), *args[tensors:])
                kwargs = {k: convert(v) if k in names else v for k, v in kwargs.items()}
            if views:
                args, kwargs = tuple(map(lend, args)), {k: lend(v) for k, v in kwargs.items()}
            try:
                result = body(*args, **kwargs)
            except _MISFITS as error:
                result = again(error, args, kwargs)
            return _copied(result) if views else _as_tensors(result)

        def again(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            """With arrays for Python numbers, which have no shape; else a sentence for `error`."""
            from densekit.ops import _refusals  # a mistake alone needs it

            if _refusals.of_users_code(error):
                hide_internal_frames(error)
                raise error
            arrays = _refusals.with_arrays((args, kwargs), names)
            if arrays is not None:
                try:
                    return body(*arrays[0], **arrays[1])
                except _MISFITS as other:
                    error = other
            reason = _refusals.refusal(function, error, (args, kwargs), names)
            hide_internal_frames(reason)
            raise reason from error

        def view(*args: Any, **kwargs: Any) -> Any:
            kind = type(args[0]) if tensors == 1 and args else None
            if kind not in ARRAYS:
                return general(args, kwargs)
            try:
                result = body(lend(args[0]), *args[1:], **kwargs)
            except _MISFITS as error:
                result = again(error, args, kwargs)
            except Exception as error:
                hide_internal_frames(error)
                raise
            if kind is np.ndarray:
                return _copied(result)
            return result if type(result) is Tensor else _as_tensors(result)

        def compute(*args: Any, **kwargs: Any) -> Any:
            for value in args[:tensors]:
                if type(value) not in plain:
                    return general(args, kwargs)
            if kwargs and not kwargs.keys().isdisjoint(names):
                return general(args, kwargs)
            try:
                result = body(*args, **kwargs)
            except _MISFITS as error:
                result = again(error, args, kwargs)
            except Exception as error:
                hide_internal_frames(error)
                raise
            return result if type(result) is Tensor else _as_tensors(result)

        call = wraps(function)(view if views else compute)
        node_class.function = staticmethod(call)
        return export("keras.ops", *([alias] if alias else []))(call)

    return decorate


def _in_dtype_of_input(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a result of bfloat16 for a first argument of bfloat16."""

    first = _parameters(function)[0]

    def body(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        dtype = (args[0] if args else kwargs[first]).dtype
        return result.astype(dtype) if dtype.kind == "V" and result.dtype != dtype else result

    return body


def _in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """The function, computed in float32 for arrays of half precision, which it gives again."""

    def body(*args: P.args, **kwargs: P.kwargs) -> R:
        dtypes = {getattr(x, "dtype", None) for x in (*args, *kwargs.values())}
        half = next((d for d in dtypes if d is not None and str(d) in _HALF), None)
        if half is None:
            return function(*args, **kwargs)

        def to(dtype: str, old: str, value: TensorLike) -> TensorLike:
            return astype(value, dtype) if str(getattr(value, "dtype", None)) == old else value

        widened = tree.map_structure(lambda x: to("float32", str(half), x), (args, kwargs))
        found = function(*widened[0], **widened[1])
        narrow: R = tree.map_structure(lambda x: to(str(half), "float32", x), found)
        return narrow

    return body


def as_given(value: object) -> object:
    """The `convert` of an op that hands its arguments on."""
    return value


def _as_tensors(result: Any) -> Any:
    """Arrays as tensors."""
    if type(result) in (list, tuple):
        return type(result)(map(as_tensor, result))
    return as_tensor(result)


def _copied(result: Any) -> Any:
    """New tensors for what lies in lent memory, which alone is read-only."""
    if type(result) in (list, tuple):
        return type(result)(map(_copied, result))
    if isinstance(result, np.ndarray) and not result.flags.writeable:
        result = np.array(result)
    return as_tensor(result)


def _parameters(function: Callable[..., object]) -> tuple[str, ...]:
    """Names of the parameters, ``*args`` and keyword-only ones last."""
    code = function.__code__  # `inspect.signature` is slow, and there are two hundred ops
    variadic = bool(code.co_flags & inspect.CO_VARARGS)
    count = code.co_argcount + code.co_kwonlyargcount + variadic
    names = code.co_varnames[:count]
    if not variadic:
        return names
    return (*names[: code.co_argcount], names[-1], *names[code.co_argcount : -1])


def _node_class(
    module: str, class_name: str | None, arguments: tuple[str, ...], function: Callable[..., object]
) -> type[FunctionOperation]:
    class_name = class_name or "".join(p.capitalize() for p in function.__name__.split("_"))
    variadic = bool(function.__code__.co_flags & inspect.CO_VARARGS)
    leading = _parameters(function)[: function.__code__.co_argcount] if variadic else ()
    leading = tuple(name for name in leading if name not in arguments)
    node_class = type(
        class_name,
        (FunctionOperation,),
        {
            "__module__": __name__,
            "__doc__": f"Graph node of `ops.{function.__name__}`.",
            "arguments": arguments,
            "variadic": variadic,
            "leading": leading,
        },
    )
    return export(f"keras.src.ops.{module}")(node_class)


def _record(
    node_class: type[FunctionOperation],
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    signature = inspect.signature(function)
    parameters = signature.parameters
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    call_args: list[Any] = []
    for name in node_class.arguments:
        value = bound.arguments[name]
        if value is None and parameters[name].default is inspect.Parameter.empty:
            from densekit.ops._refusals import missing  # a mistake alone needs it

            raise missing(function, name)
        call_args.extend(
            value if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL else [value]
        )
    while call_args and call_args[-1] is None:
        call_args.pop()
    free = [n for n, p in parameters.items() if p.kind is p.VAR_KEYWORD]
    skipped = {*node_class.arguments, *free}
    settings = {k: v for k, v in bound.arguments.items() if k not in skipped}
    for name, value in settings.items():
        if symbolic_leaves(value):
            raise TypeError(
                message(
                    f"ops.{function.__name__}",
                    f"numbers as `{name}`",
                    "a KerasTensor, which has no values yet",
                    "Compute it inside a layer's `call`.",
                )
            )
    named = {k: v for n in free for k, v in bound.arguments[n].items()}
    return node_class(**settings).symbolic_call(*call_args, **named)
