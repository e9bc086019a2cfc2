"""Quantizers: what whole numbers stand for, packing, configs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import quantizers

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 3), (4,), (2, 3, 4)])
def test_whole_numbers_by_their_scale_are_near(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape).astype("float32")
    for to_numpy in (True, False):
        whole, scale = quantizers.abs_max_quantize(x, axis=-1, to_numpy=to_numpy)
        assert whole.dtype == np.int8
        assert scale.shape == (*shape[:-1], 1)
        assert np.abs(whole / scale - x).max() <= 0.5001 * (1 / scale).max()
        assert (np.abs(whole).max(axis=-1) == 127).all()


def test_nothing_but_zeros() -> None:
    whole, scale = quantizers.abs_max_quantize(np.zeros((2, 3), "float32"), axis=0)
    assert not whole.any()
    assert np.isfinite(scale).all()


@pytest.mark.parametrize("block_size", [1, 2, 3, 128])
def test_groups_have_zeros_of_their_own(block_size: int) -> None:
    x = RNG.uniform(1.0, 3.0, (7, 4)).astype("float32")
    whole, scale, zero = quantizers.abs_max_quantize_grouped_with_zero_point(x, block_size)
    groups = -(-7 // block_size)
    assert scale.shape == zero.shape == (groups, 4)
    assert zero.dtype == whole.dtype == np.int8
    assert whole.min() >= -8 and whole.max() <= 7
    of = np.arange(7) // block_size
    near = (whole.astype("float32") - zero[of]) * scale[of]
    if block_size == 128:  # a group filled up with zeros reaches from 0 to its largest
        assert np.abs(near - x).max() <= 1.01 * scale.max()


@pytest.mark.parametrize("axis", [0, 1, -1, 2])
@pytest.mark.parametrize("length", [1, 4, 5])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_packing_comes_back(axis: int, length: int, dtype: str) -> None:
    low, high = (-8, 8) if dtype == "int8" else (0, 16)
    shape = [3, 2, 4]
    shape[axis] = length
    x = RNG.integers(low, high, shape).astype(dtype)
    packed, packed_shape, before = quantizers.pack_int4(x, axis=axis, dtype=dtype)
    assert before == length
    assert packed.shape == packed_shape
    assert packed.shape[axis] == (length + 1) // 2
    assert packed.dtype == dtype
    np.testing.assert_array_equal(quantizers.unpack_int4(packed, length, axis=axis, dtype=dtype), x)


def test_fake_quantization_and_its_gradients() -> None:
    x = keras.Variable(np.array([[-2.0, 0.26], [0.9, 5.0]], "float32"))
    low, high = keras.Variable(-1.0), keras.Variable(1.0)
    with keras.GradientTape() as tape:
        y = quantizers.fake_quant_with_min_max_vars(x, low, high, num_bits=4)
        total = keras.ops.sum(y)
    steps = np.round(np.asarray(y) / (2 / 15))
    np.testing.assert_allclose(np.asarray(y), steps * (2 / 15), rtol=1e-6)
    gradients = tape.gradient(total, [x, low, high])
    np.testing.assert_array_equal(gradients[0], [[0, 1], [1, 0]])
    assert float(gradients[1]) == 1.0
    assert float(gradients[2]) == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: quantizers.AbsMaxQuantizer(axis=0),
        lambda: quantizers.AbsMaxQuantizer(value_range=(-8, 7)),
        lambda: quantizers.Int8QuantizationConfig(),
        lambda: quantizers.Int8QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0), None),
        lambda: quantizers.Int4QuantizationConfig(block_size=64),
        lambda: quantizers.Int4QuantizationConfig(
            quantizers.AbsMaxQuantizer(axis=0, value_range=(-8, 7)), block_size=None
        ),
    ],
)
def test_configs_come_back(make: Any) -> None:
    first = make()
    again = quantizers.deserialize(quantizers.serialize(first))
    assert type(again) is type(first)
    assert quantizers.serialize(again) == quantizers.serialize(first)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="a quantizer"):
        quantizers.get("nonsense")
    assert quantizers.get(None) is None
    assert isinstance(quantizers.get("AbsMaxQuantizer"), quantizers.AbsMaxQuantizer)
    with pytest.raises(ValueError, match="int8"):
        quantizers.AbsMaxQuantizer(value_range=(-200, 3))
    with pytest.raises(TypeError, match="int8"):
        quantizers.pack_int4(np.zeros((2, 2), "int32"))
    with pytest.raises(ValueError, match="block_size"):
        quantizers.Int4QuantizationConfig(block_size=0)
    with pytest.raises(ValueError, match="quantizer"):
        quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0))
    with pytest.raises(ValueError, match="value_range"):
        quantizers.Int4QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0), block_size=-1)
    with pytest.raises(ValueError, match="output_dtype"):
        quantizers.Int8QuantizationConfig(quantizers.AbsMaxQuantizer(0, output_dtype="int16"))
    with pytest.raises(NotImplementedError, match="Subclasses"):
        _ = quantizers.QuantizationConfig().mode
    with pytest.raises(AttributeError, match="language models"):
        _ = quantizers.GPTQConfig


def test_products_of_bytes_are_exact() -> None:
    a = np.full((2, 3000), -127, np.int8)
    assert keras.ops.matmul(a, a.T).dtype == np.int32
    np.testing.assert_array_equal(keras.ops.matmul(a, a.T), np.full((2, 2), 127 * 127 * 3000))
    np.testing.assert_array_equal(keras.ops.einsum("ab,cb->ac", a, a), 127 * 127 * 3000)
    ones = keras.KerasTensor((2, 3), "int8")
    assert keras.ops.matmul(ones, keras.KerasTensor((3, 2), "int8")).dtype == "int32"
