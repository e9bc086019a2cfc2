"""What every optimizer and schedule owes."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import densekit as keras
import densekit.optimizers
from densekit._core.native_form import native_form
from densekit._core.registry import components

ALL = components("keras.optimizers")
WRAPPERS = {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}
OPTIMIZERS = {n: c for n, c in ALL.items() if n not in {"Optimizer", *WRAPPERS}}
SCHEDULES = components("keras.optimizers.schedules")
ONE_SLOT = {"SGD", "Adagrad", "Lion", "Muon"}


def variables() -> list[Any]:
    return [
        keras.Variable(np.array([[1.0, -2.0], [0.5, 3.0]], "float32"), name="kernel"),
        keras.Variable(np.array([0.5, -0.5], "float32"), name="bias"),
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_round_trip(name: str) -> None:
    cls = OPTIMIZERS[name]
    optimizer = cls(learning_rate=0.3, weight_decay=0.01, clipnorm=2.0, use_ema=True)
    config = optimizer.get_config()
    assert cls.from_config(config).get_config() == config
    revived = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(revived) is cls
    assert revived.get_config() == config
    own = set(inspect.signature(cls).parameters) - {"options"}
    assert own <= set(config)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_goes_downhill(name: str) -> None:
    """The convex ``sum(w ** 2)`` falls within 50 steps."""
    ws = variables()
    optimizer = OPTIMIZERS[name](learning_rate=1.0 if name == "Adadelta" else 0.05)
    before = sum(float(np.sum(np.square(w.numpy()))) for w in ws)
    for _ in range(50):
        optimizer.apply([2 * w.numpy() for w in ws], ws)
    after = sum(float(np.sum(np.square(w.numpy()))) for w in ws)
    assert after < before
    assert int(optimizer.iterations) == 50


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saved_state_continues_the_same_way(name: str) -> None:
    cls = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    grads = [[rng.normal(size=w.shape).astype("float32") for w in variables()] for _ in range(6)]
    straight, stopped = variables(), variables()
    one, first = cls(learning_rate=0.1), cls(learning_rate=0.1)
    for g in grads:
        one.apply(g, straight)
    for g in grads[:3]:
        first.apply(g, stopped)
    store: dict[str, Any] = {}
    first.save_own_variables(store)
    second = cls(learning_rate=0.7)  # the saved rate wins
    second.build(stopped)
    second.load_own_variables(store)
    for g in grads[3:]:
        second.apply(g, stopped)
    for a, b in zip(straight, stopped, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_native_form(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    assert native_form(optimizer) is not None

    class Changed(OPTIMIZERS[name]):  # type: ignore[misc,valid-type]
        pass

    assert native_form(Changed()) is None


def test_every_kernel_has_a_class() -> None:
    from densekit import _native

    forms = [native_form(cls()) for cls in OPTIMIZERS.values()]
    assert {(f.kind, len(f.parameters)) for f in forms if f} == set(
        _native.testing.optimizer_kinds().items()
    )


def test_adafactor_of_more_than_two_axes_runs_on_the_host() -> None:
    optimizer = densekit.optimizers.Adafactor()
    optimizer.build([keras.Variable(np.ones((2, 3, 4)))])
    assert native_form(optimizer) is None


def test_ftrl_without_a_falling_rate_runs_on_the_host() -> None:
    assert native_form(densekit.optimizers.Ftrl(learning_rate_power=0.0)) is None


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_native_slots_are_the_optimizers_own_variables(name: str) -> None:
    ws = variables()
    extra = {"SGD": {"momentum": 0.5}, "RMSprop": {"momentum": 0.5, "centered": True}}
    optimizer = OPTIMIZERS[name](use_ema=True, gradient_accumulation_steps=2, **extra.get(name, {}))
    optimizer.build(ws)
    own = optimizer.variables
    for w in ws:
        parts = [
            *optimizer.native_slots(w),
            optimizer.native_ema(w),
            optimizer.native_accumulator(w),
        ]
        assert all(any(part is v for v in own) for part in parts)
        assert all(part.dtype == w.dtype for part in parts)
        if name == "Adafactor" and len(w.shape) == 2:
            rows, columns = parts.pop(1), parts.pop(1)
            assert (*rows.shape, *columns.shape) == w.shape
        assert all(part.shape == w.shape for part in parts)
    expected = 1 if name in ONE_SLOT else 3 if name in ("RMSprop", "Adafactor") else 2
    assert len(optimizer.native_slots(ws[0])) == expected
    product = optimizer.native_product()
    assert (product is not None) == (name == "Nadam")
    assert product is None or any(product is v for v in own)
    optimizer.advance(5)
    assert int(optimizer._iterations) == 5


def test_native_options() -> None:
    assert densekit.optimizers.SGD().native_options() == {
        "weight_decay": 0.0,
        "clip_value": 0.0,
        "clip_norm": 0.0,
        "global_clip_norm": 0.0,
        "ema_momentum": -1.0,
        "ema_overwrite_frequency": 0,
        "accumulation_steps": 1,
    }
    optimizer = densekit.optimizers.AdamW(
        clipvalue=0.5, use_ema=True, ema_overwrite_frequency=3, gradient_accumulation_steps=2
    )
    options = optimizer.native_options()
    assert options["weight_decay"] == 0.004
    assert options["clip_value"] == 0.5
    assert (options["ema_momentum"], options["ema_overwrite_frequency"]) == (0.99, 3)
    assert options["accumulation_steps"] == 2


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "CosineDecay": (0.1, 10),
    "CosineDecayRestarts": (0.1, 10),
    "ExponentialDecay": (0.1, 10, 0.5),
    "InverseTimeDecay": (0.1, 10, 0.5),
    "PiecewiseConstantDecay": ([10], [0.1, 0.05]),
    "PolynomialDecay": (0.1, 10),
}


def test_every_schedule_is_tried() -> None:
    assert set(SCHEDULES) - {"LearningRateSchedule"} == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_schedule_takes_arrays_and_goes_round(name: str) -> None:
    schedule = SCHEDULES[name](*ARGUMENTS[name])
    steps = np.arange(25)
    assert schedule(steps).tolist() == [float(schedule(int(step))) for step in steps]
    config = densekit.optimizers.schedules.serialize(schedule)
    revived = densekit.optimizers.schedules.deserialize(config)
    assert revived(steps).tolist() == schedule(steps).tolist()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.3},
    {"clipvalue": 0.05},
    {"clipnorm": 0.1},
    {"global_clipnorm": 0.1},
    {"use_ema": True, "ema_momentum": 0.6, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2, "clipnorm": 0.1, "weight_decay": 0.3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
]
KERNELS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.8}),
    ("SGD", {"momentum": 0.8, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.4}),
    ("RMSprop", {"momentum": 0.4, "centered": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "epsilon": 1e-3}),
    ("AdamW", {}),
    ("Adagrad", {}),
    ("Adadelta", {"rho": 0.9}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Lion", {}),
    ("Ftrl", {}),
    (
        "Ftrl",
        {
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.2,
            "beta": 0.3,
        },
    ),
    ("Ftrl", {"learning_rate_power": -0.7, "initial_accumulator_value": 0.0}),
    ("Lamb", {}),
    ("Adafactor", {}),
    ("Adafactor", {"epsilon_2": 0.5, "clip_threshold": 0.3, "beta_2_decay": -0.5}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "rms_rate": None, "ns_steps": 2, "adam_weight_decay": None}),
    ("Muon", {"exclude_layers": ["kernel"], "adam_lr_ratio": 0.5}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"beta_1": 0.7, "warmup_steps": 4}),
]


def test_every_native_optimizer_is_tried() -> None:
    assert {name for name, _ in KERNELS} == set(OPTIMIZERS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "arguments"), KERNELS, ids=[f"{n}-{list(a)}" for n, a in KERNELS])
def test_native_step_is_the_definition(name: str, arguments: dict[str, Any], dtype: str) -> None:
    """A dense layer with a constraint on its kernel, trained by the core and by the definition."""
    from densekit import _native

    steps = 6
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 3)).astype(dtype), rng.normal(size=(8, 2)).astype(dtype)
    clip = keras.constraints.NonNeg()
    for options in OPTIONS:
        start = [rng.normal(size=(3, 2)), rng.normal(size=2)]
        trained, expected = (
            [
                keras.Variable(start[0], dtype=dtype, name="kernel", constraint=clip),
                keras.Variable(start[1], dtype=dtype, name="bias"),
            ]
            for _ in range(2)
        )
        owner, definition = (
            OPTIMIZERS[name](learning_rate=0.1, **{**arguments, **options}) for _ in range(2)
        )
        for optimizer, ws in ((owner, trained), (definition, expected)):
            optimizer.exclude_from_weight_decay(var_names=["bias"])
            optimizer.build(ws)
        plan = _native.Plan(dtype)
        params = [plan.parameter(w.array, True) for w in trained]
        plan.set_constraint(params[0], "non_neg", [])
        sizes = {"in_features": [3], "out_features": [2]}
        names, numbers = {"activation": "linear"}, {"activation_parameters": []}
        out = plan.op("dense", [plan.input(3)], params, [], names, sizes, numbers)[0]
        plan.loss(plan.output(out) or 0, "mean_squared_error", [], 2, 1.0, "sum_over_batch_size")
        form = native_form(owner)
        assert form is not None
        product = owner.native_product()
        plan.set_optimizer(
            form.kind,
            list(form.parameters),
            **owner.native_options(),
            product=None if product is None else product.array,
        )
        for param, w in zip(params, trained, strict=True):
            average, accumulator = owner.native_ema(w), owner.native_accumulator(w)
            plan.set_slots(
                param,
                [slot.array for slot in owner.native_slots(w)],
                None if average is None else average.array,
                None if accumulator is None else accumulator.array,
                owner.weight_decay_of(w) != 0,
            )
        plan.finalize()
        for iteration in range(steps):
            _, grads, _ = _native.testing.gradients(plan, [x], [y], [None], [], [], True)
            shaped = [np.array(g).reshape(w.shape) for g, w in zip(grads, expected, strict=True)]
            by_definition(definition).apply(shaped, expected)
            rates = owner.learning_rates(iteration, 1)
            losses = np.zeros((1, 2))
            rows = np.arange(8, dtype=np.int64)
            plan.train([x], [y], [None], rows, 8, iteration, rates, [], [], losses, [None])
            owner.advance(1)
            # Each step starts from the same bits: what differs is one step's rounding.
            both = zip(
                [*trained, *owner.variables], [*expected, *definition.variables], strict=True
            )
            for mine, its in both:
                if mine.dtype == dtype:
                    error = np.abs(mine.array - its.array)
                    allowed = 16 * np.finfo(dtype).eps * (1 + np.abs(its.array))
                    assert np.all(error <= allowed), f"{options} {mine.path} step {iteration}"
                its.assign(mine.array)


def by_definition(optimizer: Any) -> Any:
    """The optimizer, whose `apply` is from now on the formula in Python."""
    optimizer._dk_update_natively = lambda pairs: False
    return optimizer


@pytest.mark.usefixtures("native_engine")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "arguments"), KERNELS, ids=[f"{n}-{list(a)}" for n, a in KERNELS])
def test_given_gradients_are_applied_natively(
    name: str, arguments: dict[str, Any], dtype: str
) -> None:
    rng = np.random.default_rng(1)
    for options in OPTIONS:
        start = [rng.normal(size=(3, 2)), rng.normal(size=2)]
        mine, theirs = (
            [
                keras.Variable(start[0], dtype=dtype, constraint=keras.constraints.UnitNorm()),
                keras.Variable(start[1], dtype=dtype),
            ]
            for _ in range(2)
        )
        native, definition = (
            OPTIMIZERS[name](learning_rate=0.1, **{**arguments, **options}) for _ in range(2)
        )
        by_definition(definition)
        for _ in range(6):
            gradients = [rng.normal(size=w.shape).astype(dtype) for w in mine]
            native.apply(gradients, mine)
            definition.apply(gradients, theirs)
            pairs = zip([*mine, *native.variables], [*theirs, *definition.variables], strict=True)
            for one, other in pairs:
                error = np.abs(one.numpy().astype("float64") - other.numpy())
                allowed = 32 * np.finfo(dtype).eps * (1 + np.abs(other.numpy()))
                assert np.all(error <= allowed), f"{options} {one.path}"
                other.assign(one.numpy())
        assert native._dk_updates is not None
        assert definition._dk_updates is None


def test_a_change_of_the_optimizer_counts_at_once() -> None:
    w = keras.Variable([1.0, 1.0])
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.apply([np.ones(2, "float32")], [w])
    optimizer.clipvalue = 0.1
    optimizer.learning_rate = 1.0
    optimizer.apply([np.ones(2, "float32")], [w])
    np.testing.assert_allclose(w.numpy(), [0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_variables_stand_for_their_values(name: str) -> None:
    ws = variables()
    gradients = [np.ones(w.shape, "float32") for w in ws]
    optimizer = OPTIMIZERS[name](learning_rate=0.1)
    optimizer.build(ws)
    values = [v.numpy() for v in optimizer.variables], [w.numpy() for w in ws]
    expected = optimizer.stateless_apply(values[0], gradients, values[1])
    found = optimizer.stateless_apply(optimizer.variables, gradients, ws)
    for one, other in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        np.testing.assert_array_equal(one, other)
    for w, before in zip(ws, values[1], strict=True):
        np.testing.assert_array_equal(w.numpy(), before)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_silent_rows_and_columns_stay_finite(name: str) -> None:
    """A unit that is off and a feature that is 0: their weights have no gradient at all."""
    w = keras.Variable(np.ones((3, 3), "float32"))
    optimizer = OPTIMIZERS[name](learning_rate=0.1)
    gradient = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], "float32")
    for _ in range(3):
        optimizer.apply([gradient], [w])
    assert np.isfinite(w.numpy()).all()
