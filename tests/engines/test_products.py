"""What Python computes inside a plan multiplies by the core's product, forward and backward."""

from __future__ import annotations

import sys
import threading
from itertools import product as pairs
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import _native, ops
from densekit._core.tensor import Tensor, lend, lent_product
from densekit.engines.products import core_product, multiplying_by
from densekit.ops._gradient import value_and_vjp

L = keras.layers
RNG = np.random.default_rng(4)
SHAPES = [
    ((5, 7), (7, 3)),
    ((1, 1), (1, 1)),
    ((5, 7), (7, 1)),
    ((2, 5, 7), (7, 3)),
    ((2, 1, 5, 7), (3, 7, 4)),
    ((2, 70, 70), (70, 70)),
    ((2, 70, 70), (2, 70, 70)),
    ((70, 70), (3, 70, 70)),
    ((7,), (7, 3)),
    ((5, 7), (7,)),
    ((0, 7), (7, 3)),
    ((2, 0, 7), (7, 3)),
    ((5, 0), (0, 3)),
]
PRODUCT = core_product(_native.matmul)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_it_is_the_product_of_numpy(shapes: Any, dtype: str) -> None:
    x1, x2 = (RNG.integers(-9, 9, shape).astype(dtype) for shape in shapes)
    wanted = np.matmul(x1, x2)
    for a, b in pairs(_layouts(x1), _layouts(x2)):
        got = PRODUCT(a, b)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)  # integers: nothing is rounded


def _layouts(x: Any) -> list[Any]:
    """The array in every order of memory, and as a part of a larger one."""
    wide = np.repeat(x, 2, axis=-1)
    return [x, np.asfortranarray(x), wide[..., ::2], np.ascontiguousarray(x[::-1])[::-1]]


def test_its_errors_are_those_of_numpy() -> None:
    with pytest.raises(ValueError, match="matmul"):
        PRODUCT(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("shapes", SHAPES)
def test_its_gradients_are_those_of_sums(shapes: Any) -> None:
    x1, x2 = (RNG.normal(size=shape) for shape in shapes)
    y, vjp = value_and_vjp(ops.matmul, [x1, x2])
    g = RNG.normal(size=y.shape)
    wanted = vjp(g)
    y, vjp = multiplying_by(PRODUCT, value_and_vjp)(ops.matmul, [x1, x2])
    np.testing.assert_allclose(y, np.matmul(x1, x2), rtol=1e-12, atol=1e-12)
    for got, expected, x in zip(multiplying_by(PRODUCT, vjp)(g), wanted, (x1, x2), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        if x.size and y.size:
            along, step = RNG.normal(size=x.shape), 1e-6
            ends = [
                (np.matmul(*(v + s * along if v is x else v for v in (x1, x2))) * g).sum()
                for s in (step, -step)
            ]
            slope = (ends[0] - ends[1]) / (2 * step)
            assert (got * along).sum() == pytest.approx(slope, rel=1e-6, abs=1e-7)


WAYS = {
    "ops.matmul": ops.matmul,
    "@": lambda x, w: x @ w,
    "ops.dot": ops.dot,
    "ops.tensordot": lambda x, w: ops.tensordot(x, w, axes=1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_host_node_never_wakes_the_threads_of_numpy(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(L.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1], 8))

        def call(self, x: Any) -> Any:
            _ = float(ops.sum(x))  # which no graph can say
            return ops.relu(WAYS[way](x, self.w))

    counted: list[Any] = []
    real = np.matmul

    def count(*args: Any, **kwargs: Any) -> Any:
        counted.extend(x for x in args if np.ndim(x) > 1)
        return real(*args, **kwargs)

    model = keras.Sequential([L.Input((6,)), Own(), L.Dense(1)])
    model.compile("sgd", "mse")
    x, y = RNG.normal(size=(32, 6)), RNG.normal(size=(32, 1))
    before = model.layers[0].w.numpy().copy()
    model.fit(x, y, batch_size=16, verbose=0)  # the first run tries the layer outside of the plan
    model.predict(x, verbose=0)
    for name in ("matmul", "dot", "tensordot"):
        monkeypatch.setattr(np, name, count)
    model.fit(x, y, batch_size=16, verbose=0)
    model.predict(x, verbose=0)
    assert not counted
    assert np.abs(model.layers[0].w.numpy() - before).max() > 0


def test_it_is_lent_for_the_call_alone() -> None:
    def fails() -> None:
        assert lent_product.get() is PRODUCT
        raise KeyError

    with pytest.raises(KeyError):
        multiplying_by(PRODUCT, fails)()
    assert lent_product.get() is None


@pytest.mark.parametrize("shapes", SHAPES)
def test_operators_of_tensors_give_tensors(shapes: Any) -> None:
    x1, x2 = (RNG.integers(-9, 9, shape).astype("float32") for shape in shapes)
    for a, b in ((lend(x1), lend(x2)), (lend(x1), x2), (x1, lend(x2))):
        got = multiplying_by(PRODUCT, lambda a=a, b=b: a @ b)()
        np.testing.assert_array_equal(got, x1 @ x2)
        assert type(got) is Tensor
    for vector in (np.ones(3), lend(np.ones(3))):
        assert multiplying_by(PRODUCT, lambda v=vector: lend(v) @ v)() == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", [((300, 70), (70, 130)), ((40, 90), (90, 500))])
def test_bits_do_not_depend_on_threads(shapes: Any, dtype: str) -> None:
    x1, x2 = (RNG.standard_normal(shape).astype(dtype) for shape in shapes)
    found = set()
    for threads in (1, 2, 3, 5):
        _native.set_threads(threads)
        found |= {PRODUCT(a, b).tobytes() for a, b in pairs(_layouts(x1), _layouts(x2))}
    assert len(found) == 1
    np.testing.assert_allclose(PRODUCT(x1, x2), x1 @ x2, rtol=1e-3, atol=1e-4)


def test_other_threads_go_on_meanwhile() -> None:
    x = np.ones((700, 700))
    done = threading.Event()

    def multiply() -> None:
        PRODUCT(x, x)
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(100.0)  # nobody is asked to give the GIL back
    try:
        thread = threading.Thread(target=multiply)
        thread.start()
        went_on = not done.is_set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert went_on and done.is_set()


def test_what_a_plan_computes_in_python_is_split_over_its_threads() -> None:
    class Own(L.Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight(shape=(input_shape[-1], 300))

        def call(self, x: Any) -> Any:
            _ = float(ops.sum(x))  # which no graph can say
            return ops.matmul(x, self.w)

    x, y = RNG.standard_normal((128, 90)), RNG.standard_normal((128, 1))
    found = set()
    for threads in (1, 2, 3):
        _native.set_threads(threads)
        keras.utils.set_random_seed(1)
        model = keras.Sequential([L.Input((90,)), L.Dense(90), Own(), L.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        found.add(model.predict(x, batch_size=128, verbose=0).tobytes())
    assert len(found) == 1
