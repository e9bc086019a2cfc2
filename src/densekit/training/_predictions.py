"""`Predictions`: outputs of a model, by an engine or by the definition."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from densekit import engines
from densekit._core import tree
from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.plan import NotLowerable
from densekit._core.tensor import lend_all
from densekit._core.types import Array
from densekit.data._columns import Columns, check_rows, unpack_x_y_sample_weight
from densekit.data._feeds import check_count, is_stream, warn_out_of_data
from densekit.data._streams import StreamFeed
from densekit.training._fit_loop import callback_list
from densekit.training._limits import limited_steps
from densekit.training._outputs import pack_outputs
from densekit.training._overrides import has_own_step
from densekit.training._own_steps import StepLoop
from densekit.training._predict_loop import predict_rows
from densekit.training._preparation import Preparation
from densekit.training._runtime import Runtime

if TYPE_CHECKING:
    from densekit.callbacks import CallbackList
    from densekit.training._model import TrainableModel

_QUICK_FLOPS = 1e9  # some 50 ms: no bar would be shown
_CALLED = "biufU"  # kinds of arrays that a call takes as they are; `predict` takes objects, too


class Predictions:
    """What one model predicts."""

    def __init__(self, model: TrainableModel, runtime: Runtime, data: Preparation) -> None:
        self._model = model
        self._runtime = runtime
        self._data = data

    # One batch

    def on_batch(self, x: object) -> Any:
        """Outputs for all rows as one batch."""
        model = self._model
        if has_own_step(type(model), "predict"):
            rows = max(len(leaf) for leaf in tree.flatten(x))
            return tree.in_order(self._by_steps(x, max(rows, 1), 0, None, None))
        with self._runtime.turns.to_predict():
            quick = type(x) is np.ndarray and x.dtype.kind in _CALLED
            if quick and model.__dict__.get("_dk_fast_call") is not None:
                outputs = model(x)
                return outputs if isinstance(outputs, np.ndarray) else tree.in_order(outputs)
            x = self._data.input_arrays(x)
            signature, inputs = self._runtime.matched(x)
            check_rows({"x": inputs})
            return tree.in_order(pack_outputs(signature.output_structure, self._batch(inputs)))

    def _batch(self, inputs: list[Array]) -> list[Array]:
        """Outputs of one batch, whatever number of rows it gives."""
        runtime = self._runtime
        told = runtime.told(False)
        try:
            return runtime.predictor(inputs, told).predict(inputs, len(inputs[0]))
        except NotLowerable:
            structure = runtime.signature().input_structure
            outputs = runtime.definition(structure, told)(
                *(None if engines.is_missing(x) else x[:] for x in inputs)
            )
            return [np.asarray(y) for y in tree.flatten(outputs)]

    def native_call(self, inputs: object, training: bool | None = None) -> object:
        """Outputs for arrays; NotImplemented where only the definition will do.

        Args:
            training: what the call says, False or None: nothing.
        """
        runtime = self._runtime
        if runtime.collects_losses:
            return NotImplemented
        leaves = tree.flatten(inputs)
        if any(x.dtype.kind not in "biufU" or x.ndim == 0 for x in leaves):
            return NotImplemented
        model = self._model
        if model._dk_graph() is None and model._dk_inputs_met() is None:
            self._data.ensure_built(inputs)
        signature, arrays = runtime.matched(inputs)
        rows = len(arrays[0])
        if any(len(x) != rows for x in arrays):
            return NotImplemented
        try:
            engine = runtime.predictor(arrays, training)
        except NotLowerable:
            return NotImplemented
        # Known before it runs, as a call writes its state once: what only the definition leaves.
        if engine.adds_losses or engine.writes_weights:
            return NotImplemented
        with runtime.turns.to_predict():
            run = engine.predict_masked if engine.has_masks else engine.predict
            outputs = run(arrays, rows)
        if outputs is None:
            return NotImplemented
        if engine.added_losses:
            runtime.note_losses()
            return NotImplemented
        return pack_outputs(signature.output_structure, outputs)

    # Many rows

    def predict(
        self,
        x: object,
        batch_size: int | None,
        verbose: object,
        steps: int | None,
        callbacks: object,
    ) -> Any:
        """Outputs for many samples."""
        steps = limited_steps(steps)
        if has_own_step(type(self._model), "predict"):
            return tree.in_order(self._by_steps(x, batch_size, verbose, steps, callbacks))
        quiet = not verbose or verbose == "auto"
        if quiet and callbacks is None and steps is None and type(x) is np.ndarray:
            check_count(batch_size, "batch_size")
            if x.dtype.kind in _CALLED and self._is_quick(len(x) if x.ndim else 0):
                outputs = self._model(x)
                if isinstance(outputs, np.ndarray):
                    return outputs
        with self._runtime.turns.to_predict():
            return tree.in_order(self._predict(x, batch_size, verbose, steps, callbacks))

    def _is_quick(self, rows: int) -> bool:
        """Whether so many rows are predicted in no time; only known once the engine exists."""
        if self._model.__dict__.get("_dk_fast_call") is None:
            return False
        return rows * self._runtime.flops_per_sample <= _QUICK_FLOPS

    def _by_steps(
        self,
        x: object,
        batch_size: int | None,
        verbose: object,
        steps: int | None,
        callbacks: object,
    ) -> Any:
        """What the user's own predict step gives, batch after batch."""
        with self._runtime.turns.to_predict():
            batches = self._data.batch_structure()
            feed = self._data.step_feed(batches, x, None, None, None, batch_size, steps)
            model = self._model
            function = model.make_predict_function() or model.predict_function
            assert function is not None  # one of the two is
            run = callback_list(model, callbacks, verbose, feed.num_batches)
            model.stop_predicting = False
            run.on_predict_begin()
            made: list[object] = []
            kind, state = self._runtime.kind, self._runtime.state()
            whole = function.whole(kind, batches) if type(function) is StepLoop else None

            def by_python(chunk: Chunk) -> object:
                return function(batches.batches(chunk))

            for chunk in feed.chunks(1):
                run.on_predict_batch_begin(chunk.first_step)
                if whole is None:
                    found = by_python(chunk)
                else:
                    found = whole.run(chunk, kind, batches, state, by_python)
                outputs = tree.map_structure(np.asarray, found)
                made.append(outputs)
                run.on_predict_batch_end(chunk.first_step, {"outputs": outputs})
                if model.stop_predicting:
                    break
            if whole is not None:
                whole.forget_data()
            run.on_predict_end()
            return tree.map_structure(lambda *parts: np.concatenate(parts), *made)

    def _predict(
        self,
        x: object,
        batch_size: int | None,
        verbose: object,
        steps: int | None,
        callbacks: object,
    ) -> Any:
        batch_size = check_count(batch_size, "batch_size")
        steps = check_count(steps, "steps")
        if is_stream(x):
            return self._stream(x, verbose, steps, callbacks)
        x = self._data.input_arrays(x)
        signature, inputs = self._runtime.matched(x)
        rows = len(inputs[0])
        if any(len(array) != rows for array in inputs):
            sizes = [len(array) for array in inputs]
            raise ValueError(
                message(
                    "predict",
                    "the same number of samples in all arrays (data cardinality)",
                    f"{sizes}",
                    "Cut them to one length.",
                )
            )
        batch_size = batch_size or (-(-rows // steps) if steps and rows else 32)
        total = -(-rows // batch_size)
        run = callback_list(self._model, callbacks, verbose, min(steps, total) if steps else total)
        self._model.stop_predicting = False
        run.on_predict_begin()
        outputs = self._arrays(inputs, rows, batch_size, steps, run)
        if steps is not None and steps > total:
            warn_out_of_data()
        run.on_predict_end()
        return pack_outputs(signature.output_structure, outputs)

    def _arrays(
        self, inputs: list[Array], rows: int, batch_size: int, steps: int | None, run: CallbackList
    ) -> list[Array]:
        model = self._model
        try:
            engine = self._runtime.predictor(inputs, self._runtime.told(False))
        except NotLowerable:
            return self._by_definition(inputs, rows, batch_size, steps, run)
        return predict_rows(
            engine,
            inputs,
            rows,
            batch_size,
            steps,
            model.steps_per_execution,
            run,
            lambda: bool(model.stop_predicting),
        )

    def _by_definition(
        self, inputs: list[Array], rows: int, batch_size: int, steps: int | None, run: CallbackList
    ) -> list[Array]:
        """For calls that mix samples: batch by batch, as given."""
        packed = self._runtime.signature().output_structure
        batches: list[list[Array]] = []
        for start in range(0, max(rows, 1), batch_size)[:steps]:
            run.on_predict_batch_begin(len(batches))
            made = self._batch([x[start : start + batch_size] for x in inputs])
            batches.append([np.atleast_1d(y) for y in made])
            outputs = pack_outputs(packed, made)
            run.on_predict_batch_end(len(batches) - 1, {"outputs": outputs})
            if self._model.stop_predicting:
                break
        return [np.concatenate(ys) for ys in zip(*batches, strict=True)]

    def _stream(self, x: object, verbose: object, steps: int | None, callbacks: object) -> Any:
        given = cast("Iterable[object]", x)
        source = StreamFeed(given, lambda x, y, w: Columns([], [], []), steps)
        if not self._data.is_followed():
            self._data.ensure_built(source.first_batch()[0])
            source.begin_anew()
        model, signature = self._model, self._runtime.signature()
        run = callback_list(model, callbacks, verbose, source.num_batches)
        model.stop_predicting = False
        run.on_predict_begin()
        per_call = model.steps_per_execution
        batches: list[list[Array]] = []
        shown = 0  # batches that the callbacks know of

        def show() -> None:
            outputs = [np.concatenate(ys) for ys in zip(*batches[shown:], strict=True)]
            packed = lend_all(pack_outputs(signature.output_structure, outputs))
            run.on_predict_batch_end(shown + per_call - 1, {"outputs": packed})

        source.epoch_begins()
        for batch in source.raw_batches():
            if len(batches) == shown:
                run.on_predict_batch_begin(shown)
            signature, inputs = self._runtime.matched(unpack_x_y_sample_weight(batch)[0])
            batches.append([np.atleast_1d(y) for y in self._batch(inputs)])
            if len(batches) - shown == per_call:
                show()
                shown = len(batches)
                if model.stop_predicting:
                    break
        else:
            if len(batches) > shown:
                show()
            source.epoch_ends()
        run.on_predict_end()
        joined = [np.concatenate(ys) for ys in zip(*batches, strict=True)]
        return pack_outputs(signature.output_structure, joined)
