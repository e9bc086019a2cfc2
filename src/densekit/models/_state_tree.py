"""The state of a model as nested dicts of arrays, by the paths of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from densekit._core.errors import describe, message
from densekit._core.types import Array, Config
from densekit._core.variable import Variable
from densekit.saving._tree import flat, nested

if TYPE_CHECKING:
    from densekit.optimizers import Optimizer

_FORMATS = ("backend_tensor", "numpy_array")
_KINDS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)


class StateTree:
    """`get_state_tree` and `set_state_tree` of a model."""

    if TYPE_CHECKING:
        optimizer: Optimizer | None
        trainable_variables: list[Variable]
        non_trainable_variables: list[Variable]
        metrics_variables: list[Variable]

    def get_state_tree(self, value_format: str = "backend_tensor") -> Config:
        """All of the model's state: weights, optimizer, metrics, as nested dicts of arrays.

        Args:
            value_format: ``"backend_tensor"`` or ``"numpy_array"``, here the same. Default:
                ``"backend_tensor"``.

        Raises:
            ValueError: for another format, or if two variables have one path.

        Example:

        >>> import densekit as keras
        >>> layers = [keras.Input((2,)), keras.layers.Dense(1, name="last")]
        >>> model = keras.Sequential(layers, name="net")
        >>> tree = model.get_state_tree()
        >>> tree["trainable_variables"]["net"]["last"]["bias"].tolist()
        [0.0]
        """
        if value_format not in _FORMATS:
            raise ValueError(
                message(
                    "get_state_tree",
                    f"one of {_FORMATS} as `value_format`",
                    describe(value_format),
                    "Pass one.",
                )
            )
        return {
            kind: nested(((v.path, v.numpy()) for v in self._dk_state(kind)), "get_state_tree")
            for kind in _KINDS
        }

    def set_state_tree(self, state_tree: Mapping[str, Config]) -> None:
        """Assign what `get_state_tree` gave; paths that the model has not are passed over.

        Args:
            state_tree: nested dicts of arrays by kind and path, or a part of them.

        Raises:
            ValueError: for an unknown kind, or a shape that does not fit; nothing is assigned then.
        """
        pairs: list[tuple[Variable, Array]] = []
        for kind, values in state_tree.items():
            if kind not in _KINDS:
                raise ValueError(
                    message("set_state_tree", f"the keys {_KINDS}", describe(kind), "Remove it.")
                )
            given = dict(flat(values))
            pairs += [(v, given[v.path]) for v in self._dk_state(kind) if v.path in given]
        for variable, value in pairs:
            if np.shape(value) != tuple(variable.shape):
                raise ValueError(
                    message(
                        f"set_state_tree: {variable.path!r}",
                        f"shape {tuple(variable.shape)}",
                        f"{np.shape(value)}",
                        "Build the model as the one whose state it is.",
                    )
                )
        for variable, value in pairs:
            variable.assign(value)

    def _dk_state(self, kind: str) -> list[Variable]:
        if kind == "optimizer_variables":
            return [] if self.optimizer is None else list(self.optimizer.variables)
        return list(getattr(self, kind))
