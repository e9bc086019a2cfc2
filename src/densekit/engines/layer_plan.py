"""The part of a plan builder with ops of whole layers: normalization, int8, embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from densekit._core import settings
from densekit._core.variable import Variable
from densekit.engines.array_plan import ArrayPlan
from densekit.engines.plan_op import ByDefinition, Handle, NotLowerable

_MOST_SUMMED = (1 << 31) // (127 * 128)  # products of int8 whose sum 32 bits hold


class LayerPlan(ArrayPlan):
    """Methods of `PlanBuilder` that write ops along some axes of a value."""

    def activation(self, x: Handle, function: Any) -> Handle:
        """``function(x)``."""
        raise NotImplementedError

    def activation_along(self, x: Handle, axes: Sequence[int], function: Any) -> Handle:
        """A formula of rows along `axes` instead of the last one."""
        return self._last_axes(
            x,
            axes,
            lambda rows, width: self.reshape(
                self.activation(self.reshape(rows, (rows.size // width, width)), function),
                rows.sample_shape,
            ),
        )

    def normalization(
        self,
        kind: str,
        x: Handle,
        axes: Sequence[int],
        epsilon: float,
        gamma: Variable | None = None,
        beta: Variable | None = None,
    ) -> Handle:
        """Normalize along `axes`, which count the batch axis as 0: "layer", "rms" or "unit"."""
        return self._last_axes(
            x,
            axes,
            lambda rows, width: self.op(
                "normalization",
                [rows],
                rows.sample_shape,
                [v for v in (gamma, beta) if v is not None],
                normalization=kind,
                width=width,
                gamma=-1 if gamma is None else 0,
                beta=-1 if beta is None else int(gamma is not None),
                epsilon=float(epsilon),
            ),
        )

    def batch_normalization(
        self,
        x: Handle,
        axis: int,
        epsilon: float,
        momentum: float,
        mean: Variable,
        variance: Variable,
        gamma: Variable | None,
        beta: Variable | None,
        by_batch: bool,
        mask: Handle | None = None,
    ) -> Handle:
        """Normalize each entry of `axis` by the batch, or by the moving mean and variance."""
        if mask is not None:
            last = axis % len(x.shape) == len(x.shape) - 1
            if not last or mask.sample_shape != x.sample_shape[:-1]:
                raise NotLowerable("its mask is not of the positions before the last axis")
        own = [v for v in (gamma, beta) if v is not None]
        return self._last_axes(
            x,
            [axis],
            lambda rows, width: self.op(
                "batch_normalization",
                [rows] if mask is None else [rows, mask],
                rows.sample_shape,
                [*own, mean, variance],
                [mean, variance] if by_batch else [],
                width=width,
                by_batch=int(by_batch),
                gamma=-1 if gamma is None else 0,
                beta=-1 if beta is None else int(gamma is not None),
                mean=len(own),
                variance=len(own) + 1,
                epsilon=float(epsilon),
                momentum=float(momentum),
                count_epsilon=float(settings.epsilon()),  # added to the positions that count
            ),
        )

    def dense_int8(
        self,
        x: Handle,
        kernel: Any,
        scale: Any,
        bias: Variable | None,
        quantizer: Any,
    ) -> Handle:
        """``x`` quantized row by row times `kernel`, over the scales of row and unit."""
        features, units = kernel.shape
        if self.dtype != "float32" or self.precision:
            raise NotLowerable("its product of int8 is of float32 inputs")
        if not x.sample_shape or x.shape[-1] != features:
            raise NotLowerable(f"its last axis is not of {features} features")
        if features > _MOST_SUMMED:
            raise NotLowerable("its sums may go beyond 32 bits")
        low, high = quantizer.value_range
        return self.op(
            "dense_int8",
            [x],
            (*x.sample_shape[:-1], units),
            [] if bias is None else [bias],
            kernel=np.ascontiguousarray(kernel, np.int8),
            scale=np.asarray(scale, np.float64).reshape(-1).tolist(),
            epsilon=float(quantizer.epsilon),
            low=float(low),
            high=float(high),
            bias=-1 if bias is None else 0,
            in_features=features,
            out_features=units,
        )

    def not_native(self, reason: str) -> Handle:
        """Refuse: what a layer's `lower` calls for arguments that have no native form."""
        raise NotLowerable(reason)

    def by_definition(self) -> Handle:
        """Have the layer's `call` followed, op by op."""
        raise ByDefinition("its `call` says it")

    def embedding(self, x: Handle, table: Variable) -> Handle:
        """Rows of `table`, picked by the whole numbers of `x`."""
        if not self._tells_apart([table.shape[0]]):
            raise NotLowerable(f"its numbers go beyond those to which {self.dtype} is exact")
        shape = (*x.sample_shape, table.shape[1])
        return self.op("embedding", [x], shape, [table], reads_integers=True)

    def _last_axes(
        self, x: Handle, axes: Sequence[int], make: Callable[[Handle, int], Handle]
    ) -> Handle:
        """`make(x, width)` with the chosen axes last, brought back to their places."""
        rank = len(x.shape)
        chosen = sorted(axis % rank for axis in axes)
        if 0 in chosen:
            raise NotLowerable("it normalizes over the batch axis")
        width = math.prod(x.shape[axis] for axis in chosen)  # type: ignore[misc]
        if width == 0:
            raise NotLowerable("it has an axis of size 0")
        order = [axis for axis in range(1, rank) if axis not in chosen] + chosen
        if order == list(range(1, rank)):
            return make(x, width)
        y = make(self.transpose(x, order), width)
        return self.transpose(y, [order.index(axis) + 1 for axis in range(1, rank)])
