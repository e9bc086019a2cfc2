"""Steps on values: by the kernels what `StatelessScope` computes by the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.optimizers import _stateless, schedules
from densekit.optimizers._stateless import _known

RNG = np.random.default_rng(0)
SHAPES = ((4, 3), (3,))
GRADIENTS = [[RNG.normal(size=s).astype("float32") for s in SHAPES] for _ in range(4)]

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.1),
    "average": lambda: keras.optimizers.RMSprop(0.1, use_ema=True, ema_overwrite_frequency=2),
    "clipped": lambda: keras.optimizers.Nadam(0.1, global_clipnorm=0.5),
    "schedule": lambda: keras.optimizers.Adam(schedules.ExponentialDecay(0.5, 1, 0.5)),
    "accumulated": lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
}
BY_DEFINITION: dict[str, Any] = {
    "callable": lambda: keras.optimizers.SGD(lambda: 0.25),
    "scaled": lambda: keras.optimizers.SGD(0.1, loss_scale_factor=2.0),
}


class Own(keras.optimizers.SGD):
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.assign_sub(variable, 2 * learning_rate * gradient)


BY_DEFINITION["own"] = lambda: Own(0.1)


def built(make: Any) -> tuple[Any, list[Any]]:
    ws = [keras.Variable(np.ones(s, "float32")) for s in SHAPES]
    ws[0].constraint = keras.constraints.MaxNorm(1.5)
    optimizer = make()
    optimizer.build(ws)
    return optimizer, ws


def run(optimizer: Any, ws: list[Any], steps: int = 4) -> list[Any]:
    state, values = [v.numpy() for v in optimizer.variables], [w.numpy() for w in ws]
    for gradients in GRADIENTS[:steps]:
        values, state = optimizer.stateless_apply(state, gradients, values)
    return [*values, *state]


def defined(optimizer: Any, ws: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    with monkeypatch.context() as patch:
        patch.setattr(_stateless, "step_natively", lambda *given: None)
        return run(optimizer, ws)


def close(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [*OPTIMIZERS, *BY_DEFINITION])
def test_values_and_state_are_those_of_the_definition(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer, ws = built({**OPTIMIZERS, **BY_DEFINITION}[name])
    before = [v.numpy() for v in (*optimizer.variables, *ws)]
    found = run(optimizer, ws)
    assert (_known[optimizer]._copy is not None) == (name in OPTIMIZERS)
    close(found, defined(optimizer, ws, monkeypatch))
    for v, value in zip((*optimizer.variables, *ws), before, strict=True):
        assert np.array_equal(v.numpy(), value)
    assert optimizer._dk_updates is None  # nothing of it was used


@pytest.mark.parametrize(
    "change",
    [
        lambda o, ws: setattr(o, "beta_1", 0.5),
        lambda o, ws: setattr(o, "weight_decay", 0.3),
        lambda o, ws: setattr(o, "learning_rate", 0.7),
        lambda o, ws: setattr(ws[0], "constraint", None),
        lambda o, ws: setattr(ws[0].constraint, "max_value", 0.5),
        lambda o, ws: setattr(ws[0], "constraint", lambda w: w * 0.5),
        lambda o, ws: ws[1].assign([3.0, 4.0, 5.0]),
        lambda o, ws: setattr(o, "learning_rate", schedules.ExponentialDecay(0.5, 1, 0.5)),
    ],
)
def test_what_was_changed_counts_at_once(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer, ws = built(lambda: keras.optimizers.Adam(0.1))
    run(optimizer, ws, 1)
    change(optimizer, ws)
    close(run(optimizer, ws), defined(optimizer, ws, monkeypatch))


def test_numbers_of_a_schedule_count(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer, ws = built(OPTIMIZERS["schedule"])
    run(optimizer, ws, 1)
    optimizer._learning_rate.decay_rate = 0.1
    close(run(optimizer, ws), defined(optimizer, ws, monkeypatch))


def test_other_types_shapes_and_gradients_take_the_definition() -> None:
    optimizer, ws = built(lambda: keras.optimizers.SGD(1.0))
    state, values = [v.numpy() for v in optimizer.variables], [w.numpy() for w in ws]
    (first, second), _ = optimizer.stateless_apply(
        state, [np.ones((4, 3)), np.ones(3, "float32")], values
    )
    assert first.max() <= 0.1 and second.max() == 0
    with pytest.warns(UserWarning, match="no gradient"):
        optimizer.stateless_apply(state, [np.ones((4, 3), "float32"), None], values)
    with pytest.raises(ValueError, match="shape"):
        optimizer.stateless_apply(state, [np.ones((3, 4), "float32")] * 2, values)
    with pytest.raises(ValueError, match="gradient"):
        optimizer.stateless_apply(state, GRADIENTS[0][:1], values)


def test_a_copy_goes_with_its_optimizer() -> None:
    import gc
    import weakref

    optimizer, ws = built(OPTIMIZERS["adam"])
    run(optimizer, ws, 1)
    steps = weakref.ref(_known[optimizer])
    del optimizer, ws
    gc.collect()
    assert steps() is None
