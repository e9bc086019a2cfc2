"""Gradients of what users compute: `GradientTape` and `value_and_grad`.

What is computed inside a tape is computed on boxes of `autograd`, which know how they were made.
Variables read as boxes while the tape is the innermost scope; a model or layer that lowers is one
step of the record, natively forward and backward: `training/_recorded_call.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from operator import is_
from typing import Any
from weakref import ref

import numpy as np

from densekit import engines, ops
from densekit._core import tree
from densekit._core.boxes import BOXES, unboxed
from densekit._core.dtypes import is_float_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.scope import RecordingScope
from densekit._core.tensor import Tensor, give
from densekit._core.variable import Variable
from densekit._core.watched import WATCHED
from densekit.ops._deferred import DeferredBox, Formula, Formulas
from densekit.ops._dispatch import is_jax, namespace
from densekit.ops._gradient import backward, begin_trace, end_trace, new_node
from densekit.training._recorded_call import (
    BareCall,
    run_quickly,
    run_recorded,
    run_with_values,
)
from densekit.training._recorded_loss import run_recorded_loss

_UNCONNECTED = ("none", "zero")


@export("keras")
class GradientTape(RecordingScope):
    """Records what is computed inside, to give gradients of it: TensorFlow's `tf.GradientTape`.

    A model or a layer that is called inside runs natively, forward and backward, whenever it does
    outside; the user's own formula runs in Python, on `keras.ops` or plain operators. Tapes can be
    nested: a gradient taken inside another tape is recorded there, which gives second derivatives.

    Args:
        persistent: whether gradients may be asked for more than once. Default: ``False``.
        watch_accessed_variables: whether trainable variables that are read inside are watched.
            Default: ``True``.

    Example:

    >>> import densekit as keras
    >>> x = keras.Variable(3.0)
    >>> with keras.GradientTape() as outer:
    ...     with keras.GradientTape() as inner:
    ...         y = x * x * x
    ...     slope = inner.gradient(y, x)
    >>> float(slope), float(outer.gradient(slope, x))
    (27.0, 18.0)
    """

    _used = False
    _trace = -1
    _recording = False
    _formula: ref[Formula] | None = None  # what is noted; boxes keep it alive
    _frozen: frozenset[int] = frozenset()  # by id: watched variables that do not train
    _lent: tuple[Any, ...] = ()  # arrays of another class while the tape records

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._accessed = watch_accessed_variables
        self._roots: dict[int, tuple[Any, Any]] = {}  # by id: a variable or array, its node

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError(
                message("GradientTape", "a tape not in use", "one that records", "Make a new one.")
            )
        if not self._persistent and (self._used or self._roots):
            self._roots, self._used = {}, False
        self._trace = begin_trace()
        self._recording = True
        return super().__enter__()

    def __exit__(self, *exc: object) -> None:
        super().__exit__()
        end_trace(self._trace)
        self._recording = False
        if self._lent:
            for array in self._lent:
                engines.take_back(array)
            self._lent = ()

    # What is watched

    def watch(self, tensor: Any) -> None:
        """Record what is computed from arrays, or variables, that would not be watched otherwise.

        Args:
            tensor: an array of floats, a variable, something computed in an outer tape, or a
                structure of them.

        Raises:
            RuntimeError: outside of the tape.
            ValueError: for anything else.

        Example:

        >>> import densekit as keras, numpy as np
        >>> x = np.array([1.0, 2.0])
        >>> with keras.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.gradient(y, x).tolist()
        [2.0, 4.0]
        """
        if not self._recording:
            raise RuntimeError(
                message("GradientTape.watch", "a tape that records", "one that does not", _INSIDE)
            )
        for leaf in tree.flatten(tensor):
            self._watch(leaf)

    def _watch(self, leaf: Any) -> None:
        if isinstance(leaf, Variable):
            self.root(leaf)
            if not leaf.trainable:
                self._frozen |= {id(leaf)}
        elif type(leaf) in BOXES:
            if leaf._trace != self._trace:
                # The box that the user holds becomes one of this tape, around what it was.
                leaf._value = type(leaf)(leaf._value, leaf._trace, leaf._node)
                leaf._trace, leaf._node = self._trace, new_node()
        elif type(leaf) in (np.ndarray, Tensor, *WATCHED) and leaf.dtype.kind == "f":
            self.root(leaf)
            self._lent = (*self._lent, leaf)
            engines.lend(leaf)
        else:
            raise ValueError(
                message(
                    "GradientTape.watch",
                    "an array of floats or a variable",
                    describe(leaf),
                    "Convert it: `x = np.asarray(x, 'float32')`.",
                )
            )

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched so far, in the order of their first use."""
        formula = None if self._formula is None else self._formula()
        for made_by in () if formula is None else formula.made_by.values():
            made_by.node()
        return tuple(v for v, _ in self._roots.values() if isinstance(v, Variable))

    def reset(self) -> None:
        """Forget what was recorded."""
        self._roots, self._used, self._formula = {}, False, None

    @property
    def watches_all(self) -> bool:
        """Whether it watches all variables that train, and no others."""
        return self._accessed and not self._frozen

    def formula(self, formulas: Formulas) -> Formula:
        """What notes the ops on outputs of models."""
        formula = None if self._formula is None else self._formula()
        if formula is None or formula.formulas is not formulas or formula.trace != self._trace:
            formula = Formula(formulas, self._trace)
            self._formula = ref(formula)
        return formula

    @property
    def trace(self) -> int:
        """The number of its trace: higher than those of the tapes around it."""
        return self._trace

    @property
    def records(self) -> bool:
        """Whether the tape is active."""
        return self._recording

    def run(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of a layer called inside, as one step; NotImplemented for its definition."""
        return run_recorded(self, layer, args, kwargs)

    def run_model(self, model: Any, x: Any, training: Any) -> Any:
        """The same for one array and no other arguments, if it is like a call before."""
        if self.outer is not None or not self._accessed or self._frozen or training is None:
            return NotImplemented
        return run_quickly(self, model, x, bool(training))

    def run_with_values(
        self, layer: Any, pairs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The outputs for given values of the variables; NotImplemented for the definition."""
        return run_with_values(self, layer, pairs, args, kwargs)

    def run_loss(self, loss: Any, args: tuple[Any, Any]) -> Any:
        """The value of a loss called inside, as one step; NotImplemented for its definition."""
        return run_recorded_loss(self, loss, args)

    def root(self, of: Any) -> Any:
        """The node at which gradients by a variable or an array arrive."""
        known = self._roots.get(id(of))
        if known is None:
            known = self._roots[id(of)] = (of, new_node())
        return known[1]

    def watches_frozen(self, layer: Any) -> bool:
        """Whether a variable of `layer` is watched that does not train."""
        return bool(self._frozen) and any(id(v) in self._frozen for v in layer.variables)

    def watches(self, variable: Any) -> bool:
        """Whether reading `variable` is recorded."""
        if id(variable) in self._roots:
            return True
        trainable = self._accessed and isinstance(variable, Variable) and variable.trainable
        return trainable and variable.numpy_dtype.kind in "fV"  # V: bfloat16

    def get_current_value(self, variable: Any) -> Any | None:
        """A box around what the variable is outside of this tape."""
        value = None if self.outer is None else self.outer.get_current_value(variable)
        if not self.watches(variable):
            return value
        if (
            value is None
        ):  # a copy: the optimizer may change the buffer before the gradient is taken
            watched = type(variable) in WATCHED
            value = variable.view(np.ndarray) if watched else variable.snapshot()
        return _box(value, self._trace, self.root(variable))

    def _entered(self, value: Any) -> Any:
        """A watched box around an argument."""
        value = ops.convert_to_tensor(value)
        if not is_float_dtype(str(value.dtype)):
            raise TypeError(
                message("value_and_grad", "floats", describe(value), "Convert it to floats first.")
            )
        return _box(value, self._trace, new_node())

    def _left(self, value: Any) -> Any:
        """A result without the box of this tape."""
        inside = type(value) in BOXES and value._trace == self._trace
        return give(value._value) if inside else value

    # Gradients

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """The gradients of `target` by `sources`.

        Args:
            target: what was computed inside, or a structure of it: the gradient is that of the sum.
            sources: variables, watched arrays, or what was computed inside on the way.
            output_gradients: what to multiply each target by. Default: ones.
            unconnected_gradients: what to give for a source that no target depends on: ``"none"``
                or ``"zero"``. Default: ``"none"``.

        Returns:
            the gradients, in the structure of `sources`.

        Raises:
            RuntimeError: if a tape that is not persistent was asked before.
            ValueError: for an unknown `unconnected_gradients`.
            TypeError: for a source that is no array or variable.
        """
        if type(target) is DeferredBox and output_gradients is None:
            found = self._at_once(target, sources, unconnected_gradients)
            if found is not NotImplemented:
                return found
        self._assert_usable(target)
        if unconnected_gradients not in _UNCONNECTED:
            raise ValueError(
                message(
                    "GradientTape.gradient",
                    f"`unconnected_gradients` among {_UNCONNECTED}",
                    repr(unconnected_gradients),
                    "Pass 'none' or 'zero'.",
                )
            )
        flat = tree.flatten(sources)
        targets = [target] if type(target) in BOXES else tree.flatten(target)
        given: list[Any] = [None] * len(targets)
        if output_gradients is not None:
            given = tree.flatten(output_gradients)
        seeds = list(self._seeds(targets, given))
        nodes = self._nodes_of(flat)  # after the targets: some nodes are made when they are needed
        self._used = True
        found = self._pull(seeds, flat, nodes, unconnected_gradients == "zero")
        if not self._persistent and not self._recording:
            self._roots = {}  # a tape that is used up keeps nothing alive
        return tree.pack_as(sources, found)

    def _nodes_of(self, sources: list[Any]) -> list[Any]:
        roots = self._roots
        return [
            roots[id(source)][1] if id(source) in roots else self._node_of(source)
            for source in sources
        ]

    def _at_once(self, target: DeferredBox, sources: Any, unconnected: str) -> Any:
        """Gradients by variables of a formula that runs natively as a whole; or NotImplemented."""
        if target._trace != self._trace or (self._used and not self._persistent):
            return NotImplemented
        flat = sources if type(sources) is list else tree.flatten(sources)
        program = target.program()
        if program is None or unconnected not in _UNCONNECTED:
            return NotImplemented
        formula, places = target._formula, program.recorded
        made_by = formula.made_by[places[0]] if len(places) == 1 else None
        variables = made_by.variables if type(made_by) is BareCall else ()
        # Mostly all variables of one model.
        is_whole = flat and len(variables) == len(flat) and all(map(is_, variables, flat))
        if not is_whole and not all([_is_outside(v) for v in flat]):
            return NotImplemented
        self._used = True
        value, found = program.run(formula.values)
        target.learn(value)
        gradients: list[Any]
        if made_by is not None and is_whole and found:
            gradients = made_by.recorded.gradients([found[places[0]]])[0]
        else:
            seeds = [(formula.made_by[place].node(), d) for place, d in found.items()]
            gradients = self._pull(seeds, flat, self._nodes_of(flat), unconnected == "zero")
        if not self._persistent and not self._recording:
            self._roots = {}  # a tape that is used up keeps nothing alive
        return gradients if flat is sources else tree.pack_as(sources, gradients)

    def _assert_usable(self, target: Any) -> None:
        if self._used and not self._persistent:
            raise RuntimeError(
                message(
                    "GradientTape",
                    "one set of gradients, as it is not persistent",
                    "a second call",
                    "Use GradientTape(persistent=True), or ask for all sources at once.",
                )
            )
        if target is None:
            raise TypeError(
                message("GradientTape", "a `target`", "None", "Pass what was computed inside.")
            )

    def _own(self, value: Any) -> Any:
        """The box of this tape around or inside `value`; None if it is not recorded here."""
        while type(value) in BOXES and value._trace > self._trace:
            value = value._value
        return value if type(value) in BOXES and value._trace == self._trace else None

    def _node_of(self, source: Any) -> Any:
        known = self._roots.get(id(source))
        if known is not None:
            return known[1]
        if isinstance(source, Variable | np.ndarray | np.generic):
            return None
        if type(source) not in BOXES:
            raise TypeError(
                message(
                    "GradientTape",
                    "`sources` that are variables or arrays",
                    describe(source),
                    "Watch it first.",
                )
            )
        box = self._own(source)
        return None if box is None else box._node

    def _seeds(self, targets: Sequence[Any], given: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        for target, factor in zip(targets, given, strict=True):
            known = self._roots.get(id(target))
            box = self._own(target)
            if box is None and known is None:
                continue
            value = unboxed(getattr(target, "value", target))
            if factor is None:
                factor = np.ones(np.shape(value), np.asarray(value).dtype)
            elif type(factor) not in BOXES:
                factor = np.broadcast_to(np.asarray(factor, value.dtype), np.shape(value))
            yield (box._node if known is None else known[1]), factor

    def _pull(
        self, seeds: list[tuple[Any, Any]], sources: list[Any], nodes: list[Any], zeros: bool
    ) -> list[Any]:
        """Gradients at `nodes` from cotangents at the targets."""
        with np.errstate(all="ignore"):
            found = backward(seeds, frozenset(n for n in nodes if n is not None))
        handed: set[int] = {id(seed) for _, seed in seeds}
        gradients: list[Any] = []
        for source, node in zip(sources, nodes, strict=True):
            gradient = None if node is None else found.get(node)
            if isinstance(source, Variable):
                like = source._value
                dtype, shape = like.dtype, like.shape
            else:
                like = unboxed(source)
                dtype, shape = like.dtype, np.shape(like)
            if gradient is None:
                gradients.append(np.zeros(shape, dtype) if zeros else None)
                continue
            if type(gradient) in BOXES:
                gradients.append(ops.cast(gradient, str(dtype)))
                continue
            if type(gradient) is not np.ndarray or gradient.dtype is not dtype:
                gradient = np.asarray(gradient, dtype)
            if gradient.shape != shape:
                gradient = gradient.reshape(shape)
            # Two sources may get one array: writing to one must not change the other.
            shared = id(gradient) in handed or not gradient.flags.writeable
            gradients.append(gradient.copy() if shared else gradient)
            handed.add(id(gradient))
        return gradients

    def jacobian(self, target: Any, sources: Any, unconnected_gradients: str = "none") -> Any:
        """The gradient of every element of `target`: shape of the target, then of the source.

        Args:
            target: one array computed inside.
            sources: as for `gradient`.
            unconnected_gradients: as for `gradient`.
        """
        self._assert_usable(target)
        flat = tree.flatten(sources)
        box = self._own(target)
        if box is not None:
            assert box._node is not None  # made now, if it is made when it is needed
        nodes = [self._node_of(source) for source in flat]
        shape, size = np.shape(unboxed(target)), int(np.size(unboxed(target)))
        dtype = np.asarray(unboxed(target)).dtype
        self._used = True
        rows = []
        for i in range(size):
            one = np.zeros(size, dtype)
            one[i] = 1
            seeds = list(self._seeds([target], [one.reshape(shape)]))
            rows.append(self._pull(seeds, flat, nodes, unconnected_gradients == "zero"))
        return tree.pack_as(
            sources, [_stacked(column, shape) for column in zip(*rows, strict=True)]
        )


_INSIDE = "Call it inside `with keras.GradientTape() as tape:`."


def _is_outside(source: object) -> bool:
    """Whether no op that waits can have made a source: those need their ops one by one."""
    kind = type(source)
    return isinstance(source, Variable) or (kind in BOXES and kind is not DeferredBox)


def _box(value: Any, trace: int, node: Any) -> Any:
    from autograd.tracer import new_box  # optional and slow

    return new_box(value, trace, node)


def _stacked(rows: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """The rows of a Jacobian as one array; None where there is none."""
    if any(row is None for row in rows):
        return None
    return ops.reshape(ops.stack(list(rows)), (*shape, *np.shape(unboxed(rows[0]))))


@export("keras")
def value_and_grad(
    fn: Callable[..., Any], variables: Any = None, has_aux: bool = False
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
    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if variables is None and is_jax(namespace(*tree.flatten(args[0]))):
            jax = sys.modules["jax"]
            found: tuple[Any, Any] = jax.value_and_grad(fn, has_aux=has_aux)(*args, **kwargs)
            return found
        with GradientTape(watch_accessed_variables=False) as tape:
            sources = variables
            if variables is None:
                sources = tree.map_structure(tape._entered, args[0])
                args = (sources, *args[1:])
            else:
                tape.watch(variables)
            result = fn(*args, **kwargs)
        value = result[0] if has_aux else result
        if np.shape(unboxed(value)) != ():
            raise TypeError(
                message(
                    "value_and_grad",
                    "a function that returns a scalar" + (" and a pair" if has_aux else ""),
                    describe(unboxed(value)),
                    "Return e.g. the mean.",
                )
            )
        gradients = tape.gradient(value, sources, unconnected_gradients="zero")
        return tree.map_structure(tape._left, result), gradients

    return differentiated
