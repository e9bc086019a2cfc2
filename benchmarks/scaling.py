"""What a training step of a stack of Dense layers costs on many devices: predicted and measured.

    python benchmarks/scaling.py            measure here, on virtual devices and in two processes
    python benchmarks/scaling.py --draw     draw docs/images/scaling.svg

The formulas are those of docs/scaling.md. What a machine can do is measured with one device and
with sums alone; the steps that are predicted from it are others.
"""

from __future__ import annotations

import argparse
import bisect
import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

FLOAT = 4  # bytes
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "scaling.svg"


class Device(NamedTuple):
    """What one of several devices can do, alone.

    Attributes:
        flops: floating-point operations a second, of products of matrices.
        memory: bytes a second between it and its memory.
        link: bytes a second to and from others, each way.
        latency: seconds until a message begins to arrive.
        overhead: seconds of a step that depend on no size.
        rings: whether messages of a sum go round a ring; else they go up and down a tree.
        combines: whether the gradients of a step are summed together; else array by array.
        shared: how many devices have the power of one: more share it.
    """

    flops: float
    memory: float
    link: float
    latency: float
    overhead: float = 0.0
    rings: bool = True
    combines: bool = False
    shared: float = math.inf


class Stack(NamedTuple):
    """Dense layers of one width.

    Attributes:
        width: units of each, and inputs.
        layers: how many.
        batch: rows of a step, on all devices together.
        slots: arrays that the optimizer keeps for a weight: SGD 0, Adam 2.
    """

    width: int
    layers: int
    batch: int
    slots: int = 0

    @property
    def weights(self) -> int:
        """How many numbers they hold, biases aside."""
        return self.layers * self.width**2


def all_reduce(device: Device, devices: int, size: float, arrays: int = 1) -> float:
    """Seconds until each device has the sums of arrays with `size` bytes together."""
    if devices == 1:
        return 0.0
    hops = 2 * (devices - 1) if device.rings else 2 * math.ceil(math.log2(devices))
    return arrays * hops * device.latency + 2 * (devices - 1) / devices * size / device.link


def data_parallel(device: Device, stack: Stack, devices: int) -> float:
    """Seconds of a step: rows shared out, gradients summed, weights updated on each device."""
    share = max(1.0, devices / device.shared)  # of the time, as devices wait for each other
    products = 6 * stack.batch * stack.weights / devices / device.flops
    update = (3 + 2 * stack.slots) * FLOAT * stack.weights / device.memory
    arrays = 1 if device.combines else 2 * stack.layers + 1  # kernels, biases, the loss
    sums = all_reduce(device, devices, FLOAT * stack.weights, arrays)
    return device.overhead + share * (products + update) + sums


def tensor_parallel(device: Device, stack: Stack, devices: int) -> float:
    """Seconds of a step: kernels cut by columns and by rows in turn, activations summed.

    A sum after each second layer forward, and as many less one on the way back.
    """
    share = max(1.0, devices / device.shared)
    products = 6 * stack.batch * stack.weights / devices / device.flops
    update = (3 + 2 * stack.slots) * FLOAT * stack.weights / devices / device.memory
    sums = (stack.layers - 1) * all_reduce(device, devices, FLOAT * stack.batch * stack.width)
    return device.overhead + share * (products + update) + sums


def bytes_held(stack: Stack, devices: int, tensor: bool) -> float:
    """Bytes on each device: weights, gradients, slots, and what layers give, kept to go back."""
    held = (2 + stack.slots) * FLOAT * stack.weights
    given = FLOAT * stack.batch * stack.width
    if not tensor:
        return held + (stack.layers + 1) * given / devices
    whole = 1 + stack.layers / 2  # inputs, and what each second layer gives
    return held / devices + given * (whole + stack.layers / 2 / devices)


# NVIDIA H100 SXM by its data sheet: 989 Tflop/s dense in bfloat16, of which products are taken to
# reach half, 3.35 TB/s of memory, NVLink with 450 GB/s each way among 8; beyond them 400 Gbit/s for
# each, InfiniBand NDR. Latency and overhead are assumed: 5 and 20 us.
CLUSTER = Device(0.5 * 989e12, 3.35e12, 50e9, 5e-6, 20e-6, rings=False, combines=True)
MACHINE = CLUSTER._replace(link=450e9)


def break_even(device: Device, stack: Stack, devices: int, tensor: bool) -> int:
    """The least batch (data-parallel) or width (tensor-parallel) that is faster than one device."""
    seconds = tensor_parallel if tensor else data_parallel
    most = 1 << 30

    def is_faster(size: int) -> bool:
        tried = stack._replace(width=size) if tensor else stack._replace(batch=size)
        return seconds(device, tried, devices) < data_parallel(device, tried, 1)

    return 1 + bisect.bisect_left(range(1, most), True, key=is_faster)


