"""`clone_model`: the same architecture with fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback
from densekit._core.registry import export
from densekit._core.serialization import (
    beyond_keras,
    deserialize_keras_object,
    serialize_keras_object,
)
from densekit.layers import Input, InputLayer, Layer
from densekit.models._given_graph import given_graph
from densekit.models._graph import run, substitute
from densekit.models._model import Model
from densekit.models._sequential import Sequential
from densekit.ops import KerasTensor, Operation

_Clone = Callable[[Operation], Operation]


@export("keras.models")
@filters_traceback
def clone_model(
    model: Layer,
    input_tensors: object = None,
    clone_function: _Clone | None = None,
    call_function: Callable[..., object] | None = None,
    recursive: bool = False,
) -> Any:
    """A copy of `model` with newly initialised weights.

    Args:
        model: a `Model`.
        input_tensors: symbolic inputs of the copy, in the structure of the model's.
            Default: new ones.
        clone_function: called with each layer, gives the layer of the copy. Default: by config.
        call_function: called with ``(layer, *args, **kwargs)`` to call a layer of the copy;
            functional models only. Default: ``layer(*args, **kwargs)``.
        recursive: whether layers of nested models are cloned one by one too. Default: ``False``.

    Raises:
        ValueError: for an argument that this kind of model cannot take.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.models.clone_model(model).count_params()
    8
    """
    if isinstance(model, Sequential) and call_function is None:
        return _clone_sequential(model, _once(clone_function, None, recursive), input_tensors)
    if isinstance(model, Model) and given_graph(model) is not None:
        clone = _once(clone_function, call_function, recursive)
        return _clone_functional(model, clone, call_function, input_tensors)
    given = {
        "input_tensors": input_tensors,
        "clone_function": clone_function,
        "call_function": call_function,
    }
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise ValueError(
            message(
                f"clone_model of {type(model).__name__} {model.name!r}",
                f"a functional model for {', '.join(wrong)}",
                describe(model),
                "Leave the argument out.",
            )
        )
    return deserialize_keras_object(
        serialize_keras_object(model), custom_objects={type(model).__name__: type(model)}
    )


def _once(
    clone_function: _Clone | None, call: Callable[..., object] | None, recursive: bool
) -> _Clone:
    """A function that clones each layer once, so that shared layers stay shared."""
    clones: dict[int, Operation] = {}
    make = clone_function or _from_config

    def clone(layer: Operation) -> Operation:
        if id(layer) not in clones:
            if recursive and isinstance(layer, Sequential):
                clones[id(layer)] = _clone_sequential(layer, clone, None)
            elif recursive and isinstance(layer, Model) and given_graph(layer) is not None:
                clones[id(layer)] = _clone_functional(layer, clone, call, None)
            else:
                clones[id(layer)] = make(layer)
        return clones[id(layer)]

    return clone


def _from_config(layer: Any) -> Operation:
    config = layer.get_config()
    copy: Any = type(layer).from_config(config)
    flags = beyond_keras(layer, config).get("trainable_config")
    if flags is not None:
        copy.trainable_from_config(flags)
    made: Operation = copy
    return made


def _clone_sequential(model: Sequential, clone: _Clone, input_tensors: object) -> Sequential:
    layers: list[Any] = [clone(layer) for layer in model.layers]
    if input_tensors is not None:
        tensors = tree.flatten(input_tensors)
        if len(tensors) != 1 or not isinstance(tensors[0], KerasTensor):
            raise ValueError(
                message(
                    f"clone_model of Sequential {model.name!r}",
                    "one KerasTensor as `input_tensors`",
                    describe(input_tensors),
                    "Pass what `keras.Input` returns.",
                )
            )
        layers.insert(0, Input(batch_shape=tensors[0].shape, dtype=tensors[0].dtype))
    elif model._dk_stack and isinstance(model._dk_stack[0], InputLayer):
        first = model._dk_stack[0]
        layers.insert(0, Input(batch_shape=first.batch_shape, dtype=first.dtype, name=first.name))
    copy = Sequential(layers, name=model.name)
    copy.mark_trainable(model.trainable)
    _compile_like(model, copy)
    return copy


def _keys(structure: object) -> set[object] | None:
    return set(structure) if isinstance(structure, dict) else None


def _clone_functional(
    model: Model, clone: _Clone, call: Callable[..., object] | None, input_tensors: object
) -> Model:
    if input_tensors is None:
        fresh = [
            Input(batch_shape=x.shape, dtype=x.dtype, name=name)
            for x, name in zip(model.inputs, model.input_names, strict=True)
        ]
        inputs = tree.pack_as(model.input, fresh)
    else:
        inputs = input_tensors
        leaves = tree.flatten(inputs)
        tensors = all(isinstance(x, KerasTensor) for x in leaves)
        alike = _keys(inputs) == _keys(model.input)
        if len(leaves) != len(model.inputs) or not tensors or not alike:
            raise ValueError(
                message(
                    f"clone_model of {model.name!r}",
                    f"{len(model.inputs)} KerasTensors as `input_tensors`",
                    describe(input_tensors),
                    "Pass what `keras.Input` returns, in the model's structure.",
                )
            )

    def apply(operation: Operation, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        copied = clone(operation)
        return call(copied, *args, **kwargs) if call else copied(*args, **kwargs)

    values = {id(old): new for old, new in zip(model.inputs, tree.flatten(inputs), strict=True)}
    given = given_graph(model)
    assert given is not None
    run(given.nodes, values, apply)
    copy = type(model)(inputs, substitute(model.output, values), name=model.name)
    copy.mark_trainable(model.trainable)
    _compile_like(model, copy)
    return copy


def _compile_like(model: Model, copy: Model) -> None:
    copy._dk_known_columns.load_config(model._dk_known_columns.get_config())
    copy._dk_known_targets.load_config(model._dk_known_targets.get_config())
    if model.compiled:
        copy.compile_from_config(model.get_compile_config())
