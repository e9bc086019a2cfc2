"""Predictions, and single batches: the parts of `Trainer` that users put into loops of their
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from densekit._core import tree
from densekit._core.engine import Block
from densekit._core.errors import message
from densekit._core.frames import filters_traceback, hide_internal_frames
from densekit._core.plan import NotLowerable
from densekit._core.tensor import lend_all
from densekit.data._columns import Array, check_rows, match_inputs, unpack_x_y_sample_weight
from densekit.data._feeds import ArrayFeed, check_count, is_stream, warn_out_of_data
from densekit.data._streams import StreamFeed
from densekit.training._fit_loop import Session, callback_list, logs_of, predict_rows
from densekit.training._limits import limited_steps
from densekit.training._own_steps import BatchStructure
from densekit.training._quick_batch import quick_batch
from densekit.training._runtime import pack_outputs
from densekit.training._sessions import Sessions
from densekit.training._turns import alone, in_turn

if TYPE_CHECKING:
    from densekit.callbacks import CallbackList

_QUICK_FLOPS = 1e9  # some 50 ms: no bar would be shown


class Batches(Sessions):
    """The part of `Trainer` for predictions and single batches."""

    stop_predicting: Any
    steps_per_execution: int

    # One batch

    @filters_traceback
    @alone
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step; arguments as for `fit`, results as for `evaluate`.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((8, 2), "float32")
        >>> list(model.train_on_batch(x, x[:, 0], return_dict=True))
        ['loss']
        """
        if not self.compiled or self.optimizer is None:
            self._dk_assert_trainable()
        return self._dk_on_batch(x, y, sample_weight, class_weight, return_dict, training=True)

    @filters_traceback
    @alone
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch; arguments and results as for `evaluate`."""
        if not self.compiled:
            self._dk_assert_compiled()
        return self._dk_on_batch(x, y, sample_weight, None, return_dict, training=False)

    def _dk_on_batch(
        self, x: Any, y: Any, weight: Any, class_weight: Any, return_dict: bool, training: bool
    ) -> Any:
        if self._dk_has_own_step("train" if training else "test"):
            return self._dk_own_on_batch(x, y, weight, class_weight, return_dict, training)
        model: Any = self
        session, block = self._dk_one_step(x, y, weight, class_weight, training)
        model.reset_metrics()
        with self._dk_runtime.turns.block:
            session.run(block, training)
        if training and type(x) is not np.ndarray:
            self._dk_data.remember_columns(x, y)
        logs = logs_of(model)
        return logs if return_dict else self._dk_in_order(logs)

    def _dk_one_step(
        self, x: Any, y: Any, weight: Any, class_weight: Any, training: bool
    ) -> tuple[Session, Block]:
        """A batch as a block, and the session that runs it."""
        quick_batches = self._dk_runtime.quick_batches
        quick = quick_batches.get(training)
        if quick is not None and class_weight is None:
            known: Session | None = quick.session_for(self, x, y, weight)
            if known is not None:
                return known, quick.block(x, y, weight)
        columns = self._dk_data.array_columns(x, y, weight, class_weight)
        rows = len(columns[0][0])
        feed = ArrayFeed(*columns, rows=rows, batch_size=max(rows, 1), steps=None)
        watch = self._dk_watch("train_on_batch" if training else "test_on_batch", epochs=False)
        session = self._dk_session(feed, training, watch)
        quick_batches[training] = quick_batch(self, session, (x, y, weight), columns)
        (block,) = feed.blocks(1)
        return session, block

    def _dk_own_on_batch(
        self, x: Any, y: Any, weight: Any, class_weight: Any, return_dict: bool, training: bool
    ) -> Any:
        """One step that the user wrote."""
        batches, model = BatchStructure(self._dk_data.takes_text), cast(Any, self)
        rows = max(len(leaf) for leaf in tree.flatten(x))
        feed = self._dk_data.step_feed(batches, x, y, weight, class_weight, max(rows, 1), None)
        session = self._dk_step_session(batches, training)
        model.reset_metrics()
        for block in feed.blocks(1):
            with self._dk_runtime.turns.block:
                session.run(block, training)
        if training:
            self._dk_data.remember_columns(x)
        logs = session.logs(model)
        return logs if return_dict else self._dk_in_order(logs)

    @filters_traceback
    @in_turn
    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for all rows as one batch; else the same as `predict`.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> model.predict_on_batch(np.ones((8, 2), "float32")).shape
        (8, 3)
        """
        model: Any = self
        if self._dk_has_own_step("predict"):
            rows = max(len(leaf) for leaf in tree.flatten(x))
            return self._dk_predict_by_steps(x, max(rows, 1), 0, None, None)
        if type(x) is np.ndarray and self.__dict__.get("_dk_fast_call") is not None:
            return model(x)
        x = self._dk_data.input_arrays(x)
        signature = self._dk_runtime.signature()
        inputs = match_inputs(x, signature)
        check_rows({"x": inputs})
        return pack_outputs(signature.output_structure, self._dk_predict_batch(inputs))

    def _dk_predict_batch(self, inputs: list[Array]) -> list[Array]:
        """Outputs of one batch, whatever number of rows it gives."""
        told = self._dk_runtime.told(False)
        try:
            return self._dk_runtime.predictor(inputs, told).predict(inputs, len(inputs[0]))
        except NotLowerable:
            structure = self._dk_runtime.signature().input_structure
            outputs = self._dk_runtime.definition(structure, told)(*(x[:] for x in inputs))
            return [np.asarray(y) for y in tree.flatten(outputs)]

    # Predictions

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for many samples; the same bits as ``model(x)``, whatever the batch size.

        Args:
            x: as for `fit`, without targets.
            batch_size: rows per call of a batch hook, >= 1. Default: ``32``.
            verbose: 0 silent, 1 a progress bar. Default: ``"auto"``: a bar if it takes a quarter
                of a second.
            steps: batches to look at. Default: all.
            callbacks: callbacks. Default: none.

        Returns:
            an array ``(samples, ...)``, or the structure of arrays that the model gives.

        Raises:
            ValueError: for data that does not fit the model.

        Example:

        >>> import densekit as keras, numpy as np
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> model.predict(np.ones((8, 2), "float32")).shape
        (8, 3)
        """
        try:
            steps = limited_steps(steps)
            if self._dk_has_own_step("predict"):
                return self._dk_predict_by_steps(x, batch_size, verbose, steps, callbacks)
            quiet = not verbose or verbose == "auto"
            if quiet and callbacks is None and steps is None and type(x) is np.ndarray:
                check_count(batch_size, "batch_size")
                if self._dk_is_quick(len(x) if x.ndim else 0):
                    model: Any = self
                    outputs = model(x)
                    if isinstance(outputs, np.ndarray):
                        return outputs
            return self._dk_predict_general(x, batch_size, verbose, steps, callbacks)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_native_call(self, inputs: Any, training: bool | None = None) -> Any:
        """Outputs for arrays; NotImplemented where only the definition will do.

        Args:
            training: what the call says, False or None: nothing.
        """
        if self._dk_runtime.collects_losses:
            return NotImplemented
        leaves = tree.flatten(inputs)
        if any(x.dtype.kind not in "biufU" or x.ndim == 0 for x in leaves):
            return NotImplemented
        if self._dk_model_graph() is None and "_dk_traced_on" not in self.__dict__:
            self._dk_data.ensure_built(inputs)
        signature = self._dk_runtime.signature()
        arrays = match_inputs(inputs, signature)
        rows = len(arrays[0])
        if any(len(x) != rows for x in arrays):
            return NotImplemented
        try:
            engine = self._dk_runtime.predictor(arrays, training)
        except NotLowerable:
            return NotImplemented
        # Known before it runs, as a call writes its state once: what only the definition leaves.
        if engine.adds_losses or engine.writes_weights:
            return NotImplemented
        with self._dk_runtime.turns.to_predict():
            outputs = engine.predict(arrays, rows)
        if engine.added_losses:
            self._dk_runtime.note_losses()
            return NotImplemented
        return pack_outputs(signature.output_structure, outputs)

    def _dk_model_graph(self) -> Any:
        model: Any = self
        return model._dk_graph()

    def _dk_is_quick(self, rows: int) -> bool:
        """Whether so many rows are predicted in no time; only known once the engine exists."""
        if self.__dict__.get("_dk_fast_call") is None:
            return False
        return rows * self._dk_runtime.flops_per_sample <= _QUICK_FLOPS

    @in_turn
    def _dk_predict_by_steps(
        self, x: Any, batch_size: Any, verbose: Any, steps: Any, callbacks: Any
    ) -> Any:
        """What the user's own predict step gives, batch after batch."""
        batches = BatchStructure(self._dk_data.takes_text)
        feed = self._dk_data.step_feed(batches, x, None, None, None, batch_size, steps)
        model: Any = self
        function = model.make_predict_function() or model.predict_function
        run = callback_list(self, callbacks, verbose, feed.num_batches)
        self.stop_predicting = False
        run.on_predict_begin()
        made: list[Any] = []
        for block in feed.blocks(1):
            run.on_predict_batch_begin(block.first_step)
            outputs = tree.map_structure(np.asarray, function(batches.batches(block)))
            made.append(outputs)
            run.on_predict_batch_end(block.first_step, {"outputs": outputs})
            if self.stop_predicting:
                break
        run.on_predict_end()
        return tree.map_structure(lambda *parts: np.concatenate(parts), *made)

    @in_turn
    def _dk_predict_general(
        self, x: Any, batch_size: Any, verbose: Any, steps: Any, callbacks: Any
    ) -> Any:
        batch_size = check_count(batch_size, "batch_size")
        steps = check_count(steps, "steps")
        if is_stream(x):
            return self._dk_predict_stream(x, verbose, steps, callbacks)
        x = self._dk_data.input_arrays(x)
        signature = self._dk_runtime.signature()
        inputs = match_inputs(x, signature)
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
        run = callback_list(self, callbacks, verbose, min(steps, total) if steps else total)
        self.stop_predicting = False
        run.on_predict_begin()
        outputs = self._dk_predict_arrays(inputs, rows, batch_size, steps, run)
        if steps is not None and steps > total:
            warn_out_of_data()
        run.on_predict_end()
        return pack_outputs(signature.output_structure, outputs)

    def _dk_predict_arrays(
        self, inputs: list[Array], rows: int, batch_size: int, steps: int | None, run: CallbackList
    ) -> list[Array]:
        try:
            engine = self._dk_runtime.predictor(inputs, self._dk_runtime.told(False))
        except NotLowerable:
            return self._dk_predict_by_definition(inputs, rows, batch_size, steps, run)
        return predict_rows(
            engine,
            inputs,
            rows,
            batch_size,
            steps,
            self.steps_per_execution,
            run,
            lambda: bool(self.stop_predicting),
        )

    def _dk_predict_by_definition(
        self, inputs: list[Array], rows: int, batch_size: int, steps: int | None, run: CallbackList
    ) -> list[Array]:
        """For calls that mix samples: batch by batch, as given."""
        packed = self._dk_runtime.signature().output_structure
        batches: list[list[Array]] = []
        for start in range(0, max(rows, 1), batch_size)[:steps]:
            run.on_predict_batch_begin(len(batches))
            made = self._dk_predict_batch([x[start : start + batch_size] for x in inputs])
            batches.append([np.atleast_1d(y) for y in made])
            outputs = pack_outputs(packed, made)
            run.on_predict_batch_end(len(batches) - 1, {"outputs": outputs})
            if self.stop_predicting:
                break
        return [np.concatenate(ys) for ys in zip(*batches, strict=True)]

    def _dk_predict_stream(self, x: Any, verbose: Any, steps: Any, callbacks: Any) -> Any:
        source = StreamFeed(x, lambda x, y, w: ([], [], []), steps)
        if not self._dk_data.is_followed():
            self._dk_data.ensure_built(source.first_batch()[0])
            source.begin_anew()
        signature = self._dk_runtime.signature()
        run = callback_list(self, callbacks, verbose, source.num_batches)
        self.stop_predicting = False
        run.on_predict_begin()
        per_call = self.steps_per_execution
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
            inputs = match_inputs(unpack_x_y_sample_weight(batch)[0], signature)
            batches.append([np.atleast_1d(y) for y in self._dk_predict_batch(inputs)])
            if len(batches) - shown == per_call:
                show()
                shown = len(batches)
                if self.stop_predicting:
                    break
        else:
            if len(batches) > shown:
                show()
            source.epoch_ends()
        run.on_predict_end()
        joined = [np.concatenate(ys) for ys in zip(*batches, strict=True)]
        return pack_outputs(signature.output_structure, joined)
