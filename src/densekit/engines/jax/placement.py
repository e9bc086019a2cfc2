"""`Placement`: on which devices batches and values lie, as a distribution says."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import jax
import numpy as np
import numpy.typing as npt
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from densekit._core import settings
from densekit._core.errors import message
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.in_step import announce, meet

Part: TypeAlias = tuple[slice, ...] | None  # of an array; None: the whole

_STATUS = re.compile(r"[A-Z_]+: ")  # how errors of the runtime begin, such as "UNAVAILABLE: "


class Layout(Protocol):
    """How a tensor is cut."""

    @property
    def axes(self) -> tuple[str | None, ...]:
        """For each axis that of the mesh along which it is shared out; None: along none."""


class DeviceMesh(Protocol):
    """Devices in rows and columns."""

    @property
    def backend_mesh(self) -> Mesh:
        """The mesh of JAX."""


class Distribution(Protocol):
    """What `distribution.set_distribution` is given."""

    @property
    def device_mesh(self) -> DeviceMesh:
        """The devices."""

    @property
    def has_whole_data(self) -> bool:
        """Whether each process is handed all rows."""

    @property
    def batch_dim_name(self) -> str | None:
        """The axis of the mesh along which rows are shared out."""

    def get_variable_layout(self, variable: Variable) -> Layout:
        """How a variable is cut."""

    def check_paths(self, paths: Sequence[str]) -> None:
        """Warn if nothing that it says is of these variables."""


class Placement:
    """The devices of a distribution, for one engine. Every process is given the whole data, of
    which it reads the rows of its own devices.
    """

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution
        self._mesh: Mesh = distribution.device_mesh.backend_mesh
        self._batch = distribution.batch_dim_name
        self.parts = self._mesh.shape[self._batch] if self._batch else 1
        self.whole = self._sharding(())
        self._gathered = jax.jit(lambda value: value, out_shardings=self.whole)

    def fitting(self, rows: int) -> int:
        """The least number of rows, `rows` or more, that can be shared out evenly."""
        return -(-rows // self.parts) * self.parts

    def begin(self, what: str) -> None:
        """Tell the other processes of the job what all do together now."""
        announce(what)

    def copies(self, arrays: Sequence[Array | jax.Array]) -> list[jax.Array]:
        """The same on every device."""
        return [
            a
            if isinstance(a, jax.Array)
            else jax.make_array_from_callback(a.shape, self.whole, a.__getitem__)
            for a in arrays
        ]

    def shared(self, shape: tuple[int, ...], axis: int, read: Callable[[Part], Array]) -> jax.Array:
        """Rows along an axis shared out over devices, if they can be.

        Args:
            read: gives the part of the array at some slices: asked for those of this process.
        """
        even = shape[axis] % self.parts == 0
        axes = [*[None] * axis, self._batch] if even else []
        return jax.make_array_from_callback(shape, self._sharding(axes), read)

    def cut(self, variable: Variable, value: jax.Array) -> jax.Array:
        """A traced value of a variable, shared out as its layout says."""
        sharding = self.sharding_of(variable)
        if sharding is None:
            return value
        constrain: Callable[..., jax.Array] = jax.lax.with_sharding_constraint
        return constrain(value, sharding)

    def read(self, value: jax.Array, name: str) -> Array:
        """The whole of an array; in a job of several processes all must ask.

        Args:
            name: of its variable.

        Raises:
            RuntimeError: if another process goes on to something else.
        """
        with all_processes(name):
            if not (value.is_fully_addressable or value.is_fully_replicated):
                meet(f"variable {name!r}", f"read {name!r}")
                value = self._gathered(value)
            return np.asarray(value)

    def sharding_of(self, variable: Variable) -> NamedSharding | None:
        """The sharding of a variable, None if it is kept whole. State of an optimizer that belongs
        to a weight lies as the weight does.
        """
        owner = variable if variable.reference is None else variable.reference
        axes = self.distribution.get_variable_layout(owner).axes
        if not any(axes):
            return None
        for size, axis in zip(owner.shape, axes, strict=False):
            if axis is not None and size % self._mesh.shape[axis]:
                raise ValueError(
                    message(
                        f"layout {axes} of {owner.path!r}",
                        f"sizes that {self._mesh.shape[axis]} devices along {axis!r} share evenly",
                        f"shape {owner.shape}",
                        "Change the layout, the mesh or the layer's size.",
                    )
                )
        return self._sharding(axes)

    def _sharding(self, axes: Sequence[str | None]) -> NamedSharding:
        spec: Callable[..., PartitionSpec] = PartitionSpec
        return NamedSharding(self._mesh, spec(*axes))


def present() -> Placement | None:
    """The placement of the distribution that is set, if any."""
    distribution: Distribution | None = settings.get("distribution")
    return None if distribution is None else Placement(distribution)


@contextmanager
def all_processes(name: str) -> Iterator[None]:
    """Inside, what goes wrong in a job of several processes says what to do.

    Raises:
        RuntimeError: if JAX raises one, most likely because another process has ended.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError, TimeoutError) as error:
        # What fails when a call is made, not when its result is read, is a ValueError. Orbax waits
        # for others with a limit.
        is_told = isinstance(error, TimeoutError) or _STATUS.match(str(error))
        if jax.process_count() == 1 or not is_told:
            raise
        raise RuntimeError(
            message(
                name,
                f"all {jax.process_count()} processes of the job to take part",
                str(error).split("\n", 1)[0],
                "See what another process wrote last, and start the job again from its last "
                "checkpoint.",
            )
        ) from error


def agreed(name: str, arrays: Iterable[Array]) -> None:
    """Nothing if all processes of the job have the same numbers, as they must.

    Raises:
        ValueError: if they have not, in each of them.
    """
    if jax.process_count() == 1:
        return
    mine = 0
    for array in arrays:
        mine = zlib.crc32(array.tobytes(), mine)
    found = multihost_utils.process_allgather(np.array(mine, np.uint32))
    others = [int(process) for process in np.flatnonzero(found != found[0])]
    if others:
        raise ValueError(
            message(
                name,
                "the same weights and the same order of rows in every process",
                f"others in process 0 than in {others}",
                "Run the same code on the same data in all; call `distribution.initialize` first, "
                "and `utils.set_random_seed` after it.",
            )
        )


def rows_at(column: Array, picks: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> Array:
    """The picked rows of a column, in the shape of the picks."""
    flat = picks.ravel()
    taken = column.take(flat, axis=0) if column.flags.c_contiguous else column[flat]
    return taken.astype(dtype, copy=False).reshape(*picks.shape, *column.shape[1:])
