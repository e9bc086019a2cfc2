"""A number made of whole arrays, as a native program: all of them are one row of a plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core.types import Array
from densekit.engines import native
from densekit.engines.fusing import fused
from densekit.engines.masked import without_unused
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.weight_formulas import WeightFormulas

READ_BESIDE_FLOATS = ("bool", "int32", "int64")  # types of arrays


class OneRow:
    """Runs formulas of arrays.

    Args:
        formulas: what they were lowered to; its inputs are the arrays, in order.
        value: what they end in.

    Raises:
        NotLowerable: if the value is not one number in the type of the plan.
    """

    def __init__(self, formulas: WeightFormulas, value: Handle) -> None:
        builder = formulas.builder
        if value.sample_shape or value.dtype != builder.dtype:
            raise NotLowerable("its value is not one number")
        builder.outputs = [value]
        builder.ops = fused(without_unused(builder.ops, {value.value}), {value.value})
        self._read = [variable for variable, _ in formulas.sources]  # after the arrays
        self._one = [np.ones((1, 1), builder.dtype)]
        self._plan = native.NativeEngine(builder, penalties=False).plan

    def value(self, arrays: Sequence[Array]) -> float:
        """The number."""
        room = np.empty_like(self._one[0])
        self._plan.predict(self._rows(arrays), 1, [room])
        return float(room[0, 0])

    def with_slopes(self, arrays: Sequence[Array]) -> tuple[float, list[Array]]:
        """The number, and its slopes by each array, as flat rows."""
        (total,), slopes = self._plan.sum_rows(self._rows(arrays), self._one)
        return total, slopes

    def _rows(self, arrays: Sequence[Array]) -> list[Array]:
        read = (np.asarray(variable.value) for variable in self._read)
        return [x[np.newaxis] for x in (*arrays, *read)]