# Measured in processes of their own: JAX decides on its devices when it is first used.


def steps_of(stack: Stack, kind: str, devices: int) -> float:
    """Seconds of a step of `fit`, the least of some epochs, over the first devices of JAX."""
    import numpy as np

    import densekit as keras
    from densekit import distribution as parallel

    names = parallel.list_devices()[:devices]
    if kind == "tensor":
        mesh = parallel.DeviceMesh((1, devices), ("batch", "model"), names)
        layouts = parallel.LayoutMap(mesh)
        layouts[r".*column\d+/kernel"], layouts[r".*column\d+/bias"] = (None, "model"), ("model",)
        layouts[r".*row\d+/kernel"] = ("model", None)
        how: Any = parallel.ModelParallel(layout_map=layouts)
    else:
        how = parallel.DataParallel(devices=names)
    parallel.set_distribution(how)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((stack.width,))])
    for i in range(stack.layers):
        name = f"{'row' if i % 2 else 'column'}{i}"
        model.add(keras.layers.Dense(stack.width, "relu", name=name))
    model.compile(keras.optimizers.SGD(1e-3), "mse", engine="jax")
    x = np.random.default_rng(0).normal(size=(stack.batch, stack.width)).astype("float32")
    times = {}
    for steps in (2, 10):  # what an epoch costs beside its steps is in both
        rows = np.tile(x, (steps, 1))
        laps = []
        for lap in range(7):
            start = time.perf_counter()
            model.fit(rows, rows, stack.batch, 1, verbose=0, shuffle=False)
            if lap:
                laps.append(time.perf_counter() - start)
        times[steps] = min(laps)
    return (times[10] - times[2]) / 8


def sum_of(size: int, devices: int) -> float:
    """Seconds of an all-reduce of so many bytes."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(jax.devices()[:devices]), ("d",))
    shape, cut = (devices, size // FLOAT), NamedSharding(mesh, PartitionSpec("d"))
    first = np.ones((1, shape[1]), np.float32)
    x = jax.make_array_from_callback(shape, cut, lambda _: first)
    times = 20

    def sums(x: jax.Array) -> jax.Array:
        def body(_: int, x: jax.Array) -> jax.Array:
            total = jnp.sum(x, axis=0, keepdims=True) / devices
            return jax.lax.with_sharding_constraint(jnp.broadcast_to(total, shape), cut)

        return jax.lax.fori_loop(0, times, body, x)

    run: Callable[[jax.Array], jax.Array] = jax.jit(sums, in_shardings=cut, out_shardings=cut)
    laps = []
    for lap in range(9):
        start = time.perf_counter()
        run(x).block_until_ready()
        if lap:
            laps.append((time.perf_counter() - start) / times)
    return min(laps)


ALONE = [Stack(256, 4, 128), Stack(256, 4, 512), Stack(512, 4, 512), Stack(1024, 4, 8)]
SUMS = [1 << 12, 1 << 20]
TRIED = [Stack(256, 4, 256), Stack(512, 4, 256), Stack(768, 4, 256)]


def measure(counts: list[int], kinds: list[str]) -> dict[str, Any]:
    """Laps with one device, of sums, and of the stacks to predict."""
    return {
        "alone": [steps_of(stack, "data", 1) for stack in ALONE] if 1 in counts else [],
        "sums": {str(d): [sum_of(size, d) for size in SUMS] for d in counts if d > 1},
        "steps": {
            f"{kind} {d}": [steps_of(stack, kind, d) for stack in TRIED]
            for kind in kinds
            for d in counts
            if d > 1
        },
    }


def calibrated(alone: list[float], sums: list[float], devices: int, shared: float) -> Device:
    """A device that takes as long as measured: products, updates and overhead by least squares."""
    import numpy as np

    rows = [[6 * s.batch * s.weights, 3 * FLOAT * s.weights, 1.0] for s in ALONE]
    weigh = 1 / np.array(alone)  # relative errors count
    costs = np.linalg.lstsq(np.array(rows) * weigh[:, None], np.ones(len(rows)), rcond=None)[0]
    products, updates, overhead = np.maximum(costs, [1e-15, 1e-15, 0.0])
    hops, share = 2 * (devices - 1), 2 * (devices - 1) / devices
    slope = max((sums[1] - sums[0]) / (SUMS[1] - SUMS[0]), 1e-15)
    latency = max(sums[0] - slope * SUMS[0], 0.0) / hops
    return Device(1 / products, 1 / updates, share / slope, latency, overhead, True, False, shared)


def child(counts: list[int], kinds: list[str], processes: int = 1) -> dict[str, Any]:
    """What `measure` gives in new processes."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    jobs = []
    for number in range(processes):
        environment = {
            **os.environ,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={8 if processes == 1 else 1}",
        }
        if processes > 1:
            environment |= {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"localhost:{port}",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": str(processes),
                "KERAS_DISTRIBUTION_PROCESS_ID": str(number),
            }
        command = [sys.executable, __file__, "--child", json.dumps([counts, kinds])]
        pipe = subprocess.PIPE
        jobs.append(subprocess.Popen(command, env=environment, stdout=pipe, text=True))
    out = [job.communicate()[0] for job in jobs]
    if any(job.returncode for job in jobs):
        raise SystemExit("a process failed: see above")
    made: dict[str, Any] = json.loads(out[0].splitlines()[-1])
    return made


