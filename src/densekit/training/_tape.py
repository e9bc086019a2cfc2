"""`GradientTape`: gradients of what users compute.

What is computed inside a tape is computed on boxes of `autograd`, which know how they were made.
Variables read as boxes while the tape is the innermost scope; a model or layer that lowers is one
step of the record, natively forward and backward: `training/_recorded_call.py`.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np

from densekit import engines, ops
from densekit._core import tree
from densekit._core.boxes import BOXES, is_box
from densekit._core.dtypes import is_float_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.scope import Foreign, VariableScope
from densekit._core.tensor import give
from densekit._core.types import Array, ArrayLike
from densekit._core.variable import Variable
from densekit._core.watched import WATCHED
from densekit.layers import Layer
from densekit.ops._deferred import DeferredBox, Formula
from densekit.ops._formula_steps import Formulas
from densekit.ops._gradient import Node, begin_trace, end_trace, new_node, resume_trace
from densekit.training._pausing import PausingScope
from densekit.training._recorded_call import run_quickly, run_recorded, run_with_values
from densekit.training._recorded_loss import run_recorded_loss
from densekit.training._tape_gradients import (
    Roots,
    assert_same_rows,
    jacobian_of,
    nodes_of,
    of_formula,
    pull,
    seeds_of,
)
from densekit.training._watching import is_float_array, new_box_of, not_watchable, watch_box

_UNCONNECTED = ("none", "zero")


@export("keras")
class GradientTape(PausingScope):
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
    _foreign: Foreign | None = None  # what records in its place
    _lent: tuple[Array, ...] = ()  # arrays of another class while the tape records

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._accessed = watch_accessed_variables
        self._roots: Roots = {}

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError(
                message("GradientTape", "a tape not in use", "one that records", "Make a new one.")
            )
        if not self._persistent and (self._used or self._roots):
            self._roots, self._used = {}, False
        if not (self._persistent and self._resumes()):
            self._trace = begin_trace()
        self._recording = True
        VariableScope.__enter__(self)  # `super()` would cost as much as a small op
        if self.outer is not None:
            self._foreign = self.outer.tape() if self._foreign is None else self._foreign
            if self._foreign is not None:  # the scope around it stays the innermost one
                VariableScope.__exit__(self)
                self._foreign.begin()
        return self

    def _resumes(self) -> bool:
        """Whether what was recorded before belongs to what comes; its formula has ended."""
        self.watched_variables()
        self._formula = None
        return self._trace >= 0 and resume_trace(self._trace)

    def __exit__(self, *exc: object) -> None:
        if self._foreign is not None:
            self._foreign.end()
        else:
            VariableScope.__exit__(self)
        end_trace(self._trace)
        self._recording = False
        if self._lent:
            for array in self._lent:
                engines.take_back(array)
            self._lent = ()

    # What is watched

    def watch(self, tensor: object) -> None:
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
            if self._foreign is None:
                self._watch(leaf)
            else:
                self._foreign.watch(leaf)

    def _watch(self, leaf: object) -> None:
        if isinstance(leaf, Variable):
            self.root(leaf)
            if not leaf.trainable:
                self._frozen |= {id(leaf)}
        elif is_box(leaf):
            if leaf._trace != self._trace:
                watch_box(leaf, self._trace)
        elif is_float_array(leaf):
            self.root(leaf)
            self._lent = (*self._lent, leaf)
            engines.lend(leaf)
        else:
            raise not_watchable(leaf)

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched so far, in the order of their first use."""
        formula = None if self._formula is None else self._formula()
        for made_by in () if formula is None else formula.made_by.values():
            made_by.node()
        return tuple(v for v, _ in self._roots.values() if isinstance(v, Variable))

    def reset(self) -> None:
        """Forget what was recorded."""
        self._roots, self._used, self._formula = {}, False, None
        self._trace = self._trace if self._recording else -1

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

    def run(self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The outputs of a layer called inside, as one step; NotImplemented for its definition."""
        return run_recorded(self, layer, args, kwargs)

    def run_model(self, model: Any, x: Array, training: bool | None) -> Any:
        """The same for one array and no other arguments, if it is like a call before."""
        if self.outer is not None or not self._accessed or self._frozen or training is None:
            return NotImplemented
        return run_quickly(self, model, x, bool(training))

    def run_with_values(
        self,
        layer: Layer,
        pairs: list[tuple[Variable, Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """The outputs for given values of the variables; NotImplemented for the definition."""
        return run_with_values(self, layer, pairs, args, kwargs)

    def run_loss(self, loss: Any, args: tuple[Any, Any, Any]) -> Any:
        """The value of a loss called inside, as one step; NotImplemented for its definition."""
        return run_recorded_loss(self, loss, args)

    def root(self, of: object) -> Node:
        """The node at which gradients by a variable or an array arrive."""
        known = self._roots.get(id(of))
        if known is None:
            known = self._roots[id(of)] = (of, new_node())
        return known[1]

    def watches_frozen(self, layer: Layer) -> bool:
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
        # A copy: the optimizer may change the buffer before the gradient is taken.
        if value is None:
            watched = type(variable) in WATCHED
            value = variable.view(np.ndarray) if watched else variable.snapshot()
        return new_box_of(value, self._trace, self.root(variable))

    def enter(self, value: ArrayLike) -> Any:
        """A watched box around an argument."""
        tensor = ops.convert_to_tensor(value)
        if not is_float_dtype(str(tensor.dtype)):
            raise TypeError(
                message("value_and_grad", "floats", describe(tensor), "Convert it to floats first.")
            )
        return new_box_of(tensor, self._trace, new_node())

    def leave(self, value: object) -> object:
        """A result without the box of this tape."""
        return give(value._value) if is_box(value) and value._trace == self._trace else value

    # Gradients

    def gradient(
        self,
        target: object,
        sources: object,
        output_gradients: object = None,
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
        if self._foreign is not None:
            self._used, zero = True, unconnected_gradients == "zero"
            return self._foreign.gradient(target, sources, output_gradients, zero, self._accessed)
        flat = tree.flatten(sources)
        targets = [target] if type(target) in BOXES else tree.flatten(target)
        given: list[Any] = [None] * len(targets)
        if output_gradients is not None:
            given = tree.flatten(output_gradients)
        seeds = list(seeds_of(self._roots, self._trace, targets, given))
        # After the targets: some nodes are made when they are needed.
        nodes = nodes_of(self._roots, self._trace, flat)
        self._used = True
        found = pull(seeds, flat, nodes, unconnected_gradients == "zero")
        if not self._persistent and not self._recording:
            self._roots = {}  # a tape that is used up keeps nothing alive
        return tree.pack_as(sources, found)

    def _at_once(self, target: DeferredBox, sources: object, unconnected: str) -> Any:
        """Gradients by variables of a formula that runs natively as a whole; or NotImplemented."""
        if target._formula.trace != self._trace or (self._used and not self._persistent):
            return NotImplemented
        flat: list[Any] = sources if type(sources) is list else tree.flatten(sources)
        if unconnected not in _UNCONNECTED:
            return NotImplemented
        gradients = of_formula(self._roots, self._trace, target, flat, unconnected == "zero")
        if gradients is None:
            return NotImplemented
        self._used = True
        if not self._persistent and not self._recording:
            self._roots = {}  # a tape that is used up keeps nothing alive
        return gradients if flat is sources else tree.pack_as(sources, gradients)

    def _assert_usable(self, target: object) -> None:
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

    def jacobian(self, target: object, sources: object, unconnected_gradients: str = "none") -> Any:
        """The gradient of every element of `target`: shape of the target, then of the source.

        Args:
            target: one array computed inside.
            sources: as for `gradient`.
            unconnected_gradients: as for `gradient`.
        """
        return self._jacobian(target, sources, unconnected_gradients, by_row=False)

    def batch_jacobian(
        self, target: object, source: object, unconnected_gradients: str = "none"
    ) -> Any:
        """The Jacobian of each row of `target` by the same row of `source`.

        For rows that depend on each other it is the sum over all rows of `target`.

        Args:
            target: an array computed inside, of shape ``(batch, ...)``.
            source: as for `gradient`, of as many rows.
            unconnected_gradients: as for `gradient`.

        Returns:
            an array of the shape of the target, then of a row of the source.

        Raises:
            ValueError: for other numbers of rows.
        """
        assert_same_rows(target, source)
        return self._jacobian(target, source, unconnected_gradients, by_row=True)

    def _jacobian(self, target: object, sources: object, unconnected: str, by_row: bool) -> Any:
        self._assert_usable(target)
        self._used, zero = True, unconnected == "zero"
        if self._foreign is not None:
            return self._foreign.jacobian(target, sources, zero, self._accessed, by_row)
        flat = tree.flatten(sources)
        columns = jacobian_of(self._roots, self._trace, target, flat, zero, by_row)
        return tree.pack_as(sources, columns)


_INSIDE = "Call it inside `with keras.GradientTape() as tape:`."
