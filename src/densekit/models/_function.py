"""`Function`: the calls between symbolic tensors, to be repeated on others."""

from __future__ import annotations

from densekit import ops
from densekit._core import tree
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Tree
from densekit.layers._base.shapes import shapes_in
from densekit.models._graph import Call, nodes_between, ordered_operations, run, substitute
from densekit.ops import KerasTensor, Operation


@export("keras")
class Function(Operation):
    """What leads from some symbolic tensors to others, as one operation on arrays or tensors.

    Unlike a functional model it is no layer: it owns no weights and is not trained.

    Args:
        inputs: tensor or structure of tensors.
        outputs: tensor or structure of tensors that follow from `inputs` alone.
        name: Default: numbered ``function``.

    Raises:
        ValueError: for no tensors, or outputs that do not follow from the inputs.

    Example:

    >>> import densekit as keras
    >>> x = keras.KerasTensor((None, 2))
    >>> keras.Function(x, keras.ops.relu(x - 1.0))(keras.ops.array([[0.0, 3.0]])).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, inputs: object, outputs: object, name: str | None = None) -> None:
        super().__init__(name=name)
        where = f"Function {self.name!r}"
        for role, structure in (("inputs", inputs), ("outputs", outputs)):
            leaves = tree.flatten(structure)
            if not leaves or not all(isinstance(leaf, KerasTensor) for leaf in leaves):
                raise ValueError(
                    message(where, f"KerasTensors as `{role}`", describe(structure), "Pass some.")
                )
        self._structures = inputs, outputs
        self._inputs: list[KerasTensor] = tree.flatten(inputs)
        self._nodes, met = nodes_between(self._inputs, tree.flatten(outputs), where)
        self._operations = ordered_operations(self._inputs, self._nodes, met)

    @property
    def operations(self) -> list[Operation]:
        """Layers and ops between the tensors."""
        return list(self._operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        found: list[KerasTensor] = tree.flatten(self._structures[1])
        return found

    def call(self, inputs: object) -> object:
        """The outputs for other inputs, in the structure of the function's own."""
        return self._repeat(inputs, lambda operation, args, kwargs: operation(*args, **kwargs))

    def compute_output_spec(self, inputs: object) -> object:
        """Symbolic outputs for symbolic inputs."""
        return self._repeat(
            inputs,
            lambda operation, args, kwargs: operation.compute_output_spec(*args, **kwargs),
        )

    def compute_output_shape(self, input_shape: Tree[int | None]) -> object:
        """Shapes of the outputs for shapes of the inputs."""
        shapes = shapes_in(input_shape, len(self._inputs))
        given = [
            KerasTensor(shape, dtype=tensor.dtype)
            for shape, tensor in zip(shapes, self._inputs, strict=True)
        ]
        spec = self.compute_output_spec(tree.pack_as(self._structures[0], given))
        return tree.map_structure(lambda tensor: tensor.shape, spec)

    def _repeat(self, inputs: object, call: Call) -> object:
        flat = tree.flatten(inputs)
        if len(flat) != len(self._inputs) or tree.is_nested(inputs) != tree.is_nested(
            self._structures[0]
        ):
            own = f"{len(self._inputs)} inputs in a {type(self._structures[0]).__name__}"
            self._refuse(own, f"{len(flat)} in a {type(inputs).__name__}")
        values: dict[int, object] = {}
        for tensor, x in zip(self._inputs, flat, strict=True):
            x = x if isinstance(x, KerasTensor) else ops.convert_to_tensor(x)
            fits = len(x.shape) == len(tensor.shape) and all(
                n is None or m is None or n == m for n, m in zip(tensor.shape, x.shape, strict=True)
            )
            if not fits:
                self._refuse(f"shape {tensor.shape} for {tensor.name!r}", f"shape {tuple(x.shape)}")
            values[id(tensor)] = x
        run([node for node in self._nodes if not node.is_input], values, call)
        return substitute(self._structures[1], values)

    def _refuse(self, expected: str, got: str) -> None:
        raise ValueError(message(f"Function {self.name!r}", expected, got, "Mend the inputs."))
