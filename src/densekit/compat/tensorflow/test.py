"""`tf.test`: what scripts ask about the machine."""

from __future__ import annotations

from densekit.compat.tensorflow._names import lookup

__getattr__ = lookup("tf.test", {})


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: object = None) -> bool:
    """False."""
    return False


def is_built_with_cuda() -> bool:
    """False."""
    return False


def gpu_device_name() -> str:
    """No name: there is none."""
    return ""
