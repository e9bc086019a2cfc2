"""The graph that calls on symbolic tensors grow: functional models are recorded here."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar, Self

from densekit._core.auto_config import AutoConfig
from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import describe, message
from densekit._core.naming import auto_name
from densekit._core.registry import export
from densekit._core.types import Config
from densekit.ops._growth import check_growth
from densekit.ops._keras_tensor import KerasTensor, any_symbolic, symbolic_leaves
from densekit.ops._shape_inference import compute_output_spec

# Where new nodes are noted while a call is followed, whether or not their outputs are used.
recorded_nodes: ContextVar[list[Node] | None] = ContextVar("densekit_nodes", default=None)


class Node:
    """One call of an operation: what went in, what came out.

    `args` and `kwargs` are the call's, nested; `input_tensors` and `outputs` are flat lists of
    `KerasTensor`. The new node is appended to ``operation._inbound_nodes`` and noted in the history
    of its outputs.
    """

    def __init__(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any
    ) -> None:
        self.operation = operation
        self.args = tuple(args)
        self.kwargs = dict(kwargs)
        self.output_structure = outputs
        self.input_tensors = symbolic_leaves((self.args, self.kwargs))
        self.outputs: list[KerasTensor] = symbolic_leaves(outputs)
        index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for position, tensor in enumerate(self.outputs):
            tensor._keras_history = (operation, index, position)
        recorded = recorded_nodes.get()
        if recorded is not None:
            recorded.append(self)

    @property
    def is_input(self) -> bool:
        """Whether nothing symbolic goes in: the node of an `InputLayer`."""
        return not self.input_tensors and not self.operation.is_source

    @property
    def output_tensors(self) -> list[KerasTensor]:
        """The same as `outputs`."""
        return self.outputs

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes that made the inputs, without repetition."""
        parents: dict[int, Node] = {}
        for tensor in self.input_tensors:
            if tensor._keras_history is not None:
                operation, index, _ = tensor._keras_history
                parents.setdefault(id(tensor), operation._inbound_nodes[index])
        return list({id(node): node for node in parents.values()}.values())

    def __repr__(self) -> str:
        return f"<Node operation={self.operation.name}>"


@export("keras")
class Operation(AutoConfig):
    """Something callable on arrays and on symbolic tensors; `Layer` is one.

    Args:
        name: without ``/``. Default: the class name in snake case, numbered.

    Raises:
        ValueError: for a bad name.

    Example:

    >>> import densekit as keras
    >>> class Scale(keras.Operation):
    ...     def __init__(self, factor, name=None):
    ...         super().__init__(name=name)
    ...         self.factor = factor
    ...     def call(self, x):
    ...         return x * self.factor
    >>> Scale(2.0)(keras.ops.array([1.0])).tolist()
    [2.0]
    >>> Scale.from_config(Scale(2.0, name="twice").get_config()).factor
    2.0
    """

    _dk_config_is_default = True  # this class' `get_config` is the automatic one
    _inbound_nodes: list[Node]
    is_source: ClassVar[bool] = False  # whether it makes tensors where none go in

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = auto_name(type(self))
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                message(
                    type(self).__name__,
                    "`name`, a string without '/'",
                    describe(name),
                    "Rename it.",
                )
            )
        self.name = name
        self.__dict__["_inbound_nodes"] = []  # being called changes nothing in a layer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the operation computes."""
        raise NotImplementedError(f"{type(self).__name__} defines no `call`.")

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of what `call` returns, as `KerasTensor`s."""
        return compute_output_spec(self.call, *args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record the call in the graph and return symbolic outputs."""
        outputs = self.compute_output_spec(*args, **kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def get_config(self) -> Config:
        """The name and the constructor's arguments, as plain data."""
        return self._dk_accepted({"name": self.name, **self._auto_config()})

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`.

        Raises:
            TypeError: if the constructor does not take it.
        """
        try:
            return cls(**config)
        except Exception as error:
            raise TypeError(
                message(
                    f"{cls.__name__}.from_config",
                    "a config that its constructor takes",
                    f"{type(error).__name__}: {error}",
                    "Pass what `get_config` returned.",
                )
            ) from error

    @property
    def input(self) -> Any:
        """The symbolic input of the first call: one tensor or a list."""
        return _one_or_list(self._dk_first_node("input").input_tensors)

    @property
    def output(self) -> Any:
        """The symbolic output of the first call: one tensor or a list."""
        return _one_or_list(self._dk_first_node("output").outputs)

    def _dk_first_node(self, what: str) -> Node:
        if not self._inbound_nodes:
            raise AttributeError(
                message(
                    f"{type(self).__name__} {self.name!r}",
                    f"a symbolic call before `.{what}` is read",
                    "none",
                    "Call it on `keras.Input(...)` first.",
                )
            )
        return self._inbound_nodes[0]


def _one_or_list(tensors: list[KerasTensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


class FunctionOperation(Operation):
    """A function of `densekit.ops` as a node of a functional model.

    Tensors are call arguments; everything else (axis, dtype, ...) is a setting, kept in the config
    under the names and class names that Keras' files use.
    """

    function: ClassVar[Callable[..., Any]]
    arguments: ClassVar[tuple[str, ...]] = ()  # names of the call arguments
    leading: ClassVar[tuple[str, ...]] = ()  # settings that precede a ``*args`` parameter
    variadic: ClassVar[bool] = False
    settle: ClassVar[Callable[[Config], Config]] = dict

    def __init__(self, *, name: str | None = None, **settings: Any) -> None:
        super().__init__(name=name)
        settings = type(self).settle(settings)
        self.settings = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in settings.items()
        }

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        function = type(self).function
        if self.variadic:
            lead = [self.settings[key] for key in self.leading]
            rest = {k: v for k, v in self.settings.items() if k not in self.leading}
            return function(*lead, *args, **rest, **kwargs)
        return function(**dict(zip(self.arguments, args, strict=False)), **self.settings, **kwargs)

    def get_config(self) -> Config:
        """The name and the settings."""
        config: Config = {"name": self.name, **self.settings}
        if config.get("dtype") is not None:
            config["dtype"] = standardize_dtype(config["dtype"])
        return config

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shape and dtype of what `call` returns, as `KerasTensor`s."""
        check_growth(type(self).function.__name__, (args, kwargs), self.settings)
        return super().compute_output_spec(*args, **kwargs)
