"""`Dense`: what is its own beside Keras'."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.layers import Dense

EPS = float(np.finfo(np.float32).eps)


def built(width: int = 3, **kwargs: Any) -> Any:
    layer = Dense(2, name="d", **kwargs)
    layer.build((None, width))
    return layer


def test_by_hand() -> None:
    layer = built(2, activation="relu")
    layer.set_weights([np.array([[1.0, -1.0], [2.0, 0.5]]), np.array([0.5, 0.0])])
    # [1, 3] @ kernel = [7, 0.5]; [-1, 0] @ kernel = [-1, 1]
    wanted = [[7.5, 0.5], [0.0, 1.0]]
    assert layer(np.array([[1.0, 3.0], [-1.0, 0.0]])).tolist() == wanted


def test_initial_kernel_follows_glorot() -> None:
    kernel = built(1000).kernel.numpy()
    limit = np.sqrt(6 / 1002)
    assert np.abs(kernel).max() <= limit
    # the standard error of a mean of n uniform draws on [-l, l] is l / sqrt(3 n)
    assert abs(kernel.mean()) < 5 * limit / np.sqrt(3 * kernel.size)
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert not built().bias.numpy().any()


def test_flatten_takes_one_product_over_all_axes(rng: np.random.Generator) -> None:
    layer = Dense(4, flatten=True)
    x = rng.standard_normal((5, 2, 3)).astype(np.float32)
    y = layer(x)
    assert y.shape == (5, 4)
    assert layer.kernel.shape == (6, 4)
    wanted = np.einsum("bij,iju->bu", x, layer.kernel.numpy().reshape(2, 3, 4))
    np.testing.assert_allclose(y, wanted, rtol=0, atol=64 * EPS)
    assert layer.get_config()["flatten"] is True
    assert "flatten" not in Dense(4).get_config()
    assert layer.compute_output_shape((None, 2, 3)) == (None, 4)
    for shape in ((5, 3, 2), (5, 6), (5, 2, 3, 1)):
        with pytest.raises(ValueError, match="Dense"):
            layer(np.ones(shape))


def test_units_may_be_a_numpy_integer() -> None:
    layer = Dense(np.int64(3))
    assert type(layer.get_config()["units"]) is int
    assert layer.compute_output_shape((None, 2)) == (None, 3)


def test_errors_name_the_layer_and_what_to_do() -> None:
    with pytest.raises(ValueError) as error:
        built()(np.ones((32, 5)))
    assert str(error.value) == (
        "Dense 'd': expected last axis 3 (fixed by build), got input shape (32, 5). "
        "Reshape the input or rebuild the layer."
    )


@pytest.mark.parametrize("x", [np.ones((1, 3), complex), np.array([[1, "a", None]], dtype=object)])
def test_what_is_no_number_is_refused(x: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        built()(x)


def test_a_failed_call_leaves_the_layer_as_it_was() -> None:
    layer = Dense(2, bias_initializer=lambda shape, dtype: np.ones(7))
    before = dict(vars(layer))
    for _ in range(2):
        with pytest.raises(ValueError, match="initial value"):
            layer(np.ones((1, 3)))
    assert not layer.built
    assert layer.weights == []
    assert vars(layer) == before
    layer.bias_initializer = keras.initializers.Zeros()
    assert layer(np.ones((1, 3))).shape == (1, 2)
    assert len(layer.weights) == 2


def test_weights_are_set_all_or_none() -> None:
    layer = built()
    before = layer.get_weights()
    with pytest.raises(ValueError, match="shape"):
        layer.set_weights([np.ones((3, 2)), np.ones(3)])
    with pytest.raises(ValueError, match="shape"):
        layer.load_own_variables({"0": np.ones((3, 2)), "1": np.ones(3)})
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_own_variables_are_stored_by_number() -> None:
    store: dict[str, Any] = {}
    layer, other = built(), built()
    layer.save_own_variables(store)
    assert list(store) == ["0", "1"]
    other.load_own_variables(store)
    np.testing.assert_array_equal(other.kernel.numpy(), layer.kernel.numpy())


def test_constraints_wait_for_the_optimizer() -> None:
    layer = built(kernel_constraint=keras.constraints.Clip(-0.01, 0.01))
    assert np.abs(layer.kernel.numpy()).max() > 0.01
    layer.kernel.assign(np.ones((3, 2)))
    assert layer.kernel.numpy().max() == 1
    assert layer.kernel.constraint is layer.kernel_constraint


def test_activation_can_be_taken_away() -> None:
    layer = built(activation="relu")
    layer.activation = None
    layer.set_weights([-np.ones((3, 2)), np.zeros(2)])
    assert layer(np.ones((1, 3))).tolist() == [[-3.0, -3.0]]


def test_threads_may_share_a_layer() -> None:
    layer = Dense(4, activity_regularizer="l2")
    x = np.ones((3, 5), np.float32)
    results: list[Any] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        results.extend(layer(x) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 160
    assert len(layer.weights) == 2
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_mixed_precision_reads_variables_in_half() -> None:
    layer = built(dtype="mixed_float16")
    assert layer.kernel.dtype == "float32"
    assert layer(np.ones((2, 3), np.float32)).dtype == np.float16
    assert copy.deepcopy(layer).compute_dtype == "float16"


def test_float64_is_float64(rng: np.random.Generator) -> None:
    layer, x = built(dtype="float64"), rng.standard_normal((4, 3))
    y = layer(x)
    eps = float(np.finfo(np.float64).eps)
    wanted = x @ layer.kernel.numpy() + layer.bias.numpy()
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, wanted, rtol=0, atol=16 * eps * float(np.abs(wanted).max()))


def test_a_subclass_that_changes_the_formula_has_no_native_form() -> None:
    class Built(Dense):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)

    class Called(Dense):
        def call(self, inputs: Any, training: Any = None) -> Any:
            return super().call(inputs) * 2

    class Kernel(Dense):
        @property
        def kernel(self) -> Any:
            return super().kernel * 2

    found = [keras.layers.has_lowering(cls(2)) for cls in (Dense, Built, Called, Kernel)]
    assert found == [True, True, False, False]
