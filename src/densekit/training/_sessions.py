"""Losses by their definitions, and the sessions that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from densekit import losses
from densekit._core import tree
from densekit._core.engine import Engine, LossTerm
from densekit._core.errors import message
from densekit._core.plan import NotLowerable
from densekit._core.registry import public_name
from densekit.data._columns import (
    Array,
    Columns,
    Signature,
    match_outputs,
    match_weights,
    output_keys,
)
from densekit.data._streams import StreamFeed
from densekit.data._tables import KnownColumns
from densekit.layers import has_lowering
from densekit.training._fit_loop import Feed, Session
from densekit.training._loss_terms import resolve_terms, term_names, wants_target
from densekit.training._not_finite import FiniteWatch, refuse_all_nan
from densekit.training._own_steps import BatchStructure, OwnSteps, StepSession
from densekit.training._preparation import Preparation
from densekit.training._run_metrics import CompileMetrics, LossMean
from densekit.training._runtime import Runtime
from densekit.training._whole_batch import WholeBatchSession


class Sessions(OwnSteps):
    """The part of `Trainer` that makes sessions."""

    name: str
    built: bool
    optimizer: Any
    loss: Any
    compiled: bool
    history: Any
    trainable_variables: list[Any]
    _tracker: Any
    _initial_epoch: int | None
    _dk_known_columns: KnownColumns
    _dk_runtime: Runtime
    _dk_data: Preparation
    _dk_compiled: dict[str, Any]
    _compile_metrics: CompileMetrics | None
    _loss_tracker: Any
    _dk_term_means: list[LossMean]
    _dk_terms: list[LossTerm] | None

    def _dk_reset_compiled(self, metrics: CompileMetrics | None) -> None:
        """Start anew with what was compiled; the prediction engine stays."""
        state = self.__dict__
        state["_compile_metrics"] = metrics
        state["_loss_tracker"] = LossMean(name="loss")
        state["_dk_term_means"] = []
        state["_dk_terms"] = None
        self._dk_runtime.forget_training()

    def _dk_assert_compiled(self) -> None:
        if not self.compiled:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: "
                "You must call `compile()` before using the model."
            )

    @classmethod
    def _dk_base_method(cls, name: str) -> Any:
        return getattr(Sessions, name)

    def _dk_assert_trainable(self) -> None:
        self._dk_assert_compiled()
        if self.optimizer is None and not self._dk_has_own_step("train"):
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    "an optimizer",
                    "compile(optimizer=None)",
                    "Compile with an optimizer to train.",
                )
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The total loss of some predictions by the definitions: losses, their weights and
        penalties.
        """
        signature = self._dk_runtime.signature()
        needed = wants_target(self.loss, signature)
        targets = match_outputs(y, signature, needed, "y")
        terms = self._dk_resolved_terms(signature, targets)
        weights = match_weights(sample_weight, targets, signature, needed)
        predictions = tree.flatten(y_pred)
        parts: list[Any] = []
        for t in terms:
            value = t.loss(targets[t.output], predictions[t.output], weights[t.output])
            parts.append(value if t.weight == 1 else value * t.weight)
        parts.extend(self.losses)  # type: ignore[attr-defined]
        return sum(parts[1:], parts[0]) if parts else 0.0

    def compute_metrics(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Add a batch to the compiled metrics and return the present values."""
        if self._compile_metrics is not None:
            if not self._compile_metrics.built:
                signature = self._dk_runtime.signature()
                needed = [True] * len(signature.output_names)
                columns = match_outputs(y, signature, needed, "y")
                self._compile_metrics.build(signature, columns, self._dk_is_named())
            self._compile_metrics.update_state(y, y_pred, sample_weight)
        results: dict[str, Any] = self.get_metrics_result()  # type: ignore[attr-defined]
        return results

    def _dk_is_named(self) -> bool:
        return bool(getattr(self, "output_names", None))

    # Sessions

    def _dk_example(self, feed: Feed) -> tuple[list[Array], Columns]:
        """Inputs and targets that show the shapes of the data."""
        if isinstance(feed, StreamFeed) and feed.tells_epochs and self._dk_data.knows_data():
            runtime = self._dk_runtime
            if not runtime.has_open_shapes:
                shapes = [shape[1:] for shape in runtime.signature().input_shapes]
                return [np.empty((0, *shape)) for shape in shapes], []  # type: ignore[arg-type]
        return feed.sample[:2]

    def _dk_resolved_terms(self, signature: Signature, targets: Columns) -> list[LossTerm]:
        """The losses, resolved once per `compile`."""
        if self.__dict__["_dk_terms"] is None:
            weights = self._dk_compiled["loss_weights"]
            terms = resolve_terms(self.loss, weights, signature, targets)
            for term in terms:
                losses.check_last_activation(
                    term.loss,
                    _last_activation(self, term.output),
                    _units(signature.output_shapes[term.output]),
                )
            names = term_names(terms, signature, self._dk_is_named())
            self.__dict__["_dk_terms"] = terms
            self.__dict__["_dk_term_means"] = [LossMean(name=name) for name in names]
        resolved: list[LossTerm] = self.__dict__["_dk_terms"]
        return resolved

    def _dk_watch(self, what: str, epochs: bool = True) -> FiniteWatch:
        """What warns of NaN and infinity in one call of `fit` or `evaluate`, or in single steps."""
        signature = self._dk_runtime.signature()
        return FiniteWatch(
            what, signature.input_names, output_keys(signature), self._dk_known_columns, epochs
        )

    def _dk_session(self, feed: Feed, training: bool, watch: FiniteWatch | None = None) -> Session:
        """Engine, losses and metrics for this data."""
        signature = self._dk_runtime.signature()
        inputs, targets = self._dk_example(feed)
        terms = self._dk_resolved_terms(signature, targets)
        if training and targets and isinstance(feed, StreamFeed):
            # Losses of users may know what to do with a first batch without numbers; ours do not.
            ours = [t.output for t in terms if losses.is_built_in(t.loss)]
            refuse_all_nan([targets[i] for i in ours], [output_keys(signature)[i] for i in ours])
        made_at = self._dk_runtime.moment()
        if self._compile_metrics is not None and not self._compile_metrics.built:
            self._compile_metrics.build(signature, targets, self._dk_is_named())
        engine_for = self._dk_trainer if training else self._dk_runtime.evaluator
        followers = self._loss_tracker, self._dk_term_means, self._compile_metrics, watch
        try:
            engine = engine_for(inputs, terms)
        except NotLowerable:
            definition = self._dk_runtime.by_definition(terms, training)
            session: Session = WholeBatchSession(definition, terms, *followers)
            session.made_for = self._dk_runtime.state(), self.optimizer
            return session
        if training:
            self._dk_assert_something_to_learn(engine)
        session = Session(engine, terms, *followers)
        session.engine_for, session.moment = engine_for, self._dk_runtime.moment
        session.has_open_shapes = self._dk_runtime.has_open_shapes
        session.made_at = made_at
        session.made_for = self._dk_runtime.state(), self.optimizer
        return session

    def _dk_step_session(
        self, data: BatchStructure, training: bool, watch: FiniteWatch | None = None
    ) -> StepSession:
        """What calls the user's own steps."""
        return StepSession(self, data, training, watch)

    def _dk_fresh(self, session: Any, feed: Feed, training: bool) -> Any:
        """`session`, or a new one if a callback changed the model."""
        if isinstance(session, StepSession):
            return session
        if session.made_for == (self._dk_runtime.state(), self.optimizer):
            return session
        return self._dk_session(feed, training, session.watch)

    def _dk_trainer(self, inputs: list[Array], terms: Sequence[LossTerm]) -> Engine:
        self._dk_build_optimizer()
        return self._dk_runtime.trainer(inputs, terms)

    def _dk_build_optimizer(self) -> None:
        variables = self._dk_runtime.trainable()
        optimizer = self.optimizer
        if not optimizer.built:
            optimizer.build(variables)
        known = {id(v) for v in optimizer._trainable_variables}
        unknown = [v for v in variables if id(v) not in known]
        if unknown:
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    "the variables its optimizer was built for",
                    f"a new one, {unknown[0].path!r}",
                    "Call `compile` with a new optimizer after unfreezing or adding layers.",
                )
            )

    def _dk_assert_something_to_learn(self, engine: Engine) -> None:
        penalties = any(v.regularizer is not None for v in self._dk_runtime.trainable())
        added = self._dk_runtime.collects_losses or engine.has_host_steps
        if not (engine.n_losses or penalties or added):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: No loss to compute. "
                "Provide a `loss` argument in `compile()`."
            )

    def _dk_in_order(self, logs: dict[str, Any]) -> Any:
        """The values of `logs` as a list, the loss first; alone if there is no other."""
        names: list[str] = []
        for metric in self.metrics:  # type: ignore[attr-defined]
            if isinstance(metric, CompileMetrics):
                names.extend(m.name for m in metric.metrics)
            else:
                names.append(metric.name)
        values = [logs[name] for name in names if name in logs]
        values += [logs[key] for key in sorted(logs) if key not in names]
        return values[0] if len(values) == 1 else values


def _units(shape: Sequence[int | None]) -> int | None:
    """The size of the last axis of an output, None if there is none."""
    return shape[-1] if len(shape) > 1 else None


def _last_activation(model: Any, output: int) -> str | None:
    """Name of the built-in activation that makes an output, None if it cannot be told."""
    graph = model._dk_graph()
    return None if graph is None else _activation_of(graph.outputs[output])


def _activation_of(tensor: Any) -> str | None:
    """The activation that a tensor comes from; layers that pass values on are looked through."""
    if tensor._keras_history is None:
        return None
    layer, index, _ = tensor._keras_history
    if not has_lowering(layer):  # its `call` may do anything
        return None
    node = layer._inbound_nodes[index]
    kind = type(layer).__name__  # no class is loaded to be compared with
    if kind == "Softmax":
        return "softmax"
    found = public_name(getattr(layer, "activation", None))
    name = found[1] if found is not None and found[0] == "keras.activations" else None
    passes_on = kind == "Identity" or (kind == "Activation" and name == "linear")
    if passes_on and len(node.input_tensors) == 1:
        return _activation_of(node.input_tensors[0])
    return name
