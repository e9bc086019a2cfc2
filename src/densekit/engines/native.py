"""The native engine: a recorded plan made runnable. The only importer of the native core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from densekit import _native
from densekit._core.dtypes import STRING, data_dtype, to_numpy_dtype
from densekit._core.engine import Array, Chunk, LossTerm, Run
from densekit._core.tensor import with_mask
from densekit._core.variable import Variable
from densekit._native import PreparedRun as PreparedRun
from densekit._native import RunQueue as RunQueue
from densekit._native import active_isa as active_isa
from densekit._native import array_class as array_class
from densekit._native import available_isas as available_isas
from densekit._native import get_threads as get_threads
from densekit._native import machine as machine
from densekit._native import mean_loss as mean_loss
from densekit._native import permutation as permutation
from densekit._native import quicken as quicken
from densekit._native import set_class as set_class
from densekit._native import set_threads as set_threads
from densekit._native import tiles_note as tiles_note
from densekit.engines.counters import Draws, OptimizerCount
from densekit.engines.exact import ExactValues, exact_values
from densekit.engines.host import HostNode
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_losses import PlanLosses
from densekit.engines.plan_op import DRAWING, Handle, PlanOp, by_type
from densekit.engines.plan_parameters import PlanParameters
from densekit.engines.products import core_product, multiplying_by
from densekit.engines.rows import PredictsRows, is_readable, readable, rows_at_once, without_text

_on_host = partial(multiplying_by, core_product(_native.matmul))

_NO_STEP = -1.797e308  # what a row of the losses holds until its step is done
_NOTHING = nullcontext()


class NativeEngine(PredictsRows):
    """A plan with its losses and optimizer, ready to run on the variables' own buffers.

    Args:
        plan: what to compute.
        trainable: variables to train, in the optimizer's order.
        losses: what to minimise; none for a plan that only predicts.
        optimizer: a built optimizer; None for a plan that does not train.
        penalties: whether regularizers of the variables are part of the loss.
    """

    outputs: Sequence[Handle]

    def __init__(
        self,
        plan: PlanBuilder,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
        penalties: bool = True,
    ) -> None:
        self.builder = plan
        self.plan = _native.Plan(plan.dtype)
        self.optimizer = optimizer
        self.dtype = plan.dtype
        self.outputs = plan.outputs
        self.n_losses = len(losses)
        self.has_host_nodes = plan.has_host_nodes
        self.needs_batches = plan.needs_batches
        self.writes_weights = plan.writes_weights
        self.adds_losses = plan.adds_losses
        self._dtype = np.dtype(plan.dtype)
        self._trainable = list(trainable)
        penalised = {id(v) for v in plan.penalised_anew} if penalties else None
        parameters = PlanParameters(self.plan, plan.dtype, self._trainable, penalised, _on_host)
        self._parameters = parameters  # which keeps the variables behind the buffers
        self._add_parameter = parameters.add
        self._nodes: list[HostNode] = []
        read = [*plan.inputs, *(handle for _, handle in plan.targets)]
        values = {h.value: self.plan.input(max(h.size, 0)) for h in read}
        self.draws = Draws(plan.seed_generators)
        self.asks_for_seeds = self.draws.is_unseeded
        self._always_draws = not plan.learns and bool(plan.seed_generators)
        self._draws_left = iter(self.draws.a_step)  # of ops to come
        self._read_targets = [output for output, _ in plan.targets]
        for op in plan.ops:
            self.plan.compute_in(op.precision or plan.dtype)
            (self._host if op.kind == "host" else self._native)(op, values)
        if plan.made_weights is not None:
            parameters.make_weights(plan.made_weights)
        self._masks = plan.masks or [None] * len(plan.outputs)
        for handle in (*plan.outputs, *(m for m in self._masks if m is not None)):
            self.plan.output(values[handle.value])
        self._rounds_to_float16 = any(op.precision == "float16" for op in plan.ops)
        self._of_losses = [term.output for term in losses]
        self._losses = PlanLosses(self.plan, plan, self._masks, values, _on_host)
        for i, term in enumerate(losses):
            self._losses.add(i, term)
        if optimizer is not None:
            counts_itself = parameters.set_optimizer(optimizer)
            self._count = OptimizerCount(optimizer, counts_itself)
            self._scale_loss(optimizer.native_loss_scale(), counts_itself)
        self.plan.finalize()
        self.flops_per_sample = int(self.plan.flops_per_sample())
        self._takes_text = any(h.dtype == STRING for h in plan.inputs)
        self._all_floats = not self._nodes and all(h.dtype == plan.dtype for h in plan.outputs)
        self.exact_predictions: list[Array | None] = []  # of the latest run, by output
        self.prediction_masks: list[Array | None] = []  # the same
        self.has_masks = any(m is not None for m in self._masks)

    # Building

    def _native(self, op: PlanOp, values: dict[int, int]) -> None:
        a = op.arguments
        attributes = a["attributes"]
        if op.kind in DRAWING:
            attributes = {**attributes, "draws_a_step": next(self._draws_left)}
        made = self.plan.op(
            op.kind,
            [values[x] for x in op.inputs],
            [self._add_parameter(v, False) for v in a["parameters"]],
            [self._add_parameter(v, False) for v in a["state"]],
            *by_type(attributes),
        )
        values.update(zip(op.outputs, made, strict=True))

    def _host(self, op: PlanOp, values: dict[int, int]) -> None:
        node = HostNode(
            **op.arguments,
            dtype=self.dtype,
            inputs=op.inputs,
            outputs=op.outputs,
            is_first=not self._nodes,
        )
        self._nodes.append(node)
        sizes = [int(np.prod(shape)) for shape in op.arguments["output_shapes"]]
        variables = op.arguments["function"].variables
        made = self.plan.host(
            [values[x] for x in op.inputs],
            sizes,
            [self._add_parameter(v, False) for v in variables if self.builder.learns],
            _on_host(node.forward),
            _on_host(node.backward),
        )
        values.update(zip(op.outputs, made, strict=True))

    def _scale_loss(self, scale: Any, counts_itself: bool) -> None:
        self._leaves_out = scale.is_dynamic and not counts_itself
        if scale.is_dynamic or self._rounds_to_float16:
            array, counter = scale.arrays
            self.plan.set_loss_scale(scale.fixed, array, counter, scale.growth_steps)
            for node in self._nodes:
                node.loss_scale = scale.now

    # Running

    def _numbers(self, inputs: list[Array]) -> list[Array]:
        """What the core reads of the inputs: strings go beside the plan."""
        return [without_text(column) for column in inputs] if self._takes_text else inputs

    def _columns(self, chunk: Chunk) -> list[Array]:
        """What the core reads row by row: inputs, and targets that losses in the plan read."""
        inputs = self._numbers(chunk.inputs)
        found = [chunk.targets[output] for output in self._read_targets]
        return [*inputs, *(y for y in found if y is not None)] if found else inputs

    def train(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Train on the picked rows, in order.

        Returns:
            per step done the total and each loss, (steps, 1 + losses). The optimizer's count and
            the seed generators have moved on by as many steps, also when a step raises.
        """
        arguments = self._training_arguments(chunk, predictions)
        losses: npt.NDArray[np.float64] = arguments[-2]
        done = 0
        try:
            with self._exactly(chunk, predictions) if self._nodes else _NOTHING:
                done = self.plan.train(*arguments)
        except BaseException:
            done = steps_done(losses)
            raise
        finally:
            self.advance(done)
        return losses[:done]

    def _training_arguments(self, chunk: Chunk, predictions: list[Array | None]) -> tuple[Any, ...]:
        """The arguments of the plan's `train`; the last two are losses, predictions."""
        rows = self._row_arguments(chunk)  # refuses before anything is drawn
        steps = chunk.steps
        losses = np.empty((steps, 1 + self.n_losses))
        losses.fill(_NO_STEP)
        rooms = self._with_masks(predictions)
        iterations, rates = self._count.rates(steps)
        keys, counters = self.draws.words()
        return (*rows, iterations, rates, keys, counters, losses, rooms)

    def _row_arguments(self, chunk: Chunk) -> tuple[object, ...]:
        """The arguments that say which rows a run works on."""
        if self._losses.of_whole_batch:
            self._losses.check_weights(chunk)
        return (
            self._columns(chunk),
            [chunk.targets[i] for i in self._of_losses],
            [chunk.weights[i] for i in self._of_losses],
            chunk.picks,
            chunk.batch_size,
        )

    def evaluate(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Losses and predictions of the picked rows; as `train`, but what draws alone moves on."""
        arguments = self._evaluation_arguments(chunk, predictions)
        losses: npt.NDArray[np.float64] = arguments[-2]
        with self._exactly(chunk, predictions) if self._nodes else _NOTHING:
            done = self.plan.evaluate(*arguments)
        if self._always_draws:
            self.draws.advance(done)
        return losses[:done]

    def _evaluation_arguments(
        self, chunk: Chunk, predictions: list[Array | None]
    ) -> tuple[Any, ...]:
        """The arguments of the plan's `evaluate`, as `_training_arguments`."""
        rows = self._row_arguments(chunk)
        losses = np.empty((chunk.steps, 1 + self.n_losses))
        rooms = self._with_masks(predictions)
        keys, counters = self.draws.words()
        return (*rows, keys, counters, losses, rooms)

    @property
    def asks_host(self) -> bool:
        """Whether a run calls Python, which it does on its own thread alone."""
        return self.plan.asks_host

    def make_ready(self, run: Run) -> tuple[PreparedRun, npt.NDArray[np.float64]]:
        """A run for a `RunQueue`, and its losses."""
        if run.training:
            arguments = self._training_arguments(run.chunk, run.predictions)
            return self.plan.prepare_train(*arguments), arguments[-2]
        arguments = self._evaluation_arguments(run.chunk, run.predictions)
        if self._always_draws:
            self.draws.advance(run.chunk.steps)
        return self.plan.prepare_evaluate(*arguments), arguments[-2]

    def _with_masks(self, predictions: list[Array | None]) -> list[Array | None]:
        """Room for predictions, and for the masks of those that are asked for."""
        if not self.has_masks:
            return predictions
        pairs = zip(predictions, self._masks, strict=True)
        self.prediction_masks = [
            None if y is None or m is None else np.empty((len(y), *m.sample_shape), self._dtype)
            for y, m in pairs
        ]
        made = zip(self.prediction_masks, self._masks, strict=True)
        return [*predictions, *(room for room, m in made if m is not None)]

    @contextmanager
    def _exactly(self, chunk: Chunk, predictions: list[Array | None]) -> Iterator[None]:
        """Inside, values that are no floats of the plan go beside it; predictions are kept."""
        wanted = [
            None if y is None or h.dtype == self._dtype.name else h.value
            for h, y in zip(self.outputs, predictions, strict=True)
        ]
        columns = self._exact_columns(chunk.inputs)
        kept = [v for v in wanted if v is not None]
        exact = ExactValues(columns, chunk.picks, chunk.batch_size, kept)
        token = exact_values.set(exact)
        try:
            yield
        finally:
            exact_values.reset(token)
        self.exact_predictions = [None if v is None else exact.of_all_steps(v) for v in wanted]

    def predict_masked(self, inputs: list[Array], n: int) -> list[Array] | None:
        """Outputs of `n` rows with their masks."""
        rooms = self._mask_rooms(n)
        outputs = self.empty_outputs(n)
        self.predict_into(inputs, n, outputs, rooms)
        shapes = [m.sample_shape for m in self._masks if m is not None]
        masks = iter([room.reshape(n, *s) != 0 for room, s in zip(rooms, shapes, strict=True)])
        return [
            y if m is None else with_mask(y, next(masks))
            for y, m in zip(outputs, self._masks, strict=True)
        ]

    def predict_into(
        self,
        inputs: list[Array],
        n: int,
        outputs: list[Array],
        masks: Sequence[Array] | None = None,
    ) -> None:
        """Write the outputs of `n` rows, and their masks, each in the room of its own."""
        if not n:
            return
        rooms = self._mask_rooms(n) if masks is None else masks
        words = self._words_of_a_call()
        if self._all_floats:
            # What the core cannot read is copied for some rows at a time, where all do not matter.
            whole = self._always_draws or all(map(is_readable, inputs))
            most = n if whole else rows_at_once(inputs)
            for start in range(0, n, most):
                stop = min(start + most, n)
                rows = [readable(x[start:stop]) for x in inputs]
                parts = [y[start:stop].reshape(stop - start, -1) for y in outputs]
                parts += [mask[start:stop] for mask in rooms]
                self.plan.predict(rows, stop - start, parts, *words)
            return
        inputs = [readable(x[:]) for x in inputs]
        made = [
            (y if y.dtype == self._dtype else np.empty(y.shape, self._dtype)).reshape(n, -1)
            for y in outputs
        ]
        exact = ExactValues(self._exact_columns(inputs))
        token = exact_values.set(exact)
        try:
            self.plan.predict(self._numbers(inputs), n, [*made, *rooms], *words)
        finally:
            exact_values.reset(token)
        for handle, y, floats in zip(self.outputs, outputs, made, strict=True):
            if y.dtype != self._dtype:
                own = exact.get(handle.value)
                y[...] = (floats if own is None else own).reshape(y.shape)

    def _mask_rooms(self, n: int) -> list[Array]:
        """Room for the masks of `n` rows, which the plan writes after its outputs."""
        masks = (m for m in self._masks if m is not None)
        return [np.empty((n, m.size), self._dtype) for m in masks]

    def _exact_columns(self, inputs: list[Array]) -> dict[int, tuple[Array, np.dtype[np.generic]]]:
        """Inputs that the plan's floats may not hold, and what they are in the model."""
        return {
            handle.value: (x, data_dtype(handle.dtype))
            for handle, x in zip(self.builder.inputs, inputs, strict=True)
            if handle.dtype not in ("bfloat16", "float16", "float32", self._dtype.name)
        }

    @property
    def added_losses(self) -> bool:
        """Whether a layer that runs on the host adds losses."""
        return self.adds_losses or any(node.added_losses for node in self._nodes)

    def direct_call(self) -> Callable[[object], object] | None:
        """The plan's direct call, for one input and one output; None for other plans."""
        if len(self.builder.inputs) != 1 or len(self.outputs) != 1 or self.has_masks:
            return None
        x, y = self.builder.inputs[0], self.outputs[0]
        if self.builder.has_host_nodes or self.needs_batches:
            return None
        self.plan.set_call_shape(list(x.sample_shape), list(y.sample_shape))
        call: Callable[[object], Any] = self.plan.call
        if y.dtype == self.dtype:
            return call
        dtype = to_numpy_dtype(y.dtype)

        def converted(rows: Any) -> object:
            outputs = call(rows)
            return outputs if outputs is NotImplemented else outputs.astype(dtype)

        return converted

    def _words_of_a_call(self) -> tuple[list[int], list[int]] | tuple[()]:
        """What a prediction draws from, if it does, and the generators move on."""
        if not self._always_draws:
            return ()
        words = self.draws.words()
        self.draws.advance(1)
        return words

    def advance(self, steps: int) -> None:
        """The optimizer's count and the seed generators move on by so many steps."""
        if not steps:
            return
        if self._trainable:  # nothing to train is no update
            self._count.advance(steps - (self.plan.steps_left_out if self._leaves_out else 0))
        if self.draws.distinct:
            self.draws.advance(steps)


def steps_done(losses: npt.NDArray[np.float64]) -> int:
    """How many steps of a training that failed have their losses."""
    return int(np.count_nonzero(losses[:, 0] != _NO_STEP))
