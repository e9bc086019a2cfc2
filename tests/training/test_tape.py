"""`GradientTape` and `value_and_grad`: native steps, definitions, second derivatives, refusals."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.training import _tape

Array = np.ndarray[Any, Any]


@contextmanager
def definitions_alone() -> Iterator[None]:
    """Inside, tapes record every formula of a model instead of its native call."""
    native = _tape.run_recorded, _tape.run_quickly
    _tape.run_recorded = _tape.run_quickly = lambda *_: NotImplemented
    try:
        yield
    finally:
        _tape.run_recorded, _tape.run_quickly = native


def rows(*shape: int) -> Array:
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def network(activation: str = "tanh") -> Any:
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation),
            keras.layers.Dropout(0.3, seed=3),
            keras.layers.Dense(2),
        ]
    )


def branched(dtype: str = "float32") -> Any:
    a, b = keras.Input((3,), dtype=dtype), keras.Input((2,), dtype=dtype)
    joined = keras.layers.Concatenate(dtype=dtype)([a, b])
    hidden = keras.layers.Dense(4, "gelu", dtype=dtype)(joined)
    heads = [keras.layers.Dense(units, dtype=dtype)(hidden) for units in (2, 1)]
    return keras.Model([a, b], heads)


def close(found: Any, expected: Any, scale: float = 1.0) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=2e-5 * scale, atol=2e-6 * scale)


def numerically(loss: Callable[[], float], array: Array, step: float = 1e-6) -> Array:
    """The gradient by central differences, `array` being changed in place."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = loss()
        array[index] = kept - step
        gradient[index] = (above - loss()) / (2 * step)
        array[index] = kept
    return gradient


def test_gradients_are_those_of_finite_differences() -> None:
    model = branched("float64")
    x = [rows(5, 3).astype("float64"), rows(5, 2).astype("float64")]
    targets = model.trainable_variables

    def loss() -> Any:
        first, second = model(x)
        return ops.mean(first**2) + ops.sum(second * ops.tanh(second))

    with keras.GradientTape() as tape:
        tape.watch(x)
        value = loss()
    found = tape.gradient(value, [targets, x])
    for variable, gradient in zip(targets, found[0], strict=True):
        expected = numerically(lambda: float(loss()), variable.array)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
    for array, gradient in zip(x, found[1], strict=True):
        expected = numerically(lambda: float(loss()), array)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "softmax"])
def test_a_model_is_one_native_step(activation: str) -> None:
    model, x = network(activation), rows(5, 3)
    state = model.layers[1].seed_generator.state

    def run() -> list[Any]:
        state.assign([3, 7])
        with keras.GradientTape() as tape:
            tape.watch(x)
            outputs = model(x, training=True)
            loss = ops.mean(outputs**2) + ops.sum(model(x))
        assert state.numpy().tolist() == [3, 8]  # the mask of one call is used up
        return [loss.numpy(), *tape.gradient(loss, [*model.trainable_variables, x])]

    native = run()
    with definitions_alone():
        close(native, run())


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(
    "laid_out",
    [np.asfortranarray, lambda x: x[:, ::-1], lambda x: x.astype(">f4"), np.longdouble],
    ids=["by columns", "reversed", "another byte order", "long double"],
)
def test_rows_that_the_core_cannot_read_in_place(
    laid_out: Callable[[Array], Array], dropout: bool
) -> None:
    model = network()
    if not dropout:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = laid_out(rows(5, 3))
    for _ in range(2):  # the second call is like the first
        with keras.GradientTape() as tape:
            y = model(x)
        expected = model(np.ascontiguousarray(x, "float32"))
        np.testing.assert_array_equal(ops.convert_to_numpy(y), expected)
        assert all(g is not None for g in tape.gradient(y, model.trainable_variables))


