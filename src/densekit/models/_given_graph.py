"""`GivenGraph`: what a model is that was made by ``Model(inputs, outputs)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

import numpy as np

from densekit import ops
from densekit._core import masks, tree
from densekit._core.dtypes import STRING, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.text import as_strings
from densekit._core.types import ArrayLike, PartialShape, TensorLike, Tree
from densekit.data._input_structure import in_structure
from densekit.layers import Input, InputSpec, Layer
from densekit.layers._base.shapes import shapes_in
from densekit.models._graph import (
    Call,
    Graph,
    history,
    nodes_between,
    ordered_operations,
    run,
    substitute,
)
from densekit.ops import KerasTensor, Operation
from densekit.ops._symbolic import Node

T = TypeVar("T")
Given: TypeAlias = TensorLike | KerasTensor | None  # an input; None for an optional one


class GivenGraph:
    """The calls between symbolic tensors that a model was given.

    Args:
        inputs: tensor or structure of tensors.
        outputs: tensor or structure of tensors computed from them.
        where: the model, for error texts.

    Attributes:
        inputs: the symbolic inputs, flat.
        outputs: the symbolic outputs, flat.
        input_structure: the inputs as they were given.
        output_structure: the outputs as they were given.
        nodes: the calls, each after those it needs.
        operations: layers and ops in the order in which Keras lists them.

    Raises:
        ValueError: if an output does not follow from the inputs, or two layers share a name.
    """

    def __init__(self, inputs: object, outputs: object, where: str) -> None:
        for role, structure in (("inputs", inputs), ("outputs", outputs)):
            _check_tensors(where, role, structure)
        if not all(_is_input(tensor) for tensor in tree.flatten(inputs)):
            inputs, outputs = _copy_between(inputs, outputs, where)
        self._where = where
        self.input_structure, self.output_structure = inputs, outputs
        self.inputs: list[KerasTensor] = tree.flatten(inputs)
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        self.nodes, met = nodes_between(self.inputs, self.outputs, where)
        self.operations: list[Operation] = ordered_operations(self.inputs, self.nodes, met)
        _check_names(where, self.operations)

    def attach(self) -> None:
        """Give the layers of a copy, which come without their calls, the calls of this graph."""
        for node in sorted(self.nodes, key=_index):
            operation = node.operation
            if node.is_input:
                operation._inbound_nodes[:] = [node]
            elif not any(node is other for other in operation._inbound_nodes):
                operation._inbound_nodes.append(node)
            index = operation._inbound_nodes.index(node)
            for position, tensor in enumerate(node.outputs):
                tensor._keras_history = (operation, index, position)

    @property
    def layers(self) -> list[Layer]:
        """The layers in the order of the graph, input layers included."""
        return [operation for operation in self.operations if isinstance(operation, Layer)]

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [_source_name(tensor) for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the layers that make the outputs."""
        return [_source_name(tensor) for tensor in self.outputs]

    @property
    def input_shape(self) -> PartialShape | list[PartialShape]:
        """Shape of the input, or a list of shapes."""
        shapes = [tensor.shape for tensor in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> PartialShape | list[PartialShape]:
        """Shape of the output, or a list of shapes."""
        shapes = [tensor.shape for tensor in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> object:
        """Run the graph on arrays; `training`, unless None, outdoes flags given in the graph."""

        def call(
            operation: Operation, args: tuple[object, ...], kwargs: dict[str, object]
        ) -> object:
            if training is not None and isinstance(operation, Layer):
                kwargs = {**kwargs, "training": training}
            return operation(*args, **kwargs)

        flat = self._flat(inputs)
        given = self._fitted(flat)
        if masks.in_use:
            masks.carry_masks(flat, given)
            for x, own in zip(given, tree.flatten(mask) if mask is not None else (), strict=False):
                if own is not None:
                    masks.set_mask(x, own)
        return self._run(given, call)

    def compute_output_spec(
        self, inputs: object, training: bool | None = None, mask: object = None
    ) -> object:
        """Symbolic outputs for symbolic inputs of any fitting shape."""
        given = self._fitted(self._flat(inputs, quiet=True))
        pairs = zip(given, self.inputs, strict=True)
        if all(x is not None and x.shape == own.shape for x, own in pairs):
            return tree.map_structure(_fresh, self.output_structure)
        return self._run(given, lambda op, args, kwargs: op.compute_output_spec(*args, **kwargs))

    def compute_output_shape(self, input_shape: Tree[int | None]) -> object:
        """Shapes of the outputs for shapes of the inputs."""
        shapes = shapes_in(input_shape, len(self.inputs))
        given = [
            KerasTensor(shape, dtype=own.dtype)
            for shape, own in zip(shapes, self.inputs, strict=True)
        ]
        return tree.map_structure(lambda x: x.shape, self.compute_output_spec(given))

    def _run(self, inputs: list[Given], call: Call) -> object:
        pairs = zip(self.inputs, inputs, strict=True)
        values: dict[int, object] = {id(tensor): x for tensor, x in pairs}
        run(self.nodes, values, call)
        result = substitute(self.output_structure, values)
        return result[0] if isinstance(result, list | tuple) and len(result) == 1 else result

    def graph(self) -> Graph:
        """The calls for an engine."""
        return Graph(
            self.inputs,
            self.outputs,
            [node for node in self.nodes if not node.is_input],
            self.input_structure,
            self.output_structure,
            flags_yield=True,
            input_names=self.input_names,
        )

    def _fitted(self, inputs: list[Any]) -> list[Given]:
        """Inputs in the order of `inputs`, of their types; an axis of size 1 may come or go."""
        return [self._fit(x, own) for x, own in zip(inputs, self.inputs, strict=True)]

    def input_specs(self) -> list[InputSpec] | None:
        """What each input must look like; None for a dict with structures inside."""
        structure = self.input_structure
        if isinstance(structure, dict) and tree.is_deep(structure):
            return None
        names = sorted(structure) if isinstance(structure, dict) else self.input_names
        return [
            InputSpec(
                shape=(None, *own.shape[1:]),
                allow_last_axis_squeeze=True,
                name=name,
                optional=_is_optional(own),
            )
            for name, own in zip(names, self.inputs, strict=True)
        ]

    def _flat(self, inputs: object, quiet: bool = False) -> list[Any]:
        names = self.input_names
        picked = in_structure(inputs, self.input_structure, names, self._where, quiet)
        flat = tree.flatten(picked)
        if len(flat) != len(self.inputs):
            raise ValueError(
                message(
                    self._where,
                    f"the inputs {names} as a {type(self.input_structure).__name__}",
                    f"{len(flat)} arrays",
                    "Pass them in the structure the model was made with.",
                )
            )
        return flat

    def _fit(self, x: KerasTensor | ArrayLike | None, own: KerasTensor) -> Given:
        if x is None:
            if not _is_optional(own):
                raise ValueError(
                    message(
                        f"{self._where}, input {own.name!r}",
                        "a tensor, as it is not optional",
                        "None",
                        "Pass one, or declare `keras.Input(..., optional=True)`.",
                    )
                )
            return x
        if not isinstance(x, KerasTensor):
            where = f"{self._where}, input {own.name!r}"
            x = _as_array(x, own.dtype, where)
            if x.ndim == len(own.shape) + 1 and x.shape[-1] == 1:
                x = ops.squeeze(x, axis=-1)
            elif x.ndim == len(own.shape) - 1 and own.shape[-1] == 1:
                x = ops.expand_dims(x, axis=-1)
        sizes = zip(x.shape[1:], own.shape[1:], strict=False)  # any number of rows, as in Keras
        if len(x.shape) != len(own.shape) or any(
            a != b and a is not None and b is not None for a, b in sizes
        ):
            raise ValueError(
                message(
                    f"{self._where}, input {own.name!r}",
                    f"shape {own.shape}",
                    f"incompatible shape {tuple(x.shape)}",
                    "Reshape the input.",
                )
            )
        return x


def given_graph(operation: object) -> GivenGraph | None:
    """The graph that a model was made of; None for any other model, layer or op."""
    found: GivenGraph | None = operation.__dict__.get("_dk_given")
    return found


class GraphAttribute(Generic[T]):
    """An attribute of the models that were given a graph; others may have their own of that name.

    Args:
        read: takes it from the graph.
    """

    def __init__(self, read: Callable[[GivenGraph], T], doc: str) -> None:
        self._read = read
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, model: None, owner: type) -> GraphAttribute[T]: ...

    @overload
    def __get__(self, model: object, owner: type) -> T: ...

    def __get__(self, model: object | None, owner: type) -> GraphAttribute[T] | T:
        if model is None:
            return self
        given = given_graph(model)
        if given is not None:
            return self._read(given)
        if self._name in model.__dict__:
            own: T = model.__dict__[self._name]
            return own
        raise AttributeError(f"{type(model).__name__!r} object has no attribute {self._name!r}")

    def __set__(self, model: object, value: T) -> None:
        if given_graph(model) is not None:
            raise AttributeError(
                f"property {self._name!r} of {type(model).__name__!r} object has no setter"
            )
        model.__dict__[self._name] = value

    def __delete__(self, model: object) -> None:
        if model.__dict__.pop(self._name, self) is self:
            raise AttributeError(self._name)


def _check_tensors(where: str, role: str, structure: object) -> None:
    leaves = tree.flatten(structure)
    if not leaves:
        raise ValueError(message(where, f"`{role}` not to be empty", "none", "Pass a tensor."))
    for leaf in leaves:
        if not isinstance(leaf, KerasTensor):
            raise ValueError(
                message(
                    where,
                    f"`{role}` of KerasTensors",
                    describe(leaf),
                    "Start from `keras.Input(shape)` and call layers on it.",
                )
            )


def _check_names(where: str, operations: list[Operation]) -> None:
    seen: set[str] = set()
    for operation in operations:
        if operation.name in seen:
            raise ValueError(
                message(
                    where,
                    "layers of unique names",
                    f"the name {operation.name!r} twice",
                    "Pass `name=` to one of them.",
                )
            )
        seen.add(operation.name)


def _is_optional(tensor: KerasTensor) -> bool:
    return bool(getattr(tensor._keras_history[0], "optional", False))  # type: ignore[index]


def _is_input(tensor: KerasTensor) -> bool:
    source = history(tensor)
    return source is not None and source[0].is_input


def _source_name(tensor: KerasTensor) -> str:
    source = history(tensor)
    return tensor.name if source is None else source[0].operation.name


def _index(node: Node) -> int:
    """Which call of its operation a node is."""
    source = node.outputs[0]._keras_history
    return 0 if source is None else source[1]


def _fresh(tensor: KerasTensor) -> KerasTensor:
    return KerasTensor(tensor.shape, dtype=tensor.dtype)


def _copy_between(inputs: object, outputs: object, where: str) -> tuple[object, object]:
    """The calls between intermediate tensors, repeated on new inputs: the layers stay shared."""
    flat = tree.flatten(inputs)
    nodes, _ = nodes_between(flat, tree.flatten(outputs), where)
    values: dict[int, object] = {}
    for tensor in flat:
        if not _is_input(tensor):
            values[id(tensor)] = Input(batch_shape=tensor.shape, dtype=tensor.dtype)
        else:
            values[id(tensor)] = tensor
    for node in nodes:
        if node.is_input:
            continue
        args, kwargs = substitute((node.args, node.kwargs), values)
        copies = [_fresh(tensor) for tensor in node.outputs]
        values |= {id(old): new for old, new in zip(node.outputs, copies, strict=True)}
        Node(node.operation, args, kwargs, substitute(node.output_structure, values))
    return substitute(inputs, values), substitute(outputs, values)


def _as_array(x: ArrayLike, dtype: str, where: str) -> TensorLike:
    if dtype == STRING:
        return as_strings(x, where)
    found = cast("TensorLike", x) if ops.is_tensor(x) else np.asarray(x)
    if isinstance(found, np.ndarray):
        if found.dtype.kind not in "biufcV":
            raise ValueError(
                message(
                    where, "numbers", describe(found), 'Declare `keras.Input(..., dtype="string")`.'
                )
            )
        return found if found.dtype.name == dtype else found.astype(to_numpy_dtype(dtype))
    return found if str(found.dtype) == dtype else ops.cast(found, dtype)
