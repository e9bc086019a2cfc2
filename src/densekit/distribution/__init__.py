"""Many devices and many processes: how the JAX engine shares out rows and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.distribution._devices import get_device_count as get_device_count
    from densekit.distribution._devices import initialize as initialize
    from densekit.distribution._devices import list_devices as list_devices
    from densekit.distribution._distributions import DataParallel as DataParallel
    from densekit.distribution._distributions import ModelParallel as ModelParallel
    from densekit.distribution._distributions import distribution as distribution
    from densekit.distribution._distributions import set_distribution as set_distribution
    from densekit.distribution._layouts import DeviceMesh as DeviceMesh
    from densekit.distribution._layouts import LayoutMap as LayoutMap
    from densekit.distribution._layouts import TensorLayout as TensorLayout
    from densekit.distribution._layouts import distribute_tensor as distribute_tensor
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_devices": "get_device_count initialize list_devices",
            "_distributions": "DataParallel ModelParallel distribution set_distribution",
            "_layouts": "DeviceMesh LayoutMap TensorLayout distribute_tensor",
        },
        of_components=False,
    )
