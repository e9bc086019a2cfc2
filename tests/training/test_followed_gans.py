"""Steps of several updates: those of generative adversarial networks, as guides write them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.followed_steps import RNG, assert_close, assert_same, fitted, reason

import densekit as keras
from densekit import ops
from densekit.training import _row_gradient, _step_follower

pytestmark = pytest.mark.usefixtures("followed_soon")
REAL = RNG.normal(size=(64, 4)).astype("float32")  # batches of 16: a mean divides by a power of 2


class Adversaries(keras.Model):
    """A generator and a discriminator, each with its optimizer."""

    dropout = 0.0

    def __init__(self, inputs, outputs):
        super().__init__()
        self.latent_dim = 3
        layers = [keras.layers.Dropout(self.dropout)] if self.dropout else []
        self.discriminator = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8, "leaky_relu"),
                *layers,
                keras.layers.Dense(1),
            ]
        )
        self.generator = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4)]
        )
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, optimizer, loss, **options):
        super().compile(optimizer, **options)
        self.g_optimizer = self.optimizer
        self.d_optimizer = keras.optimizers.RMSprop(1e-3)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def noise(self, rows):
        return keras.random.normal((rows, self.latent_dim), seed=self.seed_generator)

    def train_generator(self, rows):
        with keras.GradientTape() as tape:
            drawn = self.generator(self.noise(rows), training=True)
            g_loss = -ops.mean(self.discriminator(drawn, training=True))
        variables = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, variables), variables))  # noqa: B905
        return g_loss


class Guide(Adversaries):
    """Real and drawn rows in one batch, with labels that are blurred."""

    def train_step(self, real_images):
        batch_size = ops.shape(real_images)[0]
        random_latent_vectors = keras.random.normal(
            shape=(batch_size, self.latent_dim), seed=self.seed_generator
        )
        generated_images = self.generator(random_latent_vectors)
        combined_images = ops.concatenate([generated_images, real_images], axis=0)
        labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
        labels += 0.05 * keras.random.uniform(ops.shape(labels), seed=self.seed_generator)
        with keras.GradientTape() as tape:
            predictions = self.discriminator(combined_images)
            d_loss = self.loss_fn(labels, predictions)
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(grads, self.discriminator.trainable_weights))  # noqa: B905
        random_latent_vectors = keras.random.normal(
            shape=(batch_size, self.latent_dim), seed=self.seed_generator
        )
        misleading_labels = ops.zeros((batch_size, 1))
        with keras.GradientTape() as tape:
            predictions = self.discriminator(self.generator(random_latent_vectors))
            g_loss = self.loss_fn(misleading_labels, predictions)
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights))  # noqa: B905
        self.d_loss_tracker.update_state(d_loss)
        self.g_loss_tracker.update_state(g_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": self.g_loss_tracker.result()}


class Wasserstein(Adversaries):
    """Several steps of the critic for one of the generator."""

    critic_steps = 2

    def distance(self, drawn, real):
        real_logits = self.discriminator(real, training=True)
        return ops.mean(self.discriminator(drawn, training=True)) - ops.mean(real_logits)

    def train_step(self, real):
        rows = ops.shape(real)[0]
        for _ in range(self.critic_steps):
            noise = self.noise(rows)
            with keras.GradientTape() as tape:
                drawn = self.generator(noise, training=True)
                d_loss = self.distance(drawn, real)
            variables = self.discriminator.trainable_variables
            gradients = tape.gradient(d_loss, variables)
            self.d_optimizer.apply_gradients(zip(gradients, variables))  # noqa: B905
        return {"d_loss": d_loss, "g_loss": self.train_generator(rows)}


class GradientPenalty(Wasserstein):
    """The gradient of the critic by its input is a part of its loss."""

    gp_weight = 10.0

    def gradient_penalty(self, batch_size, real_images, fake_images):
        alpha = keras.random.uniform((batch_size, 1), 0.0, 1.0, seed=self.seed_generator)
        diff = fake_images - real_images
        interpolated = real_images + alpha * diff
        with keras.GradientTape() as gp_tape:
            gp_tape.watch(interpolated)
            pred = self.discriminator(interpolated, training=True)
        grads = gp_tape.gradient(pred, [interpolated])[0]
        norm = ops.sqrt(ops.sum(ops.square(grads), axis=[1]))
        return ops.mean((norm - 1.0) ** 2)

    def distance(self, drawn, real):
        penalty = self.gradient_penalty(ops.shape(real)[0], real, drawn)
        return super().distance(drawn, real) + penalty * self.gp_weight


class Forgets(GradientPenalty):
    dropout = 0.3


class TwoTapes(Adversaries):
    """Both losses of one pass; the first update does not touch what the second needs."""

    def train_step(self, real):
        noise = self.noise(ops.shape(real)[0])
        with keras.GradientTape() as gen_tape, keras.GradientTape() as disc_tape:
            drawn = self.generator(noise, training=True)
            real_output = self.discriminator(real, training=True)
            fake_output = self.discriminator(drawn, training=True)
            g_loss = ops.mean(ops.softplus(-fake_output))
            d_loss = ops.mean(ops.softplus(fake_output)) + ops.mean(ops.softplus(-real_output))
        of_generator = self.generator.trainable_variables
        of_discriminator = self.discriminator.trainable_variables
        for_generator = gen_tape.gradient(g_loss, of_generator)
        for_discriminator = disc_tape.gradient(d_loss, of_discriminator)
        self.g_optimizer.apply_gradients(zip(for_generator, of_generator))  # noqa: B905
        self.d_optimizer.apply_gradients(zip(for_discriminator, of_discriminator))  # noqa: B905
        return {"d_loss": d_loss, "g_loss": g_loss}


class UpdateMakesOld(Adversaries):
    """The gradient of the second loss goes through weights that the first update has changed."""

    def train_step(self, real):
        noise = self.noise(ops.shape(real)[0])
        with keras.GradientTape(persistent=True) as tape:
            drawn = self.generator(noise, training=True)
            g_loss = ops.mean(ops.square(drawn))
            d_loss = ops.mean(ops.square(self.discriminator(drawn, training=True) - drawn[:, :1]))
        variables = self.generator.trainable_variables
        first = tape.gradient(g_loss, variables)
        second = tape.gradient(d_loss, variables)
        self.g_optimizer.apply_gradients(zip(first, variables))  # noqa: B905
        self.g_optimizer.apply_gradients(zip(second, variables))  # noqa: B905
        return {"g_loss": g_loss}


class OtherRegions(Wasserstein):
    """Drawn once, used by two updates."""

    def train_step(self, real):
        drawn = self.generator(self.noise(ops.shape(real)[0]))
        for _ in range(2):
            with keras.GradientTape() as tape:
                d_loss = ops.mean(ops.square(self.discriminator(drawn, training=True)))
            variables = self.discriminator.trainable_variables
            gradients = tape.gradient(d_loss, variables)
            self.d_optimizer.apply_gradients(zip(gradients, variables))  # noqa: B905
        self.d_loss_tracker.update_state(d_loss)
        return {"d_loss": self.d_loss_tracker.result(), "g_loss": 0.0}


def test_the_guide_has_the_bits_of_python():
    assert_same(Guide, data=(REAL,), rows=16)


def test_what_one_update_computes_others_read():
    assert_same(OtherRegions, data=(REAL,), rows=16)


@pytest.mark.parametrize("kind", [Wasserstein, GradientPenalty, Forgets, TwoTapes])
def test_others_differ_by_rounding_alone(kind):
    assert_close(kind, data=(REAL,), rows=16)


def test_what_an_update_has_made_old_stays_in_python():
    model, _ = fitted(UpdateMakesOld, False, data=(REAL,), rows=16)
    assert reason(model) == "it takes a gradient through what an update has made old"


def test_a_penalty_that_is_another_one_is_found(monkeypatch):
    """Up to rounding means no more than that."""
    parts = _row_gradient._parts

    def steeper(name, given):
        found = parts(name, given)
        return [found[0] * 1.05] if name == "leaky_relu" else found

    monkeypatch.setattr(_row_gradient, "_parts", steeper)
    model, _ = fitted(GradientPenalty, False, data=(REAL,), rows=16)
    assert reason(model) == "the engine computes other numbers"


def test_rounding_is_told_from_other_numbers():
    before = np.linspace(1, 2, 50, dtype="float32")
    after = before + np.float32(0.01)
    alike = _step_follower._moves_alike
    assert alike(before, np.nextafter(after, np.float32(9)), after)
    assert not alike(before, before + np.float32(0.0101), after)
    assert not alike(before, np.full(50, np.nan, "float32"), after)
    assert not alike(np.array([1]), np.array([2]), np.array([3]))
    assert _step_follower._are_alike({"a": np.float32(1)}, {"a": np.nextafter(np.float32(1), 2)})
    assert not _step_follower._are_alike({"a": np.float32(1)}, {"a": np.float32(1.01)})
