"""Classes of Keras 2 that Keras 3 has no more, for scripts of that time."""

from __future__ import annotations

from densekit.layers import ReLU


class ThresholdedReLU(ReLU):
    """x where it is above `theta`, else 0."""

    def __init__(self, theta: float = 1.0, name: str | None = None, dtype: object = None) -> None:
        super().__init__(threshold=theta, name=name, dtype=dtype)

    def get_config(self) -> dict[str, object]:
        """What makes the layer anew."""
        return {"theta": self.threshold, "name": self.name, "dtype": self.dtype}


class Reduction:
    """How losses are reduced, by the names of Keras 2."""

    AUTO = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
