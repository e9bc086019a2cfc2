"""Small names that scripts use behave as Keras' do."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import densekit

BOTH = [keras, densekit]


@pytest.mark.parametrize(
    "path",
    [
        "device",
        "RematScope",
        "config.set_max_epochs",
        "config.max_epochs",
        "config.set_max_steps_per_epoch",
        "config.max_steps_per_epoch",
        "config.set_backend",
        "config.is_nnx_enabled",
        "mixed_precision.set_global_policy",
        "mixed_precision.global_policy",
        "utils.Sequence",
        "utils.pad_sequences",
        "utils.timeseries_dataset_from_array",
    ],
)
def test_signature(path: str) -> None:
    ours, theirs = densekit, keras
    for part in path.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    assert [(p.name, p.default) for p in inspect.signature(ours).parameters.values()] == [
        (p.name, p.default) for p in inspect.signature(theirs).parameters.values()
    ]


def outcome(call: Any, room: Any) -> Any:
    try:
        return call(room)
    except Exception as error:
        return type(error)


def entered(scope: Any) -> str:
    with scope:
        return "entered"


@pytest.mark.parametrize("name", ["cpu", "CPU:0", "cpu:7", "gpu", "gpu:0", "nonsense", 3, None])
def test_devices(name: Any) -> None:
    ours, theirs = (outcome(lambda lib: entered(lib.device(name)), room) for room in BOTH[::-1])
    assert ours == theirs


@pytest.mark.parametrize("mode", ["full", "bad", None, "activations", "larger_than"])
def test_remat_scope(mode: Any) -> None:
    ours, theirs = (outcome(lambda lib: entered(lib.RematScope(mode)), room) for room in BOTH[::-1])
    assert ours == theirs


def test_remat_keeps_values_and_gradients() -> None:
    f = densekit.remat(lambda x: densekit.ops.square(x) * 3)
    v = densekit.Variable(2.0)
    value, (gradient,) = densekit.value_and_grad(lambda: f(v), [v])()
    assert (float(value), float(gradient)) == (12.0, 12.0)


@pytest.mark.parametrize("name", ["a", "", "a/b", 3])
def test_name_scope(name: Any) -> None:
    def paths(room: Any) -> list[str]:
        with room.name_scope(name), room.name_scope("inner"):
            layer = room.layers.Dense(1, name="d")
            layer.build((None, 2))
            metric = room.metrics.Mean(name="m")
            return [room.Variable(1.0, name="v").path, layer.kernel.path, metric.total.path]

    def later(room: Any) -> str:
        layer = room.layers.Dense(1, name="e")
        with room.name_scope("x"):
            layer.build((None, 2))
        return layer.kernel.path  # type: ignore[no-any-return]

    ours, theirs = (outcome(paths, room) for room in BOTH[::-1])
    if name == "":  # Keras leaves the separator where the name would be
        theirs = [path.removeprefix("/") for path in theirs]
    assert ours == theirs
    assert later(densekit) == later(keras) == "x/e/kernel"
    assert densekit.Variable(1.0, name="v").path == "v"


@pytest.mark.parametrize(
    ("sequences", "arguments"),
    [
        ([[1], [2, 3, 4], []], {}),
        ([[1], [2, 3, 4]], {"maxlen": 2}),
        ([[1], [2, 3, 4]], {"maxlen": 2, "truncating": "post", "padding": "post", "value": -1}),
        ([[1.5], [2, 3]], {"dtype": "float32", "value": 0.5, "maxlen": 5}),
        ([[[1, 2]], [[3, 4], [5, 6]]], {}),
        ([["a"], ["b", "cc"]], {"dtype": object, "value": "-"}),
        ([["a"], ["b", "cc"]], {"value": "-"}),
        ([[1], [2]], {"padding": "middle"}),
        ([[1], [2]], {"truncating": "middle"}),
        ([[1], 2], {}),
        (3, {}),
        ([[[1, 2]], [[3, 4, 5]]], {}),
    ],
)
def test_pad_sequences(sequences: Any, arguments: dict[str, Any]) -> None:
    ours, theirs = (
        outcome(lambda lib: lib.utils.pad_sequences(sequences, **arguments), room)
        for room in BOTH[::-1]
    )
    if isinstance(theirs, type):
        assert ours == theirs
    else:
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_index": -1},
        {"start_index": 20},
        {"end_index": 20},
        {"end_index": -1},
        {"start_index": 4, "end_index": 4},
        {"sampling_rate": 0},
        {"sampling_rate": 20},
        {"sequence_stride": 0},
        {"sequence_stride": 20},
        {"format": "pandas"},
    ],
)
def test_windows_refused(arguments: dict[str, Any]) -> None:
    for room in BOTH:
        with pytest.raises(ValueError):
            room.utils.timeseries_dataset_from_array(np.arange(20), None, 3, **arguments)


def test_limits_of_epochs_and_steps() -> None:
    for room in BOTH:
        model = room.Sequential([room.Input((1,)), room.layers.Dense(1)])
        model.compile("sgd", "mse")
        x = np.ones((32, 1), "float32")
        assert room.config.max_epochs() is None
        room.config.set_max_epochs(2)
        room.config.set_max_steps_per_epoch(3)
        try:
            assert (room.config.max_epochs(), room.config.max_steps_per_epoch()) == (2, 3)
            with pytest.warns(UserWarning, match="Limiting"):
                history = model.fit(x, x, batch_size=4, epochs=5, verbose=0)
            assert len(history.epoch) == 2
            assert int(model.optimizer.iterations) == 6
            with pytest.warns(UserWarning, match="Limiting"):
                assert len(model.predict(x, batch_size=4, verbose=0)) == 12
            model.fit(x, x, batch_size=16, epochs=2, steps_per_epoch=1, verbose=0)
        finally:
            room.config.set_max_epochs(None)
            room.config.set_max_steps_per_epoch(None)


def test_set_backend() -> None:
    """Keras raises ValueError too, but remembers the name."""
    densekit.config.set_backend("densekit")
    with pytest.raises(ValueError, match="only backend here"):
        densekit.config.set_backend("tensorflow")


def test_mixed_precision_names() -> None:
    assert not [n for n in dir(keras.mixed_precision) if n[0] != "_" and n != "LossScaleOptimizer"
                and not hasattr(densekit.mixed_precision, n)]  # fmt: skip
    densekit.mixed_precision.set_global_policy("mixed_bfloat16")
    assert densekit.mixed_precision.global_policy().name == "mixed_bfloat16"
    densekit.config.set_dtype_policy("float32")
