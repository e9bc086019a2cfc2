"""`Compiled`: what `compile` was given, and the losses and metrics made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit import engines, losses, optimizers
from densekit._core import tree
from densekit._core.boxes import unboxed
from densekit._core.engine import LossTerm
from densekit._core.errors import message, returned
from densekit._core.frames import warn
from densekit._core.registry import Names, public_name
from densekit._core.scope import in_stateless_scope
from densekit._core.serialization import (
    deserialize_keras_object,
    deserialize_nested,
    serialize_keras_object,
)
from densekit._core.tensor import give_all
from densekit._core.types import Config, Logs
from densekit._core.variable import Variable
from densekit.data._columns import Column, Signature, match_outputs, match_weights
from densekit.data._feeds import check_count
from densekit.layers import Layer, has_lowering
from densekit.metrics import Metric
from densekit.ops import KerasTensor
from densekit.ops._dispatch import raw
from densekit.ops._symbolic import Node
from densekit.training._loss_terms import (
    check_loss_weights,
    check_losses,
    resolve_terms,
    term_names,
    wants_target,
)
from densekit.training._outputs import signature_for
from densekit.training._overrides import has_own_step
from densekit.training._run_metrics import CompileMetrics, LossMean
from densekit.training._runtime import Runtime
from densekit.training._shuffling import new_shuffle_state

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

# Arguments of `compile` that hold components, and the names these go by.
_COMPONENTS = {
    "optimizer": Names("keras.optimizers"),
    "loss": Names("keras.losses"),
    "metrics": Names("keras.metrics"),
    "weighted_metrics": Names("keras.metrics"),
}


class Compiled:
    """How one model is to be trained, and what is measured meanwhile.

    Attributes:
        arguments: what `compile` was given, by name.
        metrics: the compiled metrics, None if there are none.
        loss_mean: the mean of the total loss; None before `compile`.
        term_means: the mean of each loss; empty if there is only one.
        terms: the losses, once they are resolved; None before.
    """

    def __init__(self, model: TrainableModel, runtime: Runtime) -> None:
        self._model = model
        self._runtime = runtime
        self.arguments: Config = {}
        self.metrics: CompileMetrics | None = None
        self.loss_mean: LossMean | None = None
        self.term_means: list[LossMean] = []
        self._loss_names: list[str] = []
        self.terms: list[LossTerm] | None = None
        # For which version: the layers, the weights, whether there is one output.
        self._bare: tuple[int, list[Layer], list[Variable], bool] | None = None
        self._reported: tuple[object, list[Metric]] = (None, [])  # and what it follows from

    def compile(
        self,
        optimizer: object,
        loss: object,
        loss_weights: object,
        metrics: object,
        weighted_metrics: object,
        run_eagerly: bool,
        steps_per_execution: int,
        jit_compile: Any,
        engine: str | None,
        scales_loss: bool = False,
    ) -> None:
        """Take over what `compile` was given; all of it is checked before anything changes."""
        name = engines.default_name() if engine is None else engines.check_engine(engine, "compile")
        found = optimizers.get(optimizer)
        check_losses(loss)
        check_loss_weights(loss_weights)
        check_count(steps_per_execution, "steps_per_execution")
        given = metrics is not None or weighted_metrics is not None
        compiled_metrics = CompileMetrics(metrics, weighted_metrics) if given else None
        if jit_compile == "auto":
            jit_compile = not run_eagerly
        if jit_compile and run_eagerly:
            warn(
                "If `run_eagerly` is True, then `jit_compile` cannot also be True. "
                "Disabling `jit_compile`."
            )
            jit_compile = False
        if scales_loss and not isinstance(found, optimizers.LossScaleOptimizer | None):
            found = optimizers.LossScaleOptimizer(found, name="loss_scale_optimizer")
        self.arguments = {
            "optimizer": found,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        if engine is not None:
            self.arguments["engine"] = engine
        model = self._model
        self._runtime.use(name)
        model.optimizer, model.loss = found, loss
        model.run_eagerly, model.jit_compile = run_eagerly, jit_compile
        model.steps_per_execution = steps_per_execution
        model.stop_training = False
        model.compiled = True
        self.metrics = compiled_metrics
        self.loss_mean = LossMean(name="loss")
        self.term_means, self.terms = [], None
        self._runtime.forget_training()
        model.__dict__["_dk_shuffle_state"] = new_shuffle_state()

    def config(self) -> Config:
        """The arguments of `compile` as plain data."""
        config: Config = serialize_keras_object(self.arguments)
        return config

    @staticmethod
    def arguments_of(config: Config) -> Config:
        """The arguments of `compile` that `config` gave."""
        parts = dict(config)
        components = {
            name: deserialize_nested(parts.pop(name), names)
            for name, names in _COMPONENTS.items()
            if name in parts
        }
        arguments: Config = components | deserialize_keras_object(parts)
        return arguments

    # Losses

    def resolved_terms(self, signature: Signature, targets: list[Column]) -> list[LossTerm]:
        """The losses, resolved once per `compile`."""
        if self.terms is None:
            model = self._model
            weights = self.arguments["loss_weights"]
            terms = resolve_terms(model.loss, weights, signature, targets)
            if signature.output_names == self._runtime.signature().output_names:
                self._check_last_activations(terms, signature)
            names = term_names(terms, signature, signature.outputs_are_named)
            self.terms = terms
            self.term_means = [LossMean(name=name) for name in names]
            given = model.loss if isinstance(signature.output_structure, dict) else None
            self._loss_names = list(given) if isinstance(given, dict) else []
        return self.terms

    def _check_last_activations(self, terms: list[LossTerm], signature: Signature) -> None:
        for term in terms:
            if term.part is None:
                activation = _last_activation(self._model, term.output)
                units = _units(signature.output_shapes[term.output])
                losses.check_last_activation(term.loss, activation, units)

    def loss(self, y: object, y_pred: object, sample_weight: object) -> Any:
        """The total loss of some predictions by the definitions, penalties included."""
        if sample_weight is None:
            term = self._only_term(y, y_pred)
            if term is not None:
                return term.loss(y, y_pred)
        model, signature = self._model, signature_for(y_pred, self._runtime.signature())
        needed = wants_target(model.loss, signature)
        targets = match_outputs(y, signature, needed, "y")
        terms = self.resolved_terms(signature, targets)
        weights = match_weights(sample_weight, targets, signature, needed)
        predictions = tree.flatten(y_pred)
        values = [t.loss(t.of(targets), t.of(predictions), t.weight_of(weights)) for t in terms]
        if len(terms) > 1:
            for mean, term, value in zip(self.term_means, terms, values, strict=True):
                mean.update_state(unboxed(value), sample_weight=len(predictions[term.output]))
        weighted = zip(values, terms, strict=True)
        parts: list[Any] = [v if t.weight == 1 else v * t.weight for v, t in weighted]
        parts.extend(model.losses)
        return sum(parts[1:], parts[0]) if parts else 0.0

    def _only_term(self, y: object, y_pred: object) -> LossTerm | None:
        """The loss of the one output, if nothing else is part of the total."""
        if type(y) is not np.ndarray or y.dtype.kind not in "biuf" or tree.is_nested(y_pred):
            return None
        return None if in_stateless_scope() else self.bare_term()

    def bare_term(self) -> LossTerm | None:
        """The loss of the one output, if nothing is added to it."""
        terms, model = self.terms, self._model
        if terms is None or len(terms) != 1 or terms[0].weight != 1:
            return None
        version, known = model._tracker.current(), self._bare
        if known is None or known[0] != version:
            layers = model._dk_flatten_layers()
            is_one = len(self._runtime.signature().output_names) == 1
            base: type[Any] = Layer
            is_ours = type(model).losses is base.losses
            known = self._bare = version, layers, model.weights, is_one and is_ours
        _, layers, weights, is_bare = known
        if not is_bare or any([layer._dk_losses for layer in layers]):
            return None
        return None if any([v.regularizer for v in weights]) else terms[0]

    # Metrics

    def build_metrics(self, signature: Signature, targets: list[Column]) -> None:
        """Make the compiled metrics, once the shapes of the data are known."""
        if self.metrics is not None and not self.metrics.built:
            self.metrics.build(signature, targets, signature.outputs_are_named)

    def update_metrics(self, y: object, y_pred: object, sample_weight: object) -> None:
        """Add a batch to the compiled metrics."""
        if self.metrics is None:
            return
        if not self.metrics.built:
            signature = self._runtime.signature()
            needed = [True] * len(signature.output_names)
            self.build_metrics(signature, match_outputs(y, signature, needed, "y"))
        self.metrics.update_state(y, y_pred, sample_weight)

    def reported(self) -> list[Metric]:
        """The loss, the compiled metrics as one, single losses, then metrics of the layers."""
        compiled = self._model.compiled
        key = self._model._tracker.current(), self.loss_mean, len(self.term_means), compiled
        known = self._reported
        if known[0] != key:
            known = self._reported = key, self._find_reported()
        return known[1].copy()

    def _find_reported(self) -> list[Metric]:
        found: list[Metric] = []
        model = self._model
        if model.compiled:
            assert self.loss_mean is not None
            found.append(self.loss_mean)
            if self.metrics is not None:
                found.append(self.metrics)
            found.extend(self._term_means_as_given())
        found.extend(model._tracker.metrics)
        for layer in model._dk_flatten_layers(include_self=False):
            if not isinstance(layer.__dict__.get("_dk_compiled"), Compiled):
                found.extend(layer._tracker.metrics)
        return found

    def _term_means_as_given(self) -> list[LossMean]:
        """The means of single losses: of a dict of outputs in the order of the dict of losses."""
        rank = {f"{name}_loss": i for i, name in enumerate(self._loss_names)}
        return sorted(self.term_means, key=lambda mean: rank.get(mean.name, len(rank)))

    def in_order(self, logs: Logs) -> Any:
        """The values of `logs` as a list, the loss first; alone if there is no other."""
        names: list[str] = []
        for metric in self._model.metrics:
            if isinstance(metric, CompileMetrics):
                names.extend(m.name for m in metric.metrics)
            else:
                names.append(metric.name)
        values = [logs[name] for name in names if name in logs]
        values += [logs[key] for key in sorted(logs) if key not in names]
        return values[0] if len(values) == 1 else values

    # What must be there

    def check(self) -> None:
        """Raise unless the model is compiled."""
        model = self._model
        if not model.compiled:
            raise ValueError(
                f"{type(model).__name__} {model.name!r}: "
                "You must call `compile()` before using the model."
            )

    def check_to_train(self) -> None:
        """Raise unless the model is compiled to train."""
        self.check()
        model = self._model
        if model.optimizer is None and not has_own_step(type(model), "train"):
            raise ValueError(
                message(
                    f"{type(model).__name__} {model.name!r}",
                    "an optimizer",
                    "compile(optimizer=None)",
                    "Compile with an optimizer to train.",
                )
            )


def results_of(metrics: Sequence[Any]) -> Logs:
    """The present value of every metric by its name in the logs."""
    results: Logs = {}
    for metric in metrics:
        if type(metric) is LossMean:  # which every step asks
            results[metric.name] = metric.result()
            continue
        if isinstance(metric, CompileMetrics) and not metric.built:
            continue
        value = returned(metric.result(), metric, "a result")
        if isinstance(value, dict):
            results.update(value)
        else:
            results[metric.name] = value
    return {
        name: v if isinstance(v, np.generic) else give_all(tree.map_structure(raw, v))
        for name, v in results.items()
    }


def _units(shape: Sequence[int | None]) -> int | None:
    """The size of the last axis of an output, None if there is none."""
    return shape[-1] if len(shape) > 1 else None


def _last_activation(model: TrainableModel, output: int) -> str | None:
    """Name of the built-in activation that makes an output, None if it cannot be told."""
    graph = model._dk_graph()
    if graph is None:
        return None
    makers = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
    return _activation_of(graph.outputs[output], makers)


def _activation_of(tensor: KerasTensor, makers: Mapping[int, Node]) -> str | None:
    """The activation that a tensor comes from; layers that pass values on are looked through.

    A tensor's history may be gone: layers forget calls that were only followed.
    """
    node = makers.get(id(tensor))
    if node is None:
        return None
    layer = node.operation
    if not isinstance(layer, Layer) or not has_lowering(layer):  # it may do anything
        return None
    kind = type(layer).__name__  # no class is loaded to be compared with
    if kind == "Softmax":
        return "softmax"
    found = public_name(getattr(layer, "activation", None))
    name = found[1] if found is not None and found[0] == "keras.activations" else None
    passes_on = kind == "Identity" or (kind == "Activation" and name == "linear")
    if passes_on and len(node.input_tensors) == 1:
        return _activation_of(node.input_tensors[0], makers)
    return name
