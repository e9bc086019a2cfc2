"""`Functional`: a model that is the graph between symbolic tensors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from densekit import ops
from densekit._core import tree
from densekit._core.dtypes import STRING, to_numpy_dtype
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.text import as_strings
from densekit.layers import Input, Layer
from densekit.layers._base.tracking import no_tracking
from densekit.models._functional_config import functional_config, revive_functional
from densekit.models._graph import (
    Graph,
    history,
    nodes_between,
    ordered_operations,
    run,
    substitute,
)
from densekit.models._model import Model, _machinery
from densekit.ops import KerasTensor, Operation
from densekit.ops._symbolic import Node
from densekit.saving._attributes import attribute_children


@export("keras.src.models.functional")
class Functional(Model):
    """A `Model` made by ``keras.Model(inputs, outputs)``.

    Args:
        inputs: tensor, list or dict of tensors: what `keras.Input` returned, or anything computed
            from it.
        outputs: tensor, list or dict of tensors computed from `inputs`.
        name: Default: numbered ``functional``.
        trainable: whether optimizers update it. Default: as the layers are.

    Raises:
        ValueError: if an output does not follow from the inputs, or two layers share a name.
    """

    _dk_config_is_default = True

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        if "_dk_super_called" not in self.__dict__:
            self._dk_init_model(name=name, **kwargs)
        where = f"{type(self).__name__} {self.name!r}"
        for role, structure in (("inputs", inputs), ("outputs", outputs)):
            _check_tensors(where, role, structure)
        if not all(_is_input(tensor) for tensor in tree.flatten(inputs)):
            inputs, outputs = _copy_between(inputs, outputs, where)
        with no_tracking():
            self._dk_input_structure, self._dk_output_structure = inputs, outputs
            self._inputs, self._outputs = tree.flatten(inputs), tree.flatten(outputs)
            self._nodes, met = nodes_between(self._inputs, self._outputs, where)
            self._operations = ordered_operations(self._inputs, self._nodes, met)
        _check_names(where, self._operations)
        layers = self._tracker.layers
        layers += [one for one in self.layers if not any(one is other for other in layers)]
        self._tracker.changed()
        if trainable is not None:
            self.trainable = trainable
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Give the layers of a copy, which come without their calls, the calls of this graph."""
        self.__dict__.update(state)
        for node in sorted(self._nodes, key=_index):
            operation = node.operation
            if node.is_input:
                operation._inbound_nodes[:] = [node]
            elif not any(node is other for other in operation._inbound_nodes):
                operation._inbound_nodes.append(node)
            index = operation._inbound_nodes.index(node)
            for position, tensor in enumerate(node.outputs):
                tensor._keras_history = (operation, index, position)

    @property
    def layers(self) -> list[Any]:
        """The layers in the order of the graph, input layers included."""
        return [operation for operation in self._operations if isinstance(operation, Layer)]

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError("`Model.layers` is reserved. Use another name for the attribute.")

    @property
    def operations(self) -> list[Operation]:
        """Layers and ops in the order of the graph."""
        return list(self._operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        return list(self._outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs as they were given."""
        return self._dk_input_structure

    @property
    def output(self) -> Any:
        """The symbolic outputs as they were given."""
        return self._dk_output_structure

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [_source_name(tensor) for tensor in self._inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the layers that make the outputs."""
        return [_source_name(tensor) for tensor in self._outputs]

    @property
    def input_shape(self) -> Any:
        """Shape of the input, or a list of shapes."""
        shapes = [tensor.shape for tensor in self._inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """Shape of the output, or a list of shapes."""
        shapes = [tensor.shape for tensor in self._outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def build(self, input_shape: Any = None) -> None:  # type: ignore[override]
        """Do nothing: the graph is built."""

    def get_build_config(self) -> dict[str, Any] | None:
        """``{"input_shape": None}``: the graph says it all."""
        return {"input_shape": None}

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Do nothing: the graph is built."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the graph on arrays; `training`, unless None, outdoes flags given in the graph."""

        def call(operation: Any, args: Any, kwargs: Any) -> Any:
            if training is not None and isinstance(operation, Layer):
                kwargs = {**kwargs, "training": training}
            return operation(*args, **kwargs)

        return self._dk_run_graph(self._dk_standardize(inputs), call)

    def compute_output_spec(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Symbolic outputs for symbolic inputs of any fitting shape."""
        given = self._dk_standardize(inputs)
        if all(x.shape == own.shape for x, own in zip(given, self._inputs, strict=True)):
            return tree.map_structure(_fresh, self._dk_output_structure)
        return self._dk_run_graph(
            given, lambda op, args, kwargs: op.compute_output_spec(*args, **kwargs)
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the outputs for shapes of the inputs."""
        shapes = _shape_leaves(input_shape)
        given = [
            KerasTensor(shape, dtype=own.dtype)
            for shape, own in zip(shapes, self._inputs, strict=True)
        ]
        return tree.map_structure(lambda x: x.shape, self.compute_output_spec(given))

    def _dk_run_graph(self, inputs: list[Any], call: Any) -> Any:
        values = {id(tensor): x for tensor, x in zip(self._inputs, inputs, strict=True)}
        run(self._nodes, values, call)
        result = substitute(self._dk_output_structure, values)
        return result[0] if isinstance(result, list | tuple) and len(result) == 1 else result

    def _dk_graph(self) -> Graph:
        return Graph(
            self._inputs,
            self._outputs,
            [node for node in self._nodes if not node.is_input],
            self._dk_input_structure,
            self._dk_output_structure,
            flags_yield=True,
        )

    def _dk_standardize(self, inputs: Any) -> list[Any]:
        """Inputs in the order of `inputs`, cast to their types; an axis of size 1 may come or go.

        A dict may stand for a list: its keys are then the names of the inputs.
        """
        expected = self._dk_input_structure
        if isinstance(inputs, dict) and not isinstance(expected, dict):
            names = self.input_names
            if not set(names) <= set(inputs):
                raise ValueError(self._dk_structure_error(f"the keys {sorted(inputs)}"))
            inputs = [inputs[name] for name in names]
        elif isinstance(inputs, dict) and isinstance(expected, dict):
            if not set(expected) <= set(inputs):
                raise ValueError(self._dk_structure_error(f"the keys {sorted(inputs)}"))
            inputs = {key: inputs[key] for key in expected}
        flat = tree.flatten(inputs)
        if len(flat) != len(self._inputs):
            raise ValueError(self._dk_structure_error(f"{len(flat)} arrays"))
        return [self._dk_fit(x, own) for x, own in zip(flat, self._inputs, strict=True)]

    def _dk_structure_error(self, got: str) -> str:
        names = self.input_names
        return message(
            f"{type(self).__name__} {self.name!r}",
            f"the inputs {names} as a {type(self._dk_input_structure).__name__}",
            got,
            "Pass them in the structure the model was made with.",
        )

    def _dk_fit(self, x: Any, own: KerasTensor) -> Any:
        if x is None:
            return x
        if not isinstance(x, KerasTensor):
            where = f"{type(self).__name__} {self.name!r}, input {own.name!r}"
            x = _as_array(x, own.dtype, where)
            if x.ndim == len(own.shape) + 1 and x.shape[-1] == 1:
                x = ops.squeeze(x, axis=-1)
            elif x.ndim == len(own.shape) - 1 and own.shape[-1] == 1:
                x = ops.expand_dims(x, axis=-1)
        sizes = zip(x.shape, own.shape, strict=False)
        if len(x.shape) != len(own.shape) or any(
            a != b and a is not None and b is not None for a, b in sizes
        ):
            raise ValueError(
                message(
                    f"{type(self).__name__} {self.name!r}, input {own.name!r}",
                    f"shape {own.shape}",
                    f"incompatible shape {tuple(x.shape)}",
                    "Reshape the input.",
                )
            )
        return x

    def _dk_saved_children(self) -> Iterator[tuple[str, Any]]:
        yield "layers", self.layers  # before all else: what the user adds comes after
        yield from attribute_children(self, _machinery(Functional) - {"optimizer"})

    @classmethod
    def _dk_bare(cls) -> Model:
        x = Input((1,), name="_")
        return cls(x, x, name="_")

    def get_config(self) -> dict[str, Any]:
        """The layers and how they are connected, in Keras' form."""
        if not _constructed_as_graph(type(self)):
            return super().get_config()
        return functional_config(self, Functional)

    def get_trainable_config(self, config: dict[str, Any]) -> list[bool] | None:
        """None where the config holds the layers, each with its own flag."""
        return None if _constructed_as_graph(type(self)) else super().get_trainable_config(config)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Create from `get_config`."""
        if "input_layers" not in config or not _constructed_as_graph(cls):
            return super().from_config(config, custom_objects)
        return revive_functional(cls, config, custom_objects, Functional)


def _constructed_as_graph(cls: type) -> bool:
    """Whether the constructor of `cls` takes inputs and outputs, as a graph config has them."""
    parameters = inspect.signature(cls).parameters
    kinds = {p.kind for p in parameters.values()}
    everything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return everything or list(parameters)[:3] == ["inputs", "outputs", "name"]


def _check_tensors(where: str, role: str, structure: Any) -> None:
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


def _copy_between(inputs: Any, outputs: Any, where: str) -> tuple[Any, Any]:
    """The calls between intermediate tensors, repeated on new inputs: the layers stay shared."""
    flat = tree.flatten(inputs)
    nodes, _ = nodes_between(flat, tree.flatten(outputs), where)
    values: dict[int, Any] = {}
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


def _as_array(x: Any, dtype: str, where: str) -> Any:
    if dtype == STRING:
        return as_strings(x, where)
    if not ops.is_tensor(x):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "biufcV":
            raise ValueError(
                message(
                    where, "numbers", describe(x), 'Declare `keras.Input(..., dtype="string")`.'
                )
            )
        return x if x.dtype.name == dtype else x.astype(to_numpy_dtype(dtype))
    return x if str(x.dtype) == dtype else ops.cast(x, dtype)


def _shape_leaves(shape: Any) -> list[tuple[int | None, ...]]:
    if isinstance(shape, dict):
        return [leaf for key in sorted(shape) for leaf in _shape_leaves(shape[key])]
    if all(n is None or isinstance(n, int) for n in shape):
        return [tuple(shape)]
    return [leaf for one in shape for leaf in _shape_leaves(one)]
