"""Steps by given gradients that go the short way: the bits and the refusals of the long one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras

RNG = np.random.default_rng(2)
SHAPES = [(3, 4), (4,), (4, 2)]
GRADIENTS = [[RNG.normal(size=s).astype("float32") for s in SHAPES] for _ in range(6)]


def made(kind: Any = keras.optimizers.Adam, **options: Any) -> tuple[Any, list[Any]]:
    rng = np.random.default_rng(1)
    variables = [keras.Variable(rng.normal(size=s).astype("float32")) for s in SHAPES]
    return kind(learning_rate=0.1, **options), variables


def state(optimizer: Any, variables: list[Any]) -> list[Any]:
    return [v.numpy() for v in (*variables, *optimizer.variables)]


def assert_same(a: list[Any], b: list[Any]) -> None:
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def long_step(optimizer: Any, gradients: Any, variables: Any) -> None:
    optimizer.__dict__["_dk_checked"] = None
    optimizer.apply(gradients, variables)


@pytest.mark.parametrize("kind", [keras.optimizers.Adam, keras.optimizers.SGD])
@pytest.mark.parametrize(
    "options", [{}, {"clipnorm": 0.1}, {"weight_decay": 0.1}, {"use_ema": True}], ids=str
)
def test_gives_the_bits_of_the_long_way(kind: Any, options: dict[str, Any]) -> None:
    short, a = made(kind, **options)
    long, b = made(kind, **options)
    for gradients in GRADIENTS:
        short.apply(gradients, a)
        long_step(long, gradients, b)
        assert_same(state(short, a), state(long, b))
    assert short._dk_checked.is_like(GRADIENTS[0], a)
    short.apply(GRADIENTS[0])
    long_step(long, GRADIENTS[0], None)
    assert_same(state(short, a), state(long, b))


def slower(optimizer: Any, variables: list[Any]) -> None:
    optimizer.learning_rate = 0.001


def clipped(optimizer: Any, variables: list[Any]) -> None:
    optimizer.clipnorm = 1e-3


def scaled(optimizer: Any, variables: list[Any]) -> None:
    optimizer.loss_scale_factor = 4.0


def other_beta(optimizer: Any, variables: list[Any]) -> None:
    optimizer.beta_1 = 0.2


def constrained(optimizer: Any, variables: list[Any]) -> None:
    variables[0].constraint = keras.constraints.NonNeg()


def rate_in_place(optimizer: Any, variables: list[Any]) -> None:
    optimizer.learning_rate.assign(0.5)


@pytest.mark.parametrize(
    "change", [slower, clipped, scaled, other_beta, constrained, rate_in_place]
)
def test_what_is_set_between_two_steps_counts(change: Callable[..., None]) -> None:
    (short, a), (long, b), (unchanged, c) = made(), made(), made()
    for optimizer, variables in ((short, a), (long, b), (unchanged, c)):
        optimizer.apply(GRADIENTS[0], variables)
        optimizer.apply(GRADIENTS[1], variables)
    change(short, a)
    change(long, b)
    for gradients in GRADIENTS[2:]:
        short.apply(gradients, a)
        long_step(long, gradients, b)
        unchanged.apply(gradients, c)
    assert_same(state(short, a), state(long, b))
    assert any(not np.array_equal(v.numpy(), w.numpy()) for v, w in zip(a, c, strict=True))


def test_other_arguments_are_looked_at() -> None:
    optimizer, variables = made()
    optimizer.apply(GRADIENTS[0], variables)
    before = state(optimizer, variables)
    first = GRADIENTS[1]
    with pytest.raises(ValueError, match="a gradient of shape"):
        optimizer.apply([first[1], first[0], first[2]], variables)
    with pytest.raises(ValueError, match="a gradient for each of 3 variables"):
        optimizer.apply(first[:2], variables)
    with pytest.raises(ValueError, match="unknown"):
        optimizer.apply(first, [*variables[:2], keras.Variable(np.ones((4, 2), "float32"))])
    with pytest.raises(ValueError, match="None for every variable"):
        optimizer.apply([None] * 3, variables)
    assert_same(state(optimizer, variables), before)


@pytest.mark.parametrize(
    "convert",
    [
        lambda g: g.astype("float64"),
        np.asfortranarray,
        lambda g: g.tolist(),
        lambda g: keras.ops.convert_to_tensor(g),
    ],
    ids=["double", "fortran", "list", "tensor"],
)
def test_gradients_of_other_kinds_give_the_same_step(convert: Callable[[Any], Any]) -> None:
    short, a = made()
    other, b = made()
    for gradients in GRADIENTS[:3]:
        short.apply(gradients, a)
        converted = [convert(g) for g in gradients]
        other.apply([np.asarray(g) if isinstance(g, list) else g for g in converted], b)
    assert_same(state(short, a), state(other, b))


def test_variables_in_another_order_are_updated_by_their_gradients() -> None:
    (short, a), (other, b) = made(), made()
    short.apply(GRADIENTS[0], a)
    other.apply(GRADIENTS[0], b)
    short.apply(GRADIENTS[1], a)
    other.apply(GRADIENTS[1][::-1], b[::-1])
    for v, w in zip(a, b, strict=True):
        np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-6)


def test_values_and_copies_leave_the_variables_alone() -> None:
    optimizer, variables = made()
    optimizer.apply(GRADIENTS[0], variables)
    before = state(optimizer, variables)
    optimizer.stateless_apply(
        [v.numpy() for v in optimizer.variables], GRADIENTS[1], [v.numpy() for v in variables]
    )
    copied = copy.deepcopy(optimizer)
    copied.apply(GRADIENTS[1])
    assert_same(state(optimizer, variables), before)


def test_the_engine_that_is_chosen_meanwhile_makes_the_step() -> None:
    optimizer, variables = made()
    optimizer.apply(GRADIENTS[0], variables)
    assert optimizer._dk_checked.is_like(GRADIENTS[0], variables)
    name = keras.config.engine()
    keras.config.set_engine("reference")
    try:
        assert not optimizer._dk_checked.is_like(GRADIENTS[0], variables)
    finally:
        keras.config.set_engine(name)
