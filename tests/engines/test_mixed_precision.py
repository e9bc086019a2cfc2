"""Mixed precision: lowered natively, close to the definition, the same bits however it runs.

A bfloat16 number has 8 significant bits, a float16 number 11: rounding is off by at most EPS of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import densekit as keras
from densekit import _native
from densekit.engines import lower_graph
from densekit.layers import Layer

Array = npt.NDArray[Any]
L = keras.layers

EPS = {"bfloat16": 2.0**-9, "float16": 2.0**-12}
X = np.random.default_rng(0).normal(size=(48, 12)).astype("float32")
LABELS = np.arange(48) % 3


@pytest.fixture(autouse=True, params=["bfloat16", "float16"])
def half(request: Any) -> Any:
    keras.config.set_dtype_policy(f"mixed_{request.param}")
    yield request.param
    keras.backend.clear_session()


def plain(x: Any) -> Any:
    x = L.Dense(20, activation="relu")(x)
    return L.Dense(3, activation="softmax")(L.Dense(17, activation="tanh")(x))


def branches(x: Any) -> Any:
    a = L.Dense(10, activation="gelu")(x)
    b = L.ReLU()(L.Dense(10, use_bias=False)(x))
    c = L.Concatenate()([L.Add()([a, b]), L.Multiply()([a, b]), L.Maximum()([a, b])])
    return L.Dense(3, dtype="float32")(L.Activation("swish")(c))


def around(x: Any) -> Any:
    x = L.Rescaling(0.5, 0.1)(L.Dropout(0.0)(L.Reshape((6, 2))(x)))
    x = L.Flatten()(L.Dense(5, activation="elu")(x))
    return L.Softmax()(L.Dense(3, activity_regularizer=keras.regularizers.L2(0.1))(x))


def shared(x: Any) -> Any:
    dense = L.Dense(12, activation="sigmoid")
    return L.Dense(3)(dense(L.Average()([dense(x), x])))


NETWORKS = [plain, branches, around, shared]


def of_arrays(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, which cannot be followed with symbolic tensors."""

    def checked(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, keras.KerasTensor):
            raise TypeError("arrays alone")
        return call(inputs, *args, **kwargs)

    return checked


def build(network: Callable[[Any], Any], on_host: bool = False) -> Any:
    keras.utils.set_random_seed(3)
    x = keras.Input((12,))
    model = keras.Model(x, network(x))
    if on_host:  # a call of its own is no longer the one that `lower` stands for
        for layer in model.layers:
            layer.call = of_arrays(layer.call)
    return model


def steps(model: Any, training: bool = True) -> list[str]:
    return [op.kind for op in lower_graph(model._dk_graph(), "float32", training).ops]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_is_native(network: Any) -> None:
    assert "host" not in steps(build(network))
    assert set(steps(build(network, on_host=True))) <= {"host", "activity"}


def test_what_is_read_is_rounded_once(half: str) -> None:
    read = [] if half == "bfloat16" else ["activation"]  # products in bfloat16 round as they read
    assert steps(build(plain)) == [*read, "dense", "dense", "dense"]
    x = keras.Input((12,))
    model = keras.Model(x, L.Dropout(0.5)(L.ReLU()(x)))
    assert steps(model) == ["activation", "activation", "dropout"]
    assert steps(keras.Model(x, L.Flatten()(x))) == ["activation"]


def test_weights_of_half_precision_run_on_the_host(half: str) -> None:
    x = keras.Input((12,))
    assert steps(keras.Model(x, L.Dense(2, dtype=half)(x))) == ["host"]


def test_both_in_one_network(half: str) -> None:
    other = "mixed_float16" if half == "bfloat16" else "mixed_bfloat16"
    x = keras.Input((12,))
    model = keras.Model(x, L.Dense(3)(L.Dense(20, "relu", dtype=other)(L.Dense(20, "tanh")(x))))
    assert "host" not in steps(model)
    by_definition = np.asarray(Layer.__call__(model, X, training=False)).astype("f8")
    off = np.abs(model.predict(X, verbose=0).astype("f8") - by_definition)
    assert off.max() <= 10 * EPS["bfloat16"] * max(1.0, float(np.abs(by_definition).max()))


