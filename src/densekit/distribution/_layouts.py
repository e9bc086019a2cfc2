"""Meshes of devices, and how tensors are cut along their axes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import cached_property

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Array
from densekit.distribution._devices import list_devices, mesh_of
from densekit.ops import KerasTensor


@export("keras.distribution")
class DeviceMesh:
    """Devices in rows and columns, with a name for each axis.

    Args:
        shape: how many along each axis.
        axis_names: a name for each axis.
        devices: names such as ``"gpu:0"``, as many as the shape says. Default: `list_devices()`.

    Raises:
        ValueError: if the lengths do not fit, or there are more or fewer devices.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    <DeviceMesh shape=(1, 1), axis_names=('batch', 'model')>
    """

    def __init__(
        self,
        shape: Sequence[int],
        axis_names: Sequence[str],
        devices: Sequence[str] | Array | None = None,
    ) -> None:
        if not shape or not axis_names or len(shape) != len(axis_names):
            raise ValueError(
                message(
                    "DeviceMesh",
                    "a name for each axis of `shape`",
                    f"shape={tuple(shape or ())}, axis_names={tuple(axis_names or ())}",
                    "Name every axis.",
                )
            )
        names = np.array(list_devices() if devices is None else devices, object)
        if math.prod(shape) != names.size:
            raise ValueError(
                message(
                    "DeviceMesh",
                    f"{math.prod(shape)} devices for the shape {tuple(shape)}",
                    f"{names.size}",
                    "Change `shape`, or name the devices to use.",
                )
            )
        self.shape = shape
        self.axis_names = axis_names
        self.devices: Array = names.reshape(tuple(shape))

    @cached_property
    def backend_mesh(self) -> Mesh:
        """The mesh of JAX."""
        return mesh_of(self.devices, tuple(self.axis_names))

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


@export("keras.distribution")
class TensorLayout:
    """How a tensor is shared out over devices.

    Args:
        axes: for each axis of the tensor the axis of the mesh along which it is cut, or None.
        device_mesh: the devices. Default: ``None``; a `LayoutMap` fills it in.

    Raises:
        ValueError: for an axis that the mesh has not.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.TensorLayout((None, "model")).axes
    (None, 'model')
    """

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None) -> None:
        self.axes = tuple(axes)
        self._device_mesh = device_mesh
        self._check()

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The devices; can be set once."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, device_mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(
                message(
                    "TensorLayout", "no mesh yet", repr(self._device_mesh), "Make a new layout."
                )
            )
        self._device_mesh = device_mesh
        self._check()

    def _check(self) -> None:
        known = self._device_mesh
        if known is None:
            return
        unknown = [axis for axis in self.axes if axis is not None and axis not in known.axis_names]
        if unknown:
            raise ValueError(
                message(
                    "TensorLayout",
                    f"axes among {known.axis_names}",
                    describe(unknown[0]),
                    "Use the names of the mesh, or None.",
                )
            )

    @property
    def backend_layout(self) -> NamedSharding:
        """The sharding of JAX.

        Raises:
            ValueError: without a mesh.
        """
        if self._device_mesh is None:
            raise ValueError(
                message("TensorLayout", "a `device_mesh`", "None", "Pass one when making it.")
            )
        spec: Callable[..., PartitionSpec] = PartitionSpec
        return NamedSharding(self._device_mesh.backend_mesh, spec(*self.axes))

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self.device_mesh}>"


@export("keras.distribution")
class LayoutMap(MutableMapping[str, TensorLayout | None]):
    """Layouts by the path of a variable, or by a regular expression that matches all of it.

    A tuple of names of axes stands for a `TensorLayout`. A path that nothing matches gives None;
    its variable is kept whole.

    Args:
        device_mesh: the devices.

    Raises:
        ValueError: if a key is set twice, or several expressions match a path.

    Example:

    >>> import densekit as keras
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    >>> layouts = keras.distribution.LayoutMap(mesh)
    >>> layouts[".*kernel"] = (None, "model")
    >>> layouts["dense/kernel"].axes, layouts["dense/bias"]
    ((None, 'model'), None)
    """

    def __init__(self, device_mesh: DeviceMesh) -> None:
        self.device_mesh = device_mesh
        self._layouts: dict[str, TensorLayout] = {}

    def __getitem__(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        matching = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(
                message(
                    "LayoutMap",
                    f"one key that matches {key!r}",
                    f"{matching}",
                    "Make the expressions exclude each other.",
                )
            )
        return self._layouts[matching[0]] if matching else None

    def __setitem__(self, key: str, layout: object) -> None:
        if key in self._layouts:
            raise ValueError(
                message("LayoutMap", "a new key", f"{key!r}, which is set", "Delete it first.")
            )
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(
                message(
                    "LayoutMap",
                    "a TensorLayout or a tuple of names of axes",
                    describe(layout),
                    "Write e.g. (None, 'model').",
                )
            )
        if layout.device_mesh is None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


@export("keras.distribution")
def distribute_tensor(
    tensor: Array | jax.Array | KerasTensor, layout: TensorLayout | Sharding
) -> jax.Array | KerasTensor:
    """A tensor shared out as a layout says; inside compiled functions a wish about its value.

    Args:
        tensor: an array, also one that is traced; a symbolic one is left as it is.
        layout: with a mesh; or a sharding of JAX.

    Returns:
        an array of JAX.

    Raises:
        ValueError: for a layout without a mesh, with more axes than the tensor, or along whose
            axes the tensor cannot be shared out evenly.

    Example:

    >>> import densekit as keras, numpy as np
    >>> mesh = keras.distribution.DeviceMesh((1,), ("batch",), ["cpu:0"])
    >>> layout = keras.distribution.TensorLayout(("batch", None), mesh)
    >>> keras.distribution.distribute_tensor(np.ones((2, 3)), layout).shape
    (2, 3)
    """
    if isinstance(tensor, KerasTensor):
        return tensor
    sharding = layout.backend_layout if isinstance(layout, TensorLayout) else layout
    if isinstance(tensor, jax.core.Tracer):
        constrain: Callable[..., jax.Array] = jax.lax.with_sharding_constraint
        return constrain(tensor, sharding)
    value = tensor if isinstance(tensor, jax.Array) else np.asarray(tensor)
    if isinstance(layout, TensorLayout) and len(layout.axes) > value.ndim:
        raise ValueError(
            message(
                "distribute_tensor",
                f"at most {value.ndim} axes for shape {value.shape}",
                f"{layout.axes}",
                "Leave out what is too much.",
            )
        )
    if isinstance(value, jax.Array):
        same = value.sharding.is_equivalent_to(sharding, value.ndim)
        return value if same else jax.device_put(value, sharding)
    return jax.make_array_from_callback(value.shape, sharding, value.__getitem__)
