"""What is shared out: rows of batches, and weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from densekit._core import settings
from densekit._core.errors import describe, message
from densekit._core.frames import warn
from densekit._core.registry import export
from densekit._core.types import Array, T
from densekit._core.variable import Variable
from densekit.distribution._devices import gathered, list_devices, processes
from densekit.distribution._layouts import DeviceMesh, LayoutMap, TensorLayout

_BATCH = "batch"


class Distribution:
    """How batches and variables are shared out over the devices of a mesh.

    Args:
        device_mesh: the devices.
        batch_dim_name: the axis of the mesh along which rows are shared out.
        auto_shard_dataset: whether each process is handed the whole data, not rows of its own.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str, auto_shard_dataset: bool = True
    ) -> None:
        if batch_dim_name not in device_mesh.axis_names:
            raise ValueError(
                message(
                    type(self).__name__,
                    f"`batch_dim_name` among {device_mesh.axis_names}",
                    describe(batch_dim_name),
                    "Use an axis of the mesh.",
                )
            )
        self.num_processes, self._process = processes()
        self.device_mesh = device_mesh
        self.batch_dim_name = batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def has_whole_data(self) -> bool:
        """Whether each process is handed all rows."""
        return self.auto_shard_dataset or self.num_processes == 1

    def gathered(self, arrays: Sequence[Array]) -> list[list[Array]]:
        """Each array as the processes have it, in their order; lengths may differ."""
        return gathered(arrays)

    @property
    def num_model_replicas(self) -> int:
        """Along how many devices rows are shared out."""
        mesh = self.device_mesh
        return mesh.shape[mesh.axis_names.index(self.batch_dim_name)]

    @property
    def data_shard_id(self) -> int:
        """Which part of the rows is this process'."""
        replicas = self.num_model_replicas
        if replicas >= self.num_processes:
            return self._process
        return self._process // (self.num_processes // replicas)

    def distribute_dataset(self, dataset: T) -> T:
        """The data set: what is handed to `fit` is whole, or a process' own, and cut there."""
        return dataset

    def get_data_layout(self, data_shape: Sequence[int]) -> TensorLayout:
        """The layout of data: cut along the first axis."""
        axes = [self.batch_dim_name, *[None] * (len(data_shape) - 1)]
        return TensorLayout(axes, self.device_mesh)

    def get_variable_layout(self, variable: Variable) -> TensorLayout:
        """The layout of a variable: kept whole."""
        return TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout of a tensor inside a model, None if it is left to the compiler."""
        return None

    def check_paths(self, paths: Sequence[str]) -> None:
        """Warn if nothing that it says is of variables of these paths; said before training."""

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Inside, this is the distribution."""
        before = distribution()
        set_distribution(self)
        try:
            yield
        finally:
            set_distribution(before)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


@export("keras.distribution")
class DataParallel(Distribution):
    """Each device works on its share of the rows of a batch, with all weights.

    Args:
        device_mesh: the devices, along its first axis. Default: all, in a row.
        devices: their names, in place of a mesh. Default: ``None``.
        auto_shard_dataset: whether each process is handed the whole data, and reads its own rows.
            If not, each brings rows of its own: a batch has those of all. Default: ``True``.

    Raises:
        ValueError: for a `device_mesh` that is none.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.DataParallel(devices=["cpu:0"])
    <DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=['batch']>>
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
    ) -> None:
        if device_mesh is None:
            names = list(devices) if devices else list_devices()
            device_mesh = DeviceMesh((len(names),), [_BATCH], names)
        if not isinstance(device_mesh, DeviceMesh):
            raise ValueError(
                message(
                    "DataParallel",
                    "a DeviceMesh",
                    describe(device_mesh),
                    "Pass e.g. `keras.distribution.DeviceMesh((2,), ['batch'])`.",
                )
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)
        if len(device_mesh.shape) != 1:
            warn(f"DataParallel: of {device_mesh} the first axis alone shares out rows.")


@export("keras.distribution")
class ModelParallel(Distribution):
    """Weights are cut along axes of the mesh, and rows along another.

    Args:
        layout_map: layouts by path of the variable, with a mesh.
        batch_dim_name: the axis for rows. Default: the first one.
        auto_shard_dataset: as for `DataParallel`. Default: ``True``.
        **kwargs: `device_mesh`, as scripts of Keras 3.0 have it; the map's counts.

    Raises:
        ValueError: without a `LayoutMap`, for an axis that its mesh has not, or if there are more
            processes than parts of the rows and no multiple of them.
        TypeError: for other arguments.

    Example:

    >>> import densekit as keras
    >>> mesh = keras.distribution.DeviceMesh((1, 1), ("batch", "model"), ["cpu:0"])
    >>> layouts = keras.distribution.LayoutMap(mesh)
    >>> layouts[".*kernel"] = (None, "model")
    >>> keras.distribution.ModelParallel(layout_map=layouts).num_model_replicas
    1
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: object,
    ) -> None:
        if kwargs.keys() - {"device_mesh"}:
            raise TypeError(
                message(
                    "ModelParallel",
                    "`layout_map`, `batch_dim_name` and `auto_shard_dataset`",
                    f"{sorted(kwargs)}",
                    "Leave out the others.",
                )
            )
        if not isinstance(layout_map, LayoutMap):
            raise ValueError(
                message("ModelParallel", "a LayoutMap", describe(layout_map), "Pass `layout_map=`.")
            )
        mesh = layout_map.device_mesh
        super().__init__(mesh, batch_dim_name or mesh.axis_names[0], auto_shard_dataset)
        self._layouts = layout_map
        processes, parts = self.num_processes, self.num_model_replicas
        if processes > parts and processes % parts:
            raise ValueError(
                message(
                    "ModelParallel",
                    f"{processes} processes to be a multiple of the parts of the rows",
                    f"{parts} along {self.batch_dim_name!r}",
                    "Change the mesh.",
                )
            )

    def get_variable_layout(self, variable: Variable) -> TensorLayout:
        """The layout that its path has in the map, else whole."""
        found = self._layouts[variable.path]
        return super().get_variable_layout(variable) if found is None else found

    def check_paths(self, paths: Sequence[str]) -> None:
        """Warn if no key of the map is of variables of these paths."""
        if self._layouts and not any(self._layouts[path] for path in paths):
            warn(
                f"ModelParallel: all weights are kept whole, as none of the keys "
                f"{list(self._layouts)} matches the path of a variable as a whole, such as "
                f"{next(iter(paths), '')!r}."
            )

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout that a path has in the map."""
        return self._layouts[path]


@export("keras.distribution")
def distribution() -> Any:
    """The distribution that is set, or None.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.distribution() is None
    True
    """
    return settings.get("distribution")


@export("keras.distribution")
def set_distribution(value: Distribution | None) -> None:
    """Have models on the JAX engine share out their work so from now on; None: not any more.

    Raises:
        ValueError: for anything else.

    Example:

    >>> import densekit as keras
    >>> keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0"]))
    >>> keras.distribution.set_distribution(None)
    """
    if value is not None and not isinstance(value, Distribution):
        raise ValueError(
            message(
                "set_distribution",
                "a distribution or None",
                describe(value),
                "Pass e.g. `keras.distribution.DataParallel()`.",
            )
        )
    settings.put("distribution", value)
