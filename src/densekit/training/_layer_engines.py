"""The engines that record calls of models and single layers for tapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from densekit import engines
from densekit._core import tree
from densekit._core.types import Array, TensorLike
from densekit.layers import Layer
from densekit.training._outputs import pack_outputs
from densekit.training._runtime import Runtime

if TYPE_CHECKING:
    from densekit._core.tapes import Recorder

# What records, what puts inputs together, and what puts outputs together.
Pack: TypeAlias = Callable[[Sequence[TensorLike]], object]
Found: TypeAlias = "tuple[Recorder, Pack, Pack]"
Key: TypeAlias = tuple[object, ...]

_of_layers: WeakKeyDictionary[Layer, tuple[Key, Recorder | None]] = WeakKeyDictionary()


def recorder_of(layer: Layer, given: object, arrays: list[Array], training: bool) -> Found | None:
    """Engine, what puts inputs together, what puts outputs together; None without native form."""
    if any(x.ndim == 0 or not len(x) or x.dtype.kind not in "biuf" for x in arrays):
        return None
    runtime = layer.__dict__.get("_dk_runtime")
    if isinstance(runtime, Runtime):
        if tree.is_nested(given):
            return _of_model(layer, runtime, given, arrays, training)
        # One array: a small model takes as long as looking all this up.
        key = (runtime.state(), training, arrays[0].shape[1:])
        known = runtime.latest_recorder
        if known is None or known[0] != key:
            found = _of_model(layer, runtime, given, arrays, training)
            known = runtime.latest_recorder = ((runtime.state(), *key[1:]), found)
        recorder: Found | None = known[1]
        return recorder
    return _of_layer(layer, given, arrays, training)


def _of_model(
    model: Any, runtime: Runtime, given: object, arrays: list[Array], training: bool
) -> Found | None:
    if not model.built or (model._dk_graph() is None and model._dk_inputs_met() is None):
        model._dk_data.ensure_built(tree.pack_as(given, arrays))
    signature = runtime.signature()
    if len(signature.input_shapes) != len(arrays):
        return None
    for array, shape in zip(arrays, signature.input_shapes, strict=True):
        if array.ndim != len(shape) or len(array) != len(arrays[0]):
            return None
        if any(n is not None and n != m for n, m in zip(shape[1:], array.shape[1:], strict=True)):
            return None
    if isinstance(given, dict) and not isinstance(signature.input_structure, dict):
        return None
    engine = runtime.recorder(arrays, training)
    if engine is None:
        return None
    structure = signature.output_structure

    def packed(values: Sequence[TensorLike]) -> object:
        return pack_outputs(structure, values)

    return engine, lambda flat: tree.pack_as(given, list(flat)), packed


def _of_layer(layer: object, given: object, arrays: list[Array], training: bool) -> Found | None:
    if not (isinstance(layer, Layer) and layer.built and len(arrays) == 1) or arrays[0] is None:
        return None
    if layer.activity_regularizer is not None or isinstance(given, list | tuple | dict):
        return None
    flags = tuple([v.trainable for v in layer.weights])
    kind = engines.engine_kind()
    key: Key = (kind, layer._dk_version(), training, arrays[0].shape[1:], flags)
    known = _of_layers.get(layer)
    if known is None or known[0] != key:
        made = kind.layer_recorder(layer, training, arrays[0].shape[1:], str(arrays[0].dtype))
        known = _of_layers[layer] = key, made
    engine = known[1]
    return None if engine is None else (engine, _first, _first)


def _first(values: Sequence[TensorLike]) -> TensorLike:
    return values[0]
