"""What an engine is: the protocols between a model and what computes for it.

A model knows an `EngineKind`, a value by name. That makes an `Engine` from the model as it is now.
Nothing here knows how an engine computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from densekit._core.native_form import NativeForm
from densekit._core.tracked import TrackedMetric
from densekit._core.types import Real
from densekit._core.variable import Variable

if TYPE_CHECKING:
    from densekit._core.own_step import StepSource

Array = npt.NDArray[Any]
Index = npt.NDArray[np.int64]


class LossTerm(NamedTuple):
    """A loss on one output, its weight in the total, and the shape of one of its targets."""

    output: int
    loss: Any
    weight: float = 1.0
    target: tuple[int, ...] | None = None


class Measure(NamedTuple):
    """A metric of one output, updated with the weights of the samples or without."""

    output: int
    metric: TrackedMetric
    weighted: bool


class Chunk(NamedTuple):
    """Some steps in a row: columns of data and which of their rows, in order.

    Attributes:
        first_step: number of the first step in its epoch.
        batch_size: rows of a step; the last may have fewer.
        inputs: a column for each input of the model.
        targets: for each output a column or None.
        weights: for each output a column or None.
        picks: rows of the columns.
        start: the first of them, if they are consecutive.
        source: where the rows come from, if they were copied for the chunk.
    """

    first_step: int
    batch_size: int
    inputs: list[Array]
    targets: list[Array | None]
    weights: list[Array | None]
    picks: Index
    start: int | None = None
    source: Index | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.picks)

    @property
    def steps(self) -> int:
        """Number of steps."""
        return -(-len(self.picks) // self.batch_size)

    def single_steps(self) -> Iterator[Chunk]:
        """Each step as a chunk."""
        for i, first in enumerate(range(0, len(self.picks), self.batch_size)):
            stop = first + self.batch_size
            yield self._replace(
                first_step=self.first_step + i,
                picks=self.picks[first:stop],
                start=None if self.start is None else self.start + first,
                source=None if self.source is None else self.source[first:stop],
            )

    def source_row(self, row: int) -> int:
        """Number of a row of the chunk in the data that the user passed."""
        return int((self.picks if self.source is None else self.source)[row])

    def pick(self, column: Array | None) -> Array | None:
        """The chunk's rows of a column, in order."""
        if column is None:
            return None
        if self.start is None:
            # `take` would first copy the whole of an array that is not contiguous.
            dense = type(column) is np.ndarray and column.flags.c_contiguous
            return column.take(self.picks, axis=0) if dense else column[self.picks]
        return column[self.start : self.start + len(self.picks)]


class Source(NamedTuple):
    """What an engine is made from: a model, for inputs of given shapes.

    Attributes:
        graph: the calls inside the model: ``inputs``, ``outputs``, ``nodes``; None if its `call`
            cannot be followed.
        definition: its `call`, told `training`, as a function of flat inputs.
        trial: the same, to be tried out on some rows beforehand.
        inputs: shape of one sample and dtype of each input.
        dtype: element type to compute in, ``"float32"`` or ``"float64"``.
        training: what the call is told; None: nothing.
        variables: what training may change.
        state: other variables that the call may assign to.
        name: for error texts.
    """

    graph: Any
    definition: Callable[..., object]
    trial: Callable[..., object]
    inputs: list[tuple[tuple[int, ...], str]]
    dtype: str
    training: bool | None
    variables: list[Variable]
    state: list[Variable]
    name: str


class Output(Protocol):
    """An output of an engine."""

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""

    @property
    def dtype(self) -> str:
        """Dtype in the definition."""


