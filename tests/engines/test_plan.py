"""What a `PlanBuilder` records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit._core.native_form import NativeForm
from densekit.engines import Handle, NotLowerable, PlanBuilder


def plan_with(*shape: int) -> tuple[PlanBuilder, Handle]:
    plan = PlanBuilder()
    return plan, plan.input(shape)


def kernel(*shape: int) -> Any:
    return keras.Variable(np.ones(shape, "float32"))


def kinds(plan: PlanBuilder) -> list[str]:
    return [op.kind for op in plan.ops]


def test_dense_fuses_an_activation_with_a_native_form() -> None:
    plan, x = plan_with(5, 4)
    y = plan.dense(x, kernel(4, 3), kernel(3), keras.activations.relu)
    assert y.shape == (None, 5, 3)
    assert kinds(plan) == ["dense"]
    assert plan.ops[0].arguments["attributes"]["activation"] == "relu"


def test_dense_with_a_function_adds_a_host_node() -> None:
    plan, x = plan_with(4)
    y = plan.dense(x, kernel(4, 3), None, lambda z: z * 2)
    assert kinds(plan) == ["dense", "host"]
    assert plan.ops[0].arguments["attributes"]["activation"] == "linear"
    assert y.shape == (None, 3)


def test_glu_halves_the_last_axis() -> None:
    plan, x = plan_with(4)
    y = plan.dense(x, kernel(4, 6), None, keras.activations.glu)
    assert kinds(plan) == ["dense", "activation"]
    assert y.shape == (None, 3)
    with pytest.raises(NotLowerable):
        plan.activation(y, NativeForm("glu"))


def test_what_costs_nothing_records_nothing() -> None:
    plan, x = plan_with(2, 3)
    assert plan.activation(x, None) is x
    assert plan.activation(x, keras.activations.linear) is x
    assert plan.merge("add", [x]) is x
    assert plan.concatenate([x]) is x
    flat = plan.reshape(x, (-1,))
    assert (flat.value, flat.shape) == (x.value, (None, 6))
    assert plan.ops == []


def test_concatenate_along_any_axis() -> None:
    plan = PlanBuilder()
    a, b = plan.input((2, 3, 4)), plan.input((2, 5, 4))
    y = plan.concatenate([a, b], axis=2)
    assert y.shape == (None, 2, 8, 4)
    assert plan.ops[0].arguments["attributes"]["inners"] == [12, 20]
    assert plan.concatenate([a, a], axis=-1).shape == (None, 2, 3, 8)


@pytest.mark.parametrize(
    "call",
    [
        lambda plan, a, b: plan.dense(a, kernel(7, 2), None),
        lambda plan, a, b: plan.merge("add", [a, b]),
        lambda plan, a, b: plan.merge("divide", [a, a]),
        lambda plan, a, b: plan.concatenate([a, b], axis=0),
        lambda plan, a, b: plan.concatenate([a, b], axis=1),
        lambda plan, a, b: plan.reshape(a, (5,)),
        lambda plan, a, b: plan.affine(a, np.ones((2, 1)), 0.0),
        lambda plan, a, b: plan.host(lambda x: x.sum(), [a]),
        lambda plan, a, b: plan.host(lambda x: x.mean(axis=0), [a]),
    ],
)
def test_what_does_not_fit_is_not_lowerable(call: Any) -> None:
    plan = PlanBuilder()
    a, b = plan.input((2, 3)), plan.input((2, 4))
    with pytest.raises(NotLowerable):
        call(plan, a, b)
    assert plan.ops == []


def test_affine_spreads_scalars() -> None:
    plan, x = plan_with(2, 3)
    plan.affine(x, 2.0, [1.0, 2.0, 3.0])
    attributes = plan.ops[0].arguments["attributes"]
    assert attributes["scale"] == [2.0, 2.0, 2.0]
    assert attributes["offset"] == [1.0, 2.0, 3.0]


def test_host_gives_one_handle_or_a_list() -> None:
    plan, x = plan_with(3)
    one = plan.host(lambda v: v[:, :2], [x])
    assert isinstance(one, Handle)
    assert one.shape == (None, 2)
    two = plan.host(lambda v: (v, v.sum(axis=1)), [x])
    assert isinstance(two, list)
    assert [y.shape for y in two] == [(None, 3), (None,)]


def test_dropout_keeps_its_generator_in_order() -> None:
    plan, x = plan_with(3)
    seeds = [keras.random.SeedGenerator(i) for i in range(2)]
    plan.dropout(plan.dropout(x, 0.5, seeds[1]), 0.5, seeds[0])
    assert plan.seed_generators == [seeds[1], seeds[0]]


def test_activity_regularizers() -> None:
    plan, x = plan_with(3)
    assert plan.activity_regularizer(x, keras.regularizers.L2(0.5)) is x
    attributes = {"l1": 0.0, "l2": 0.5, "linear": 0.0, "sums": 0}
    assert plan.ops[0].arguments["attributes"] == attributes
    assert plan.activity_regularizer(x, lambda y: y.sum()).value != x.value
    assert kinds(plan) == ["activity", "host"]
