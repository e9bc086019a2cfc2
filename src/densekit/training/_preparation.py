"""`Preparation`: from what a user passes to what the loops run: columns and feeds, all checked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from densekit import losses
from densekit._core import tree
from densekit._core.dtypes import STRING
from densekit._core.engine import Index
from densekit._core.errors import describe, message
from densekit._core.types import Array
from densekit.data._arrays import as_array, as_arrays, is_sparse, numbers_as_arrays, readable_once
from densekit.data._columns import (
    Column,
    Columns,
    Signature,
    check_rows,
    check_weight_structure,
    class_weights,
    match_outputs,
    match_weights,
    output_keys,
    unpack_x_y_sample_weight,
)
from densekit.data._feeds import ArrayFeed, is_stream
from densekit.data._streams import Feed, StreamFeed
from densekit.training._compiled import Compiled
from densekit.training._loss_terms import wants_target
from densekit.training._not_finite import refuse_all_nan
from densekit.training._runtime import Runtime
from densekit.training._shuffling import shuffle_order
from densekit.training._step_data import BatchStructure

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


class Preparation:
    """Looks at the data that one model is given."""

    def __init__(self, model: TrainableModel, runtime: Runtime, compiled: Compiled) -> None:
        self._model = model
        self._runtime = runtime
        self._compiled = compiled

    def arranged(self, x: object) -> object:
        """Inputs with the columns of frames in the order that the model knows."""
        if not self._model._dk_known_columns:
            return x
        signature = self._runtime.signature()
        return self._model._dk_known_columns.arrange(x, signature.input_names, signature.where)

    def arranged_targets(self, y: object) -> object:
        """Targets with the columns of frames in the order that the model knows."""
        if not self._model._dk_known_targets or y is None:
            return y
        signature = self._runtime.signature()
        return self._model._dk_known_targets.arrange(y, output_keys(signature), signature.where)

    def remember_columns(self, x: object, y: object = None) -> None:
        """Keep the names of the columns of frames, the first time there are some."""
        if y is not None and type(y) is not np.ndarray:
            self._model._dk_known_targets.remember(y, output_keys(self._runtime.signature()))
        if is_sparse(x):  # which a `dict` may be as well
            return
        if any(type(leaf) is not np.ndarray for leaf in tree.flatten(x)):
            self._model._dk_known_columns.remember(x, self._runtime.signature().input_names)

    def remember_columns_of(self, feed: Feed, x: object, y: object) -> None:
        """`remember_columns` of the data behind a feed, which `x` yields if it is a stream."""
        if not isinstance(feed, StreamFeed):
            self.remember_columns(x, y)
        elif not feed.tells_epochs:
            self.remember_columns(*feed.first_batch()[:2])

    def batch_structure(self) -> BatchStructure:
        """What puts batches together for steps that the user wrote."""
        return BatchStructure(self.takes_text)

    @property
    def takes_text(self) -> bool:
        """Whether inputs of the model may be strings: one is declared so or, before it is built, a
        layer reads them.
        """
        if self.is_followed():
            return STRING in self._runtime.signature().input_dtypes
        return any(layer._dk_reads_text for layer in self._model._dk_flatten_layers(False))

    def is_followed(self) -> bool:
        """Whether the model is built and it is known what its call does."""
        model = self._model
        return model.built and (model._dk_graph() is not None or model._dk_inputs_met() is not None)

    def ensure_built(self, x: object, given: object = None) -> None:
        """Build a model that has not seen data yet for data like `x`.

        Args:
            given: what the user passed, where `x` has become arrays of it.
        """
        if self.is_followed():
            return
        model = self._model
        model._dk_build_on(as_arrays(x, "x", text=self.takes_text))
        model._dk_forget_graph()
        self.remember_columns(x if given is None else given)

    def columns(
        self, x: object, y: object, sample_weight: object, class_weight: object = None
    ) -> Columns:
        """Inputs, targets and weights in the order of the model, checked."""
        signature, inputs = self._runtime.matched(x)
        outputs = len(signature.output_names)
        needed = wants_target(self._model.loss, signature)
        y = numbers_as_arrays(self.arranged_targets(y), outputs)
        targets = match_outputs(y, signature, needed, "y")
        sample_weight = numbers_as_arrays(sample_weight, outputs)
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    message(
                        f"{signature.where}",
                        "`class_weight` or `sample_weight`",
                        "both at the same time",
                        "Multiply them into `sample_weight`.",
                    )
                )
            if len(targets) > 1 or targets[0] is None:
                raise ValueError(
                    message(
                        "`class_weight`",
                        "a model with a single output and targets",
                        f"{len(targets)} outputs",
                        "Pass a list of `sample_weight`.",
                    )
                )
            units = signature.output_shapes[0][-1] if len(signature.output_shapes[0]) > 1 else None
            classes = 2 if units == 1 else units
            sample_weight = class_weights(targets[0], class_weight, classes)
        weights = match_weights(sample_weight, targets, signature, needed)
        check_rows({"x": inputs, "y": targets, "sample_weight": weights})
        self.check_targets(signature, targets)
        return Columns(inputs, targets, weights)

    def array_columns(
        self, x: object, y: object, sample_weight: object, class_weight: object
    ) -> Columns:
        """`columns` of no stream: every table is converted once, and the model built."""
        x = self.input_arrays(x)
        outputs = len(self._runtime.signature().output_names)
        y = self._arrays(self.arranged_targets(y), "y", outputs)
        sample_weight = self._arrays(sample_weight, "sample_weight", outputs)
        return self.columns(x, y, sample_weight, class_weight)

    def _arrays(self, value: object, what: str, lists: int = 0) -> Any:
        """`value` as arrays, in the structure it has."""
        if value is None or type(value) is np.ndarray:
            return value
        text = what == "x" and self.takes_text
        return as_arrays(value, what, self._number_types()[0], lists, text)

    def input_arrays(self, given: object) -> Any:
        """Inputs as arrays, columns of frames in the known order; the model is built for them."""
        x = self._arrays(self.arranged(given), "x")
        self.ensure_built(x, given)
        return x

    def _number_types(self) -> tuple[str, bool]:
        """What to convert numbers to that the core cannot read, and whether integers too: inputs
        declared as integers are exact beyond what a float32 holds.
        """
        if self.is_followed():
            declared = tree.flatten(self._runtime.signature().input_structure)
            if any("int" in str(getattr(tensor, "dtype", "")) for tensor in declared):
                return "float64", False
        return self._runtime.dtype(), True

    def check_targets(self, signature: Signature, targets: list[Column]) -> None:
        """Refuse targets that the losses cannot mean."""
        terms = self._compiled.resolved_terms(signature, targets)
        keys = output_keys(signature)
        for term in terms:
            for i in term.outputs:
                target, name = targets[i], keys[i]
                if target is None:
                    where = f"{signature.where} output {name!r}"
                    raise ValueError(message(where, "targets", "None", "Pass `y`."))
                if term.part is None:
                    losses.check_targets(term.loss, target, signature.output_shapes[i], name)

    def feed(
        self,
        x: object,
        y: object,
        sample_weight: object,
        class_weight: object,
        batch_size: object,
        steps: Any,
        shuffle: Any = False,
        repeated: bool = True,
    ) -> Feed:
        """The batches of `x`.

        Args:
            repeated: whether the data are read more than once, so that arrays which the core
                cannot read are converted beforehand.
        """
        if is_stream(x):
            given = {"y": y, "sample_weight": sample_weight}
            for name, value in given.items():
                if value is not None:
                    raise ValueError(
                        message(
                            f"`{name}`",
                            f"None, as `x` is a {type(x).__name__} that yields batches",
                            f"{type(value).__name__}",
                            "Yield (x, y, sample_weight) instead.",
                        )
                    )
            _check_weights_of_stream(class_weight)
            convert = partial(self.columns, class_weight=class_weight)
            batches = cast("Iterable[object]", x)
            stream = StreamFeed(batches, convert, steps, self._new_order if shuffle else None)
            if not (stream.tells_epochs and self.knows_data()):
                self.ensure_built(stream.first_batch()[0])
            return stream
        check_weight_structure(y, sample_weight)
        columns = self.array_columns(x, y, sample_weight, class_weight)
        refuse_all_nan(columns.targets, output_keys(self._runtime.signature()))
        if repeated and not columns.are_readable:
            dtype, floats = self._number_types()
            columns = Columns(
                [readable_once(column, dtype, floats) for column in columns.inputs],
                [readable_once(column, dtype, False) for column in columns.targets],
                [readable_once(column, dtype, False) for column in columns.weights],
            )
        return self._array_feed(columns, batch_size, steps, shuffle)

    def step_feed(
        self,
        data: BatchStructure,
        x: object,
        y: object,
        sample_weight: object,
        class_weight: object,
        batch_size: object,
        steps: Any,
        shuffle: Any = False,
    ) -> Feed:
        """The batches of `x` for steps that the user wrote: as they were passed."""
        if is_stream(x):
            _check_weights_of_stream(class_weight)
            convert = data.columns
            if class_weight is not None:
                convert = partial(self._weighted_by_class, data, class_weight)
            batches = cast("Iterable[object]", x)
            stream = StreamFeed(batches, convert, steps, self._new_order if shuffle else None)
            self._prepare_steps(*stream.first_batch()[:2])
            return stream
        if class_weight is not None:
            sample_weight = self._weights_of_classes(y, sample_weight, class_weight)
        columns = data.columns(x, y, sample_weight)
        check_rows({"x": columns.inputs, "y": columns.targets, "sample_weight": columns.weights})
        self._prepare_steps(x, y)
        return self._array_feed(columns, batch_size, steps, shuffle)

    def _weighted_by_class(
        self,
        data: BatchStructure,
        class_weight: object,
        x: object,
        y: object,
        sample_weight: object,
    ) -> Columns:
        return data.columns(x, y, self._weights_of_classes(y, sample_weight, class_weight))

    def _weights_of_classes(self, y: object, sample_weight: object, class_weight: object) -> Array:
        """A weight for each sample, for steps that the user wrote."""
        if sample_weight is not None or y is None or tree.is_nested(y):
            raise ValueError(
                message(
                    f"{type(self._model).__name__} {self._model.name!r}",
                    "`class_weight` with one array `y` and no `sample_weight`",
                    "`sample_weight` too" if sample_weight is not None else describe(y),
                    "Multiply it into `sample_weight`.",
                )
            )
        return class_weights(as_array(y, "y"), class_weight, None)

    def balanced_weights(self, y: object, sample_weight: object, rows: Index) -> Array:
        """`class_weight="balanced"` by the classes of these rows alone, for each row of `y`."""
        targets = None if y is None or tree.is_nested(y) else as_array(y, "y")
        found = self._weights_of_classes(
            y if targets is None else targets[rows], sample_weight, "balanced"
        )
        weights = np.ones(len(found) if targets is None else len(targets), found.dtype)
        weights[rows] = found
        return weights

    def _array_feed(
        self, columns: Columns, batch_size: object, steps: int | None, shuffle: bool | str
    ) -> ArrayFeed:
        """Columns in memory, cut into batches."""
        return ArrayFeed(columns, batch_size, steps, shuffle, self._new_order)

    def _prepare_steps(self, x: object, y: object) -> None:
        """Build what can be built before the first step: the model, if it has a `call`, its metrics
        and its optimizer.
        """
        model = self._model
        if model._dk_has_call:
            self.ensure_built(x)
            if y is not None:
                columns: list[Column] = [np.asarray(leaf) for leaf in tree.flatten(y)]
                self._compiled.build_metrics(self._runtime.signature(), columns)
            if model.optimizer is not None and model.trainable_variables:
                self._runtime.build_optimizer()

    def knows_data(self) -> bool:
        """Whether the model has seen data since it was compiled: shapes and losses are decided."""
        metrics = self._compiled.metrics
        return (
            self.is_followed()
            and self._compiled.terms is not None
            and (metrics is None or metrics.built)
        )

    def _new_order(self, rows: int, block: int) -> npt.NDArray[np.int64]:
        """The order of the pass that begins now, shuffled inside every `block` of rows."""
        model = self._model
        iterations = model.optimizer.steps_counted()
        return shuffle_order(self._runtime.kind, model._dk_shuffle_state, iterations, rows, block)

    def validation_feed(
        self, data: object, batch_size: object, steps: object, own: BatchStructure | None = None
    ) -> Feed:
        """The batches of a validation; for the user's own test step as they were passed."""
        make = self.feed if own is None else partial(self.step_feed, own)
        if is_stream(data):
            return make(data, None, None, None, None, steps)
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        if is_stream(x):
            return make(x, y, sample_weight, None, None, steps)
        return make(x, y, sample_weight, None, batch_size, steps)


def _check_weights_of_stream(class_weight: object) -> None:
    """Batches that are yet to come cannot be counted."""
    if isinstance(class_weight, str):
        raise ValueError(
            message(
                "`class_weight`",
                "a weight for each class, as the batches are yet to come",
                describe(class_weight),
                "Pass e.g. {0: 1.0, 1: 5.0}.",
            )
        )
