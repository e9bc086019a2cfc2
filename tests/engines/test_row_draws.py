"""Draws inside calls that are followed: a sampling layer and a subclassed VAE run natively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import layers, ops
from densekit.engines.native import get_threads, set_threads


class Sampling(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs: Any) -> Any:
        mean, log_var = inputs
        batch, dim = ops.shape(mean)
        epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * epsilon


class Encoder(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(8, activation="relu")
        self.mean, self.log_var = layers.Dense(3), layers.Dense(3)
        self.sampling = Sampling()

    def call(self, inputs: Any) -> Any:
        h = self.inner(inputs)
        mean, log_var = self.mean(h), self.log_var(h)
        return mean, log_var, self.sampling((mean, log_var))


class VAE(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = layers.Dense(6, activation="sigmoid")

    def call(self, inputs: Any) -> Any:
        mean, log_var, z = self.encoder(inputs)
        kl = -0.5 * ops.mean(log_var - ops.square(mean) - ops.exp(log_var) + 1)
        self.add_loss(kl)
        return self.decoder(z)


class Noisy(keras.Model):
    """Draws in the call of the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)
        self.head = layers.Dense(6)

    def call(self, x: Any) -> Any:
        draw = keras.random.normal((ops.shape(x)[0], 6), 0.5, 0.1, seed=self.seeds)
        return self.head(x + draw)


class Block(layers.Layer):
    """An own residual block with a dropout inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop = layers.Dense(6, "tanh"), layers.Dropout(0.3, seed=5)

    def call(self, x: Any) -> Any:
        return x + self.drop(self.first(x))


class Thinned(layers.Layer):
    """A dropout of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(8)

    def call(self, x: Any, training: Any = False) -> Any:
        return keras.random.dropout(x, 0.4, seed=self.seeds) if training else x


def thinned() -> Any:
    return keras.Sequential([keras.Input((6,)), layers.Dense(6), Thinned(), layers.Dense(6)])