@pytest.mark.parametrize("network", NETWORKS)
def test_predictions_are_those_of_the_definition(network: Any, half: str) -> None:
    model = build(network)
    natively = model.predict(X, verbose=0)
    by_definition = np.asarray(Layer.__call__(model, X, training=False))
    assert natively.dtype.name == model.output.dtype
    # Some ten roundings from input to output, on values of order 1.
    bound = 10 * EPS[half] * max(1.0, float(np.abs(by_definition).astype("f8").max()))
    off = np.abs(natively.astype("f8") - by_definition.astype("f8"))
    assert off.max() <= bound
    assert np.median(off) <= bound / 10


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_is_that_of_the_definition(network: Any, half: str) -> None:
    eps = EPS[half]
    results = []
    for on_host in (False, True):
        model = build(network, on_host)
        model.compile(keras.optimizers.SGD(1.0), keras.losses.CategoricalCrossentropy())
        if network in (branches, shared):
            model.compile(keras.optimizers.SGD(1.0), "mse")
        before = model.get_weights()
        loss = model.train_on_batch(X, np.eye(3, dtype="float32")[LABELS])
        after = model.get_weights()
        results.append((loss, [b - a for a, b in zip(before, after, strict=True)]))
    (loss, gradients), (expected_loss, expected) = results
    assert abs(loss - expected_loss) <= 8 * eps * max(1.0, abs(expected_loss))
    for ours, theirs in zip(gradients, expected, strict=True):
        # The sum over 48 rows of terms off by some ten roundings, against the largest gradient.
        scale = float(np.abs(theirs).max())
        assert scale > 0
        assert np.abs(ours - theirs).max() <= 24 * eps * scale
        assert np.median(np.abs(ours - theirs)) <= 4 * eps * scale


def test_the_last_layer_decides_the_dtype_of_predictions(half: str) -> None:
    expected = ml_dtypes.bfloat16 if half == "bfloat16" else np.float16
    assert build(plain).predict(X, verbose=0).dtype == expected
    assert build(branches).predict(X, verbose=0).dtype == np.float32
    assert {v.dtype for v in build(plain).weights} == {"float32"}


def test_any_number_of_threads_any_batch_size_any_hook() -> None:
    def run(threads: int, **fit: Any) -> list[bytes]:
        keras.config.set_threads(threads)
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [keras.Input((70,)), L.Dense(300, "relu"), L.Dropout(0.2), L.Dense(130, "gelu")]
        )
        model.add(L.Dense(5, "softmax"))
        model.compile("adam", "sparse_categorical_crossentropy")
        x = np.random.default_rng(1).normal(size=(330, 70)).astype("float32")
        model.fit(x, np.arange(330) % 5, batch_size=64, epochs=2, verbose=0, **fit)
        predicted = model.predict(x, verbose=0)
        for size in (1, 33):
            assert (model.predict(x[:99], batch_size=size, verbose=0) == predicted[:99]).all()
        assert (np.asarray(model(x[:7])) == predicted[:7]).all()
        return [w.tobytes() for w in (*model.get_weights(), predicted)]

    class Hook(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    expected = run(1)
    assert run(2) == expected
    assert run(3) == expected
    assert run(2, callbacks=[Hook()]) == expected


class HostDescent(keras.optimizers.SGD):
    """A subclass inherits no native form: it may have changed the formula."""


@pytest.mark.parametrize(
    "extra",
    [
        {"optimizer": keras.optimizers.SGD(0.5, global_clipnorm=0.1)},
        {"optimizer": HostDescent(0.1)},
        {"optimizer": keras.optimizers.Lamb(0.1)},
        {"kernel_constraint": keras.constraints.UnitNorm()},
        {"optimizer": keras.optimizers.Adam(0.1, use_ema=True, ema_overwrite_frequency=2)},
    ],
    ids=["clipped", "host optimizer", "scaled", "constraint", "average"],
)
def test_weights_that_change_outside_a_chunk_are_packed_again(extra: dict[str, Any]) -> None:
    """Several steps in one call leave the weights of single calls, which pack them afresh."""
    weights = []
    optimizer = extra.pop("optimizer", keras.optimizers.SGD(0.5))
    for at_once in (True, False):
        keras.utils.set_random_seed(9)
        model = keras.Sequential(
            [keras.Input((12,)), L.Dense(40, "relu", **extra), L.Dense(3, **extra)]
        )
        model.compile(type(optimizer).from_config(optimizer.get_config()), "mse")
        y = np.eye(3, dtype="float32")[LABELS]
        if at_once:
            model.fit(X, y, batch_size=8, shuffle=False, verbose=0)
        else:
            for i in range(0, 48, 8):
                model.train_on_batch(X[i : i + 8], y[i : i + 8])
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_digits_are_read_as_well_as_in_float32(half: str) -> None:
    (x, y), (x_test, y_test) = keras.datasets.digits.load_data()
    x, x_test = x.astype("float32") / 16, x_test.astype("float32") / 16
    wrong = {}
    for policy in ("float32", f"mixed_{half}"):
        wrong[policy] = 0
        for seed in range(3):
            keras.config.set_dtype_policy(policy)
            keras.utils.set_random_seed(seed)
            model = keras.Sequential([keras.Input(x.shape[1:]), L.Flatten()])
            model.add(L.Dense(64, "relu"))
            model.add(L.Dense(10, "softmax"))
            model.compile("adam", "sparse_categorical_crossentropy")
            model.fit(x, y, epochs=15, verbose=0)
            wrong[policy] += int((model.predict(x_test, verbose=0).argmax(-1) != y_test).sum())
    # Two counts of errors differ by two standard deviations at most, were they independent.
    assert wrong[f"mixed_{half}"] <= wrong["float32"] + 2 * (2 * wrong["float32"]) ** 0.5


def test_a_policy_outlives_the_file(tmp_path: Any, half: str) -> None:
    model = build(plain)
    model.save(tmp_path / "m.keras")
    keras.backend.clear_session()
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert [layer.dtype_policy.name for layer in loaded.layers[1:]] == [f"mixed_{half}"] * 3
    assert "host" not in steps(loaded)
    assert (loaded.predict(X, verbose=0) == model.predict(X, verbose=0)).all()


def test_a_float64_plan_refuses(half: str) -> None:
    with pytest.raises(ValueError, match="a plan of dtype 'float64' cannot compute in"):
        _native.Plan("float64").compute_in(half)


# Loss scaling


def small_gradients(scale: bool) -> Any:
    """A network whose gradients by its first kernel are too small for float16."""
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((12,)), L.Dense(8, "tanh"), L.Dense(1)])
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(1)
    model.set_weights([1e-1 * np.random.default_rng(2).normal(size=w.shape) for w in model.weights])
    model.compile(keras.optimizers.SGD(1e5), "mse", auto_scale_loss=scale, loss_weights=1e-6)
    return model


