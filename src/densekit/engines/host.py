"""What runs in Python inside a native plan: definitions, differentiated by `autograd` or JAX.

A definition reads variables. While it is differentiated, a `StatelessScope` puts boxes in their
place, so that one backward pass gives the gradients of inputs and variables alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import numpy as np

from densekit import losses, ops
from densekit._core import tree
from densekit._core.dtypes import data_dtype
from densekit._core.errors import message, returned
from densekit._core.masks import set_mask
from densekit._core.scope import StatelessScope
from densekit._core.tensor import lend
from densekit._core.types import Array, TensorLike
from densekit._core.variable import Variable
from densekit.engines.differentiate import Differentiator, Vjp, boxed_value, in_own_dtype
from densekit.engines.exact import exact_values, goes_beside
from densekit.engines.lent_rows import LentRows

# Held from reading state to writing it: threads that predict with one model take turns.
_state_lock = threading.RLock()


class HostFunction:
    """A definition and what it touches.

    Args:
        function: takes arrays with a batch axis, returns one array or a structure of them.
        variables: trainable variables it reads.
        state: other variables it may assign to: counters, running means, seeds, metrics.
        name: for error texts and descriptions.
        writes: whether it assigns to some of them; None if that is not known.
    """

    def __init__(
        self,
        function: Callable[..., object],
        variables: Sequence[Variable] = (),
        state: Sequence[Variable] = (),
        name: str | None = None,
        writes: bool | None = None,
    ) -> None:
        self.function = function
        self.variables = list(variables)
        self.state = list({id(variable): variable for variable in state}.values())
        self.writes = bool(self.state) and writes is not False
        self.name = str(name or getattr(function, "__name__", type(function).__name__))


class HostNode:
    """A `HostFunction` inside a plan: flat rows in and out, forward and backward."""

    def __init__(
        self,
        function: HostFunction,
        input_shapes: Sequence[tuple[int, ...]],
        input_dtypes: Sequence[str],
        output_shapes: Sequence[tuple[int, ...]],
        dtype: str,
        output_dtypes: Sequence[str] = (),
        inputs: Sequence[int] = (),
        outputs: Sequence[int] = (),
        is_first: bool = False,
    ) -> None:
        self.name = function.name
        self._function = function
        self._input_shapes = list(input_shapes)
        self._input_dtypes = [definition_dtype(name, dtype) for name in input_dtypes]
        self._output_shapes = list(output_shapes)
        self._dtype = np.dtype(dtype)
        self._inputs = tuple(inputs)  # their numbers in the plan
        made = zip(outputs, map(data_dtype, output_dtypes), strict=True)
        self._exact = [  # outputs that the plan's floats cannot hold
            (value, t) if goes_beside(t, self._dtype) else None for value, t in made
        ] or [None] * len(output_shapes)
        self._is_first = is_first
        self._floats = [i for i, d in enumerate(self._input_dtypes) if d.kind == "f"]
        self.added_losses = False
        self.loss_scale: Callable[[], float] = lambda: 1.0  # of what it adds to the loss, too
        self._differentiate = Differentiator()
        self._lent = LentRows()
        self._pending: tuple[Vjp, int, int] | None = None

    def forward(self, training: bool, rows: list[Array]) -> tuple[list[Array], float]:
        """Outputs of the rows, and the loss they add."""
        with _state_lock if self._function.writes else nullcontext():
            return self._forward(training, rows)

    def _forward(self, training: bool, rows: list[Array]) -> tuple[list[Array], float]:
        batch = len(rows[0])
        arrays = self._given(rows, batch)
        n = len(self._output_shapes)
        assigned: list[Variable] = []
        if not training:
            results = self._call([], arrays, assigned)
            for variable, value in zip(assigned, results[n + 1 :], strict=True):
                variable.assign(value)
            return self._rows(results[:n], batch), float(results[n])

        def definition(*values: TensorLike) -> list[Any]:
            inputs = list(arrays)
            for i, value in zip(self._floats, values, strict=False):
                inputs[i] = value
            return self._call(values[len(self._floats) :], inputs, assigned)

        values = [arrays[i] for i in self._floats] + [
            boxed_value(v, v.current()) for v in self._function.variables
        ]
        results, vjp = self._differentiate(definition, values)
        for variable, value in zip(assigned, results[n + 1 :], strict=True):
            variable.assign(value)
        self._pending = vjp, batch, len(assigned)
        return self._rows(results[:n], batch), float(results[n])

    def _given(self, rows: list[Array], batch: int) -> list[TensorLike]:
        """The inputs in their shapes and dtypes, lent.

        They are copies: the plan uses the buffers of its rows again, before `backward` perhaps, and
        the function may keep what it is handed.
        """
        exact = exact_values.get()
        if exact is None:
            found: list[Array | None] = [None] * len(rows)
        else:
            if self._is_first:
                exact.begin_step()
            found = [exact.get(value) for value in self._inputs] or [None] * len(rows)
        given = zip(rows, found, self._input_shapes, self._input_dtypes, strict=True)
        return [
            self._lent.lend(i, r.reshape(batch, *shape), dtype)
            if own is None
            else lend(own.reshape(batch, *shape))
            for i, (r, own, shape, dtype) in enumerate(given)
        ]

    def _call(
        self, values: Sequence[TensorLike], inputs: Sequence[TensorLike], assigned: list[Variable]
    ) -> list[Any]:
        """Outputs; the sum of the losses that layers added; new values of the `assigned` state."""
        variables = self._function.variables if values else []
        typed = [(v, in_own_dtype(v, value)) for v, value in zip(variables, values, strict=True)]
        with StatelessScope(typed, collect_losses=True) as scope:
            outputs = tree.flatten(self._function.function(*inputs))
            self.added_losses = self.added_losses or bool(scope.losses)
            extra = sum((ops.sum(loss) for loss in scope.losses), np.zeros((), self._dtype))
            state = [(v, scope.get_current_value(v)) for v in self._function.state]
        assigned[:] = [variable for variable, value in state if value is not None]
        return [*outputs, extra, *(value for _, value in state if value is not None)]

    def backward(self, d_rows: list[Array]) -> tuple[list[Array | None], list[Array | None]]:
        """Gradients of inputs and variables for the latest training forward."""
        assert self._pending is not None
        vjp, batch, n_assigned = self._pending
        self._pending = None
        cotangents: list[Array | None] = [
            np.array(d.reshape(batch, *shape))
            for d, shape in zip(d_rows, self._output_shapes, strict=True)
        ]
        scale = np.asarray(self.loss_scale(), self._dtype)
        gradients = vjp([*cotangents, scale, *[None] * n_assigned])
        inputs: list[Array | None] = [None] * len(self._input_shapes)
        for i, gradient in zip(self._floats, gradients, strict=False):
            inputs[i] = _plain(gradient, self._dtype).reshape(batch, -1)
        return inputs, [_plain(g, self._dtype) for g in gradients[len(self._floats) :]]

    def _rows(self, outputs: Sequence[TensorLike], batch: int) -> list[Array]:
        rows = []
        exact = exact_values.get()
        for i, (output, shape) in enumerate(zip(outputs, self._output_shapes, strict=True)):
            array = np.asarray(output)
            if array.shape != (batch, *shape):
                raise ValueError(
                    message(
                        self.name,
                        f"an output of shape {(batch, *shape)}",
                        f"shape {array.shape}",
                        "Keep the batch axis and the shape the model was built with.",
                    )
                )
            own = self._exact[i]
            if exact is not None and own is not None:
                exact.put(own[0], np.array(array, own[1]))
            if array.dtype.kind == "U":  # only beside the plan
                array = np.zeros(array.shape, self._dtype)
            rows.append(_plain(array, self._dtype).reshape(batch, -1))
        return rows


# Of a loss: from targets, predictions, weights, and whether slopes are asked for, to the loss and
# its slopes; None: they do not know it.
Programs: TypeAlias = Callable[[list[Array | None], bool], tuple[float, Array | None] | None]


class HostLoss:
    """A loss without a native form, of one output.

    Args:
        loss: called with ``(y_true, y_pred, sample_weight=)``, gives a scalar.
        sample_shape: shape of one prediction.
        mask_shape: that of its mask, if it has one.
        programs: what computes it without Python for batches that it knows.
    """

    def __init__(
        self,
        loss: Callable[..., object],
        sample_shape: tuple[int, ...],
        dtype: str,
        mask_shape: tuple[int, ...] | None = None,
        programs: Programs | None = None,
    ) -> None:
        self._mask_shape = mask_shape
        self._programs = programs
        self._loss = loss
        self._sample_shape = sample_shape
        self._dtype = np.dtype(dtype)
        self._differentiate = Differentiator()
        self._checked = False

    def __call__(
        self,
        y_true: Array | None,
        y_pred: Array,
        weight: Array | None,
        need_gradient: bool,
        mask: Array | None = None,
    ) -> tuple[float, Array | None]:
        """Value and, if asked for, gradient of the loss of some rows."""
        batch = len(y_pred)
        y_pred = lend(np.array(y_pred.reshape(batch, *self._sample_shape)))
        if y_true is not None:
            y_true = lend(np.array(y_true))
        if weight is not None:
            weight = lend(np.array(weight[:, 0] if weight.shape[1:] == (1,) else weight))

        if y_true is not None and not self._checked and batch > 1:
            self._checked = True
            name = getattr(self._loss, "name", self._loss)
            losses.check_chance_broadcast(self._loss, y_true, y_pred, f"loss {name!r}")

        if self._programs is not None and mask is None:
            found = self._programs([y_true, y_pred, weight], need_gradient)
            if found is not None:
                return found

        def value(prediction: TensorLike) -> object:
            loss = losses.exact_as(prediction, self._loss)
            if mask is not None and self._mask_shape is not None:
                set_mask(prediction, mask.reshape(batch, *self._mask_shape) != 0)
            return returned(loss(y_true, prediction, sample_weight=weight), loss, "a loss")

        if not need_gradient:
            return _scalar(value(y_pred), self._loss), None
        result, vjp = self._differentiate(value, [y_pred])
        total = _scalar(result, self._loss)
        (gradient,) = vjp(np.ones_like(np.asarray(result)))
        return total, _plain(gradient, self._dtype).reshape(batch, -1)


def host_regularizer(
    variable: Variable, regularizer: Callable[..., TensorLike], dtype: str | None = None
) -> Callable[[], tuple[float, Array]]:
    """Value and gradient, in `dtype` or that of the variable, of a penalty without native form."""

    differentiate = Differentiator()

    def penalty_of(value: TensorLike) -> object:
        weight = in_own_dtype(variable, value)
        return ops.sum(returned(regularizer(weight), regularizer, "a penalty"))

    def penalty() -> tuple[float, Array]:
        result, vjp = differentiate(penalty_of, [boxed_value(variable, variable.current())])
        (gradient,) = vjp(np.ones_like(np.asarray(result)))
        return float(result), _plain(gradient, np.dtype(dtype or variable.dtype))

    return penalty


def host_constraint(variable: Variable, constraint: Callable[..., object]) -> Callable[[], None]:
    """A constraint without a native form, applied to the variable's buffer."""

    def project() -> None:
        variable.assign(returned(constraint(variable.value), constraint, "the weights"))

    return project


def _plain(value: Any, dtype: np.dtype[np.generic]) -> Array:
    return np.ascontiguousarray(value, dtype=dtype)


def definition_dtype(name: str, dtype: str) -> np.dtype[np.generic]:
    """The dtype a definition is handed: its own, but floats of 16 bits are the plan's."""
    return data_dtype(dtype if name in ("bfloat16", "float16") else name)


def _scalar(value: Any, loss: object) -> float:
    if np.ndim(value) != 0:
        raise ValueError(
            message(
                f"loss {getattr(loss, 'name', loss)!r}",
                "a scalar",
                f"shape {np.shape(value)}",
                "Train with a reduction such as 'sum_over_batch_size'.",
            )
        )
    return float(value)
