"""`get_source_inputs`: where a symbolic tensor comes from."""

from __future__ import annotations

from densekit._core.registry import export
from densekit.models._graph import history
from densekit.ops import KerasTensor


@export("keras.utils")
def get_source_inputs(tensor: object) -> object:
    """The symbolic tensors from which one is computed, each once.

    Args:
        tensor: a symbolic tensor; anything else is returned as it is.

    Example:

    >>> import densekit as keras
    >>> x = keras.Input((2,))
    >>> keras.utils.get_source_inputs(keras.ops.relu(x) + x) == [x]
    True
    """
    if not isinstance(tensor, KerasTensor):
        return tensor
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:  # no recursion: a model may be a thousand layers deep
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        source = history(one)
        if source is None:
            found[id(one)] = one
        elif source[0].is_input:
            found.update((id(output), output) for output in source[0].outputs)
        else:
            waiting += reversed(source[0].input_tensors)
    return list(found.values())