def trained(make: Any, engine: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(4)
    x = rng.random((40, 6)).astype("float32")
    model = make()
    model(x[:2])
    model.set_weights([rng.standard_normal(w.shape) * 0.3 for w in model.get_weights()])
    for layer in model._dk_flatten_layers():
        for generator in layer._tracker.seed_generators:
            generator.state.assign(np.array([7, 0], np.uint32))
    model.compile(keras.optimizers.SGD(0.05), "mse", engine=engine)
    history = model.fit(x, x, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
    return model, history, x


def spatial(*parts: Any) -> Any:
    inner = [layers.Reshape((2, 3)), *parts, layers.Flatten(), layers.Dense(6)]
    return keras.Sequential([keras.Input((6,)), *inner])


def features() -> Any:
    """One draw for a feature, or in a shape of its own."""
    return spatial(
        layers.SpatialDropout1D(0.4, seed=2),
        layers.Dropout(0.3, noise_shape=(None, 2, 1), seed=3),
        layers.GroupNormalization(3),
        layers.GroupNormalization(2, axis=1),
    )


def blocks() -> Any:
    return keras.Sequential([keras.Input((6,)), Block(), Block()])


@pytest.mark.parametrize("make", [VAE, Noisy, blocks, features, thinned])
def test_natively_it_is_the_definition(make: Any) -> None:
    native, history, x = trained(make, "native")
    (engine,) = [e for key, e in native._dk_runtime._engines.items() if key[0] == "train"]
    assert not engine.has_host_nodes, engine.builder.host_reasons
    other, wanted, _ = trained(make, "reference")
    np.testing.assert_allclose(history, wanted, rtol=2e-5)
    for mine, reference in zip(native.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=2e-5)
    state = [v.numpy() for v in native.non_trainable_variables]
    for mine, reference in zip(state, other.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(mine, reference.numpy())
    for method, given in (("predict", [x]), ("evaluate", [x, x])):
        found, wanted = (
            getattr(m, method)(*given, batch_size=16, verbose=0) for m in (native, other)
        )
        np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-5)
    assert not any(e.has_host_nodes for e in native._dk_runtime._engines.values())


def test_each_step_of_a_sequence_has_a_dropout_of_its_own() -> None:
    inner = layers.TimeDistributed(layers.Dropout(0.3, seed=4))
    model = keras.Sequential([keras.Input((5, 200)), inner])
    model.compile("sgd", "mse")
    ones, zeros = np.ones((64, 5, 200), "float32"), np.zeros((64, 5, 200), "float32")
    loss = model.fit(ones, zeros, batch_size=64, verbose=0).history["loss"][0]
    (engine,) = [e for key, e in model._dk_runtime._engines.items() if key[0] == "train"]
    assert not engine.has_host_nodes, engine.builder.host_reasons
    assert [op.kind for op in engine.builder.ops].count("dropout") == 5
    assert abs(loss - 1 / 0.7) < 0.02  # the mean square of what is 0 or 1 / 0.7
    assert model.evaluate(ones, zeros, verbose=0) == 1.0


def drawing(layer_call: Any) -> Any:
    """A model with a layer that draws in each call, told to train or not."""

    class Draws(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seeds = keras.random.SeedGenerator(5)
            self.noise = layers.GaussianNoise(0.4, seed=1)
            self.steps = layers.TimeDistributed(layers.Dropout(0.3, seed=2))

        def call(self, x: Any) -> Any:
            return layer_call(self, x)

    def make() -> Any:
        keras.utils.set_random_seed(1)
        x = keras.Input((4, 6))
        return keras.Model(x, Draws()(layers.Dense(6)(x)))

    return make


@pytest.mark.parametrize(
    "call",
    [
        lambda self, x: (
            x
            + keras.random.normal(ops.shape(x), seed=self.seeds)
            * keras.random.normal(ops.shape(x), 1.0, 2.0, seed=self.seeds)
        ),
        lambda self, x: (
            keras.random.normal(ops.shape(x), seed=self.seeds),
            x + keras.random.normal(ops.shape(x), seed=self.seeds),
        )[1],
        lambda self, x: x + keras.random.uniform(ops.shape(x), -1.0, 2.0, seed=self.seeds),
        lambda self, x: (
            x * ops.cast(keras.random.uniform(ops.shape(x), seed=self.seeds) < 0.3, x.dtype)
        ),
        lambda self, x: keras.random.dropout(x, 0.4, noise_shape=(None, 1, 6), seed=self.seeds),
        lambda self, x: self.noise(x, training=True),
        lambda self, x: self.steps(x, training=True),
    ],
    ids=["two normal", "one of no use", "uniform", "truths", "dropout", "noise layer", "steps"],
)
def test_what_draws_in_every_call_does_so_natively(call: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((11, 4, 6)).astype("float32") for _ in range(2))
    found = []
    for engine in ("native", "reference"):
        model = drawing(call)()
        model.compile(keras.optimizers.SGD(0.05), "mse", engine=engine)
        results = [model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["loss"]]
        results.append(model.evaluate(x, y, batch_size=4, verbose=0))
        results.append(model.predict(x, batch_size=4, verbose=0))
        results.append(model(x))
        results.append([v.numpy() for v in model.non_trainable_variables])
        if engine == "native":
            assert not any(e.has_host_nodes for e in model._dk_runtime._engines.values())
        found.append(results)
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=5e-6)


def test_draws_have_the_same_bits_on_any_number_of_threads() -> None:
    def call(self: Any, x: Any) -> Any:
        return x + keras.random.uniform(ops.shape(x), seed=self.seeds)

    x = np.random.default_rng(0).random((300, 4, 6)).astype("float32")
    before, found = get_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            set_threads(threads)
            model = drawing(call)()
            model.compile("sgd", "mse")
            model.fit(x, x, batch_size=128, shuffle=False, verbose=0)
            found.append(model.predict(x, batch_size=128, verbose=0))
    finally:
        set_threads(before)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_number_as_seed_gives_the_same_draws_at_each_step() -> None:
    model = drawing(lambda self, x: keras.random.normal(ops.shape(x), seed=3) + 0 * x)()
    x = np.ones((8, 4, 6), "float32")
    first = model.predict(x, batch_size=4, verbose=0)
    assert np.array_equal(first[:4], first[4:])
    np.testing.assert_allclose(first[:4], keras.random.normal((4, 4, 6), seed=3), atol=1e-6)
    assert not any(e.has_host_nodes for e in model._dk_runtime._engines.values())


def test_normal_values_are_made_of_words() -> None:
    from densekit.random._noise import gaussian

    drawn = keras.random.normal((3, 4), mean=1.0, stddev=2.0, seed=11)
    np.testing.assert_allclose(drawn, 1 + 2 * gaussian((3, 4), 11, "float64"), rtol=1e-6)
    assert drawn.dtype == "float32"
    wide = keras.random.normal((20000,), dtype="float64", seed=1)
    assert abs(wide.mean()) < 0.03
    assert abs(wide.std() - 1) < 0.03


def test_an_open_shape_is_refused_elsewhere() -> None:
    with pytest.raises(ValueError, match="a shape of integers"):
        keras.random.normal((None, 2), seed=keras.random.SeedGenerator(1))
