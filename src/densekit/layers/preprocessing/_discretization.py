"""`Discretization`: numbers to the index of the bin they fall in."""

from __future__ import annotations

from itertools import islice
from typing import Any, Self

import numpy as np

from densekit import ops
from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, PartialShape, Store, TensorLike
from densekit.layers.preprocessing import _quantiles as quantiles
from densekit.layers.preprocessing._base import Preprocessing, as_array, batches
from densekit.layers.preprocessing._encoding import (
    checked_mode,
    encoded,
    encoded_shape,
)
from densekit.ops._core_ops import refuse_sparse
from densekit.ops._keras_tensor import KerasTensor


@export("keras.layers")
class Discretization(Preprocessing):
    """Sorts numbers into bins: bin i holds ``bin_boundaries[i - 1] <= x < bin_boundaries[i]``.

    Args:
        bin_boundaries: ascending numbers; n of them make n + 1 bins. Default: none, `adapt` finds
            them.
        num_bins: how many bins of about equal size `adapt` makes. Default: none.
        epsilon: error of the quantiles that `adapt` allows, as a share of the data. Default:
            ``0.01``.
        output_mode: "int", the index of the bin; "one_hot", "multi_hot" or "count" as in
            `CategoryEncoding`. Default: ``"int"``.
        sparse: must be False. Default: ``False``.
        dtype: of the output but indices, which are int32. Default: `floatx`.
        name: name of the layer. Default: numbered after the class.

    Raises:
        ValueError: unless one of `bin_boundaries` and `num_bins` is given; when called before the
            boundaries are known.

    Example:

    >>> import densekit as keras
    >>> keras.layers.Discretization([0.0, 1.0])([[-1.5, 0.0, 3.4]]).tolist()
    [[0, 1, 2]]
    """

    def __init__(
        self,
        bin_boundaries: object = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: object = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.sparse = refuse_sparse("Discretization", sparse)
        modes = ("int", "one_hot", "multi_hot", "count")
        self.output_mode = checked_mode("Discretization", output_mode, modes)
        if (num_bins is None) == (bin_boundaries is None) or (
            num_bins is not None and num_bins < 0
        ):
            raise ValueError(
                message(
                    "Discretization",
                    "one of `bin_boundaries` and `num_bins`, an integer >= 0",
                    f"bin_boundaries={bin_boundaries} and num_bins={num_bins}",
                    "Pass `num_bins` if `adapt` is to find the boundaries.",
                )
            )
        self.bin_boundaries = None if bin_boundaries is None else _numbers(bin_boundaries)
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.summary = quantiles.empty()

    @property
    def output_dtype(self) -> str:
        """Type of the output: int32 for indices."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def adapt(self, data: object, steps: int | None = None) -> None:
        """Find the boundaries: quantiles of `data`, an array, a table or an iterable of batches.

        Args:
            data: numbers; all are taken as one column.
            steps: how many batches to look at. Default: all.

        Raises:
            ValueError: if the boundaries were given.
        """
        if self.num_bins is None:
            raise ValueError(
                message(
                    f"Discretization {self.name!r}.adapt",
                    "a layer made with `num_bins`",
                    "one whose `bin_boundaries` were given",
                    "Leave out one of the two.",
                )
            )
        summary = quantiles.empty()
        for batch in islice(batches(data, type(self).__name__), steps):
            new = quantiles.summarized(batch, self.epsilon)
            summary = quantiles.merged(new, summary, self.epsilon)
        self.summary = summary
        self.finalize_state()

    def update_state(self, data: object) -> None:
        """Look at one batch more; `finalize_state` makes the boundaries."""
        summary = quantiles.summarized(as_array(data), self.epsilon)
        self.summary = quantiles.merged(summary, self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Make the boundaries from what was looked at."""
        if self.num_bins is not None:
            self.bin_boundaries = quantiles.boundaries(self.summary, self.num_bins)

    def reset_state(self) -> None:
        """Forget what was looked at."""
        if self.num_bins is not None:
            self.summary = quantiles.empty()

    def call(self, inputs: TensorLike) -> TensorLike:
        """The bins, as `output_mode` says."""
        if self.bin_boundaries is None:
            raise ValueError(
                message(
                    f"Discretization {self.name!r}",
                    "`bin_boundaries`, or a call of `adapt` first",
                    "none",
                    "Call `adapt(data)`.",
                )
            )
        dtype = settings.floatx()
        values = ops.cast(ops.convert_to_tensor(as_array(inputs)), dtype)
        found = ops.digitize(values, np.asarray(self.bin_boundaries, dtype))
        depth = len(self.bin_boundaries) + 1
        return encoded(found, self.output_mode, depth, self.output_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> PartialShape:
        """The shape of the encoded bins."""
        known = self.bin_boundaries is not None
        depth = len(self.bin_boundaries) + 1 if known else self.num_bins  # type: ignore[arg-type]
        return encoded_shape(input_shape, self.output_mode, depth)

    def compute_output_spec(self, inputs: TensorLike) -> KerasTensor:
        """The encoded bins, of the output dtype."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.output_dtype)

    def load_own_variables(self, store: Store) -> None:
        """Boundaries are in the config; old files carry a summary."""
        if len(store.keys()) == 1:
            self.summary = np.asarray(store["0"], np.float32)

    def get_config(self) -> Config:
        """The constructor's arguments, or the boundaries that `adapt` found."""
        return {
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.dtype_policy.name,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> Self:
        """Create from `get_config`; `custom_objects` is of no use to it."""
        if config.get("num_bins") is None:
            return cls(**config)
        layer = cls(**{**config, "bin_boundaries": None})
        layer.bin_boundaries = config.get("bin_boundaries")
        return layer


def _numbers(boundaries: Any) -> list[float]:
    if isinstance(boundaries, list | tuple) or hasattr(boundaries, "__array__"):
        return [float(x) for x in boundaries]
    raise TypeError(
        message("Discretization", "`bin_boundaries`, a list", describe(boundaries), "Pass a list.")
    )
