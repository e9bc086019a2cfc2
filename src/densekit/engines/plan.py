"""`PlanBuilder`: what a layer's `lower` writes its native form to.

It only records: a list of `PlanOp`s over values that are sized per sample. Engines read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import plan
from densekit._core.errors import returned
from densekit._core.native_form import NativeForm, native_form
from densekit._core.scope import stateless_scope
from densekit._core.seeds import SeedGenerator
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.engines.einsum_plan import EinsumPlan
from densekit.engines.host import HostFunction
from densekit.engines.plan_op import Attribute, native_op
from densekit.engines.plan_op import Handle as Handle
from densekit.engines.plan_op import NotLowerable as NotLowerable
from densekit.engines.plan_op import PlanOp as PlanOp
from densekit.engines.plan_op import Shape as Shape
from densekit.engines.plan_record import PlanRecord

_ROWWISE_HALVING = "glu"  # the one activation whose output is narrower than its input
# Activations that need the whole last axis at once.
ROWWISE = frozenset({"softmax", "log_softmax", "sparsemax", _ROWWISE_HALVING})
_MERGES = ("add", "subtract", "multiply", "average", "maximum", "minimum")
_AT_ONCE = ("add", "average")  # of any number of values


class PlanBuilder(PlanRecord, EinsumPlan, plan.PlanBuilder):
    """Records a plan. Layers call the methods named after operations, on and for `Handle`s.

    Args:
        dtype, training: of `PlanRecord`.
    """

    # What layers call

    def dense(
        self, x: Handle, kernel: Variable, bias: Variable | None, activation: object = None
    ) -> Handle:
        """``activation(x @ kernel + bias)`` along the last axis."""
        units = kernel.shape[-1] if kernel.ndim > 1 else 1
        features = math.prod(kernel.shape) // units if units else 0
        if not x.sample_shape or x.shape[-1] != features:
            raise NotLowerable(f"its last axis is not of {features} features")
        if not features:
            raise NotLowerable("it has no features")
        form = _form(activation)
        fused = form if form is not None and form.kind != _ROWWISE_HALVING else NativeForm("linear")
        y = self.op(
            "dense",
            [x],
            (*x.sample_shape[:-1], units),
            [kernel] if bias is None else [kernel, bias],
            reads_integers=True,
            rounds_inputs=self.precision != "bfloat16",  # its products do
            activation=fused.kind,
            activation_parameters=list(fused.parameters),
            in_features=features,
            out_features=units,
        )
        return y if fused is form else self.activation(y, activation)

    def activation(self, x: Handle, function: object) -> Handle:
        """``function(x)``, a callable or a `NativeForm`; row formulas act on the last axis."""
        form = _form(function)
        if form is None:
            if not callable(function):
                raise NotLowerable("its activation is no function")
            return self._users_function(function, x)
        if form.kind == "linear":
            return x
        if form.kind not in ROWWISE:
            return self._activation(x, form, x.sample_shape, max(x.size, 1))
        if not x.sample_shape:
            raise NotLowerable("it acts on a last axis that is not there")
        width = x.sample_shape[-1]
        shape = x.sample_shape
        if form.kind == _ROWWISE_HALVING:
            if width % 2:
                raise NotLowerable("its last axis cannot be halved")
            shape = (*shape[:-1], width // 2)
        return self._activation(x, form, shape, width)

    def _activation(self, x: Handle, form: NativeForm, shape: Shape, width: int) -> Handle:
        return self._of_floats(
            "activation",
            [x],
            shape,
            activation=form.kind,
            activation_parameters=list(form.parameters),
            width=width,
        )

    def _of_floats(
        self, kind: str, xs: Sequence[Handle], shape: Shape, **attributes: Any
    ) -> Handle:
        """An op whose definition gives integers for integers, which the plan's floats cannot."""
        if not all("float" in x.dtype for x in xs):
            raise NotLowerable("integers stay integers")
        return self.op(kind, xs, shape, **attributes)

    def _users_function(self, function: Callable[..., object], x: Handle) -> Handle:
        if self.lower_formula is not None and not self.precision and x.dtype == self.dtype:
            try:
                (lowered,) = self.lower_formula(function, [x])
                return lowered
            except (NotLowerable, ValueError):
                pass
        y = self.host(function, [x])
        assert isinstance(y, Handle)
        return y

    def dropout(self, x: Handle, rate: float, seed_generator: SeedGenerator | int | None) -> Handle:
        """`x` with a share `rate` of its elements set to 0 and the others scaled up."""
        return self._of_floats(
            "dropout", [x], x.sample_shape, rate=float(rate), always=self._draws(seed_generator)
        )

    def noise(
        self, x: Handle, stddev: float, multiplies: bool, seed_generator: SeedGenerator | int | None
    ) -> Handle:
        """``x + stddev * n``, or ``x * (1 + stddev * n)``; n is standard normal."""
        return self.op(
            "noise",
            [x],
            x.sample_shape,
            stddev=float(stddev),
            multiplies=int(multiplies),
            always=self._draws(seed_generator),
        )

    def uniform(
        self, x: Handle, low: float, high: float, seed: SeedGenerator | int | None
    ) -> Handle:
        """`x` plus uniform numbers in ``[low, high)``."""
        return self.op(
            "noise",
            [x],
            x.sample_shape,
            stddev=0.0,
            uniform=1,
            low=float(low),
            high=float(high),
            always=self._draws(seed),
        )

    def _draws(self, seed: SeedGenerator | int | None) -> int:
        """Note what the next op draws from; whether it does so outside of training, too."""
        self.seed_generators.append(seed)
        return int(not self.learns)

    def added_loss(self, x: Handle, factor: float, sums: bool = False) -> None:
        """Add ``factor * sum(x) / batch`` to the loss, or ``factor * sum(x)`` if it sums."""
        self._penalty(x, 0.0, 0.0, factor, sums)

    def affine(self, x: Handle, scale: Any, offset: Any) -> Handle:
        """``x * scale + offset``; both are scalars or go along the last axis."""
        if not x.sample_shape:
            raise NotLowerable("it acts on a last axis that is not there")
        width = x.sample_shape[-1]
        scale, offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)
        for array in (scale, offset):
            if array.size not in (1, width) or (array.size != 1 and array.shape[-1] != width):
                raise NotLowerable("its numbers go along another axis than the last")
        return self.op(
            "affine",
            [x],
            x.sample_shape,
            reads_integers=True,
            scale=np.broadcast_to(scale.reshape(-1), (width,)).tolist(),
            offset=np.broadcast_to(offset.reshape(-1), (width,)).tolist(),
            width=width,
        )

    def reshape(self, x: Handle, sample_shape: Sequence[int]) -> Handle:
        """`x` with another shape per sample; one entry may be -1. Costs nothing."""
        shape = [int(n) for n in sample_shape]
        if -1 in shape:
            known = math.prod(n for n in shape if n != -1)
            shape[shape.index(-1)] = x.size // known if known else 0
        if math.prod(shape) != x.size:
            raise NotLowerable("the new shape has another number of elements")
        return Handle(x.value, (None, *shape), x.dtype)

    def merge(self, kind: str, xs: Sequence[Handle]) -> Handle:
        """Elementwise: "add", "subtract", "multiply", "average", "maximum" or "minimum"."""
        if kind not in _MERGES:
            raise NotLowerable(f"there is no native merge {kind!r}")
        if len(xs) == 1:
            return xs[0]
        if any(x.shape != xs[0].shape for x in xs):
            if not all("float" in x.dtype for x in xs):
                raise NotLowerable("integers stay integers")
            return self._merge_broadcast(kind, xs)
        if kind in _AT_ONCE or len(xs) == 2:
            return self._of_floats("merge", xs, xs[0].sample_shape, merge=kind)
        # Products and extrema pair by pair: the partial results are what their gradients need.
        return reduce(lambda x, y: self.merge(kind, [x, y]), xs)

    def _merge_broadcast(self, kind: str, xs: Sequence[Handle]) -> Handle:
        """Pair by pair; values of lower rank get axes of size 1 after the batch axis."""
        rank = max(len(x.shape) for x in xs)
        xs = [self.reshape(x, (*(1,) * (rank - len(x.shape)), *x.sample_shape)) for x in xs]
        y = xs[0]
        for x in xs[1:]:
            y = self.elementwise("add" if kind == "average" else kind, y, x)
        return self.affine(y, 1.0 / len(xs), 0.0) if kind == "average" else y

    def concatenate(self, xs: Sequence[Handle], axis: int = -1) -> Handle:
        """`xs` end to end along `axis`, which counts the batch axis as 0."""
        if len(xs) == 1:
            return xs[0]
        rank = len(xs[0].shape)
        axis = axis + rank if axis < 0 else axis
        if not 0 < axis < rank:
            raise NotLowerable("it joins batches")
        first = xs[0].shape
        for x in xs:
            if len(x.shape) != rank or (*x.shape[:axis], *x.shape[axis + 1 :]) != (
                *first[:axis],
                *first[axis + 1 :],
            ):
                raise NotLowerable("the values differ in other axes than the joined one")
        along = sum(x.sample_shape[axis - 1] for x in xs)
        inners = [math.prod(x.sample_shape[axis - 1 :]) for x in xs]
        shape = (*first[1:axis], along, *first[axis + 1 :])
        if not all(x.dtype == "bool" for x in xs):
            return self._of_floats("concatenate", xs, shape, inners=inners)  # type: ignore[arg-type]
        y = self._new(shape, "bool")
        self.ops.append(native_op("concatenate", xs, [y], {"inners": inners}))
        return y

    def activity_regularizer(self, x: Handle, regularizer: Callable[..., TensorLike]) -> Handle:
        """`x`, with ``regularizer(x) / batch`` added to the loss."""
        form = native_form(regularizer)
        if form is not None and form.kind == "l1l2":
            l1, l2 = form.parameters
            self._penalty(x, l1, l2, 0.0)
            return x

        def penalised(value: TensorLike) -> object:
            scope = stateless_scope()
            if scope is not None:
                penalty = returned(regularizer(value), regularizer, "a penalty")
                scope.add_loss(penalty / value.shape[0])
            return value

        return self.host_function(HostFunction(penalised), [x], [(x.shape, x.dtype)])[0]

    def _penalty(self, x: Handle, l1: float, l2: float, linear: float, sums: bool = False) -> None:
        numbers = {"l1": float(l1), "l2": float(l2), "linear": float(linear)}
        attributes = {**numbers, "sums": int(sums)}
        self.ops.append(native_op("activity", [x], (), attributes))

    def host(
        self,
        function: Any,
        xs: Sequence[Handle],
        variables: Sequence[Variable] = (),
        seed_generators: Sequence[SeedGenerator] = (),
    ) -> Handle | list[Handle]:
        """``function(*xs)``, a definition, run in Python and differentiated by `autograd`.

        Gives one handle if the function returns one array, else a list.

        Args:
            function: takes arrays with a batch axis, returns one array or a list of them.
            variables: what it reads and training may change.
            seed_generators: what it draws from.
        """
        tensors = [ops.KerasTensor(x.shape, x.dtype) for x in xs]
        spec = returned(ops.compute_output_spec(function, *tensors), function, "a tensor")
        is_one = isinstance(spec, ops.KerasTensor)
        handles = self.host_function(
            HostFunction(function, variables, [g.state for g in seed_generators]),
            xs,
            [(t.shape, t.dtype) for t in ([spec] if is_one else spec)],
        )
        return handles[0] if is_one else handles

    # What the walker calls

    def rounded(self, x: Handle, precision: str = "") -> Handle:
        """`x`, if float with its values rounded to `precision`, or what is computed in now."""
        precision = precision or self.precision
        if x.dtype == precision or "float" not in x.dtype:
            return x
        y = self._new(x.sample_shape, precision)
        attributes: dict[str, Attribute] = {
            "activation": "linear",
            "activation_parameters": [],
            "width": max(x.size, 1),
        }
        self.ops.append(native_op("activation", [x], [y], attributes, precision=precision))
        return y


def _form(function: object) -> NativeForm | None:
    """The native form of an activation; None as activation is the identity."""
    if function is None:
        return NativeForm("linear")
    return function if isinstance(function, NativeForm) else native_form(function)