def test_a_persistent_tape_records_on() -> None:
    model, x, tape = network(), rows(5, 3), keras.GradientTape(persistent=True)
    variables, w = model.trainable_variables, keras.Variable(2.0)
    with tape:
        first, cube = ops.mean(model(x)), w * w * w
    with tape:
        second, both = ops.sum(model(x) * 2.0), cube * w
    one, other = tape.gradient(first, variables), tape.gradient(second, variables)
    for g, h in zip(one, other, strict=True):
        np.testing.assert_allclose(np.asarray(g) * np.size(model(x)) * 2, h, rtol=1e-5, atol=1e-6)
    assert float(tape.gradient(cube, w)) == 12.0 and float(tape.gradient(both, w)) == 32.0
    with keras.GradientTape() as inner, tape:  # now it is inside of another one
        inside = ops.sum(model(x) * 2.0)
    for g, h in zip(tape.gradient(inside, variables), other, strict=True):
        np.testing.assert_allclose(g, h, rtol=1e-5, atol=1e-6)
    assert all(g is not None for g in inner.gradient(inside, variables))
    tape.reset()
    assert tape.gradient(cube, w) is None


def test_a_native_call_leaves_one_node() -> None:
    model, x = network(), rows(5, 3)
    with keras.GradientTape() as tape:
        y = model(x, training=True)
    parents = [tape.root(v) for v in model.trainable_variables]
    assert list(y._node.parents) == parents


def test_a_layer_runs_natively_too() -> None:
    layer, x = keras.layers.Dense(4, "elu"), rows(5, 3)
    layer(x)

    def run() -> list[Any]:
        with keras.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(layer(x) ** 2)
        return tape.gradient(loss, [layer.kernel, layer.bias, x])

    native = run()
    with definitions_alone():
        close(native, run())


@pytest.mark.parametrize("activation", ["tanh", "gelu", "softmax"])
def test_second_derivatives_go_through_a_model(activation: str) -> None:
    model, x = network(activation), rows(5, 3)
    state = model.layers[1].seed_generator.state

    def run() -> list[Any]:
        state.assign([3, 7])
        with keras.GradientTape() as outer:
            with keras.GradientTape() as inner:
                inner.watch(x)
                y = model(x, training=True)
            loss = ops.sum(inner.gradient(y, x) ** 2)
        assert state.numpy().tolist() == [3, 8]  # the definition drew the same mask again
        return [loss.numpy(), *outer.gradient(loss, model.trainable_variables)]

    native = run()
    assert native[-1] is None  # the last bias has no part in the slope
    with definitions_alone():
        close(native, run())


def test_two_tapes_at_once() -> None:
    first, second, x = network(), network(), rows(4, 3)
    with keras.GradientTape() as one, keras.GradientTape() as two:
        y = first(x, training=False)
        z = ops.mean(y**2) + ops.mean(second(x, training=False) ** 2)
    mine = one.gradient(z, first.trainable_variables)
    theirs = two.gradient(z, second.trainable_variables)
    with keras.GradientTape() as tape:
        z = ops.mean(first(x, training=False) ** 2) + ops.mean(second(x, training=False) ** 2)
    close(mine + theirs, tape.gradient(z, first.trainable_variables + second.trainable_variables))


def test_weights_changed_before_the_gradient() -> None:
    model, x = network(), rows(4, 3)

    def run(between: bool) -> list[Any]:
        with keras.GradientTape() as tape:
            loss = ops.sum(model(x, training=False) ** 2)
        before = model.get_weights()
        if between:
            model.set_weights([w + 1 for w in before])
        found = tape.gradient(loss, model.trainable_variables)
        model.set_weights(before)
        return list(found)

    close(run(between=True), run(between=False))


def test_many_calls_before_the_gradient() -> None:
    model, parts = network(), [rows(n, 3) for n in (2, 7, 3)]
    with keras.GradientTape() as tape:
        loss = sum(ops.sum(model(x, training=False) ** 2) for x in parts)
    found = tape.gradient(loss, model.trainable_variables)
    whole = np.concatenate(parts)
    with keras.GradientTape() as tape:
        loss = ops.sum(model(whole, training=False) ** 2)
    close(found, tape.gradient(loss, model.trainable_variables), scale=5)


def test_several_outputs_and_inputs() -> None:
    model, x = branched(), [rows(5, 3), rows(5, 2)]

    def run() -> list[Any]:
        with keras.GradientTape() as tape:
            tape.watch(x)
            first, second = model(x, training=True)
            loss = ops.sum(first) + ops.sum(second**2) + ops.sum(first**3)
        found = tape.gradient(loss, [*model.trainable_variables, *x])
        assert [type(a) for a in x] == [np.ndarray, np.ndarray]
        return list(found)

    native = run()
    with definitions_alone():
        close(native, run())


