"""Draws of one sample a row while a call is followed: the number of rows is open then."""

from __future__ import annotations

from typing import Any, ClassVar

from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import message
from densekit._core.seeds import SeedGenerator
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._symbolic import Node, Operation, recorded_nodes


class RowDraw(Operation):
    """What draws for each row of a batch whose size is open.

    Args:
        seed: the generator.
    """

    def __init__(self, seed: SeedGenerator) -> None:
        super().__init__()
        self.seed_generator = seed

    def says(self) -> tuple[object, ...]:
        """What it does, to be compared."""
        raise NotImplementedError


class NormalDraw(RowDraw):
    """Normal values, new ones at each step, as a node without inputs.

    Args:
        shape: of one sample.
        mean: the mean.
        stddev: the standard deviation.
        seed: the generator.
    """

    draws: ClassVar[bool] = True

    def __init__(
        self, shape: tuple[int, ...], mean: float, stddev: float, seed: SeedGenerator
    ) -> None:
        super().__init__(seed)
        self.sample_shape = shape
        self.mean = mean
        self.stddev = stddev

    def says(self) -> tuple[object, ...]:
        """What it draws, to be compared."""
        return self.sample_shape, self.mean, self.stddev, id(self.seed_generator)


class DropoutDraw(RowDraw):
    """`random.dropout` of a tensor, a new mask at each step.

    Args:
        rate: share of zeros.
        seed: the generator.
    """

    def __init__(self, rate: float, seed: SeedGenerator) -> None:
        super().__init__(seed)
        self.rate = rate

    def says(self) -> tuple[object, ...]:
        """What it does, to be compared."""
        return self.rate, id(self.seed_generator)


def dropout_of_rows(x: KerasTensor, rate: float, seed: object, own_shape: bool) -> KerasTensor:
    """A symbolic tensor like `x`; while a call is followed, with the node that made it.

    Args:
        own_shape: whether the mask is of another shape than `x`.
    """
    y = KerasTensor(x.shape, x.dtype)
    plain = 0 < rate < 1 and not own_shape and "float" in x.dtype and x.shape[:1] == (None,)
    if recorded_nodes.get() is not None and isinstance(seed, SeedGenerator) and plain:
        Node(DropoutDraw(float(rate), seed), (x,), {}, y)
    return y


def normal_of_rows(
    shape: tuple[Any, ...], mean: Any, stddev: Any, dtype: object, seed: object
) -> Any:
    """A symbolic tensor of normal values whose first axis is the batch.

    Raises:
        ValueError: unless a call is being followed, and a `SeedGenerator` says which values.
    """
    followed = recorded_nodes.get() is not None and shape[0] is None and None not in shape[1:]
    numbers = isinstance(mean, int | float) and isinstance(stddev, int | float)
    if not (followed and numbers and isinstance(seed, SeedGenerator)):
        raise ValueError(
            message(
                "normal",
                "a shape of integers",
                f"{shape}",
                "In a `call` take it from `ops.shape`, and draw with a SeedGenerator.",
            )
        )
    draw = NormalDraw(tuple(map(int, shape[1:])), float(mean), float(stddev), seed)
    values = KerasTensor(shape, dtype=standardize_dtype(dtype))
    Node(draw, (), {}, values)
    return values
