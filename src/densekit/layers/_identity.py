"""`Identity`: a layer that does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from densekit._core import tree
from densekit._core.plan import Handle, Lowered, PlanBuilder
from densekit._core.registry import export
from densekit._core.types import TensorLike
from densekit.layers._base.elementwise import Elementwise
from densekit.ops._keras_tensor import KerasTensor

if TYPE_CHECKING:
    from densekit.layers._base.options import AllLayerOptions


@export("keras.layers")
class Identity(Elementwise):
    """Returns its input as it is.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Identity()(keras.ops.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    _dk_passes_text = True

    def __init__(self, **kwargs: Unpack[AllLayerOptions]) -> None:
        super().__init__(**kwargs)
        self._build_at_init()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The inputs."""
        return inputs

    def compute_output_spec(self, inputs: TensorLike) -> Any:
        """Shapes and dtypes of the inputs."""
        return tree.map_structure(lambda x: KerasTensor(x.shape, dtype=x.dtype), inputs)

    def lower(self, plan: PlanBuilder, *xs: Handle) -> Lowered:
        """Free."""
        return xs[0] if len(xs) == 1 else list(xs)
