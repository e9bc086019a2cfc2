"""Optimizers and schedules walk as Keras' do, on the same gradients."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from typing import Any

import jax
import keras
import numpy as np
import pytest

import densekit

EPS = float(np.finfo(np.float32).eps)
STEPS = 7

OWN: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "epsilon": 1e-3}),
    ("AdamW", {}),
    ("Adagrad", {"initial_accumulator_value": 0.3}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Lion", {}),
    ("Ftrl", {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.1, "beta": 0.1}),
    ("Lamb", {}),
    ("Adafactor", {}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "rms_rate": None, "ns_steps": 3, "exclude_layers": ["bias"]}),
    ("Muon", {"exclude_layers": ["^ker"], "adam_lr_ratio": 0.5, "adam_weight_decay": None}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"warmup_steps": 5, "beta_1": 0.7}),
]
COMMON: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.7},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 4.0},
]
# Keras compiles a branch at every accumulating step, which takes seconds.
ACCUMULATING: list[dict[str, Any]] = [
    {"gradient_accumulation_steps": 2},
    {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_momentum": 0.5,
        "ema_overwrite_frequency": 2,
        "weight_decay": 0.01,
        "clipnorm": 1.0,
    },
]


def pair_of_variables(rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    kernel = rng.normal(size=(3, 2)).astype("float32")
    bias = rng.normal(size=2).astype("float32")
    theirs = [keras.Variable(kernel, name="kernel"), keras.Variable(bias, name="bias")]
    ours = [densekit.Variable(kernel, name="kernel"), densekit.Variable(bias, name="bias")]
    theirs[0].constraint = keras.constraints.NonNeg()
    ours[0].constraint = densekit.constraints.NonNeg()
    return theirs, ours


def copies(variables: list[Any]) -> list[Any]:
    made = [densekit.Variable(v.numpy(), name=v.name) for v in variables]
    for old, new in zip(variables, made, strict=True):
        new.constraint = old.constraint
    return made


def gradients(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=(3, 2)).astype("float32"), rng.normal(size=2).astype("float32")]


def tolerance(name: str, learning_rate: float) -> float:
    """Absolute error allowed after `STEPS` steps on numbers of order 1.

    A step rounds a few times. Keras rounds beta_2 ** t to float32 and subtracts it from 1, which
    is about ``t * (1 - beta_2)`` = 0.001 t; we do not, so that its step is off by up to
    ``eps / (2 * 0.001)`` of itself.
    """
    rounding = 16 * STEPS * EPS
    if name in ("Adam", "AdamW", "Nadam", "Lamb", "Muon", "ScheduleFreeAdamW"):
        rounding += STEPS * 2 * learning_rate * EPS / (2 * (1 - 0.999))
    if name == "Ftrl":  # 1 / learning_rate stands in z
        rounding /= learning_rate
    return rounding


@pytest.mark.parametrize(("name", "arguments"), OWN, ids=[f"{n}-{list(a)}" for n, a in OWN])
def test_trajectory(name: str, arguments: dict[str, Any]) -> None:
    """By the core and by the definition."""
    # The update pipeline is shared: all of it with two optimizers, a bit with the others.
    thorough = arguments.get("nesterov") or arguments.get("amsgrad")
    rng = np.random.default_rng(0)
    for options in [*COMMON, *ACCUMULATING] if thorough else COMMON[:2]:
        given = {"learning_rate": 0.1, **arguments, **options}
        theirs, ours = pair_of_variables(rng)
        defined = copies(ours)
        their = getattr(keras.optimizers, name)(**given)
        our, definition = (getattr(densekit.optimizers, name)(**given) for _ in range(2))
        definition._dk_update_natively = lambda pairs: False
        for _ in range(STEPS):
            grads = gradients(rng)
            their.apply(grads, theirs)
            our.apply(grads, ours)
            definition.apply(grads, defined)
        wanted = [*theirs, *their.variables]
        atol = tolerance(name, given["learning_rate"])
        for found in ([*ours, *our.variables], [*defined, *definition.variables]):
            assert [(v.shape, v.dtype) for v in found] == [(v.shape, v.dtype) for v in wanted]
            for a, b in zip(wanted, found, strict=True):
                np.testing.assert_allclose(
                    b.numpy(), a.numpy(), atol=atol, rtol=atol, err_msg=f"{options} {b.path}"
                )
        assert not np.array_equal(ours[1].numpy(), np.zeros(2))


@pytest.mark.parametrize(("name", "arguments"), OWN[:8], ids=[f"{n}-{list(a)}" for n, a in OWN[:8]])
def test_config_and_variables_are_those_of_keras(name: str, arguments: dict[str, Any]) -> None:
    for options in (COMMON[0], COMMON[4], ACCUMULATING[1]):
        keras.utils.clear_session(free_memory=False)
        densekit._core.naming.reset_names()
        theirs, ours = pair_of_variables(np.random.default_rng(0))
        their = getattr(keras.optimizers, name)(**arguments, **options)
        our = getattr(densekit.optimizers, name)(**arguments, **options)
        assert list(our.get_config().items()) == list(their.get_config().items())
        their.build(theirs)
        our.build(ours)
        assert [v.path for v in our.variables] == [v.path for v in their.variables]


def test_config_of_the_others() -> None:
    for name, arguments in OWN[8:]:
        their = getattr(keras.optimizers, name)(**arguments, name="x")
        our = getattr(densekit.optimizers, name)(**arguments, name="x")
        assert list(our.get_config().items()) == list(their.get_config().items())


def test_serialized_form() -> None:
    their = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), name="adam"
    )
    our = densekit.optimizers.Adam(
        densekit.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), name="adam"
    )
    config = keras.optimizers.serialize(their)
    assert densekit.optimizers.serialize(our) == config
    revived = densekit.optimizers.deserialize(config)
    assert densekit.optimizers.serialize(revived) == config


def test_files_go_both_ways() -> None:
    rng = np.random.default_rng(0)
    theirs, ours = pair_of_variables(rng)
    their, our = keras.optimizers.Adam(0.1), densekit.optimizers.Adam(0.1)
    their.apply(gradients(rng), theirs)
    our.build(ours)
    store: dict[str, Any] = {}
    their.save_own_variables(store)
    our.load_own_variables(store)
    assert int(our.iterations) == 1
    back: dict[str, Any] = {}
    our.save_own_variables(back)
    assert list(back) == list(store)
    for key in store:
        np.testing.assert_array_equal(back[key], store[key])


SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"decay_steps": 16, "decay_rate": 0.5}),
    ("ExponentialDecay", {"decay_steps": 16, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"decay_steps": 16, "decay_rate": 0.7}),
    ("InverseTimeDecay", {"decay_steps": 16, "decay_rate": 0.7, "staircase": True}),
    ("PolynomialDecay", {"decay_steps": 16, "power": 0.5}),
    ("PolynomialDecay", {"decay_steps": 16, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"decay_steps": 32, "alpha": 0.1}),
    ("CosineDecay", {"decay_steps": 32, "warmup_target": 0.4, "warmup_steps": 8}),
    ("CosineDecayRestarts", {"first_decay_steps": 8}),
    ("CosineDecayRestarts", {"first_decay_steps": 8, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}),
    ("CosineDecayRestarts", {"first_decay_steps": 8, "t_mul": 2.0, "m_mul": 0.9}),
]


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_schedule(name: str, arguments: dict[str, Any]) -> None:
    theirs = getattr(keras.optimizers.schedules, name)(0.2, **arguments)
    ours = getattr(densekit.optimizers.schedules, name)(0.2, **arguments)
    steps = np.arange(60)
    expected = np.asarray(jax.jit(jax.vmap(theirs))(jax.numpy.asarray(steps)))
    found = ours(steps)
    assert found.dtype == np.float32
    # Decay steps are powers of two: Keras' quotients are exact, a handful of roundings remain.
    np.testing.assert_allclose(found, expected, atol=0.4 * 8 * EPS, rtol=8 * EPS)
    assert [float(ours(int(s))) for s in steps] == found.tolist()
    assert ours.get_config() == theirs.get_config()
    assert densekit.optimizers.schedules.serialize(ours) == keras.optimizers.schedules.serialize(
        theirs
    )


def test_piecewise_constant_decay() -> None:
    arguments = ([3, 7.5, 20], [0.4, 0.3, 0.2, 0.1])
    theirs = keras.optimizers.schedules.PiecewiseConstantDecay(*arguments)
    ours = densekit.optimizers.schedules.PiecewiseConstantDecay(*arguments)
    steps = np.arange(30)
    assert ours(steps).tolist() == [float(theirs(int(s))) for s in steps]
    assert ours.get_config() == theirs.get_config()


def test_scheduled_training_uses_the_real_count_while_accumulating() -> None:
    rng = np.random.default_rng(0)
    theirs, ours = pair_of_variables(rng)
    arguments = (0.5, 2, 0.5)
    their = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(*arguments), gradient_accumulation_steps=2
    )
    our = densekit.optimizers.SGD(
        densekit.optimizers.schedules.ExponentialDecay(*arguments), gradient_accumulation_steps=2
    )
    for _ in range(4):
        grads = gradients(rng)
        their.apply(grads, theirs)
        our.apply(grads, ours)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), atol=64 * EPS)
    assert int(our.iterations) == int(their.iterations) == 2


@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam", "Adafactor", "Lamb"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "gradient_accumulation_steps": 2,
            "use_ema": True,
            "ema_overwrite_frequency": 2,
            "weight_decay": 0.1,
            "global_clipnorm": 0.5,
        },
    ],
)
def test_stateless_apply_traces_under_jax(name: str, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    _, eager = pair_of_variables(rng)
    rng = np.random.default_rng(0)
    _, traced = pair_of_variables(rng)
    our = getattr(densekit.optimizers, name)(learning_rate=0.1, **options)
    other = getattr(densekit.optimizers, name)(learning_rate=0.1, **options)
    other.build(traced)
    step = jax.jit(other.stateless_apply)
    weights = [v.numpy() for v in traced]
    state = [v.numpy() for v in other.variables]
    for _ in range(5):
        grads = gradients(rng)
        our.apply(grads, eager)
        weights, state = step(state, grads, weights)
    assert int(other.iterations if not options else other._iterations) == 0  # nothing was written
    atol = tolerance(name, 0.1)
    for a, b in zip([*eager, *our.variables], [*weights, *state], strict=True):
        np.testing.assert_allclose(np.asarray(b), a.numpy(), atol=atol, rtol=atol)


def test_a_variable_to_be_overwritten_waits_for_the_update_of_an_accumulation() -> None:
    results = []
    for k in (densekit, keras):
        variable = k.Variable([[1.0, 2.0]])
        variable.overwrite_with_gradient = True
        optimizer = k.optimizers.SGD(1.0, gradient_accumulation_steps=2)
        values = []
        for number in (3.0, 2.0, 1.0):
            optimizer.apply_gradients([(k.ops.ones((1, 2)) * number, variable)])
            values.append(np.asarray(variable.value).tolist())
        results.append(values)
    assert results[0] == results[1] == [[[1.0, 2.0]], [[3.0, 3.0]], [[3.0, 3.0]]]
