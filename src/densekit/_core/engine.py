"""What an engine is, and what it is handed: made from a `Source`, it runs the steps of `Chunk`s.

Nothing here knows how an engine computes. What makes engines is a kind of engine: `engine_kind.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from densekit._core import tree
from densekit._core.errors import message
from densekit._core.tracked import TrackedMetric
from densekit._core.variable import Variable

Array = npt.NDArray[Any]
T = TypeVar("T")
Index = npt.NDArray[np.int64]


class OutputPart(NamedTuple):
    """Several outputs that one loss is of.

    Attributes:
        path: where they are among the outputs.
        numbers: their numbers, in their structure.
    """

    path: tree.Path
    numbers: object


class LossTerm(NamedTuple):
    """A loss, its weight in the total, and the shape of one of its targets.

    Attributes:
        output: the number of the output that it is of; of several of the first.
        part: the outputs, if it is of several together: then no plan can say it.
    """

    output: int
    loss: Any
    weight: float = 1.0
    target: tuple[int, ...] | None = None
    part: OutputPart | None = None

    @property
    def outputs(self) -> list[int]:
        """The numbers of the outputs that it is of."""
        return [self.output] if self.part is None else tree.flatten(self.part.numbers)

    def of(self, values: Sequence[T]) -> T:
        """What the loss is given, of a value for each output: one, or a structure of some."""
        if self.part is None:
            return values[self.output]
        found: T = tree.map_structure(values.__getitem__, self.part.numbers)
        return found

    def weight_of(self, weights: Sequence[T | None]) -> T | None:
        """The weights of its samples, of those for each output.

        Raises:
            ValueError: if several outputs have different ones.
        """
        first = weights[self.output]
        for i in self.outputs[1:]:
            one = weights[i]
            if one is not first and not np.array_equal(np.asarray(one), np.asarray(first)):
                raise ValueError(
                    message(
                        "`sample_weight`",
                        "one weight for each sample, as a loss is of several outputs together",
                        "different ones",
                        "Pass one array for all outputs.",
                    )
                )
        return first


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
