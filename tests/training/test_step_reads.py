"""What a step was followed from may change: then Python makes the steps."""

from __future__ import annotations

import numpy as np
import pytest
from tests.training.followed_steps import (
    Compiled,
    LossObject,
    X,
    Y,
    fitted,
    reason,
)

import densekit as keras
from densekit import ops

pytestmark = pytest.mark.usefixtures("followed_soon")


def set_rate(model, epoch):
    model.optimizer.learning_rate = 0.1 / (epoch + 1)


def set_clipping(model, epoch):
    model.optimizer.clipnorm = 0.1 * epoch or None


def freeze(model, epoch):
    model.layers[1].trainable = epoch != 1


def freeze_variable(model, epoch):
    model.layers[1].kernel.trainable = epoch != 1


def set_weights(model, epoch):
    model.set_weights([w * 0.5 for w in model.get_weights()])


def set_attribute(model, epoch):
    model.power = 2 + epoch


def set_global(model, epoch):
    global POWER
    POWER = 2 + epoch


def set_delta(model, epoch):
    model.measure.delta = 0.1 + epoch


def compile_anew(model, epoch):
    model.compile(keras.optimizers.SGD(0.1), "mae", run_eagerly=model.run_eagerly)


def set_penalty(model, epoch):
    model.layers[1].kernel.regularizer = keras.regularizers.L2(0.1) if epoch == 2 else None


def set_constraint(model, epoch):
    model.layers[1].kernel.constraint = NON_NEGATIVE if epoch == 2 else None


def set_reduction(model, epoch):
    model.measure.reduction = "sum" if epoch == 2 else "sum_over_batch_size"


def set_all_attributes(model, epoch):
    model.settings.__dict__ = {"power": 2 + epoch}


def set_class(model, epoch):
    model.settings.__class__ = Cubes if epoch == 2 else Squares


def set_attribute_of_class(model, epoch):
    Squares.power = 2 + epoch


def set_array(model, epoch):
    model.scale[1] = 1 + epoch


def set_default(model, epoch):
    Powers.error.__defaults__ = (2 + epoch,)


POWER = 2


NON_NEGATIVE = keras.constraints.NonNeg()


class Squares:
    power = 2


class Cubes:
    power = 3


class OfSettings(keras.Model):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.settings = Squares()
        self.scale = np.ones(4, "float32")

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            error = self(x * self.scale, training=True) - y
            loss = ops.mean(error**self.settings.power)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class Powers(keras.Model):
    power = 2

    def error(self, y, y_pred, more=1):
        return (y - y_pred) ** more

    def train_step(self, data):
        x, y = data
        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            error = (y_pred - y) ** self.power + (y_pred - y) ** POWER + self.error(y, y_pred)
            loss = ops.mean(error)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


CHANGES = {
    "rate": (Compiled, set_rate),
    "clipping": (Compiled, set_clipping),
    "layer frozen": (Compiled, freeze),
    "variable frozen": (Compiled, freeze_variable),
    "weights": (Compiled, set_weights),
    "attribute": (Powers, set_attribute),
    "global": (Powers, set_global),
    "default of an argument": (Powers, set_default),
    "number of a loss": (LossObject, set_delta),
    "compile": (Compiled, compile_anew),
    "constraint": (Compiled, set_constraint),
    "reduction of a loss": (LossObject, set_reduction),
    "all attributes of an object": (OfSettings, set_all_attributes),
    "class of an object": (OfSettings, set_class),
    "elements of an array": (OfSettings, set_array),
    "attribute of a class": (OfSettings, set_attribute_of_class),
    "penalty": (Compiled, set_penalty),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_between_epochs_count(name):
    kind, changes = CHANGES[name]
    python, seen = fitted(kind, True, changes=changes, epochs=4)
    model, made = fitted(kind, False, changes=changes, epochs=4)
    assert made == seen
    for one, other in zip(model.variables, python.variables, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes(), one.path


def of_a_cell():
    power = 2

    def delete():
        nonlocal power
        del power

    class OfCell(keras.Model):
        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                loss = ops.mean((self(x, training=True) - y) ** power)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    return OfCell, delete


def test_a_variable_around_the_step_may_be_deleted():
    kind, delete = of_a_cell()
    model, _ = fitted(kind, False)
    assert reason(model) == ""
    delete()
    with pytest.raises(NameError, match="power"):
        model.fit(X, Y, batch_size=10, verbose=0)
