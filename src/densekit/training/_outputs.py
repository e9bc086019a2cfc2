"""What a built model takes, and what its calls give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from densekit import ops
from densekit._core import tree
from densekit._core.errors import returned
from densekit.data._columns import Signature
from densekit.ops import KerasTensor

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel


def unwraps(structure: object) -> bool:
    """Whether a model whose outputs are this structure gives the one array in it."""
    return (
        isinstance(structure, list | tuple)
        and len(structure) == 1
        and not tree.is_nested(structure[0])
    )


def pack_outputs(structure: object, arrays: Sequence[object]) -> Any:
    """Outputs in the structure that a call of the model gives."""
    return arrays[0] if unwraps(structure) else tree.pack_as(structure, arrays)


def read_signature(
    model: TrainableModel, definition_for: Callable[[object, bool], Callable[..., object]]
) -> Signature:
    """Names, shapes and structures of inputs and outputs of a built model.

    Args:
        definition_for: gives its call as a function of flat inputs, from their structure.
    """
    graph = model._dk_graph()
    where = f"{type(model).__name__} {model.name!r}"
    if graph is not None:
        inputs, outputs = graph.inputs, graph.outputs
        structures = graph.input_structure, graph.output_structure
    else:
        given = model._dk_inputs_met()
        inputs = tree.flatten(given)
        definition = definition_for(given, False)
        spec = returned(ops.compute_output_spec(definition, *inputs), model.call, "outputs")
        outputs = tree.flatten(spec)
        structures = given, spec
    names, output_names = model._dk_names()
    return Signature(
        where,
        list(names or [t.name for t in inputs]),
        [tuple(t.shape) for t in inputs],
        structures[0],
        list(output_names or [f"output_{i}" for i in range(len(outputs))]),
        [tuple(t.shape) for t in outputs],
        structures[1],
        model._dk_known_columns,
        [t.dtype for t in inputs],
        bool(output_names),
        frozenset() if graph is None else optional_inputs(inputs, names),
    )


def signature_for(y_pred: object, signature: Signature) -> Signature:
    """A signature of a model whose own `compute_loss` makes other outputs of what it gives."""
    predictions = tree.flatten(y_pred)
    if len(predictions) == len(signature.output_names):
        return signature
    return signature._replace(
        output_names=[f"output_{i}" for i in range(len(predictions))],
        output_shapes=[(None, *array.shape[1:]) for array in predictions],
        output_structure=y_pred,
        outputs_are_named=False,
    )


def optional_inputs(inputs: Sequence[KerasTensor], names: Sequence[str] | None) -> frozenset[str]:
    """Names of the inputs that may be None."""
    found = []
    for name, tensor in zip(names or [t.name for t in inputs], inputs, strict=True):
        made = tensor._keras_history
        if made is not None and getattr(made[0], "optional", False):
            found.append(name)
    return frozenset(found)