def table(title: str, device: Device, made: dict[str, Any]) -> None:
    """Predicted beside measured."""
    print(f"\n{title}: one device {device.flops / 1e9:.0f} Gflop/s, update ", end="")
    print(f"{device.memory / 1e9:.1f} GB/s, overhead {device.overhead * 1e3:.2f} ms; ", end="")
    print(f"link {device.link / 1e9:.2f} GB/s, latency {device.latency * 1e6:.0f} us")
    print("| how | devices | width | batch | predicted ms | measured ms | measured / predicted |")
    print("|---|---|---|---|---|---|---|")
    for name, laps in made.items():
        kind, count = name.split()
        seconds = tensor_parallel if kind == "tensor" else data_parallel
        for stack, lap in zip(TRIED, laps, strict=True):
            guess = seconds(device, stack, int(count))
            row = [kind, count, stack.width, stack.batch, f"{guess * 1e3:.2f}", f"{lap * 1e3:.2f}"]
            print("|", " | ".join(map(str, [*row, f"{lap / guess:.2f}"])), "|")


def compare() -> None:
    """Measure here, predict, print."""
    virtual = child([1, 2, 4], ["data", "tensor"])
    for count in (2, 4):
        sums = virtual["sums"][str(count)]
        device = calibrated(virtual["alone"], sums, count, shared=1)
        made = {name: laps for name, laps in virtual["steps"].items() if name.endswith(f" {count}")}
        table(f"{count} virtual devices", device, made)
    processes = child([2], ["data"], 2)
    device = calibrated(virtual["alone"], processes["sums"]["2"], 2, shared=1)
    table("2 processes, Gloo", device, processes["steps"])


def draw() -> None:
    """Step times and break-even sizes up to 1,024 devices."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "densekit"  # the same file each time
    matplotlib.rcParams["svg.fonttype"] = "none"
    counts = [1 << power for power in range(11)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for color, (width, batch) in enumerate(
        ((1024, 1 << 13), (1024, 1 << 17), (8192, 1 << 13), (8192, 1 << 17))
    ):
        stack = Stack(width, 8, batch, slots=2)
        label: str | None = f"{width} wide, {batch:,} rows"
        for seconds, line in ((data_parallel, "-"), (tensor_parallel, "--")):
            for device, tried in ((CLUSTER, counts), (MACHINE, counts[:4])):
                alone = data_parallel(device, stack, 1)
                gains = [alone / seconds(device, stack, d) for d in tried]
                left.plot(tried, gains, line, color=f"C{color}", label=label)
                label = None
    left.plot(counts, counts, ":", color="gray", label="as many as devices")
    left.set(xscale="log", yscale="log", xlabel="devices", ylabel="times as fast as one device")
    left.set_title("8 layers, Adam; solid: rows, dashed: kernels shared out", fontsize=9)
    for name, device, tried in (("400 Gbit/s", CLUSTER, counts), ("NVLink", MACHINE, counts[:4])):
        for width in (256, 8192):
            sizes = [break_even(device, Stack(width, 8, 1, 2), d, False) for d in tried[1:]]
            right.plot(tried[1:], sizes, label=f"rows, {width} wide, {name}")
        for batch in (1 << 10, 1 << 14):
            sizes = [break_even(device, Stack(1, 8, batch, 2), d, True) for d in tried[1:]]
            right.plot(tried[1:], sizes, "--", label=f"width, {batch:,} rows, {name}")
    right.set(xscale="log", yscale="log", xlabel="devices", ylabel="rows, or units")
    right.set_title("the least size that is faster than one device", fontsize=9)
    for panel in (left, right):
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7, frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
            from densekit import distribution as parallel

            parallel.initialize()
        print(json.dumps(measure(*given.child)))
    elif given.draw:
        draw()
    else:
        compare()


if __name__ == "__main__":
    main()
