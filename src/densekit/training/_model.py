"""What training needs of a model: `models.Model` is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from densekit._core.seeds import SeedGenerator
from densekit._core.types import Logs, TensorLike, Tree
from densekit._core.variable import Variable
from densekit.data._tables import KnownColumns

if TYPE_CHECKING:
    from densekit.callbacks import History
    from densekit.layers import Layer
    from densekit.layers._base.call import CallInfo
    from densekit.layers._base.tracking import Tracker
    from densekit.metrics import Metric
    from densekit.ops import KerasTensor
    from densekit.ops._symbolic import Node


class ModelGraph(Protocol):
    """The calls inside a model, between symbolic tensors."""

    inputs: list[KerasTensor]
    outputs: list[KerasTensor]
    nodes: list[Node]
    losses: list[KerasTensor]
    flags_yield: bool
    input_structure: object
    output_structure: object

    @property
    def in_training(self) -> ModelGraph | None:
        """The calls of training, where these are others."""


class TrainableModel(Protocol):
    """A layer that is called on data, and what users see and set while it trains.

    Its public methods are called as the user's class has them: a subclass may write them anew.
    """

    built: bool
    optimizer: Any  # an optimizer; None before `compile`
    loss: object
    compiled: bool
    run_eagerly: bool
    jit_compile: bool
    steps_per_execution: int
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    history: History
    predict_function: Callable[..., object] | None
    _initial_epoch: int | None
    _input_spec: object
    _tracker: Tracker
    _dk_call_info: CallInfo
    _dk_known_columns: KnownColumns
    _dk_known_targets: KnownColumns
    _dk_shuffle_state: SeedGenerator

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def weights(self) -> list[Variable]:
        """All its weights."""

    @property
    def trainable_variables(self) -> list[Variable]:
        """What training changes."""

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """What calls may assign to, and frozen weights."""

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of its metrics."""

    @property
    def losses(self) -> list[TensorLike]:
        """Penalties, and what its latest call added."""

    @property
    def metrics(self) -> list[Metric]:
        """What is reported."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Outputs for inputs."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the user wrote."""

    def stateless_call(self, *args: Any, **kwargs: Any) -> Any:
        """Outputs for given values of the variables."""

    def reset_metrics(self) -> None:
        """Forget what the metrics have seen."""

    def get_metrics_result(self) -> Logs:
        """The present value of every metric."""

    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
    ) -> Any:
        """The total loss of some predictions."""

    def compute_metrics(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
    ) -> Logs:
        """Add a batch to the metrics."""

    def stateless_compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """`compute_loss` for given values of the variables."""

    def make_predict_function(self, force: bool = False) -> Callable[..., object] | None:
        """The function that predicts batches; one of a user may only set `predict_function`."""

    def _dk_flatten_layers(self, include_self: bool = True) -> list[Layer]:
        """Itself and all layers inside."""

    def _dk_version(self) -> int:
        """Another number after each change of what it computes."""

    def _dk_graph(self) -> ModelGraph | None:
        """The calls inside; None if its `call` cannot be followed."""

    def _dk_inputs_met(self) -> Tree[KerasTensor] | None:
        """Symbolic inputs it was built on; None before."""

    def _dk_open_to(self, shape: tuple[int, ...]) -> bool:
        """Leave sizes of the input open for rows of another shape; whether that can be."""

    def _dk_build_on(self, inputs: object) -> None:
        """Build for arrays."""

    def _dk_forget_graph(self) -> None:
        """Follow `call` anew when the graph is asked for."""

    def _dk_names(self) -> tuple[list[str] | None, list[str] | None]:
        """Names of inputs and outputs; None where it has none."""

    @property
    def _dk_has_call(self) -> bool:
        """Whether it says what it computes."""
