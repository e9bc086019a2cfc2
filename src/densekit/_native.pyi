"""The native core: plans, kernels and the thread pool."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

class Plan:
    """A dense network as a flat list of ops, run without Python in between."""

    def __init__(self, dtype: str, fuse: bool | None = None) -> None:
        """
        `fuse`: softmax or sigmoid with its cross-entropy; None follows DENSEKIT_FUSE (on).
        """

    def input(self, size: int) -> int:
        """A value fed by the caller; inputs are numbered in order."""

    def compute_in(self, dtype: str) -> None:
        """
        What ops added from now on round to: 'bfloat16', 'float16', or the plan's dtype.
        """

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        parameters: Sequence[int],
        state: Sequence[int],
        names: Mapping[str, str],
        integers: Mapping[str, Sequence[int]],
        numbers: Mapping[str, Sequence[float]],
        bytes: Mapping[str, bytes] = {},
    ) -> list[int]:
        """An op of native/ops/table.inl, by its attributes; gives its outputs."""

    def host(
        self,
        inputs: Sequence[int],
        sizes: Sequence[int],
        params: Sequence[int],
        forward: Callable[[bool, list[Array]], tuple[Sequence[Array], float]],
        backward: Callable[[list[Array]], tuple[Sequence[Array | None], Sequence[Array | None]]],
    ) -> list[int]:
        """A node computed by Python; returns one value for each of `sizes`."""

    def output(self, value: int) -> None:
        """Adds an output."""

    def loss(
        self,
        output_index: int,
        kind: str,
        params: Sequence[float],
        width: int,
        loss_weight: float = 1.0,
        reduction: str = "sum_over_batch_size",
        mask: int = -1,
    ) -> int:
        """
        A loss over the last axis of an output, or (width 0) over the batch; `mask` is a value.
        """

    def given_loss(
        self,
        value: int,
        loss_weight: float = 1.0,
        reduction: str = "sum_over_batch_size",
        mask: int = -1,
    ) -> int:
        """A loss whose rows are the elements of a value; it takes no target."""

    def host_loss(
        self,
        output_index: int,
        fn: Callable[..., tuple[float, Array | None]],
        loss_weight: float = 1.0,
        mask: int = -1,
    ) -> int:
        """
        fn(y_true, y_pred, weight, need_gradient[, mask]) -> (value, d y_pred).
        """

    def finalize(self) -> None:
        """
        Checks the graph, fuses, sizes the buffers. Nothing can be added afterwards.
        """

    def parameter(self, array: Array, trainable: bool, write_version: Array | None = None) -> int:
        """
        An array the plan reads and updates in place; the plan keeps a reference.

        `write_version` is int64 [runs at it, runs so far, assigned]: lets inference prepack.
        """

    def compute_parameters(
        self, formulas: Plan, sources: Sequence[int], results: Sequence[int]
    ) -> None:
        """
        Parameters that a plan of one row makes: its outputs, of its inputs, once a step.
        """

    def set_regularizer(self, param: int, kind: str, params: Sequence[float]) -> None:
        """A penalty on a parameter, part of every total loss."""

    def set_host_regularizer(self, param: int, fn: Callable[[], tuple[float, Array]]) -> None:
        """A penalty computed by Python: fn() -> (value, gradient)."""

    def set_constraint(self, param: int, kind: str, params: Sequence[float]) -> None:
        """A constraint that holds after every update."""

    def set_host_constraint(self, param: int, fn: Callable[[], object]) -> None:
        """A constraint applied by Python: fn() changes the parameter's array."""

    def set_optimizer(
        self,
        kind: str,
        params: Sequence[float],
        *,
        weight_decay: float = 0.0,
        clip_value: float = 0.0,
        clip_norm: float = 0.0,
        global_clip_norm: float = 0.0,
        ema_momentum: float = -1.0,
        ema_overwrite_frequency: int = 0,
        accumulation_steps: int = 1,
        product: Array | None = None,
        index: int = 0,
    ) -> None:
        """
        An update rule; index 0 may be set again and takes the place of all, others follow.

        ema_momentum < 0: no average; `product`: nadam's array.
        """

    def set_slots(
        self,
        param: int,
        slots: list[Array],
        ema: Array | None = None,
        accumulator: Array | None = None,
        decay: bool = True,
        optimizer: int = 0,
    ) -> None:
        """The optimizer's arrays for a parameter, updated in place."""

    def set_loss_scale(
        self,
        fixed: float,
        scale: Array | None = None,
        counter: Array | None = None,
        growth_steps: int = 0,
    ) -> None:
        """
        Gradients are of so many times the loss; with `scale` and `counter`, written to, dynamic.
        """

    def set_host_optimizer(self, fn: Callable[[int, float, list[Array]], object]) -> None:
        """
        fn(iteration, learning_rate, gradients) updates; `iteration` counts the updates before.
        """

    def train(
        self,
        inputs: list[Array],
        targets: list[Array | None],
        weights: list[Array | None],
        index: Array,
        batch_size: int,
        iterations: int | Sequence[int],
        learning_rates: Array,
        keys: Sequence[int],
        counters: Sequence[int],
        losses: Array,
        predictions: list[Array | None],
    ) -> int:
        """
        Trains on the rows `index`, in order, by batches; returns the steps done.
        """

    def evaluate(
        self,
        inputs: list[Array],
        targets: list[Array | None],
        weights: list[Array | None],
        index: Array,
        batch_size: int,
        keys: Sequence[int],
        counters: Sequence[int],
        losses: Array,
        predictions: list[Array | None],
    ) -> int:
        """
        Losses and predictions in inference mode; returns the number of batches done.
        """

    def predict(
        self,
        inputs: list[Array],
        n: int,
        outputs: list[Array],
        keys: Sequence[int] = ...,
        counters: Sequence[int] = ...,
    ) -> None:
        """
        Outputs of the first n rows; any number of threads at once. Host nodes see all n rows.

        Keys and counters: of random nodes that draw in inference, too.
        """

    def call(self, x: object) -> Any:
        """
        The output for a dense array of the plan's type and call shape; else NotImplemented.
        """

    def set_call_shape(self, in_shape: Sequence[int], out_shape: Sequence[int]) -> None:
        """Shapes without the batch axis of what `call` takes and gives."""

    def flops_per_sample(self) -> int:
        """Of the forward products; a multiply-add counts as two."""

    @property
    def steps_left_out(self) -> int:
        """Steps of the latest train whose gradients were not finite."""

    def record(
        self,
        inputs: list[Array],
        keys: Sequence[int],
        counters: Sequence[int],
        training: bool,
        input_gradients: bool,
    ) -> tuple[Recorded, list[Array]]:
        """
        All rows as one batch, forward: what gives gradients later, and the outputs.
        """

    def sum_rows(self, inputs: list[Array], seeds: list[Array]) -> tuple[list[float], list[Array]]:
        """
        The sum of each output over all rows, and d inputs from gradients of the outputs.
        """

    def apply(self, gradients: list[Array], iteration: int, learning_rate: float) -> None:
        """One update of every trainable parameter by these gradients."""

    def apply_like(self, gradients: list[Array], iteration: int, learning_rate: float) -> bool:
        """
        The same if each gradient has its parameter's type and shape; else False.
        """

    def prepare_train(
        self,
        inputs: list[Array],
        targets: list[Array | None],
        weights: list[Array | None],
        index: Array,
        batch_size: int,
        iterations: int | Sequence[int],
        learning_rates: Array,
        keys: Sequence[int],
        counters: Sequence[int],
        losses: Array,
        predictions: list[Array | None],
    ) -> PreparedRun:
        """What `train` would run, for `run_many`."""

    def prepare_evaluate(
        self,
        inputs: list[Array],
        targets: list[Array | None],
        weights: list[Array | None],
        index: Array,
        batch_size: int,
        keys: Sequence[int],
        counters: Sequence[int],
        losses: Array,
        predictions: list[Array | None],
    ) -> PreparedRun:
        """What `evaluate` would run, for `run_many`."""

    @property
    def asks_host(self) -> bool:
        """Whether a run calls Python."""