def test_watched_arrays_read_as_recorded() -> None:
    x = np.array([1.0, 2.0, 3.0])
    with keras.GradientTape(persistent=True) as tape:
        tape.watch(x)
        formulas = {
            "operators": (x * x - 2 / x, 2 * x + 2 / x**2),
            "numpy": (np.sin(x), np.cos(x)),
            "ops": (ops.exp(x), np.exp([1.0, 2.0, 3.0])),
            "indexed": (x[1:] * 2, np.array([0.0, 2.0, 2.0])),
            "method": (x.reshape(3, 1).sum() * 3, np.full(3, 3.0)),
            "joined": (np.concatenate([x, x]) * 2, np.full(3, 4.0)),
            "from the right": (np.ones(3) - x, -np.ones(3)),
        }
    assert type(x) is np.ndarray
    for name, (y, expected) in formulas.items():
        plain = np.asarray(getattr(expected, "_value", expected))
        np.testing.assert_allclose(tape.gradient(y, x), plain, err_msg=name)


def test_a_watched_array_is_plain_after_an_error() -> None:
    x = np.ones(3)
    with pytest.raises(ZeroDivisionError), keras.GradientTape() as tape:
        tape.watch(x)
        raise ZeroDivisionError
    assert type(x) is np.ndarray
    gc.collect()
    assert (x + 1).tolist() == [2.0, 2.0, 2.0]


def test_an_array_watched_by_two_tapes() -> None:
    x = np.array([2.0])
    with keras.GradientTape() as outer:
        outer.watch(x)
        with keras.GradientTape() as inner:
            inner.watch(x)
            y = x**3
        assert type(x) is not np.ndarray
        slope = inner.gradient(y, x)
        z = slope * x
    assert type(x) is np.ndarray
    assert outer.gradient(z, x).tolist() == [9 * 4.0]


def test_what_an_outer_tape_made_can_be_watched() -> None:
    w = keras.Variable([1.0, 2.0])
    with keras.GradientTape() as outer:
        mixed = w * 3.0
        with keras.GradientTape() as inner:
            inner.watch(mixed)
            y = ops.sum(mixed**3)
        penalty = ops.sum(inner.gradient(y, mixed))  # 3 (3 w)^2
    np.testing.assert_allclose(outer.gradient(penalty, w), 54 * np.array([1.0, 2.0]), rtol=1e-6)