class Engine(Protocol):
    """A model, with its losses and its optimizer, ready to run.

    It works on the variables' own buffers, or brings them up to date before a method returns: when
    it is dropped, nothing is lost.
    """

    @property
    def dtype(self) -> str:
        """Element type of what it computes with."""

    @property
    def outputs(self) -> Sequence[Output]:
        """The model's outputs."""

    @property
    def n_losses(self) -> int:
        """How many losses it was given."""

    @property
    def flops_per_sample(self) -> int:
        """Work of a forward pass, from which the length of chunks follows; 0 if not known."""

    @property
    def chunk_rows(self) -> float:
        """How many rows keep it busy between two turns of metrics, progress bar and Ctrl-C."""

    @property
    def has_host_nodes(self) -> bool:
        """Whether parts of it run in Python, which may look at a batch as a whole."""

    @property
    def needs_batches(self) -> bool:
        """Whether it matters which rows make a batch: for state, or for their neighbours."""

    @property
    def writes_weights(self) -> bool:
        """Whether a call assigns to what optimizers train."""

    @property
    def adds_losses(self) -> bool:
        """Whether a layer in it is known to add losses."""

    @property
    def added_losses(self) -> bool:
        """Whether a layer in it adds losses, or has done so in a call."""

    @property
    def exact_predictions(self) -> Sequence[Array | None]:
        """Of the latest run by output: predictions that its floats cannot hold; may be empty."""

    @property
    def prediction_masks(self) -> Sequence[Array | None]:
        """Of the latest run by output: masks that go along with predictions; may be empty."""

    @property
    def has_masks(self) -> bool:
        """Whether an output has a mask."""

    def train(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Train on the picked rows of a chunk, in order.

        Args:
            predictions: for each output None, or room ``(rows, size)`` of type `dtype` for the
                predictions of the steps.

        Returns:
            per step the total and each loss, (steps, 1 + losses). The optimizer's count and the
            seed generators have moved on by as many steps, also when a step raises.
        """

    def evaluate(self, chunk: Chunk, predictions: list[Array | None]) -> npt.NDArray[np.float64]:
        """Losses and predictions of the picked rows; as `train`, without training."""

    def take_along(self, measures: Sequence[Measure], chunk: Chunk) -> Sequence[Measure]:
        """Those metrics that the steps of the next run, which is of this chunk, update themselves.

        The others are updated by who asks for predictions.
        """

    def forget_data(self) -> None:
        """The data set that chunks came from is done with: what was kept of it may go."""

    def predict(self, inputs: list[Array], n: int) -> list[Array]:
        """Outputs of `n` rows, one array per output, in the shapes and dtypes of the model's."""

    def predict_masked(self, inputs: list[Array], n: int) -> list[Array] | None:
        """The same with their masks; None: only a call of the definition hands masks on."""

    def empty_outputs(self, n: int) -> list[Array]:
        """Room for the outputs of `n` rows."""

    def predict_into(self, inputs: list[Array], n: int, outputs: list[Array]) -> None:
        """Write the outputs of `n` rows."""

    def direct_call(self) -> Callable[[object], object] | None:
        """What ``model(x)`` of one array may call at once; gives NotImplemented for what it does
        not take. None for most.
        """


class OwnSteps(NamedTuple):
    """Steps that a user wrote.

    Attributes:
        call: a step: reads variables and assigns to them, returns what the user's does.
        data: gives a batch as the user passed it, from its rows in each column.
        variables: those that it most likely touches.
    """

    call: Callable[[object], object]
    data: Callable[[Sequence[object]], object]
    variables: Sequence[Variable]


class OwnRunner(Protocol):
    """Runs steps that a user wrote, many in a call."""

    def prepare(self, chunk: Chunk) -> None:
        """Make ready for the steps of a chunk: run what the user wrote for each of their shapes.

        Raises:
            Exception: of any kind, if the steps cannot be run so; no variable is changed.
        """

    def run(self, chunk: Chunk) -> object:
        """The steps of a chunk, made ready for; what the last one returned."""

    def forget_data(self) -> None:
        """The data set that chunks came from is done with."""


class Run(NamedTuple):
    """Steps of one model among others that run at the same time.

    Attributes:
        engine: trains or evaluates.
        chunk: its steps; models that share rows have the same columns.
        predictions: room, as for `Engine.train`.
        training: whether to train.
    """

    engine: Engine
    chunk: Chunk
    predictions: list[Array | None]
    training: bool


Losses = npt.NDArray[np.float64]


class RunQueue(Protocol):
    """Runs of different models, under way at the same time, with the bits that each has alone."""

    def submit(self, run: Run) -> None:
        """Have it run, now or with others when `collect` is called."""

    def collect(self) -> list[tuple[Run, Losses | Exception]]:
        """Runs that are done, at least one if any is under way.

        Returns:
            each with what `Engine.train` or `Engine.evaluate` returns or, if it failed, what it
            raised: it harms no other.
        """

    def close(self) -> None:
        """Give up what is under way."""


class Recorded(Protocol):
    """A call that can be taken back."""

    def gradients(
        self, d_outputs: Sequence[Array | None]
    ) -> tuple[Sequence[Array], Sequence[Array]]:
        """Of variables, and of inputs as flat rows, from those of the outputs."""


class Recorder(Protocol):
    """Calls inside tapes: each can be taken back later."""

    @property
    def variables(self) -> list[Variable]:
        """What gradients are given by, before the inputs."""

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Shape of one sample of each input."""

    def seed_states(self) -> list[tuple[Variable, Array]]:
        """The states of the seed generators as they are now."""

    def record(
        self, inputs: list[Array], training: bool, input_gradients: bool
    ) -> tuple[Recorded, list[Array]]:
        """All rows as one batch: the way back, and the outputs."""


class Updates(Protocol):
    """Steps of an optimizer by gradients that a user computed."""

    @property
    def engine(self) -> str:
        """Name of the engine."""

    @property
    def variables(self) -> list[Variable]:
        """What it updates."""

    def fits(self, optimizer: object) -> bool:
        """Whether what it was made from is still the same."""

    def apply(self, optimizer: Any, gradients: list[Array]) -> None:
        """One step; the variables and the optimizer's count move on."""

    def apply_like(self, optimizer: Any, gradients: list[Array]) -> bool:
        """The same if each gradient has type and shape of its variable; else nothing, and False."""


class Program(Protocol):
    """A formula ready to run."""

    @property
    def recorded(self) -> Sequence[int]:
        """Places of what models gave."""

    def run(
        self, values: dict[int, Array], numbers: dict[int, Real]
    ) -> tuple[object, dict[int, Array]]:
        """Its value, and by place the gradients of what models gave.

        What single numbers it meets on its way goes into `numbers`, by place.
        """


class EngineKind(Protocol):
    """One way to compute, as a value: makes engines."""

    @property
    def name(self) -> str:
        """What `compile` and `config.set_engine` call it."""

    def make(
        self,
        source: Source,
        trainable: Sequence[Variable] = (),
        losses: Sequence[LossTerm] = (),
        optimizer: Any = None,
    ) -> Engine:
        """An engine.

        Args:
            source: what to compute.
            trainable: variables to train, in the optimizer's order; their penalties count.
            losses: what to minimise; none to predict only.
            optimizer: a built optimizer; None unless it trains.

        Raises:
            NotLowerable: if the outputs are not one row for each row of the inputs.
        """

    def recorder(self, source: Source, trainable: Sequence[Variable]) -> Recorder | None:
        """A recorder; None where only the definition will do."""

    def layer_recorder(
        self, layer: Any, training: bool, input_shape: tuple[int, ...], input_dtype: str
    ) -> Recorder | None:
        """A recorder of a layer outside of models; None where only the definition will do."""

    def updates(self, optimizer: Any, variables: Sequence[Variable]) -> Updates | None:
        """What makes the steps of a built optimizer; None where its definition must do."""

    def mean_loss(
        self, form: NativeForm, y_true: Array, y_pred: Array, divisor: float
    ) -> tuple[float, Array] | None:
        """The sum of the rows' losses, divided, and its gradient; None: by the definition."""

    def begin_formulas(self) -> None:
        """Get ready to note the formulas of tapes."""

    def lowers_formula(self, steps: Sequence[Any]) -> bool:
        """Whether `formula` may give a program for these steps, or more of them.

        They are those of `ops/_formula_steps.py`.
        """

    def formula(self, steps: Sequence[Any]) -> Program | None:
        """What runs a formula on what models gave; None: by its ops, one after the other."""

    def own_step(self, source: StepSource) -> Engine | None:
        """An engine whose runs make a user's own steps; None: they are made in Python."""

    def compiled(self, step: Callable[..., object]) -> Callable[..., object]:
        """A function without side effects as this engine runs it: of values, giving values."""

    @property
    def compiles(self) -> bool:
        """Whether `own_steps` may give anything."""

    def own_steps(self, steps: OwnSteps) -> OwnRunner | None:
        """What runs steps that a user wrote; None: Python calls one after the other."""

    def permutation(self, key: int, counter: int, n: int, block: int) -> Index:
        """``range(n)``, shuffled inside every `block`: `_core.seeds.permutation`."""

    @property
    def members_at_once(self) -> int:
        """How many models `fit_many` keeps at work: more hold more memory and gain nothing."""

    def why_alone(self, engine: Engine) -> str | None:
        """Why the runs of one of its engines are not made side by side; None: they are."""

    def run_queue(self) -> RunQueue:
        """What runs models side by side."""