class Recorded:
    """A batch run forward, with what its backward needs."""

    def gradients(self, d_outputs: list[Array | None]) -> tuple[list[Array], list[Array]]:
        """
        (d trainable parameters, d inputs) from gradients of the outputs; any number of times.
        """

def array_class(name: str) -> type:
    """A subclass of NumPy's array with the same layout, for `set_class`."""

def set_class(array: Array, type: type) -> None:
    """Gives an array another class of the same layout."""

class PreparedRun:
    """A run of a plan, checked, with all that it reads and writes."""

class RunQueue:
    """
    Threads that take runs of different plans as they come, each on one thread.
    """

    def __init__(self, threads: int) -> None: ...
    def submit(self, run: PreparedRun) -> None:
        """Have it run as soon as a thread is free."""

    def collect(self) -> list[tuple[PreparedRun, int | Exception]]:
        """
        Those that are done, at least one if any is under way: steps, or what a run failed with.
        """

    def close(self) -> None:
        """Give up what is under way, and end the threads."""

def mean_loss(
    kind: str,
    params: Sequence[float],
    y_true: Array,
    y_pred: Array,
    divisor: float,
    weights: Array | None = None,
) -> tuple[float, Array]:
    """
    (sum of the rows' losses, each times its weight, / divisor, its gradient).
    """

def matmul(a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    """a @ b."""

def permutation(key: int, counter: int, n: int, block: int) -> Array:
    """0..n-1 in a random order, shuffled inside every `block` of them."""

def quicken(
    box: type, truth: type, formula: type, step: type, places: object, tensor: type, own: type
) -> dict[str, Callable[..., object]]:
    """
    Has the core note the ops of boxes that wait; gives the methods of `box` that did, by name.
    """

def available_isas() -> list[str]:
    """Instruction sets built in that this machine can run, best first."""

def active_isa() -> str:
    """The one in use; DENSEKIT_ISA forces it."""

def tiles_note() -> str | None:
    """
    Of the tiles of AMX: 'used', 'not used: ...', 'not asked for yet'; None without them.
    """

def machine() -> dict[str, Any]:
    """cpu, cores, cache sizes in bytes, fma_ports, lanes_f32."""

def get_threads() -> int:
    """Threads a run may use."""

def set_threads(n: int) -> None:
    """Sets them; waits for a run that holds the pool."""
