"""Arrays of other libraries come in by DLPack: no copy on the host, one from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core.foreign import as_numpy

CPU, GPU = (1, 0), (2, 0)
X = np.linspace(0, 1, 24, dtype="float32").reshape(8, 3)
Y = X[:, :2].copy()


class Exporter:
    """Speaks DLPack alone."""

    def __init__(self, array: Any, device: tuple[int, int] = CPU) -> None:
        self._array, self._device = array, device
        self.shape, self.dtype = array.shape, array.dtype
        self.asked: list[Any] = []

    def __len__(self) -> int:
        return len(self._array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, **options: Any) -> Any:
        self.asked.append((options.get("dl_device"), options.get("copy")))
        if self._device == GPU and options.get("dl_device") != CPU:
            raise BufferError("memory of a GPU")
        options.pop("stream", None)
        return self._array.__dlpack__(**options)


class Refusing(Exporter):
    """CuPy's arrays: no conversion that is not asked for by name."""

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


@pytest.mark.parametrize("kind", [Exporter, Refusing])
def test_memory_of_the_host_is_read_where_it_lies(kind: Any) -> None:
    assert as_numpy(kind(X)).ctypes.data == X.ctypes.data
    np.testing.assert_array_equal(keras.ops.convert_to_tensor(kind(X)), X)


def test_memory_of_a_device_is_copied_to_the_host() -> None:
    array = Refusing(X, GPU)
    np.testing.assert_array_equal(as_numpy(array), X)
    assert array.asked == [(CPU, True)]


@pytest.mark.parametrize("engine", ["native", "jax"])
@pytest.mark.parametrize("device", [CPU, GPU])
def test_models_take_them(engine: str, device: Any) -> None:
    def results(x: Any, y: Any) -> Any:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse", engine=engine)
        history = model.fit(x, y, batch_size=4, verbose=0).history["loss"]
        step = model.train_on_batch(x, y)
        return history, step, model(x), model.predict(x, verbose=0)

    ours = results(Refusing(X, device), Exporter(Y, device))
    for one, two in zip(ours, results(X, Y), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
