"""densekit inside a user's own JAX code: `jit`, `grad`, `vmap`; arrays in and out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import densekit as keras
from densekit.data._arrays import as_array

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)


def model() -> Any:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh"),
            keras.layers.Dropout(0.25, seed=1),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2),
        ]
    )


def values(variables: Any) -> list[Any]:
    return [jnp.asarray(v.numpy()) for v in variables]


def close(one: Any, two: Any) -> None:
    np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-6)


def test_a_step_of_jax_is_that_of_the_model() -> None:
    """Loss, gradients, running means, dropout mask and update of one step, compiled as a whole."""
    ours = model()
    ours.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    target = np.zeros((8, 2), "float32")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(ours.trainable_variables)

    def loss_of(trainable: Any, other: Any, x: Any) -> Any:
        y, other = ours.stateless_call(trainable, other, x, training=True)
        return jnp.mean((y - target) ** 2), other

    @jax.jit
    def step(trainable: Any, other: Any, slots: Any, x: Any) -> Any:
        (loss, other), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, other, x)
        return loss, *optimizer.stateless_apply(slots, gradients, trainable), other

    state = [
        values(v)
        for v in (ours.trainable_variables, ours.non_trainable_variables, optimizer.variables)
    ]
    before = ours.get_weights()
    for _ in range(3):
        loss, trainable, slots, other = step(state[0], state[1], state[2], X)
        state = [trainable, other, slots]
    for one, two in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)  # nothing leaked out of the trace
    logs = [ours.train_on_batch(X, target) for _ in range(3)]
    close(loss, logs[-1])
    for variable, value in zip(ours.trainable_variables, state[0], strict=True):
        close(value, variable.numpy())
    for variable, value in zip(ours.non_trainable_variables, state[1], strict=True):
        close(value, variable.numpy())


def test_gradients_by_the_input_and_over_members() -> None:
    ours = model()
    trainable, other = values(ours.trainable_variables), values(ours.non_trainable_variables)

    def output(x: Any) -> Any:
        return ours.stateless_call(trainable, other, x[None], training=False)[0][0]

    jacobian = jax.jit(jax.vmap(jax.jacrev(output)))(X)
    assert jacobian.shape == (8, 2, 3)
    step = 1e-2
    ahead, behind = (ours.predict(X + s * np.eye(3)[0], verbose=0) for s in (step, -step))
    np.testing.assert_allclose(jacobian[:, :, 0], (ahead - behind) / (2 * step), atol=1e-3)
    members = [jnp.stack([v, 2 * v]) for v in trainable]
    both = jax.vmap(lambda w: ours.stateless_call(w, other, X)[0])(members)
    close(both[0], ours(X))
    assert not np.allclose(both[0], both[1])


def test_calls_of_models_and_layers_are_traced_as_they_stand() -> None:
    ours = model()
    close(jax.jit(ours)(jnp.asarray(X)), ours(X))
    assert isinstance(ours(jnp.asarray(X)), jax.Array)
    gradient = jax.grad(lambda x: ours.layers[0](x).sum())(jnp.asarray(X))
    assert gradient.shape == X.shape


@pytest.mark.parametrize("engine", ["native", "jax"])
def test_arrays_of_jax_are_data(engine: str) -> None:
    ours = model()
    ours.compile("sgd", "mse", engine=engine)
    x, y = jnp.asarray(X), jnp.zeros((8, 2))
    ours.fit(x, y, validation_data=(x, y), verbose=0)
    ours.train_on_batch(x, y)
    predicted = ours.predict(x, verbose=0)
    close(predicted, ours.predict(X, verbose=0))
    close(jnp.from_dlpack(predicted), predicted)  # no copy: results are arrays of NumPy


def test_functions_of_jax_read_variables() -> None:
    variable = keras.Variable([1.0, 2.0])
    array = jnp.asarray(variable)
    variable.assign([5.0, 6.0])
    assert array.tolist() == [1.0, 2.0]
    assert float(jnp.sum(jnp.array(variable))) == 11.0
    doubled = jax.jit(lambda x: x * variable)(jnp.ones(2))
    assert doubled.tolist() == [5.0, 6.0]


def test_draws_are_the_same_words_traced() -> None:
    def draws(key: Any) -> Any:
        generator = keras.random.SeedGenerator(1)
        with keras.StatelessScope([(generator.state, key)]):
            return [
                keras.random.dropout(jnp.ones(1000), 0.3, seed=generator),
                keras.random.normal((5, 2), seed=generator),
                keras.random.uniform((7,), 2, 3, seed=generator),
                keras.random.randint((7,), 0, 9, seed=generator),
                keras.random.categorical(jnp.log(jnp.array([[0.2, 0.8]])), 6, seed=generator),
                keras.random.shuffle(jnp.arange(12), seed=generator),
                keras.random.gamma((3,), jnp.float32(2), seed=generator),
                keras.random.beta((3,), 2.0, 3.0, seed=generator),
                keras.random.binomial((3,), 9, 0.5, seed=generator),
                keras.random.truncated_normal((4,), seed=generator),
            ]

    start = np.array([123, 2**32 - 3], np.uint32)  # the counter passes its end
    traced, plain = jax.jit(draws)(start), draws(start)
    for place, (one, two) in enumerate(zip(traced, plain, strict=True)):
        # Outside, normal numbers are worked out in float64: `normal_quantile`.
        ulps = 4 if place == 1 else 0
        np.testing.assert_allclose(one, two, rtol=ulps * 2.0**-23, atol=0)


def test_what_numpy_draws_keeps_64_bits_in_traced_functions() -> None:
    keras.config.set_floatx("float64")
    alpha = np.array([1 / 3, 2.0, 7.0])

    def draws(key: Any, alpha: Any) -> Any:
        generator = keras.random.SeedGenerator(1)
        with keras.StatelessScope([(generator.state, key)]):
            return [
                keras.random.gamma((3,), alpha, seed=generator),
                keras.random.uniform((7,), 2, 3, seed=generator),
                keras.random.randint((2,), 0, 2**40, dtype="int64", seed=generator),
            ]

    start = np.array([5, 6], np.uint32)
    try:
        with jax.enable_x64(True):
            for one, two in zip(jax.jit(draws)(start, alpha), draws(start, alpha), strict=True):
                assert one.dtype == two.dtype
                np.testing.assert_allclose(one, two, rtol=2**-52)
    finally:
        keras.config.set_floatx("float32")


def test_traced_draws_can_be_mapped_and_differentiated() -> None:
    def drawn(key: Any, low: Any) -> Any:
        generator = keras.random.SeedGenerator(1)
        with keras.StatelessScope([(generator.state, key)]):
            more = keras.random.gamma((2,), jnp.float32(3), seed=generator)
            return jnp.sum(keras.random.uniform((5,), low, 3.0, seed=generator)) + jnp.sum(more)

    keys = np.array([[5, 6], [7, 8]], np.uint32)
    mapped = jax.jit(jax.vmap(drawn, (0, None)))(keys, 1.0)
    close(mapped, [drawn(key, 1.0) for key in keys])
    slope = (drawn(keys[0], 1.5) - drawn(keys[0], 1.0)) / 0.5
    close(jax.jit(jax.grad(drawn, 1))(keys[0], 1.0), slope)


def place(array: Any) -> int:
    return int(array.unsafe_buffer_pointer()) if isinstance(array, jax.Array) else array.ctypes.data


@pytest.mark.parametrize("engine", ["native", "jax"])
def test_arrays_go_in_and_out_without_a_copy(engine: str) -> None:
    ours = model()
    ours.compile("sgd", "mse", engine=engine)
    predicted = ours.predict(X, verbose=0)
    assert place(jnp.from_dlpack(predicted)) == place(predicted)
    x = jnp.asarray(X)
    assert place(as_array(x, "x")) == place(x)
    traced = ours(x)
    assert place(np.from_dlpack(traced)) == place(traced)
