"""The base of all metrics: named state that batches are added to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from densekit import initializers
from densekit._core import settings, tree
from densekit._core.boxes import BOXES, unboxed
from densekit._core.dtype_policy import get_dtype_policy
from densekit._core.dtypes import to_numpy_dtype
from densekit._core.errors import before_init, message, returned
from densekit._core.frames import filters_traceback, hide_internal_frames
from densekit._core.name_scope import in_scope
from densekit._core.naming import auto_name
from densekit._core.registry import export, public_name
from densekit._core.scope import StatelessScope, in_stateless_scope, stateless_scope
from densekit._core.tensor import Tensor, give, give_all, lend_all
from densekit._core.tracked import TrackedMetric
from densekit._core.types import ArrayLike, Config, TensorLike
from densekit._core.variable import Variable
from densekit.ops._dispatch import is_tracer, raw

Exact: TypeAlias = np.float64 | npt.NDArray[np.float64]  # a sum, or one for each entry
# Sums behind the variables, and two that a mean of losses keeps.
ExactSums: TypeAlias = tuple[
    dict[Variable, Exact | tuple[float, float]], tuple[float, float] | None
]
Result: TypeAlias = TensorLike | np.number


def _of_numbers(update: Callable[..., object]) -> Callable[..., object]:
    """`update` on what is inside of boxes: a metric is not part of what a tape records."""

    @wraps(update)
    def update_state(self: Metric, *args: object, **kwargs: object) -> object:
        if BOXES and not in_stateless_scope():
            for value in args:
                if type(value) not in _PLAIN:
                    args = tuple([v if type(v) in _PLAIN else _number(v) for v in args])
                    break
            if kwargs:
                kwargs = {name: _number(value) for name, value in kwargs.items()}
        try:
            if self._dk_of_numpy and _is_traced(self, (args, kwargs)):
                from densekit.metrics._called_back import update_back  # a first model does not wait

                update_back(self, update, args, kwargs)
                return None
            return update(self, *args, **kwargs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return update_state


_LARGEST = 3e38
_PLAIN = frozenset({np.ndarray, Tensor, np.float32, float, type(None)})


def _number(value: object) -> object:
    """What is inside of boxes, in a structure too."""
    if type(value) in BOXES:
        return unboxed(value)
    return tree.map_structure(unboxed, value) if tree.is_nested(value) else value


def _is_traced(metric: Metric, given: object) -> bool:
    """Whether JAX traces what a metric is handed, or its state."""
    if "jax" not in sys.modules or not in_stateless_scope():
        return False
    values = [*tree.flatten(given), *(v.current() for v in metric.variables)]
    return any(map(is_tracer, values))


def _result_of(result: Callable[..., object]) -> Callable[..., object]:
    """`result`, also of state that is traced."""

    @wraps(result)
    def of(self: Metric) -> object:
        if self._dk_of_numpy and _is_traced(self, ()):
            from densekit.metrics._called_back import result_back

            return result_back(self, result)
        return result(self)

    return of


@export("keras.metrics")
class Metric(TrackedMetric):
    """A number about predictions, gathered batch by batch.

    A subclass makes its state by `add_variable` in `__init__`, changes it in `update_state` and
    turns it into the number, or a dict of numbers, in `result`.

    Args:
        dtype: type, or policy, of the state and the result. Default: `floatx`.
        name: name of the metric. Default: numbered after the class.

    Raises:
        NotImplementedError: if a subclass leaves `update_state` or `result` out.

    Example:

    >>> import densekit as keras
    >>> class Largest(keras.metrics.Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.value = self.add_variable(shape=(), initializer="zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(max(self.value.numpy(), y_pred.max()))
    ...     def result(self):
    ...         return self.value.numpy()
    >>> import numpy as np
    >>> float(Largest()(None, np.array([1.0, 3.0])))
    3.0
    """

    # "up" if more is better, "down" if less is: what callbacks with mode="auto" ask.
    _direction: str | None = None
    # Whether one update with the rows of k batches equals k updates; see `rowwise`.
    _dk_rowwise = False
    # Whether its formulas are written on NumPy, so that tracing calls them back.
    _dk_of_numpy = False

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "update_state" in vars(cls):
            cls.update_state = _of_numbers(vars(cls)["update_state"])  # type: ignore[method-assign]
        if cls._dk_of_numpy and "result" in vars(cls):
            cls.result = _result_of(vars(cls)["result"])  # type: ignore[method-assign]

    def __init__(self, dtype: object = None, name: str | None = None) -> None:
        self._variables: list[Variable] = []
        self._metrics: list[Metric] = []
        # By variable: its sum as an array of float64; of one number with what the variable showed.
        self._dk_exact: dict[Variable, Exact | tuple[float, float]] = {}
        self.name = name or auto_name(type(self))
        self._dtype_policy = get_dtype_policy(dtype or settings.floatx())

    @property
    def dtype(self) -> str:
        """Type of the state and the result."""
        return self._dtype_policy.compute_dtype

    @property
    def rowwise(self) -> bool:
        """Whether one update with the rows of k batches equals k updates.

        True lets an engine update once for many batches. Never inherited by users' own classes.
        """
        return self._dk_rowwise and public_name(type(self)) is not None

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, Variable | Metric):
            self._dk_track(value)
        elif isinstance(value, list | tuple | dict):
            for leaf in tree.flatten(value):
                if isinstance(leaf, Variable | Metric):
                    self._dk_track(leaf)
        super().__setattr__(name, value)

    def _dk_track(self, value: Variable | Metric) -> None:
        known = self._dk_known("_variables" if isinstance(value, Variable) else "_metrics")
        if not any(value is other for other in known):
            known.append(value)

    def _dk_known(self, which: str) -> list[Variable | Metric]:
        if which not in self.__dict__:
            raise before_init(self)
        known: list[Variable | Metric] = self.__dict__[which]
        return known

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: object,
        dtype: object = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Create a variable of the metric and keep it among `variables`."""
        variables = self._dk_known("_variables")
        name = name or auto_name(Variable)
        variable = Variable(
            initializers.get("zeros" if initializer is None else initializer),
            shape=tuple(shape),
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation=aggregation,
            synchronization="on_read",
            name=name,
            path=in_scope(f"{self.name}/{name}"),
        )
        variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: object = None,
        dtype: object = None,
        name: str | None = None,
    ) -> Variable:
        """`add_variable` with a scalar of zero as default."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics held as attributes included."""
        return [*self._variables, *(v for m in self._metrics for v in m.variables)]

    # Sums without drift

    def _dk_add(self, variable: Variable, amount: ArrayLike) -> None:
        """``variable <- variable + amount``, with the sum kept in float64 beside the variable.

        A float32 sum stops growing at 2 ** 24 ones; this one does not. The variable shows the
        rounded sum."""
        if in_stateless_scope():
            scope = stateless_scope()
            assert scope is not None
            scope.add_amount(variable, amount)
            return
        exact = np.asarray(amount, np.float64)
        shown = variable.array
        if not shown.ndim and not exact.ndim:
            self._dk_add_number(variable, float(exact))
            return
        exact = self._dk_exact[variable] = self._dk_exact_sum(variable) + exact
        with np.errstate(over="ignore"):
            shown[...] = exact

    def _dk_add_number(self, variable: Variable, amount: float) -> None:
        """`_dk_add` to a variable of one number, where no scope is active."""
        known, shown = self._dk_exact.get(variable), variable.array
        # Mostly a number that nothing has touched since.
        if isinstance(known, tuple) and known[1] == shown.item():
            exact = known[0] + amount
        else:
            exact = float(self._dk_exact_sum(variable)) + amount
        if abs(exact) < _LARGEST:  # no float32 overflows, which would warn
            shown[()] = exact
        else:
            with np.errstate(over="ignore"):
                shown[()] = exact
        self._dk_exact[variable] = exact, shown.item()

    def _dk_exact_sums(self) -> ExactSums:
        """What is known beside the variables, to go on from with `_dk_set_exact_sums`."""
        return dict(self._dk_exact), None

    def _dk_set_exact_sums(self, known: ExactSums) -> None:
        self._dk_exact.clear()
        self._dk_exact.update(known[0])

    def _dk_sum(self, variable: Variable) -> Exact | TensorLike:
        """The float64 sum behind `variable`, or its value if that was assigned since."""
        return variable.current() if in_stateless_scope() else self._dk_exact_sum(variable)

    def _dk_exact_sum(self, variable: Variable) -> Exact:
        """`_dk_sum` where no scope is active."""
        known, shown = self._dk_exact.get(variable), variable._value
        if isinstance(known, tuple):
            return np.float64(known[0] if known[1] == shown.item() else shown.item())
        with np.errstate(over="ignore"):
            if known is None or not np.array_equal(np.asarray(known, shown.dtype), shown):
                known = shown.astype(np.float64)[()]
        return known

    def _dk_rounded(self, value: TensorLike | np.number | float) -> Result:
        """A result in the metric's dtype."""
        if type(value) is float and self.dtype == "float32":
            return np.float32(value)
        if isinstance(value, int | float | np.generic | np.ndarray):
            return np.array(value, to_numpy_dtype(self.dtype))[()]
        return value

    # The metric

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise NotImplementedError(self._dk_missing("update_state(self, y_true, y_pred, ...)"))

    def result(self) -> Any:
        """The metric of all batches so far."""
        raise NotImplementedError(self._dk_missing("result(self)"))

    def _dk_missing(self, method: str) -> str:
        return message(type(self).__name__, f"a method `{method}`", "none", "Define it.")

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, variable.array.dtype))

    @filters_traceback
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the result of all so far."""
        self._dk_known("_variables")
        self.update_state(*lend_all(args), **lend_all(kwargs))
        return returned(self.result(), self, "a result")

    # Without side effects

    def _dk_mapping(self, values: Sequence[ArrayLike]) -> list[tuple[Variable, TensorLike]]:
        own = self.variables
        if len(values) != len(own):
            raise ValueError(
                message(
                    self.name,
                    f"{len(own)} `metric_variables`",
                    f"{len(values)}",
                    "Pass one value for each of `variables`.",
                )
            )
        return list(zip(own, map(raw, values), strict=True))

    def _dk_values_in(self, scope: StatelessScope) -> list[TensorLike]:
        found = [(v, scope.get_current_value(v)) for v in self.variables]
        return [v.numpy() if value is None else give(value) for v, value in found]

    def stateless_update_state(
        self, metric_variables: Sequence[ArrayLike], *args: object, **kwargs: object
    ) -> list[TensorLike]:
        """The values of `variables` after `update_state`, which starts from `metric_variables`."""
        with StatelessScope(self._dk_mapping(metric_variables)) as scope:
            self.update_state(*lend_all(args), **lend_all(kwargs))
        return self._dk_values_in(scope)

    def stateless_result(self, metric_variables: Sequence[ArrayLike]) -> Any:
        """The result that belongs to the values `metric_variables`."""
        with StatelessScope(self._dk_mapping(metric_variables)):
            return give_all(self.result())

    def stateless_reset_state(self) -> list[TensorLike]:
        """The values of `variables` after `reset_state`."""
        with StatelessScope() as scope:
            self.reset_state()
        return self._dk_values_in(scope)

    # Config

    def get_config(self) -> Config:
        """The constructor's arguments; subclasses add theirs."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
