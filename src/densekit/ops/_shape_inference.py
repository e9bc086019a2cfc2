"""Shapes and dtypes of what a function returns, found by calling it on small arrays."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from densekit._core import settings, tree
from densekit._core.allowance import claim_for_a_while, elements
from densekit._core.dtypes import STRING, data_dtype
from densekit._core.scope import Trial
from densekit._core.tensor import lend
from densekit._core.types import Array
from densekit.ops._keras_tensor import KerasTensor, symbolic_leaves

# Sizes tried for None: a dimension that follows the trial size is None in the output. Where these
# fail, a pair of many divisors is tried, for functions that split or reshape the unknown axis: the
# first of those whose arrays are not too large.
_SIZES = (2, 3)
_DIVISIBLE_SIZES = ((840, 1680), (120, 240), (60, 120), (24, 48), (12, 24), (6, 12), (4, 8))
_HIGHEST = (1, 97)  # values tried where sizes follow from values, as in `unique`
_MOST_ELEMENTS = 2**22
_FEW_ELEMENTS = 2**16
_MOST_TRIALS = 256  # of sizes that differ between the unknown axes


def compute_output_spec(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Shapes and dtypes of ``function(*args, **kwargs)`` as `KerasTensor`s, found by trying it out.

    The function runs on small arrays, once if all sizes are known, else with different sizes for
    None: the same for every None, or, where that cannot be (``(None, 3) + (2, None)``), whatever
    sizes go together. Variables it assigns to keep their values.
    """
    given = symbolic_leaves((args, kwargs))
    for tensor in given:
        size = _SIZES[1] * elements(tensor.shape) * data_dtype(tensor.dtype).itemsize
        claim_for_a_while(size, f"an input {tensor.name!r}", f"shape {tensor.shape}")
    unknown = sum(tensor.shape.count(None) for tensor in given)
    scopes: list[Trial] = []

    def trial(*sizes: int, highest: int | None = None) -> Any:
        left = iter(sizes)

        def stand_in(leaf: object) -> object:
            if not isinstance(leaf, KerasTensor):
                return leaf
            shape = tuple(next(left) if n is None else n for n in leaf.shape)
            return lend(_sample(shape, leaf.dtype, highest))

        sample_args, sample_kwargs = tree.map_structure(stand_in, (args, kwargs))
        scopes.append(Trial())
        with scopes[-1], np.errstate(all="ignore"):
            return function(*sample_args, **sample_kwargs)

    def of_other_values(*sizes: int) -> list[Any]:
        """Results for other values, where a size follows from them."""
        results: list[Any] = []
        for highest in _HIGHEST if any(s.sized_by_values for s in scopes) else ():
            with contextlib.suppress(ValueError, IndexError):
                results.append(trial(*sizes, highest=highest))
        return results

    if not unknown:
        return _common_spec([trial(), *of_other_values()], given)
    try:
        results = [trial(*[size] * unknown) for size in _SIZES]
        results += of_other_values(*[_SIZES[1]] * unknown)
        if any(1 in np.shape(leaf) for leaf in tree.flatten(results[0])):  # ``x[:, ::4]``
            with contextlib.suppress(Exception):
                results.append(trial(*[_divisible(given, _FEW_ELEMENTS)[0]] * unknown))
        return _common_spec(results, given)
    except (ValueError, IndexError) as error:
        try:
            sizes = _divisible(given, _MOST_ELEMENTS)
            return _common_spec([trial(*[size] * unknown) for size in sizes], given)
        except (ValueError, IndexError):
            leaves = tree.flatten((args, kwargs))
            shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
            known = {n for shape in shapes for n in shape if n is not None}.union(_SIZES)
            worked = _what_works(trial, sorted(known), given)
            if not worked:
                raise error from None  # that of the small trial is the readable one
            results = [result for _, result in worked]
            return _common_spec([*results, *of_other_values(*worked[-1][0])], given)


def _divisible(given: list[KerasTensor], most: int) -> tuple[int, int]:
    """A pair of sizes for None that many numbers divide."""
    for pair in _DIVISIBLE_SIZES:
        shapes = ([pair[1] if n is None else n for n in tensor.shape] for tensor in given)
        if sum(map(math.prod, shapes)) <= most:
            break
    return pair


def _sample(shape: tuple[int, ...], dtype: str, highest: int | None) -> Array:
    """An array for a trial: of one value, or some 0 and the rest `highest`."""
    if highest is not None and dtype != STRING:
        mixed = np.arange(math.prod(shape)) ** 2 // 3 % 2  # rows differ, too; it begins with 0
        if "float" not in dtype:
            mixed = 1 - mixed  # the sample of one value is of zeros
        return (mixed * highest).reshape(shape).astype(data_dtype(dtype))
    if "int" in dtype or dtype == "bool":
        return np.zeros(shape, data_dtype(dtype))
    value = np.ones(shape, data_dtype(dtype))
    if dtype != STRING and len(shape) > 1 and shape[-1] == shape[-2]:
        value += np.eye(shape[-1], dtype=value.dtype)  # can be inverted
    return value


def _what_works(
    trial: Callable[..., Any], sizes: list[int], given: list[KerasTensor]
) -> list[tuple[tuple[int, ...], object]]:
    """Sizes and results of the trials that do not fail, each unknown axis having one of `sizes`."""
    axes = [(a, a - x.ndim) for x in given for a, n in enumerate(x.shape) if n is None]
    every: Iterable[tuple[int, ...]] = itertools.product(sizes, repeat=len(axes))
    if len(sizes) ** len(axes) > _MOST_TRIALS:
        draw = random.Random(0)
        every = [tuple(draw.choices(sizes, k=len(axes))) for _ in range(_MOST_TRIALS)]
        for side in (0, 1):  # axes that meet have one size, counted from the front or the back
            met = {axis[side]: i for i, axis in enumerate(axes)}
            for chosen in itertools.islice(itertools.product(sizes, repeat=len(met)), _MOST_TRIALS):
                size_at = dict(zip(met, chosen, strict=True))
                every.append(tuple(size_at[axis[side]] for axis in axes))
    results = []
    for assignment in every:
        left = iter(assignment)
        shapes = [[next(left) if n is None else n for n in x.shape] for x in given]
        if sum(map(math.prod, shapes)) > _MOST_ELEMENTS:
            continue
        with contextlib.suppress(ValueError, IndexError):
            results.append((assignment, trial(*assignment)))
    return results


def _common_spec(results: list[Any], given: list[KerasTensor]) -> Any:
    """What the results of all trials have in common.

    Nothing where sizes were unknown may be too little of a size: ``x[:, 5:]``.
    """
    are_empty = len(results) == 1 or any(0 in tensor.shape for tensor in given)

    def spec(*values: Any) -> object:
        first = values[0]
        if first is None or isinstance(first, str):
            return first
        sizes = zip(*map(np.shape, values), strict=True)
        shape = tuple(
            None if len({*axis}) > 1 or (axis[0] == 0 and not are_empty) else axis[0]
            for axis in sizes
        )
        return KerasTensor(shape, dtype=_spec_dtype(first))

    return tree.map_structure(spec, *results)


def _spec_dtype(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        text = getattr(dtype, "kind", "") in ("U", "S")
        return STRING if text else str(getattr(dtype, "name", dtype))
    return {bool: "bool", int: "int32"}.get(type(value), settings.floatx())
