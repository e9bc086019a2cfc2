"""Devices and processes, as JAX knows them."""

from __future__ import annotations

import atexit
import math
import os
import random
import secrets
import sys
import zlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.seeds import set_random_seed
from densekit._core.types import Array
from densekit.engines.jax.placement import all_processes

_VARIABLES = "KERAS_DISTRIBUTION_"
_HEARTBEAT_S = 15  # after which a process that is silent counts as lost


@export("keras.distribution")
def list_devices(device_type: str | None = None) -> list[str]:
    """The devices of all processes, such as ``"gpu:0"``.

    Args:
        device_type: ``"cpu"``, ``"gpu"`` or ``"tpu"``. Default: the best kind there is.

    Raises:
        RuntimeError: if there are none of that kind.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.list_devices("cpu")
    ['cpu:0']
    """
    kind = device_type.lower() if device_type else None
    return [name_of(device) for device in jax.devices(kind)]


@export("keras.distribution")
def get_device_count(device_type: str | None = None) -> int:
    """How many devices there are: see `list_devices`.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.get_device_count("cpu")
    1
    """
    return len(list_devices(device_type))


@export("keras.distribution")
def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Join the processes of a job; called in each of them, before anything is computed.

    Args:
        job_addresses: ``"host:port"`` of process 0; others after commas are not needed. Default:
            environment ``KERAS_DISTRIBUTION_JOB_ADDRESSES``, else what the cluster tells JAX.
        num_processes: how many. Default: ``KERAS_DISTRIBUTION_NUM_PROCESSES``, as above.
        process_id: which one this is, from 0. Default: ``KERAS_DISTRIBUTION_PROCESS_ID``, as above.

    Raises:
        ValueError: for several addresses that are not as many as there are processes.
        RuntimeError: if something was computed before, or process 0 cannot be reached.
    """
    job_addresses = job_addresses or os.environ.get(f"{_VARIABLES}JOB_ADDRESSES")
    num_processes = _number(num_processes, "NUM_PROCESSES")
    process_id = _number(process_id, "PROCESS_ID")
    addresses = job_addresses.split(",") if job_addresses else []
    if len(addresses) > 1 and num_processes not in (None, len(addresses)):
        raise ValueError(
            message(
                "initialize",
                f"one address, or {num_processes}",
                f"{job_addresses!r}",
                "Pass that of process 0.",
            )
        )
    configure: Callable[[str, str], None] = jax.config.update
    configure("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=addresses[0] if addresses else None,
        num_processes=num_processes,
        process_id=process_id,
        heartbeat_timeout_seconds=_HEARTBEAT_S,
    )
    _agree_on_seeds()
    atexit.register(_leave_at_once_after_an_error)  # before JAX waits for all others


def name_of(device: jax.Device) -> str:
    """Kind and number of a device of JAX."""
    return f"{device.platform}:{device.id}"


def mesh_of(devices: Array, axis_names: tuple[str, ...]) -> Mesh:
    """The mesh of JAX for an array of names of devices.

    Raises:
        ValueError: if there is no such device.
    """
    kinds = {name.partition(":")[0] for name in devices.flat}
    known = {name_of(device): device for kind in kinds for device in jax.devices(kind)}
    unknown = [name for name in devices.flat if name not in known]
    if unknown:
        raise ValueError(
            message(
                "DeviceMesh",
                f"devices among {list(known)}",
                describe(unknown[0]),
                "Pass one of them.",
            )
        )
    found = np.empty(devices.shape, object)
    for index, name in np.ndenumerate(devices):
        found[index] = known[name]
    return Mesh(found, axis_names)


def processes() -> tuple[int, int]:
    """How many processes there are, and which one this is."""
    return jax.process_count(), jax.process_index()


def gathered(arrays: Sequence[Array]) -> list[list[Array]]:
    """Each array as the processes have it, in their order; the first axis may differ."""
    packed = b"".join(array.tobytes() for array in arrays)
    with all_processes("data"):
        lengths = np.array([len(packed), *map(len, arrays)], np.uint32)
        counts = np.reshape(multihost_utils.process_allgather(lengths), (-1, len(lengths)))
        room = 1 << int(counts[:, 0].max()).bit_length()  # few sizes are compiled
        mine = np.zeros(room, np.uint8)
        mine[: len(packed)] = np.frombuffer(packed, np.uint8)
        found = np.reshape(multihost_utils.process_allgather(mine), (-1, room))
    made: list[list[Array]] = [[] for _ in arrays]
    for part, (_, *rows) in zip(found, counts, strict=True):
        start = 0
        for array, n, parts in zip(arrays, rows, made, strict=True):
            shape = int(n), *array.shape[1:]
            stop = start + math.prod(shape) * array.itemsize
            parts.append(np.frombuffer(part[start:stop].tobytes(), array.dtype).reshape(shape))
            start = stop
    return made


def _agree_on_seeds() -> None:
    """Unless all were seeded alike, go on from a seed of process 0: weights and orders are drawn in
    each process, and must be the same.
    """
    state = zlib.crc32(repr(random.getstate()).encode())
    mine = np.array([state, secrets.randbits(31)], np.uint32)
    with all_processes("initialize"):
        found = multihost_utils.process_allgather(mine)
    if (found[:, 0] != state).any():
        set_random_seed(int(found[0, 1]))


def _leave_at_once_after_an_error() -> None:
    """Let the other processes notice: they wait for this one, and it would wait for them."""
    if getattr(sys, "last_value", None) is None or hasattr(sys, "ps1"):
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)


def _number(given: int | None, name: str) -> int | None:
    if given is not None:
        return given
    found = os.environ.get(f"{_VARIABLES}{name}")
    return int(found) if found else None
