"""`value_and_grad`: a function that gives its value and its gradient."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.boxes import BOXES, unboxed
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit.ops._dispatch import is_jax, namespace
from densekit.training._tape import GradientTape


@export("keras")
def value_and_grad(
    fn: Callable[..., Any], variables: object = None, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns what `fn` returns, and its gradient.

    Args:
        fn: returns a scalar, or with `has_aux` a pair of it and anything else.
        variables: the variables, or a structure of them, to take gradients by. Default: the first
            argument of `fn`, an array or a structure of arrays.
        has_aux: whether `fn` returns more than the value. Default: ``False``.

    Returns:
        a function with the arguments of `fn` that returns ``(value, gradients)``, the value being
        ``(value, aux)`` with `has_aux`. What a source has no part in has a gradient of zeros.

    Raises:
        TypeError: when called, if `fn` returns no scalar.

    Example:

    >>> import densekit as keras, numpy as np
    >>> w = keras.Variable([1.0, 2.0])
    >>> step = keras.value_and_grad(lambda x: keras.ops.sum(w * x), w)
    >>> value, gradient = step(np.array([3.0, 4.0], "float32"))
    >>> float(value), gradient.tolist()
    (11.0, [3.0, 4.0])
    """

    @wraps(fn)
    def differentiated(*args: object, **kwargs: object) -> tuple[Any, Any]:
        if variables is None and is_jax(namespace(*tree.flatten(args[0]))):
            jax = sys.modules["jax"]
            found: tuple[Any, Any] = jax.value_and_grad(fn, has_aux=has_aux)(*args, **kwargs)
            return found
        with GradientTape(watch_accessed_variables=False) as tape:
            sources: Any = variables
            if variables is None:
                sources = tree.map_structure(tape.enter, args[0])
                args = (sources, *args[1:])
            else:
                tape.watch(variables)
            result = fn(*args, **kwargs)
        value = result[0] if has_aux else result
        # A box that waits is not looked at: it is computed with the gradient.
        if (value.shape if type(value) in BOXES else np.shape(value)) != ():
            raise TypeError(
                message(
                    "value_and_grad",
                    "a function that returns a scalar" + (" and a pair" if has_aux else ""),
                    describe(unboxed(value)),
                    "Return e.g. the mean.",
                )
            )
        gradients = tape.gradient(value, sources, unconnected_gradients="zero")
        return tree.map_structure(tape.leave, result), gradients

    return differentiated
