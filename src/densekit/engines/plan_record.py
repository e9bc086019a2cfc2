"""The record of a plan: its values, its ops in order, and what is known of them as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from densekit._core import tree
from densekit._core.seeds import SeedGenerator
from densekit._core.variable import Variable
from densekit.engines.host import HostFunction, Programs
from densekit.engines.plan_op import Handle, NotLowerable, PlanOp, Shape


class MadeWeights:
    """Weights that are computed of others, once a step: what a plan of one row computes.

    Attributes:
        plan: its record.
        sources: variables that it reads, each with the input that it is.
        results: variables that stand for what it gives, in the plan that reads them.
    """

    def __init__(self, plan: PlanRecord) -> None:
        self.plan = plan
        self.sources: list[tuple[Variable, Handle]] = []
        self.results: list[tuple[Variable, Handle]] = []


class Mark(NamedTuple):
    """Where a record stands: how much there is of each of its lists."""

    ops: int
    seed_generators: int
    host_reasons: int
    parts: int
    assigned: int


class PlanRecord:
    """What a plan builder has recorded.

    Args:
        dtype: element type of all values, ``"float32"`` or ``"float64"``.
        training: whether the plan is for training: dropout drops, host layers are told so. None
            is inference that leaves layers told otherwise in the graph as they are told.
    """

    def __init__(self, dtype: str = "float32", training: bool | None = False) -> None:
        self.dtype = dtype
        self.training = training  # what the layer that is being lowered is told
        self.learns = bool(training)
        self.adds_losses = False  # whether a definition in it does
        self.writes_weights = False  # whether one assigns to what optimizers train
        # Weights whose penalty is that of the value that a call assigned to them.
        self.penalised_anew: list[Variable] = []
        self.mixes_rows = False  # whether outputs of one depend on other rows of its batch
        self.precision = ""  # "bfloat16", "float16": what is recorded now computes so, on float32
        self.ops: list[PlanOp] = []
        self.inputs: list[Handle] = []
        self.outputs: list[Handle] = []
        self.masks: list[Handle | None] = []  # of the outputs, as far as they have one
        self.moved_integers: set[int] | None = None  # values made by moving integers, if they may
        self.holds_integers = False  # whether whole numbers that go in are none that floats round
        self.targets: list[tuple[int, Handle]] = []  # outputs whose targets the plan reads
        self.losses: dict[int, Any] = {}  # by number: what users' losses became, if followed
        self.loss_reasons: dict[int, str] = {}  # by number: why others are not among the ops
        self.batch_losses: dict[int, Programs | None] = {}  # of whole batches, for those
        # One for each op that draws, in order. A number gives the same draws at each step.
        self.seed_generators: list[SeedGenerator | int | None] = []
        # How a function that users write enters the plan, if somebody knows.
        self.lower_formula: (
            Callable[[Callable[..., object], Sequence[Handle]], list[Handle]] | None
        ) = None
        self.host_reasons: list[tuple[str, str]] = []  # of each host node: its name, and why
        self.parts: list[tuple[str, str, str]] = []  # name, class, why not native or ""
        self.made_weights: MadeWeights | None = None
        self.assigns = True  # whether native ops may assign to variables
        # Variables that were assigned to, and what ops after that read in their place.
        self.assigned: list[tuple[Variable, Variable | Handle]] = []
        self._values = 0

    def input(self, sample_shape: Shape, dtype: str = "float32") -> Handle:
        """A new input of the plan."""
        handle = self._new(sample_shape, dtype)
        self.inputs.append(handle)
        return handle

    def target(self, sample_shape: Shape) -> Handle:
        """Targets of an output, read as an input that the model has not."""
        return self._new(sample_shape, self.dtype)

    def current(self, variable: Variable) -> Variable | Handle:
        """What is read for a variable now: what it was assigned in this plan, or itself."""
        for known, value in reversed(self.assigned):
            if known is variable:
                return value
        return variable

    @property
    def variables(self) -> frozenset[int]:
        """The variables that some op reads, by id."""
        leaves = tree.flatten([list(op.arguments.values()) for op in self.ops])
        read = {id(leaf) for leaf in leaves if isinstance(leaf, Variable)}
        if self.made_weights is not None:
            read.update(id(variable) for variable, _ in self.made_weights.sources)
        return frozenset(read)

    @property
    def has_host_nodes(self) -> bool:
        """Whether some of it runs in Python."""
        return any(op.kind == "host" for op in self.ops)

    @property
    def needs_batches(self) -> bool:
        """Whether it matters which rows make a batch: for state, or for their neighbours."""
        hosts = [op.arguments["function"] for op in self.ops if op.kind == "host"]
        draws = not self.learns and bool(self.seed_generators)
        return self.mixes_rows or draws or any(function.writes for function in hosts)

    def has_assigned_on_host(self) -> bool:
        """Whether Python works on a variable that ops assign to, which a step does at its end."""
        assigned = {id(variable) for variable, _ in self.assigned}
        hosts = [op.arguments["function"] for op in self.ops if op.kind == "host"]
        return any(id(v) in assigned for host in hosts for v in (*host.variables, *host.state))

    def loses_integers(self) -> bool:
        """Whether Python or the outputs read integers that the plan's floats may have rounded."""
        moved = self.moved_integers or set()
        read = {x for op in self.ops if op.kind == "host" for x in op.inputs}
        read.update(handle.value for handle in self.outputs if "int" in handle.dtype)
        return bool(moved & read)

    def host_function(
        self,
        function: HostFunction,
        xs: Sequence[Handle],
        outputs: Sequence[tuple[tuple[int | None, ...], str]],
        reason: str = "",
    ) -> list[Handle]:
        """A host node; `outputs` are the shapes, with the batch axis, and the dtypes.

        Args:
            reason: why it is one.
        """
        for shape, _ in outputs:
            if shape[:1] != (None,) or None in shape[1:]:
                raise NotLowerable(
                    f"{function.name} gives shape {shape}, not one row for each of its input's"
                )
        handles = [self._new(shape[1:], dtype) for shape, dtype in outputs]
        arguments = {
            "function": function,
            "input_shapes": [x.sample_shape for x in xs],
            "input_dtypes": [x.dtype for x in xs],
            "output_shapes": [h.sample_shape for h in handles],
            "output_dtypes": [h.dtype for h in handles],
        }
        inputs = tuple(x.value for x in xs)
        self.ops.append(PlanOp("host", inputs, tuple(h.value for h in handles), arguments))
        self.host_reasons.append((function.name, reason))
        return handles

    def mark(self) -> Mark:
        """Where the record stands, for `go_back`."""
        return Mark(
            len(self.ops),
            len(self.seed_generators),
            len(self.host_reasons),
            len(self.parts),
            len(self.assigned),
        )

    def go_back(self, mark: Mark) -> None:
        """Forget what was recorded since `mark`."""
        del self.ops[mark.ops :]
        del self.seed_generators[mark.seed_generators :]
        del self.host_reasons[mark.host_reasons :]
        del self.parts[mark.parts :]
        del self.assigned[mark.assigned :]

    def _new(self, sample_shape: Sequence[int | None], dtype: str) -> Handle:
        handle = Handle(self._values, (None, *sample_shape), dtype)
        self._values += 1
        return handle
