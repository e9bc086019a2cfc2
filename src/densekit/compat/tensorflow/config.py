"""`tf.config`: what scripts ask at their start; there is a processor, and nothing to set."""

from __future__ import annotations

from typing import NamedTuple

from densekit.compat.tensorflow._names import lookup

__getattr__ = lookup("tf.config", {})


class PhysicalDevice(NamedTuple):
    """A device that computes."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The processor, unless only other kinds are asked for."""
    here = [PhysicalDevice("/physical_device:CPU:0", "CPU")]
    return [device for device in here if device_type in (None, device.device_type)]


list_logical_devices = get_visible_devices = list_physical_devices


def set_visible_devices(devices: object, device_type: str | None = None) -> None:
    """Nothing: models run where their engine says."""


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Nothing: `tf.function` compiles nothing."""


def functions_run_eagerly() -> bool:
    """True: `tf.function` compiles nothing."""
    return True


class experimental:
    """`tf.config.experimental`."""

    list_physical_devices = staticmethod(list_physical_devices)
    list_logical_devices = staticmethod(list_physical_devices)
    set_visible_devices = staticmethod(set_visible_devices)

    @staticmethod
    def set_memory_growth(device: object, enable: bool) -> None:
        """Nothing: there is no GPU to share."""
