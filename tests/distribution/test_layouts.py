"""Meshes, layouts and distributions: what they take, as Keras' do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras as original
import numpy as np
import pytest

import densekit
from densekit.distribution import (
    DataParallel,
    DeviceMesh,
    LayoutMap,
    ModelParallel,
    TensorLayout,
    distribute_tensor,
    distribution,
    list_devices,
    set_distribution,
)

KERAS = [densekit.distribution, original.distribution]


@pytest.fixture(autouse=True)
def nothing_set() -> Iterator[None]:
    yield
    set_distribution(None)


def mesh_of(room: Any, shape: Any = (1, 1), names: Any = ("batch", "model")) -> Any:
    return room.DeviceMesh(shape, names, ["cpu:0"])


def test_devices() -> None:
    assert list_devices() == original.distribution.list_devices() == ["cpu:0"]
    assert densekit.distribution.get_device_count("cpu") == 1
    with pytest.raises(RuntimeError, match="abacus"):
        list_devices("abacus")


@pytest.mark.parametrize("room", KERAS)
@pytest.mark.parametrize(
    "wrong",
    [((), ()), ((1,), ("a", "b")), ((2,), ("a",)), ((1,), None), (None, ("a",))],
)
def test_meshes_that_do_not_fit(room: Any, wrong: Any) -> None:
    with pytest.raises(ValueError):
        room.DeviceMesh(*wrong, ["cpu:0"])


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="cpu:77"):
        _ = DeviceMesh((1,), ("a",), ["cpu:77"]).backend_mesh


@pytest.mark.parametrize("room", KERAS)
def test_layout_maps_find_by_name_and_by_expression(room: Any) -> None:
    mesh = mesh_of(room)
    layouts = room.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    layouts["dense/bias"] = room.TensorLayout(("model",))
    assert layouts["a/kernel"].axes == (None, "model")
    assert layouts["a/kernel"].device_mesh is mesh
    assert layouts["dense/bias"].axes == ("model",)
    assert layouts["a/kernel/more"] is None
    assert list(layouts) == [".*kernel", "dense/bias"]
    with pytest.raises(ValueError):
        layouts[".*kernel"] = (None, None)
    with pytest.raises(ValueError):
        layouts["c"] = 3
    with pytest.raises(ValueError):
        layouts["d"] = ("rows",)
    layouts["a/.*"] = (None,)
    with pytest.raises(ValueError):
        layouts["a/kernel"]
    del layouts["a/.*"]
    assert len(layouts) == 2
    with pytest.raises(ValueError):
        layouts["dense/bias"].device_mesh = mesh


@pytest.mark.parametrize("room", KERAS)
def test_distributions_know_layouts(room: Any) -> None:
    mesh = mesh_of(room)
    layouts = room.LayoutMap(mesh)
    layouts[".*kernel"] = (None, "model")
    parallel = room.ModelParallel(layout_map=layouts)
    variables = [densekit.Variable(np.zeros((2, 2)), name=n) for n in ("kernel", "bias")]
    assert [parallel.get_variable_layout(v).axes for v in variables] == [
        (None, "model"),
        (None, None),
    ]
    assert parallel.get_data_layout((8, 3)).axes == ("batch", None)
    assert (parallel.num_model_replicas, parallel.num_processes, parallel.data_shard_id) == (
        1,
        1,
        0,
    )
    data = room.DataParallel(devices=["cpu:0"])
    assert data.get_variable_layout(variables[0]).axes == (None, None)
    assert data.get_tensor_layout("x") is None
    assert (data.batch_dim_name, data.device_mesh.shape) == ("batch", (1,))
    for wrong in (lambda: room.ModelParallel(layout_map=None), lambda: room.DataParallel("mesh")):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize("room", KERAS)
def test_what_is_given_is_what_is_kept(room: Any) -> None:
    mesh = room.DeviceMesh([1, 1], ["batch", "model"], ["cpu:0"])
    assert (mesh.shape, mesh.axis_names) == ([1, 1], ["batch", "model"])
    data = room.DataParallel(devices=[])  # as if nothing were said
    assert repr(data) == "<DataParallel device_mesh=<DeviceMesh shape=(1,), axis_names=['batch']>>"
    assert data.distribute_dataset([1, 2]) == [1, 2]
    layouts = room.LayoutMap(mesh)
    parallel = room.ModelParallel(layout_map=layouts, device_mesh=mesh)
    assert parallel.device_mesh is mesh


def test_arguments_that_do_not_fit() -> None:
    layouts = LayoutMap(mesh_of(densekit.distribution))
    with pytest.raises(TypeError, match="devices"):
        ModelParallel(layout_map=layouts, devices=["cpu:0"])
    with pytest.raises(ValueError, match="one address, or 3"):
        densekit.distribution.initialize("a:1,b:2", 3, 0)


def test_data_parallel_of_a_mesh_with_two_axes_warns() -> None:
    with pytest.warns(UserWarning, match="first axis alone"):
        DataParallel(mesh_of(densekit.distribution))
    with pytest.raises(ValueError, match="batch_dim_name"):
        ModelParallel(layout_map=LayoutMap(mesh_of(densekit.distribution)), batch_dim_name="rows")


def test_scopes_and_settings() -> None:
    first, second = DataParallel(devices=["cpu:0"]), DataParallel(devices=["cpu:0"])
    set_distribution(first)
    with second.scope():
        assert distribution() is second
    assert distribution() is first
    with pytest.raises(ValueError, match="distribution or None"):
        set_distribution("data")  # type: ignore[arg-type]
    assert distribution() is first


def test_distribute_tensor() -> None:
    layout = TensorLayout(("batch", None), mesh_of(densekit.distribution))
    array = distribute_tensor(np.ones((2, 3)), layout)
    assert array.sharding == layout.backend_layout
    assert distribute_tensor(array, layout) is array
    again = distribute_tensor(array, layout.backend_layout)
    assert again is array
    with pytest.raises(ValueError, match="at most 1 axes"):
        distribute_tensor(np.ones(2), layout)
    symbolic = densekit.Input((3,))
    assert distribute_tensor(symbolic, layout) is symbolic
    with pytest.raises(ValueError, match="device_mesh"):
        distribute_tensor(np.ones(2), TensorLayout((None,)))


def trained(layouts: LayoutMap) -> None:
    model = densekit.Sequential([densekit.Input((3,)), densekit.layers.Dense(2, name="a")])
    model.compile("sgd", "mse", engine="jax")
    with ModelParallel(layout_map=layouts).scope():
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)


def test_keys_that_match_nothing_are_said() -> None:
    layouts = LayoutMap(mesh_of(densekit.distribution))
    layouts["a/kernel"] = (None, "model")
    with pytest.warns(UserWarning, match=r"such as 'sequential.*/a/kernel'"):
        trained(layouts)