def test_loss_scaling_keeps_small_gradients() -> None:
    y = np.ones((48, 1), "float32")
    moved = []
    for scale in (False, True):
        model = small_gradients(scale)
        before = model.get_weights()
        model.train_on_batch(X, y)
        moved.append(
            [np.abs(b - a).max() for a, b in zip(before, model.get_weights(), strict=True)]
        )
    reference = keras.Sequential([keras.Input((12,)), L.Dense(8, "tanh"), L.Dense(1)])
    reference.set_weights(before)
    reference.compile(keras.optimizers.SGD(1e5), "mse", loss_weights=1e-6)
    reference.train_on_batch(X, y)
    true = [np.abs(b - a).max() for a, b in zip(before, reference.get_weights(), strict=True)]
    np.testing.assert_allclose(moved[1], true, rtol=0.02)
    assert moved[0][0] < 0.5 * true[0]


def test_the_scale_falls_until_gradients_are_finite_and_grows_again() -> None:
    keras.config.set_dtype_policy("mixed_float16")
    model = keras.Sequential([keras.Input((12,)), L.Dense(8, "tanh"), L.Dense(1)])
    inner = keras.optimizers.SGD(1e-3)
    scaled = keras.optimizers.LossScaleOptimizer(inner, 2.0**30, dynamic_growth_steps=40)
    model.compile(scaled, "mse")
    y = np.ones((48, 1), "float32")
    model.fit(X, y, batch_size=4, epochs=4, shuffle=False, verbose=0)
    steps_made = int(model.optimizer.iterations)
    left_out = 48 - steps_made
    assert 8 <= left_out <= 30  # to about 2 ** 15, at which the gradients of the loss are finite
    assert float(model.optimizer.dynamic_scale) == 2.0 ** (30 - left_out)
    assert 8 < int(model.optimizer.step_counter) <= steps_made  # since the latest one left out
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(X, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert float(model.optimizer.dynamic_scale) >= 2.0 ** (30 - left_out)


@pytest.mark.parametrize("threads", [1, 2])
def test_skipped_steps_have_the_same_bits_in_one_call_and_step_by_step(threads: int) -> None:
    keras.config.set_threads(threads)
    y = np.ones((48, 1), "float32")
    found = []
    for at_once in (True, False):
        keras.config.set_dtype_policy("mixed_float16")
        keras.utils.set_random_seed(2)
        model = keras.Sequential([keras.Input((12,)), L.Dense(8, "tanh"), L.Dense(1)])
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
        scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate), 2.0**24, 3)
        model.compile(scaled, "mse")
        if at_once:
            model.fit(X, y, batch_size=4, shuffle=False, verbose=0)
        else:
            for i in range(0, 48, 4):
                model.train_on_batch(X[i : i + 4], y[i : i + 4])
        found.append([v.numpy() for v in (*model.weights, *model.optimizer.variables)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
