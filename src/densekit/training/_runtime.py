"""`Runtime`: a model's engines, made when they are needed and dropped when the model changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from densekit import engines
from densekit._core import assignments, tree
from densekit._core.engine import Engine, LossTerm, Source
from densekit._core.errors import message
from densekit._core.plan import NotLowerable
from densekit._core.types import Array, Config
from densekit._core.variable import Variable
from densekit.data._columns import Signature, SizeError, match_inputs
from densekit.layers import Layer
from densekit.ops import KerasTensor
from densekit.training._built_from import identity, numbers_of
from densekit.training._loss_parts import refuse_parts
from densekit.training._optional_inputs import lack_one, refuse_missing
from densekit.training._outputs import read_signature, unwraps
from densekit.training._turns import Turns

if TYPE_CHECKING:
    from densekit._core.engine_kind import EngineKind
    from densekit._core.tapes import Recorder
    from densekit.training._model import ModelGraph, TrainableModel

Key: TypeAlias = tuple[Hashable, ...]  # what an engine was made for

_MOST_ENGINES = 24
# The call of a model without the engines.
_define: Callable[..., object] = Layer.__call__


class Runtime:
    """The engines of one model, all of one kind.

    There are three: one predicts, one evaluates, one trains. Each works on the variables' own
    buffers, so that dropping one loses nothing.
    """

    def __init__(self, model: TrainableModel) -> None:
        self._model = model
        self._engine_name: str | None = None
        self._version = -1
        self._signature: Signature | None = None
        self._flagged: bool | None = None
        self._refused: dict[Key, NotLowerable] = {}
        self._engines: dict[Key, Engine] = {}
        self._recorders: dict[Key, Recorder | None] = {}
        # For which state and shape, and what calls need of it.
        self.latest_recorder: tuple[Key, Any] | None = None
        self.quick_records: dict[bool, Any] = {}  # calls inside a tape, by training
        self._built_from: dict[Key, object] = {}  # what users may set later, by engine
        self._seen: dict[Key, int] = {}  # the count of changes when that was last looked at
        self._call: Callable[[object], object] | None = None  # what `model(x)` calls
        self.turns = Turns()
        self._collects_losses = False
        self.weights: list[Variable] = []  # of the model, when it was last looked at
        self._flags: object = None
        self._trainable: list[Variable] = []
        self._pattern: object = None  # which variables and layers are trainable
        self.flops_per_sample = 0

    def __getstate__(self) -> dict[str, object]:
        return {"_model": self._model, "_engine_name": self._engine_name}

    def __setstate__(self, state: Config) -> None:
        self.__init__(state["_model"])  # type: ignore[misc]
        self._engine_name = state["_engine_name"]

    @property
    def kind(self) -> EngineKind:
        """What makes the engines: what `compile` said, or the default of the first use."""
        if self._engine_name is None:
            self._engine_name = engines.default_name()
        return engines.engine_kind(self._engine_name)

    def use(self, name: str) -> None:
        """Have engines of that name made from now on."""
        if name != self._engine_name:
            self._engine_name = name
            self._version = -1
            self.quick_records.clear()
            self._call = None
            self._model.__dict__.update(_dk_fast_call=None, _dk_fast_version=-1)

    def forget_training(self) -> None:
        """Drop the engines that depend on what `compile` was given."""
        self._engines = {key: e for key, e in self._engines.items() if key[0] == "predict"}

    def _refresh(self) -> None:
        version = self._model._dk_version()
        if self._version != version:
            self._signature = None
            self._flagged = None
            self._refused = {}
            self._engines, self._recorders, self.latest_recorder = {}, {}, None
            self._version = version
            self.weights = self._model.weights
            self._flags = None
            self._collects_losses = any(
                layer.activity_regularizer is not None for layer in self._model._dk_flatten_layers()
            )

    def trainable(self) -> list[Variable]:
        """`trainable_variables`, gathered anew only if something changed."""
        self._refresh()
        flags = (
            self._model._tracker.flags,
            [(v.trainable, id(v.regularizer), id(v.constraint)) for v in self.weights],
        )
        if flags != self._flags:
            self._trainable = self._model.trainable_variables
            layers = self._model._dk_flatten_layers()
            self._pattern = tuple(map(id, self._trainable)), tuple([x.trainable for x in layers])
            self._flags = flags
            self._seen = {}
        return self._trainable

    def state(self) -> tuple[int, object]:
        """What sessions fit: compares unequal once layers or `trainable` flags are others."""
        self.trainable()
        return self._version, self._pattern

    def moment(self) -> tuple[int, int, int]:
        """The same as long as no engine can have become stale."""
        version = self._model._dk_version()
        return assignments.count(), version, self._model._tracker.flags

    @property
    def collects_losses(self) -> bool:
        """Whether a call leaves losses on the model, which only the definition does."""
        self._refresh()
        return self._collects_losses

    def note_losses(self) -> None:
        """Remember that a layer added a loss in a call."""
        self._collects_losses = True
        self.quick_records.clear()
        self._call = None
        self._model.__dict__.update(_dk_fast_call=None, _dk_fast_version=-1)

    def guard_call(self) -> None:
        """Let `model(x)` take its turn only while a thread trains or evaluates."""
        call = self._call
        if call is not None:
            call = self.turns.guarded(call) if self.turns.is_owned else call
            _, captured = self._model._tracker.captured
            if captured is not None and captured.has_values:
                call = captured.guarded(call)
            self._model.__dict__["_dk_fast_call"] = call

    # What the model takes and gives

    def signature(self) -> Signature:
        """Names, shapes and structures of inputs and outputs of a built model."""
        self._refresh()
        if self._signature is None:
            self._signature = read_signature(self._model, self.definition)
        return self._signature

    def matched(self, x: object) -> tuple[Signature, list[Array]]:
        """What the model takes, and `x` as arrays in that order.

        A model that does not insist on the sizes it was built with is opened to those of `x`.
        """
        has_opened = False
        while True:
            signature = self.signature()
            try:
                return signature, match_inputs(x, signature)
            except SizeError as error:
                if has_opened or not self._model._dk_open_to(error.shape):
                    raise ValueError(str(error)) from None
                has_opened = True

    def definition(self, structure: object, training: bool | None) -> Callable[..., Any]:
        """The model's call as a function of flat inputs."""
        model = self._model

        def call(*arrays: object) -> Any:
            flag = {} if training is None else {"training": training}
            return _define(model, tree.pack_as(structure, arrays), **flag)

        call.__name__ = model.name
        return call

    def told(self, training: bool | None) -> bool | None:
        """What `predict` and `evaluate` tell the model: nothing where its call does not ask."""
        return training if training or self._model._dk_call_info.has_training else None

    # Plans

    def dtype(self) -> str:
        """Element type of the plans: float64 if a weight is, else float32."""
        self._refresh()
        if self.weights:
            wide = any(v.numpy_dtype == np.float64 for v in self.weights)
        else:
            layers = self._model._dk_flatten_layers()
            wide = any(layer.compute_dtype == "float64" for layer in layers)
        return "float64" if wide else "float32"

    def _source(self, training: bool | None, shapes: list[tuple[int, ...]]) -> Source:
        """The model for inputs of these shapes; None: for a call that says nothing of training."""
        model = self._model
        graph = model._dk_graph()
        if graph is not None:
            if training is None:
                training = model._dk_call_info.default_training
            if training and graph.in_training is not None:
                graph = graph.in_training
            structure, tensors = graph.input_structure, graph.inputs
        else:
            structure = model._dk_inputs_met()
            tensors = tree.flatten(structure)
        return Source(
            graph,
            self.definition(structure, training),
            # What users count in training counts their steps; a call of their own may give another
            # structure then.
            self.definition(structure, training and graph is None),
            [(shape, t.dtype) for shape, t in zip(shapes, tensors, strict=True)],
            self.dtype(),
            training,
            model.trainable_variables,
            [*model.non_trainable_variables, *engines.metric_variables(model)],
            f"{type(model).__name__} {model.name!r}",
        )

    def _make(self, training: bool | None, inputs: Sequence[Array], *told: Any) -> Engine:
        """An engine for inputs like these; `told` are variables, losses and optimizer.

        Raises:
            NotLowerable: if no engine can say what the model does. It is found out once.
        """
        shapes = [tuple(x.shape[1:]) for x in inputs]
        key = training, *shapes
        if key in self._refused:
            raise self._refused[key]
        try:
            return self.kind.make(self._source(training, shapes), *told)
        except NotLowerable as error:
            self._refused[key] = error
            raise

    def by_definition(self, terms: Sequence[LossTerm], training: bool) -> engines.DefinitionEngine:
        """The engine of a model that no plan can say."""
        model = self._model
        graph = model._dk_graph()
        structure = graph.input_structure if graph else model._dk_inputs_met()
        return engines.DefinitionEngine(
            self.definition(structure, self.told(training)),
            self.trainable(),
            [*model.non_trainable_variables, *engines.metric_variables(model)],
            terms,
            model.optimizer if training else None,
            self.kind,
        )

    # Engines

    @property
    def has_open_shapes(self) -> bool:
        """Whether an input has sizes that the data decide, so that there is an engine for each."""
        return any(None in shape[1:] for shape in self.signature().input_shapes)

    def _key(self, *parts: Hashable, inputs: Sequence[Array]) -> Key:
        return (*parts, tuple(x.shape[1:] for x in inputs) if self.has_open_shapes else None)

    def _keep(self, key: Key, engine: Engine) -> Engine:
        """Remember an engine, and only so many: data of open sizes makes one per size."""
        while key not in self._engines and len(self._engines) >= _MOST_ENGINES:
            self._engines.pop(next(iter(self._engines)), None)
        self._engines[key] = engine
        return engine

    def _unless_stale(
        self, key: Key, terms: Sequence[LossTerm], optimizer: object
    ) -> Engine | None:
        """The engine of that key, if what it was built from is still the same."""
        count, engine = assignments.count(), self._engines.get(key)
        if engine is not None and self._seen.get(key) == count:
            return engine
        numbers = numbers_of(self._model._dk_flatten_layers(), self._trainable, terms, optimizer)
        if self._built_from.get(key) != numbers:
            engine = None
        self._built_from = {key: self._built_from.get(key) for key in self._engines}
        self._built_from[key], self._seen[key] = numbers, count
        return engine

    def has_flags(self) -> bool:
        """Whether a call that says nothing of training may differ from one that says False."""
        self._refresh()
        if self._flagged is None:
            graph = self._model._dk_graph()
            told = self._model._dk_call_info.default_training
            self._flagged = graph is None or engines.has_flags(graph) or _differs(graph, told)
        return self._flagged

    def predictor(self, inputs: Sequence[Array], training: bool | None = False) -> Engine:
        """The engine for predictions of inputs like these.

        Args:
            training: False for `predict`; None for a call that says nothing, which leaves layers
                that were told otherwise in the graph as they were told.
        """
        refuse_missing(inputs)
        self._refresh()
        flags = self.has_flags()
        key = self._key("predict", flags and training is None, inputs=inputs)
        engine = self._engines.get(key)
        if engine is None:
            engine = self._keep(key, self._make(training if flags else False, inputs))
            if engine.adds_losses:
                self.note_losses()
            call = engine.direct_call() if key[-1] is None and not flags else None
            self.flops_per_sample = engine.flops_per_sample
            if call is not None and not self._collects_losses and self._is_bare():
                self._call = call
                self.guard_call()
                self._model.__dict__["_dk_fast_version"] = self._version
        return engine

    def _is_bare(self) -> bool:
        """Whether the model gives one array, no structure with one, and holds calls to no spec."""
        if self._model._input_spec is not None:
            return False
        structure = self.signature().output_structure
        return isinstance(structure, KerasTensor) or (
            isinstance(structure, list | tuple) and unwraps(structure)
        )

    def evaluator(self, inputs: Sequence[Array], terms: Sequence[LossTerm]) -> Engine:
        """The engine for evaluation."""
        refuse_missing(inputs)
        refuse_parts(terms)
        self._refresh()
        trainable = self.trainable()
        key = self._key("test", self._pattern, identity(terms), inputs=inputs)
        engine = self._unless_stale(key, terms, None)
        if engine is None:
            told = self.told(False)
            engine = self._keep(key, self._make(told, inputs, trainable, terms))
        return engine

    def recorder(self, inputs: Sequence[Array], training: bool) -> Recorder | None:
        """The engine for calls inside tapes; None where only the definition will do."""
        if lack_one(inputs):
            return None
        trainable = self.trainable()
        if self._collects_losses:
            return None
        key = self._key(training, self._pattern, inputs=inputs)
        if key in self._recorders:
            return self._recorders[key]
        shapes = [tuple(x.shape[1:]) for x in inputs]
        engine = self.kind.recorder(self._source(training, shapes), trainable)
        while len(self._recorders) >= _MOST_ENGINES:
            self._recorders.pop(next(iter(self._recorders)), None)
        self._recorders[key] = engine
        return engine

    def trainer(self, inputs: Sequence[Array], terms: Sequence[LossTerm]) -> Engine:
        """The engine for training."""
        refuse_missing(inputs)
        self.build_optimizer()
        refuse_parts(terms)
        self._refresh()
        trainable = self.trainable()
        optimizer = self._model.optimizer
        key = self._key("train", self._pattern, id(optimizer), identity(terms), inputs=inputs)
        engine = self._unless_stale(key, terms, optimizer)
        if engine is None:
            engine = self._keep(key, self._make(True, inputs, trainable, terms, optimizer))
        return engine

    def build_optimizer(self) -> None:
        """Build the optimizer of the model for what it trains."""
        model, variables = self._model, self.trainable()
        optimizer = model.optimizer
        if not optimizer.built:
            optimizer.build(variables)
        known = {id(v) for v in optimizer._trainable_variables}
        unknown = [v for v in variables if id(v) not in known]
        if unknown:
            raise ValueError(
                message(
                    f"{type(model).__name__} {model.name!r}",
                    "the variables its optimizer was built for",
                    f"a new one, {unknown[0].path!r}",
                    "Call `compile` with a new optimizer after unfreezing or adding layers.",
                )
            )


def _differs(graph: ModelGraph, told: bool | None) -> bool:
    """Whether a call that says nothing is one of training, which has calls of its own."""
    return bool(told) and graph.in_training is not None
