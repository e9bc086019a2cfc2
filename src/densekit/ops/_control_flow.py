"""Branches, scans and functions of users: `switch`, `associative_scan`, `vectorize`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.tensor import as_tensor
from densekit._core.types import ArrayLike, TensorLike
from densekit.ops._dispatch import as_array, is_jax, namespace
from densekit.ops._operation import as_given, operation


@operation("core", tensors=99, arguments=("index", "branches", "operands"), convert=as_given)
def switch(index: ArrayLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; an index out of bounds takes the first or last branch.

    Example:

    >>> from densekit import ops
    >>> ops.switch(1, [lambda x: x + 1, lambda x: x * 10], 5)
    50
    """
    if is_jax(namespace(index)):
        return sys.modules["jax"].lax.switch(index, branches, *operands)
    place = int(np.asarray(unboxed(as_array(index))))
    return branches[min(max(place, 0), len(branches) - 1)](*operands)


@operation("core", tensors=2, arguments=("f", "elems"), convert=as_given)
def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Running results of an associative `f` along `axis`: ``a, f(a, b), f(f(a, b), c), ...``.

    Args:
        f: of two arrays, or structures of arrays, element by element along `axis`. It is called
            about log2(n) times, each on many elements.
        elems: array or structure of arrays.
        reverse: whether to begin at the end. Default: ``False``.
        axis: Default: 0.

    Example:

    >>> from densekit import ops
    >>> ops.associative_scan(lambda a, b: a * b, ops.arange(1, 5)).tolist()
    [1, 2, 6, 24]

    Reference: Blelloch, Prefix Sums and Their Applications, 1990.
    """
    arrays = tree.map_structure(as_array, elems)
    leaves = tree.flatten(arrays)
    if is_jax(namespace(*leaves)):
        return sys.modules["jax"].lax.associative_scan(f, arrays, reverse, axis)
    count = leaves[0].shape[axis]
    if any(x.shape[axis] != count for x in leaves):
        raise ValueError(
            message(
                "ops.associative_scan",
                f"arrays of one size along axis {axis}, as of their first dimension",
                f"shapes {[tuple(x.shape) for x in leaves]}",
                "Cut them to one size.",
            )
        )

    def part(
        x: TensorLike, start: int | None, stop: int | None, step: int | None = None
    ) -> TensorLike:
        return x[(np.s_[:],) * normalize_axis_index(axis, x.ndim) + (np.s_[start:stop:step],)]

    def join(x: TensorLike, y: TensorLike) -> TensorLike:
        return namespace(x, y).concatenate([x, y], axis=axis)

    scanned = tree.map_structure(lambda x: part(x, None, None, -1), arrays) if reverse else arrays
    shift = 1
    while shift < count:  # now each place holds the result over the last `shift` elements
        earlier = tree.map_structure(lambda x, n=shift: part(x, None, -n), scanned)
        later = tree.map_structure(lambda x, n=shift: part(x, n, None), scanned)
        first = tree.map_structure(lambda x, n=shift: part(x, None, n), scanned)
        scanned = tree.map_structure(join, first, f(earlier, later))
        shift *= 2
    if reverse:
        scanned = tree.map_structure(lambda x: part(x, None, None, -1), scanned)
    return tree.map_structure(_own, scanned)


def _own(x: object) -> object:
    return as_tensor(np.array(x)) if isinstance(x, np.ndarray) else x


@export("keras.ops")
def vectorize(
    pyfunc: Callable[..., Any],
    *,
    excluded: Collection[int | str] | None = None,
    signature: str | None = None,
) -> Callable[..., Any]:
    """A function that applies `pyfunc` to each element of its arguments, which are broadcast.

    Args:
        pyfunc: of scalar tensors, or of arrays as `signature` says; returns one or a tuple.
        excluded: positions and names of arguments that are handed on as they are.
        signature: the axes that `pyfunc` takes and gives, e.g. ``"(m,n),(n)->(m)"``. Default:
            none.

    Raises:
        ValueError: if `pyfunc` cannot be called.
        TypeError: if there are more or fewer arguments than the signature names.

    Example:

    >>> import numpy as np
    >>> from densekit import ops
    >>> larger = ops.vectorize(lambda a, b: ops.maximum(a, b))
    >>> larger(np.array([1, 5]), 3).tolist()
    [3, 5]
    """
    if not callable(pyfunc):
        raise ValueError(
            message("ops.vectorize", "a function", repr(pyfunc), "Pass something to call.")
        )
    kept = set(excluded or ())

    @wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        places = [k for k in range(len(args)) if k not in kept]
        mapped = [as_array(args[k]) for k in places]
        named = {k: as_array(v) for k, v in kwargs.items() if k not in kept}
        mapped += named.values()
        if is_jax(namespace(*mapped)):
            library = sys.modules["jax.numpy"]
            return library.vectorize(pyfunc, excluded=kept, signature=signature)(*args, **kwargs)
        cores = _cores(signature, len(mapped))
        loops = [x.shape[: x.ndim - core] for x, core in zip(mapped, cores, strict=True)]
        loop = np.broadcast_shapes(*loops)

        def one(index: tuple[int, ...]) -> object:
            values = [_at(x, index, len(shape)) for x, shape in zip(mapped, loops, strict=True)]
            filled = list(args)
            for place, value in zip(places, values, strict=False):
                filled[place] = value
            rest = dict(zip(named, values[len(places) :], strict=True))
            return pyfunc(*filled, **{**kwargs, **rest})

        results = [one(index) for index in np.ndindex(*loop)]
        if not results:
            raise ValueError(
                message("ops.vectorize", "elements", f"shape {loop}", "Pass arrays that have some.")
            )

        def gather(*leaves: object) -> TensorLike:
            xp = namespace(*leaves)
            stacked = xp.stack([as_array(leaf) for leaf in leaves])
            return as_tensor(xp.reshape(stacked, (*loop, *stacked.shape[1:])))

        if isinstance(results[0], tuple):
            return tuple(gather(*leaves) for leaves in zip(*results, strict=True))
        return gather(*results)

    return vectorized


def _cores(signature: str | None, count: int) -> list[int]:
    """How many axes `pyfunc` takes of each argument."""
    if signature is None:
        return [0] * count
    inputs = re.findall(r"\(([^)]*)\)", signature.partition("->")[0])
    if len(inputs) != count:
        raise TypeError(
            message(
                "ops.vectorize",
                f"{len(inputs)} arguments: {signature}",
                f"{count}",
                "Pass as many arrays as the signature names.",
            )
        )
    return [len([name for name in axes.split(",") if name.strip()]) for axes in inputs]


def _at(x: TensorLike, index: tuple[int, ...], loops: int) -> TensorLike:
    """The element of `x` at a place of the broadcast loop."""
    own = index[len(index) - loops :]
    return x[tuple(0 if n == 1 else i for i, n in zip(own, x.shape, strict=False))]
