"""What runs in Python inside a native plan: definitions, differentiated by `autograd`.

A definition reads variables. While it is differentiated, a `StatelessScope` puts boxes in their
place, so that one backward pass gives the gradients of inputs and variables alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit import ops
from densekit._core import tree
from densekit._core.errors import message, returned
from densekit._core.scope import StatelessScope
from densekit._core.variable import Variable
from densekit.ops._gradient import value_and_vjp

Array = npt.NDArray[Any]


class HostFunction:
    """A definition and what it touches.

    Args:
        function: takes arrays with a batch axis, returns one array or a structure of them.
        variables: trainable variables it reads.
        state: other variables it may assign to while training.
        metrics: variables of metrics, which it may assign to at any time.
        name: for error texts and descriptions.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        variables: Sequence[Variable] = (),
        state: Sequence[Variable] = (),
        name: str | None = None,
        metrics: Sequence[Variable] = (),
    ) -> None:
        self.function = function
        self.variables = list(variables)
        self.state = [*state, *metrics]
        self.metrics = frozenset(id(variable) for variable in metrics)
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
    ) -> None:
        self.name = function.name
        self._function = function
        self._input_shapes = list(input_shapes)
        self._input_dtypes = [_input_dtype(name, dtype) for name in input_dtypes]
        self._output_shapes = list(output_shapes)
        self._dtype = np.dtype(dtype)
        self._floats = [i for i, d in enumerate(self._input_dtypes) if d.kind == "f"]
        self.added_losses = False
        self._pending: tuple[Callable[[Any], list[Any]], int, int] | None = None

    def forward(self, training: bool, rows: list[Array]) -> tuple[list[Array], float]:
        """Outputs of the rows, and the loss they add."""
        batch = len(rows[0])
        arrays: list[Any] = [
            np.asarray(r.reshape(batch, *shape), dtype)
            for r, shape, dtype in zip(rows, self._input_shapes, self._input_dtypes, strict=True)
        ]
        n = len(self._output_shapes)
        assigned: list[Variable] = []
        if not training:
            results = self._call([], arrays, assigned)
            for variable, value in zip(assigned, results[n + 1 :], strict=True):
                if id(variable) in self._function.metrics:
                    variable.assign(value)
            return self._rows(results[:n], batch), float(results[n])
        # Copies: the plan may reuse the buffers of its rows before `backward`.
        arrays = [np.array(a) for a in arrays]

        def definition(*values: Any) -> list[Any]:
            inputs = list(arrays)
            for i, value in zip(self._floats, values, strict=False):
                inputs[i] = value
            return self._call(values[len(self._floats) :], inputs, assigned)

        values = [arrays[i] for i in self._floats] + [v.array for v in self._function.variables]
        results, vjp = value_and_vjp(definition, values)
        for variable, value in zip(assigned, results[n + 1 :], strict=True):
            variable.assign(value)
        self._pending = vjp, batch, len(assigned)
        return self._rows(results[:n], batch), float(results[n])

    def _call(
        self, values: Sequence[Any], inputs: Sequence[Any], assigned: list[Variable]
    ) -> list[Any]:
        """Outputs; the sum of the losses that layers added; new values of the `assigned` state."""
        variables = self._function.variables if values else []
        with StatelessScope(zip(variables, values, strict=True), collect_losses=True) as scope:
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
        cotangents: list[Any] = [
            d.reshape(batch, *shape) for d, shape in zip(d_rows, self._output_shapes, strict=True)
        ]
        gradients = vjp([*cotangents, np.ones((), self._dtype), *[None] * n_assigned])
        inputs: list[Array | None] = [None] * len(self._input_shapes)
        for i, gradient in zip(self._floats, gradients, strict=False):
            inputs[i] = _plain(gradient, self._dtype).reshape(batch, -1)
        return inputs, [_plain(g, self._dtype) for g in gradients[len(self._floats) :]]

    def _rows(self, outputs: Sequence[Any], batch: int) -> list[Array]:
        rows = []
        for output, shape in zip(outputs, self._output_shapes, strict=True):
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
            rows.append(_plain(array, self._dtype).reshape(batch, -1))
        return rows


class HostLoss:
    """A loss without a native form, of one output.

    Args:
        loss: called with ``(y_true, y_pred, sample_weight=)``, gives a scalar.
        sample_shape: shape of one prediction.
    """

    def __init__(self, loss: Any, sample_shape: tuple[int, ...], dtype: str) -> None:
        self._loss = loss
        self._sample_shape = sample_shape
        self._dtype = np.dtype(dtype)
        self.target_shape: tuple[int, ...] | None = None  # of one sample; set for each run

    def __call__(
        self, y_true: Array | None, y_pred: Array, weight: Array | None, need_gradient: bool
    ) -> tuple[float, Array | None]:
        """Value and, if asked for, gradient of the loss of some rows."""
        batch = len(y_pred)
        y_pred = np.array(y_pred.reshape(batch, *self._sample_shape))
        if y_true is not None and self.target_shape is not None:
            y_true = y_true.reshape(batch, *self.target_shape)
        if weight is not None and weight.ndim > 1 and weight.shape[1] == 1:
            weight = weight[:, 0]

        def value(prediction: Any) -> Any:
            loss = self._loss
            return returned(loss(y_true, prediction, sample_weight=weight), loss, "a loss")

        if not need_gradient:
            return _scalar(value(y_pred), self._loss), None
        result, vjp = value_and_vjp(value, [y_pred])
        total = _scalar(result, self._loss)
        (gradient,) = vjp(np.ones_like(np.asarray(result)))
        return total, _plain(gradient, self._dtype).reshape(batch, -1)


def host_regularizer(variable: Variable, regularizer: Any) -> Callable[[], tuple[float, Array]]:
    """Value and gradient of a penalty without a native form."""

    def penalty_of(weight: Any) -> Any:
        return ops.sum(returned(regularizer(weight), regularizer, "a penalty"))

    def penalty() -> tuple[float, Array]:
        result, vjp = value_and_vjp(penalty_of, [variable.value])
        (gradient,) = vjp(np.ones_like(np.asarray(result)))
        return float(result), _plain(gradient, np.dtype(variable.dtype))

    return penalty


def host_constraint(variable: Variable, constraint: Any) -> Callable[[], None]:
    """A constraint without a native form, applied to the variable's buffer."""

    def project() -> None:
        variable.assign(returned(constraint(variable.value), constraint, "the weights"))

    return project


def _plain(value: Any, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(value, dtype=dtype)


def _input_dtype(name: str, dtype: str) -> np.dtype[Any]:
    """The dtype a definition is handed: integers stay integers, every float is the plan's."""
    given = np.dtype(name) if name != "bfloat16" else np.dtype(dtype)
    return given if given.kind in "biu" else np.dtype(dtype)


def _scalar(value: Any, loss: Any) -> float:
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
