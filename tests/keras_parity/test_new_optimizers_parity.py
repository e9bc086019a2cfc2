"""Muon, ScheduleFreeAdamW and the wrappers against Keras: 20 steps in float32 and float64."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np
import pytest

import densekit

STEPS = 20
SHAPES = {"kernel": (5, 3), "bias": (3,), "embedding": (2, 4), "out": (3, 6)}
COMMON: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1, "clipnorm": 0.5},
    {"clipvalue": 0.3, "use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"global_clipnorm": 0.5, "gradient_accumulation_steps": 2, "weight_decay": 0.01},
]
Make = Callable[[Any, dict[str, Any]], Any]


def rate(lib: Any) -> Any:
    return lib.optimizers.schedules.ExponentialDecay(0.1, 8, 0.5)


def multi(lib: Any, options: dict[str, Any]) -> Any:
    o = lib.optimizers
    chosen = o.OptimizerMap(
        o.SGD(0.1, momentum=0.9, **options), {"kernel|out": o.Adam(rate(lib)), "b.*": o.Lion(0.1)}
    )
    return o.MultiOptimizer(chosen)


def scaled(lib: Any, options: dict[str, Any]) -> Any:
    inner = lib.optimizers.Adam(rate(lib), **options)
    return lib.optimizers.LossScaleOptimizer(inner, 8.0, 3)


MADE: dict[str, Make] = {
    "Muon": lambda lib, options: lib.optimizers.Muon(0.1, **options),
    "Muon, scheduled": lambda lib, options: lib.optimizers.Muon(
        rate(lib), nesterov=False, rms_rate=None, ns_steps=3, adam_lr_ratio=0.5, **options
    ),
    "Muon, some excluded": lambda lib, options: lib.optimizers.Muon(
        0.1,
        exclude_embeddings=False,
        exclude_layers=["^out"],
        adam_weight_decay=None,
        momentum=0.5,
        **options,
    ),
    "ScheduleFreeAdamW": lambda lib, options: lib.optimizers.ScheduleFreeAdamW(0.1, **options),
    "ScheduleFreeAdamW, warm": lambda lib, options: lib.optimizers.ScheduleFreeAdamW(
        rate(lib), beta_1=0.7, warmup_steps=7, **options
    ),
    "MultiOptimizer": multi,
    "LossScaleOptimizer": scaled,
}


def walk(lib: Any, make: Make, options: dict[str, Any], dtype: str) -> list[Any]:
    """Variables and state after `STEPS` steps; with loss scaling some gradients are infinite."""
    rng = np.random.default_rng(0)
    ws = [lib.Variable(rng.normal(size=s), name=n, dtype=dtype) for n, s in SHAPES.items()]
    optimizer = make(lib, options)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(ws)
    # Keras compiles op by op, and branches in every step, unless the step is compiled as a whole.
    stateless = optimizer.stateless_apply if lib is densekit else jax.jit(optimizer.stateless_apply)
    for step in range(STEPS):
        gradients = [rng.normal(size=w.shape).astype(dtype) for w in ws]
        is_scaled = hasattr(optimizer, "inner_optimizer")
        if is_scaled and step in (2, 6, 7):
            gradients[1][0] = np.nan if step == 2 else np.inf
        if is_scaled or lib is keras:
            weights, state = stateless(
                [v.value for v in optimizer.variables], gradients, [w.value for w in ws]
            )
            for variable, value in zip(
                [*ws, *optimizer.variables], [*weights, *state], strict=True
            ):
                variable.assign(value)
        else:
            optimizer.apply(gradients, ws)
    return [*ws, *optimizer.variables]


def by_definition(monkeypatch: Any, *walked: Any) -> list[Any]:
    """`walk` with no help of the core."""
    with monkeypatch.context() as patched:
        patched.setattr(
            densekit.optimizers.Optimizer, "_dk_update_natively", lambda self, pairs: False
        )
        return walk(densekit, *walked)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", MADE)
def test_trajectory(kind: str, dtype: str, monkeypatch: Any) -> None:
    # Keras takes Muon's norm, the root of its scale and schedules in float32.
    in_float32 = kind.startswith("Muon") or "Loss" in kind or "Multi" in kind or "warm" in kind
    single = dtype == "float32" or in_float32
    for options in COMMON:
        if kind in ("LossScaleOptimizer", "MultiOptimizer") and "weight_decay" in options:
            # Keras ignores what is excluded on a wrapper.
            options = {k: v for k, v in options.items() if k != "weight_decay"}
        with jax.enable_x64(dtype == "float64"):  # of all this, what Keras does takes the time
            theirs = walk(keras, MADE[kind], options, dtype)
            theirs = [np.asarray(v.numpy(), np.float64) for v in theirs]
        eps = float(np.finfo("float32" if single else "float64").eps)
        # Of a step about 16 roundings; beta_2 ** t near 1 loses 1 / (2 * 0.001) in float32. In
        # Newton and Schulz' iteration small singular values grow up to muon_a times each time.
        allowed = STEPS * eps * (16 + 0.1 * 2 / (2 * 0.001))
        if kind.startswith("Muon"):
            allowed *= 8
        walked = MADE[kind], options, dtype
        for ours in (walk(densekit, *walked), by_definition(monkeypatch, *walked)):
            for a, b in zip(theirs, ours, strict=True):
                np.testing.assert_allclose(
                    b.numpy(), a, atol=allowed, rtol=allowed, err_msg=f"{options} {b.path}"
                )


@pytest.mark.parametrize("kind", MADE)
def test_configs_variables_and_files_are_those_of_keras(kind: str) -> None:
    for options in (COMMON[0], COMMON[3]):
        keras.utils.clear_session(free_memory=False)
        densekit._core.naming.reset_names()
        made = [MADE[kind](lib, options) for lib in (keras, densekit)]
        config = keras.optimizers.serialize(made[0])
        assert densekit.optimizers.serialize(made[1]) == config
        assert densekit.optimizers.serialize(densekit.optimizers.deserialize(config)) == config
        for lib, optimizer in zip((keras, densekit), made, strict=True):
            optimizer.build(
                [lib.Variable(np.ones(s, "float32"), name=n) for n, s in SHAPES.items()]
            )
        theirs, ours = ([(v.path, v.shape, v.dtype) for v in o.variables] for o in made)
        assert ours == theirs
        store: dict[str, Any] = {}
        made[0].save_own_variables(store)
        back: dict[str, Any] = {}
        made[1].load_own_variables(store)
        made[1].save_own_variables(back)
        assert list(back) == list(store)
        for key in store:
            np.testing.assert_array_equal(back[key], store[key])


def test_signatures_are_those_of_keras() -> None:
    import inspect

    names = ("Muon", "ScheduleFreeAdamW", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
    for name in names:
        theirs = inspect.signature(getattr(keras.optimizers, name)).parameters
        ours = inspect.signature(getattr(densekit.optimizers, name)).parameters
        common = set(densekit.optimizers._options.Options.__annotations__) | {"options", "kwargs"}
        for argument in {*theirs, *ours} - common:
            assert theirs[argument].default == ours[argument].default, f"{name} {argument}"