def test_what_a_model_made_in_an_outer_tape_can_be_watched() -> None:
    # A penalty on the slope of a critic, as in Wasserstein GANs: formulas wait from the second
    # pass on, those noted before the inner tape and those after it, too.
    generator, critic = network(), network()
    weights = [*generator.trainable_variables, *critic.trainable_variables]

    def penalty() -> tuple[Any, list[Array]]:
        with keras.GradientTape() as outer:
            mixed = generator(rows(6, 3)) * 0.5
            earlier = ops.mean(mixed * mixed)
            kernel = mixed[:, :1] * np.ones((1, 3), "float32")
            with keras.GradientTape() as inner:
                inner.watch(kernel)
                given = ops.sum(critic(kernel))
            slope = inner.gradient(given, kernel)
            total = ops.mean(slope * slope) + earlier + ops.mean(kernel * 2.0) + ops.mean(mixed)
        return float(total), outer.gradient(total, weights, unconnected_gradients="zero")

    with definitions_alone():
        wanted, slopes = penalty()
    for _ in range(3):
        value, found = penalty()
        assert value == pytest.approx(wanted, rel=1e-5)
        for a, b in zip(found, slopes, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_variables_are_read_as_they_are() -> None:
    v = keras.Variable(2.0)
    with keras.GradientTape() as tape:
        y = v * v
        v.assign(y)  # the buffer takes the number
        z = v * 3.0
    assert float(v) == 4.0
    assert float(z) == 12.0
    assert float(tape.gradient(y + z, v)) == 2 * 2.0 + 3.0


def test_what_is_not_watched_has_no_gradient() -> None:
    x, v = np.ones(3), keras.Variable([1.0], trainable=False)
    w = keras.Variable([1.0])
    with keras.GradientTape(watch_accessed_variables=False) as tape:
        y = ops.sum(w * x + v)
    assert tape.gradient(y, [x, v, w]) == [None, None, None]
    assert tape.watched_variables() == ()
    with keras.GradientTape(persistent=True) as tape:
        tape.watch(v)
        y = ops.sum(w * x * v)
    assert tape.gradient(y, [v, w])[0].tolist() == [3.0]
    assert tape.watched_variables() == (v, w)
    zero = tape.gradient(y, x, unconnected_gradients="zero")
    assert zero.tolist() == [0.0, 0.0, 0.0]


def test_a_frozen_weight_that_is_watched() -> None:
    model, x = network(), rows(4, 3)
    model.layers[0].trainable = False
    frozen = model.layers[0].kernel
    with keras.GradientTape() as tape:
        tape.watch(frozen)
        loss = ops.sum(model(x, training=False) ** 2)
    assert tape.gradient(loss, frozen).shape == (3, 4)
    with keras.GradientTape() as tape:
        loss = ops.sum(model(x, training=False) ** 2)
    assert tape.gradient(loss, frozen) is None


def test_output_gradients_and_sums_of_targets() -> None:
    x = np.array([1.0, 2.0])
    with keras.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, z = x * x, 3 * x
    assert tape.gradient(y, x, output_gradients=np.array([1.0, 10.0])).tolist() == [2.0, 40.0]
    assert tape.gradient([y, z], x).tolist() == [5.0, 7.0]
    assert tape.gradient(y, {"a": x, "b": [x]})["b"][0].tolist() == [2.0, 4.0]
    assert tape.gradient(z, y) is None
    assert tape.jacobian(y, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_jacobians_of_rows() -> None:
    x = np.arange(6.0).reshape(3, 2)
    with keras.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = ops.stack([x[:, 0] * x[:, 1], x[:, 0] ** 2, x[:, 1]], axis=1)
    found = tape.batch_jacobian(y, x)
    expected = [[[b, a], [2 * a, 0.0], [0.0, 1.0]] for a, b in x]
    np.testing.assert_allclose(found, expected)
    whole = tape.jacobian(y, x)
    np.testing.assert_allclose(whole[range(3), :, range(3)], found)
    assert tape.batch_jacobian(x, y) is None
    assert tape.batch_jacobian(x, y, unconnected_gradients="zero").shape == (3, 2, 3)
    with pytest.raises(ValueError, match="as many rows, got shapes \\(2, 3\\) and \\(3, 2\\)"):
        tape.batch_jacobian(y[:2], x)


def test_gradients_do_not_share_memory() -> None:
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([3.0, 4.0])
    seed = np.ones(2, "float32")
    with keras.GradientTape() as tape:
        y = a + b
    first, second = tape.gradient(y, [a, b], output_gradients=seed)
    first *= 5
    assert second.tolist() == seed.tolist() == [1.0, 1.0]


def test_numbers_can_be_looked_at_inside() -> None:
    w, mean = keras.Variable(2.0), keras.metrics.Mean()
    with keras.GradientTape() as tape:
        y = w * 3.0
        mean.update_state(y)
        assert float(y) == y.numpy() == y.item() == 6.0
        assert f"{y:.1f}" == "6.0"
        with pytest.raises(TypeError, match=r"keras\.ops"):
            np.asarray(y)
    assert np.asarray(y) == 6.0
    mean.update_state(y)
    assert float(mean.result()) == 6.0
    assert float(tape.gradient(y, w)) == 3.0


def test_losses_of_layers_are_recorded() -> None:
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_regularizer="l2", bias_regularizer="l1")]
    )
    model.layers[0].activity_regularizer = keras.regularizers.L2(0.5)
    x = rows(4, 3)
    with keras.GradientTape() as tape:
        y = model(x, training=True)
        loss = sum(model.losses)
    kernel, bias = tape.gradient(loss, model.trainable_variables)
    expected = x.T @ np.asarray(y) / 4 + 0.02 * model.layers[0].kernel.numpy()
    np.testing.assert_allclose(kernel, expected, rtol=1e-5)
    assert bias.shape == (2,)


def test_refusals() -> None:
    v = keras.Variable(1.0)
    with keras.GradientTape() as tape:
        y = v * v
        with pytest.raises(ValueError, match="one that records"):
            tape.__enter__()
        with pytest.raises(ValueError, match="floats"):
            tape.watch(np.arange(3))
        with pytest.raises(ValueError, match="floats"):
            tape.watch(3.0)
    with pytest.raises(RuntimeError, match="does not"):
        tape.watch(np.ones(3))
    with pytest.raises(TypeError, match="target"):
        tape.gradient(None, v)
    with pytest.raises(TypeError, match="sources"):
        tape.gradient(y, "v")
    with pytest.raises(ValueError, match="unconnected"):
        tape.gradient(y, v, unconnected_gradients="zeros")
    assert float(tape.gradient(y, v)) == 2.0
    with pytest.raises(RuntimeError, match="persistent"):
        tape.gradient(y, v)


