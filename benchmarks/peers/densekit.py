"""densekit: Keras' code on the native core."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from workloads import Array, Network, Training

import densekit as keras
from densekit import _native
from peers import _keras_code


def version() -> str:
    return f"{keras.__version__} ({_native.active_isa()})"


def training(w: Training, x: Array, y: Array, threads: int) -> _keras_code.Run:
    keras.config.set_threads(threads)
    if policy := os.environ.get("DENSEKIT_BENCHMARK_POLICY"):  # densekit-bf16, and sweeps
        keras.config.set_dtype_policy(policy)
        if policy == "float64":
            x = x.astype(policy)
    return _keras_code.Run(keras, w, x, y)


def many(w: Training, x: Array, y: Array, members: int) -> _keras_code.Many:
    return _keras_code.Many(keras, w, x, y, members)


def device() -> str:
    import jax

    return jax.devices()[0].device_kind


def on_device(w: Network, x: Array) -> Any:
    return _keras_code.on_device(keras, w, x)


def inference(w: Network, x: Array, threads: int) -> dict[str, Any]:
    keras.config.set_threads(threads)
    return _keras_code.paths(keras, w, x, lambda y: y)


def dense(width: int, kernel: Array, bias: Array, threads: int) -> Any:
    """`model(x)`, which reads kernels larger than L2 from packed panels after 32 calls."""
    keras.config.set_threads(threads)
    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(kernel.shape[1])])
    model.set_weights([kernel, bias])
    x = np.zeros((1, width), np.float32)
    for _ in range(40):
        model(x)
    return model
