"""What variables read as, and are assigned, while a call is followed: nodes of its graph."""

from __future__ import annotations

from typing import ClassVar, cast

from densekit._core.dtypes import is_float_dtype
from densekit._core.scope import StatelessScope
from densekit._core.types import TensorLike
from densekit._core.variable import Variable
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._symbolic import Node, Operation, recorded_nodes


class WeightValue(Operation):
    """What a variable reads as, as a node without inputs.

    Args:
        variable: the variable.
    """

    is_source: ClassVar[bool] = True

    def __init__(self, variable: Variable) -> None:
        super().__init__()
        self.variable = variable

    def call(self) -> TensorLike:
        """The value now."""
        value: TensorLike = self.variable.value
        return value


class Assignment(Operation):
    """What a variable holds from now on, as a node without outputs.

    Args:
        variable: the variable.
    """

    def __init__(self, variable: Variable) -> None:
        super().__init__()
        self.variable = variable


def symbolic_value(variable: Variable) -> TensorLike | None:
    """A variable of floats as a tensor of the graph that is recorded; None for others."""
    if recorded_nodes.get() is None or not is_float_dtype(variable.numpy_dtype.name):
        return None
    tensor = KerasTensor(variable.shape, variable.numpy_dtype.name)
    Node(WeightValue(variable), (), {}, tensor)
    return cast("TensorLike", tensor)


class WeightScope(StatelessScope):
    """A scope in which variables of floats read as tensors of the graph that is recorded."""

    read = ""  # the path of the first

    def get_current_value(self, variable: Variable) -> TensorLike | None:
        """The value that a variable has here; None for one that cannot be said."""
        value = self._values.get(id(variable))  # what a tape around it says is of no graph
        if value is None:
            value = symbolic_value(variable)
            if value is not None:
                self.read = self.read or variable.path
                self._values[id(variable)] = value
        return value

    def add_update(self, update: tuple[Variable, object]) -> None:
        """Note an assignment, or say that it cannot be."""
        if not note_assignment(*update):
            self.refuse_update(update[0])
        super().add_update(update)

    def refuse_update(self, variable: Variable) -> None:
        """What is done about an assignment that the graph cannot express."""
        raise NotImplementedError


def note_assignment(variable: Variable, value: object) -> bool:
    """Note that a variable gets the value of a tensor; whether that could be said."""
    if recorded_nodes.get() is None or not isinstance(value, KerasTensor):
        return False
    if value.dtype != variable.numpy_dtype.name:
        return False
    Node(Assignment(variable), (value,), {}, [])
    return True