def test_value_and_grad_by_variables() -> None:
    w = {"a": keras.Variable([1.0, 2.0]), "b": keras.Variable(3.0)}
    unused = keras.Variable(1.0)

    def loss(x: Any, *, factor: float) -> Any:
        return factor * ops.sum(w["a"] * x), x + 1

    step = keras.value_and_grad(loss, [w, unused], has_aux=True)
    (value, aux), (gradients, none) = step(np.array([3.0, 4.0], "float32"), factor=2.0)
    assert float(value) == 22.0
    assert type(value) in (np.float32, np.ndarray)
    assert aux.tolist() == [4.0, 5.0]
    assert gradients["a"].tolist() == [6.0, 8.0]
    assert gradients["b"] == none == 0.0


def test_value_and_grad_by_the_first_argument() -> None:
    def loss(weights: Any, x: Any) -> Any:
        return ops.sum(ops.square(weights[0] * x) + weights[1]), weights[1]

    given = [np.array([1.0, 2.0]), np.array([0.5, 0.5])]
    (value, aux), gradients = keras.value_and_grad(loss, has_aux=True)(given, np.ones(2))
    assert value == 6.0
    assert type(aux) is np.ndarray
    assert [g.tolist() for g in gradients] == [[2.0, 4.0], [1.0, 1.0]]
    with pytest.raises(TypeError, match="scalar"):
        keras.value_and_grad(lambda w: w * 2)(np.ones(2))
    with pytest.raises(TypeError, match="floats"):
        keras.value_and_grad(lambda w: ops.sum(w))(np.arange(2))


def test_a_tape_is_dropped_with_its_memory() -> None:
    model, x = network(), rows(64, 3)
    with keras.GradientTape() as tape:
        loss = ops.sum(model(x, training=False))
    tape.gradient(loss, model.trainable_variables)
    import weakref

    known = weakref.ref(tape)
    del tape, loss
    gc.collect()
    assert known() is None


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("name", ["MeanSquaredError", "Huber", "SparseCategoricalCrossentropy"])
def test_a_loss_is_one_native_step(name: str, reduction: str) -> None:
    options = {"from_logits": True} if name.startswith("Sparse") else {}
    loss = getattr(keras.losses, name)(reduction=reduction, **options)
    model, x = network(), rows(6, 3)
    y = np.array([0, 1, 1, 0, 1, 0]) if name.startswith("Sparse") else rows(6, 2)

    def run() -> list[Any]:
        with keras.GradientTape() as tape:
            y_pred = model(x, training=False)
            value = loss(y, y_pred)
        steps.append(list(value._node.parents) == [y_pred._node])
        return [np.asarray(value), *tape.gradient(value, model.trainable_variables)]

    steps: list[bool] = []
    native = run()
    assert steps == [True]
    formula = type(loss).__call__

    def by_definition(self: Any, *args: Any) -> Any:
        return formula(self, *args, sample_weight=np.float32(1))

    type(loss).__call__ = by_definition
    try:
        close(native, run(), scale=2)
    finally:
        del type(loss).__call__
    assert steps == [True, False]


@pytest.mark.parametrize(
    "formula",
    [
        lambda v, a: v * a,
        lambda v, a: ops.multiply(v, a),
        lambda v, a: v + a * v,
        lambda v, a: ops.where(a > 0, v, 0 * v) * a,
        lambda v, a: ops.matmul(v, ops.reshape(a, (3, 1))),
    ],
)
def test_arrays_written_to_after_they_were_used_change_no_gradient(formula) -> None:
    v = keras.Variable(np.ones((2, 3)))
    gradients = []
    for wipe in (False, True):
        a = np.full(3, 2.0, "float32")
        with keras.GradientTape() as tape:
            y = ops.sum(formula(v, a))
        if wipe:
            a[:] = 0
        gradients.append(tape.gradient(y, v))
    assert gradients[0].any()
    np.testing.assert_array_equal(*gradients)
