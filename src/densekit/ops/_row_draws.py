"""Draws of one sample a row while a call is followed: the number of rows is open then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from densekit._core.dtypes import standardize_dtype
from densekit._core.errors import message
from densekit._core.seeds import SeedGenerator
from densekit._core.types import DTypeLike, PartialShape
from densekit.ops._keras_tensor import KerasTensor
from densekit.ops._symbolic import Node, Operation, recorded_nodes


class RowDraw(Operation):
    """What draws for each row of a batch whose size is open.

    Args:
        seed: the generator, or a number: the same draws each time. None: a seed for each time.
    """

    def __init__(self, seed: SeedGenerator | int | None) -> None:
        super().__init__()
        self.seed_generator = seed

    @property
    def seed_name(self) -> int:
        """The seed, to be compared."""
        seed = self.seed_generator
        return seed if isinstance(seed, int) else id(seed)

    def says(self) -> tuple[object, ...]:
        """What it does, to be compared."""
        raise NotImplementedError


class FreeDraw(RowDraw):
    """Values of a distribution, new ones at each step, as a node without inputs.

    Args:
        distribution: ``"normal"``, with mean and deviation, ``"uniform"``, with both ends, or
            ``"constant"``, with a number twice.
        shape: of one sample.
        numbers: what the distribution is told.
        seed: of `RowDraw`.
    """

    is_source: ClassVar[bool] = True

    def __init__(
        self,
        distribution: str,
        shape: tuple[int, ...],
        numbers: tuple[float, float],
        seed: SeedGenerator | int | None,
    ) -> None:
        super().__init__(seed)
        self.distribution = distribution
        self.sample_shape = shape
        self.numbers = numbers

    def says(self) -> tuple[object, ...]:
        """What it draws, to be compared."""
        return self.distribution, self.sample_shape, self.numbers, self.seed_name


class DropoutDraw(RowDraw):
    """`random.dropout` of a tensor, a new mask at each step.

    Args:
        rate: share of zeros.
        seed: of `RowDraw`.
        noise_shape: sizes of the mask behind the batch, None for those of the tensor.
    """

    def __init__(
        self, rate: float, seed: SeedGenerator | int | None, noise_shape: PartialShape | None = None
    ) -> None:
        super().__init__(seed)
        self.rate = rate
        self.noise_shape = noise_shape

    def says(self) -> tuple[object, ...]:
        """What it does, to be compared."""
        return self.rate, self.noise_shape, self.seed_name


def dropout_of_rows(
    x: KerasTensor, rate: float, seed: object, noise_shape: Sequence[int | None] | None
) -> KerasTensor:
    """A symbolic tensor like `x`; while a call is followed, with the node that made it."""
    y = KerasTensor(x.shape, x.dtype)
    plain = 0 < rate < 1 and "float" in x.dtype and x.shape[:1] == (None,)
    sizes: PartialShape | None = None
    if noise_shape is not None and plain:
        plain = len(noise_shape) == len(x.shape) and noise_shape[0] is None
        sizes = tuple(noise_shape)[1:]
    if recorded_nodes.get() is not None and isinstance(seed, SeedGenerator | int | None) and plain:
        Node(DropoutDraw(float(rate), seed, sizes), (x,), {}, y)
    return y


def values_of_rows(
    distribution: str,
    shape: tuple[int | None, ...],
    numbers: tuple[object, object],
    dtype: DTypeLike,
    seed: object,
) -> KerasTensor:
    """A symbolic tensor of random values whose first axis is the batch.

    Raises:
        ValueError: unless a call is being followed.
    """
    first, second = numbers
    sizes = tuple(int(n) for n in shape[1:] if n is not None)
    followed = recorded_nodes.get() is not None and shape[0] is None and None not in shape[1:]
    plain = isinstance(first, int | float) and isinstance(second, int | float)
    if not (followed and plain and isinstance(seed, SeedGenerator | int | None)):
        raise ValueError(
            message(
                distribution,
                "a shape of integers",
                f"{shape}",
                "In a `call` take it from `ops.shape`.",
            )
        )
    assert isinstance(first, int | float) and isinstance(second, int | float)
    draw = FreeDraw(distribution, sizes, (float(first), float(second)), seed)
    values = KerasTensor(shape, dtype=standardize_dtype(dtype))
    Node(draw, (), {}, values)
    return values
