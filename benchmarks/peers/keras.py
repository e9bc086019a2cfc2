"""Keras 3, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from workloads import Array, Network, Training

from peers import _keras_code

_TORCH = os.environ["KERAS_BACKEND"] == "torch"


def version() -> str:
    backend = __import__(os.environ["KERAS_BACKEND"])
    return f"{keras.__version__} on {backend.__name__} {backend.__version__}"


def set_threads(n: int) -> None:
    if _TORCH:
        import torch

        torch.set_num_threads(n)


def training(w: Training, x: Array, y: Array, threads: int) -> _keras_code.Run:
    set_threads(threads)
    if "DENSEKIT_BENCHMARK_POLICY" in os.environ:
        keras.config.set_dtype_policy(os.environ["DENSEKIT_BENCHMARK_POLICY"])
    return _keras_code.Run(keras, w, x, y)


def device() -> str:
    import jax

    return jax.devices()[0].device_kind


def on_device(w: Network, x: Array) -> Any:
    return _keras_code.on_device(keras, w, x)


def inference(w: Network, x: Array, threads: int) -> dict[str, Any]:
    set_threads(threads)
    to_numpy = keras.ops.convert_to_numpy if _TORCH else np.asarray
    return _keras_code.paths(keras, w, x, to_numpy)
