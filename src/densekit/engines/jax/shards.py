"""Values of variables that are cut: each device holds its part, and nobody holds the whole.

They stay on the devices from one call to the next. A variable that somebody reads has its whole
value besides, until the devices are at work again. What a native plan reads and writes is an
exception: it is brought back after each call.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from weakref import ref

import jax
import numpy as np
from jax.sharding import NamedSharding

from densekit._core.engine import Chunk
from densekit._core.errors import message
from densekit._core.moved import MovedVariable, move
from densekit._core.types import Array
from densekit._core.variable import Variable
from densekit.engines.jax.placement import Placement, agreed, present
from densekit.engines.plan_parameters import live_plans


class Shards:
    """The value of a variable on the devices.

    Args:
        name: of the variable.
        value: of JAX; may be given away.
        placement: where it lies.
    """

    def __init__(self, name: str, value: jax.Array, placement: Placement) -> None:
        self._name, self._placement = name, placement
        self.value: jax.Array | None = value

    def read(self) -> Array:
        """The whole value; in a job of several processes all must ask.

        Raises:
            RuntimeError: if it has gone with a run.
        """
        if self.value is None or self.value.is_deleted():
            raise RuntimeError(
                message(
                    f"variable {self._name!r}",
                    "its parts on the devices",
                    "a run that has them, or that failed with them",
                    "Read it between steps, in a callback; after a failure load the latest "
                    "checkpoint.",
                )
            )
        return self._placement.read(self.value, self._name)

    def changed(self) -> None:
        """The variable was written: this is its value no more."""
        self.value = None


def agreed_on_steps(name: str, chunk: Chunk, read: Iterable[Variable]) -> None:
    """Nothing if all processes begin with the same rows and values; see `placement.agreed`. What
    lies on devices they have together.
    """
    sizes = np.array([chunk.rows, chunk.batch_size])
    agreed(name, [sizes, chunk.picks, *(v.snapshot() for v in read if not lies_on_devices(v))])


def lies_on_devices(variable: Variable) -> bool:
    """Whether what devices have of a variable is its value."""
    home = variable.home
    return isinstance(home, Shards) and home.value is not None


def shards_of(variable: Variable, sharding: NamedSharding, placement: Placement) -> jax.Array:
    """A variable's value, cut; from now on it lies on the devices."""
    home = variable.home
    value = home.value if isinstance(home, Shards) else None
    if value is None or value.is_deleted() or value.sharding != sharding:
        whole = variable._value

        def part(at: tuple[slice, ...] | None) -> Array:
            return np.array(whole[at])  # JAX may keep what it is handed

        with jax.enable_x64(True):  # whatever it holds, it is kept
            value = jax.make_array_from_callback(whole.shape, sharding, part)
        home = None
    if home is None or not isinstance(variable, MovedVariable):
        put_shards(variable, value, placement)
    return value


def put_shards(variable: Variable, value: jax.Array, placement: Placement) -> None:
    """Have a variable's value lie on the devices."""
    if type(variable) not in (Variable, MovedVariable) or _held.has(variable):
        variable.array[...] = placement.read(value, variable.path)
    else:
        move(variable, Shards(variable.path, value, placement))


class Stored:
    """Values as checkpoints hold them, each process its parts, in the distribution that is set."""

    def __init__(self) -> None:
        placement = present()
        assert placement is not None
        self._placement = placement

    def of(self, variable: Variable, copied: bool) -> Array | jax.Array:
        """What is written; copied if the variable may be written first."""
        sharding = self._placement.sharding_of(variable)
        if sharding is None:
            return variable.numpy()
        value = shards_of(variable, sharding, self._placement)
        with jax.enable_x64(True):
            return jax.numpy.copy(value) if copied else value

    def asked(self, variable: Variable) -> object:
        """What is to be read: where a variable is cut, each device its part."""
        sharding = self._placement.sharding_of(variable)
        if sharding is None:
            return np.ndarray
        shape: Callable[..., object] = jax.ShapeDtypeStruct
        return shape(variable.shape, variable.numpy_dtype, sharding=sharding)

    def put(self, variable: Variable, value: object) -> None:
        """Assign what was read."""
        if isinstance(value, jax.Array):
            put_shards(variable, value, self._placement)
        else:
            variable.assign(value)


class _Held:
    """Which variables are held by native plans.

    In a job of several processes the answer must be the same in all. Plans are made in step there,
    but when those that are in cycles go is chance: so it is found out anew when one is made, and
    after a collection.
    """

    def __init__(self) -> None:
        self._made = -1
        self._variables: dict[int, ref[Variable]] = {}

    def has(self, variable: Variable) -> bool:
        if live_plans.made != self._made:
            gc.collect()
            self._made = live_plans.made
            self._variables = {id(v): ref(v) for v in live_plans.held()}
        found = self._variables.get(id(variable))
        return found is not None and found() is variable


_held = _Held()
