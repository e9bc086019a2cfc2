"""Scripts written for Keras and `tf.keras`, run as they are in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import densekit

PACKAGES = str(Path(densekit.__file__).parents[1])


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": PACKAGES}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=cwd
    )


def of_script(text: str, folder: Path, *arguments: str) -> str:
    (folder / "script.py").write_text(text)
    done = run("-m", "densekit", str(folder / "script.py"), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORTS = """
import keras, tensorflow as tf, sys
import keras.layers, tensorflow.keras.optimizers, tensorflow.math
from keras.layers import Dense
from keras.layers.core import Dense as OldDense
from tensorflow import keras as tf_keras
from tensorflow.keras.models import Sequential
from tensorflow.keras import layers, backend as K
import tensorflow.keras.backend as K2
import densekit
assert keras is tf_keras is tf.keras is densekit and K is K2 is densekit.backend
assert Dense is OldDense is layers.Dense is densekit.layers.Dense
assert sys.modules["keras.layers"] is densekit.layers
assert __name__ == "__main__"
import beside  # the script's own folder is on the path
print(beside.NAME, sys.argv[1:])
"""


def test_imports_mean_densekit(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    assert of_script(IMPORTS, tmp_path, "--epochs", "3") == "beside ['--epochs', '3']\n"
    done = run("-m", "densekit", "-m", "script", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "beside []\n", done.stderr


OWN_LOOP = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
tf.random.set_seed(3)
model = keras.Sequential([keras.layers.Dense(8, activation=tf.nn.relu), keras.layers.Dense(3)])
optimizer = tf.keras.optimizers.Adam(learning_rate=1e-2)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = keras.metrics.SparseCategoricalAccuracy()

@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = loss_fn(y, logits)
        loss += 1e-6 * tf.add_n([tf.reduce_sum(tf.square(w)) for w in model.trainable_weights])
    gradients = tape.gradient(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(gradients, model.trainable_weights))
    accuracy.update_state(y, logits)
    return loss

x = tf.random.normal((64, 4))
y = tf.cast(tf.argmax(x[:, :3], axis=1), tf.int32)
first = train_step(x, y).numpy()
for _ in range(200):
    last = train_step(x, y)
print(float(last) < first / 2, accuracy.result().numpy() > 0.5, model(x).numpy().shape)
"""
OWN_STEP = """
import numpy as np
import tensorflow as tf
from tensorflow.keras import Model, layers, metrics, Input

class Custom(Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=predicted)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, predicted)
        return {metric.name: metric.result() for metric in self.metrics}

inputs = Input(shape=(32,))
model = Custom(inputs, layers.Dense(1)(inputs))
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
x = np.random.default_rng(0).random((100, 32))
history = model.fit(x, x[:, :1], epochs=9, verbose=0)
print(sorted(history.history), history.history["loss"][-1] < history.history["loss"][0])
"""
VARIABLES = """
import tensorflow as tf
w = tf.Variable([1.0, 2.0], name="w")
w.assign_add([1.0, 1.0])
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(w * w)
print(w.numpy(), loss.numpy(), tape.gradient(loss, w).numpy(), tf.constant([1, 2]).dtype.name)
"""

OLD_NAMES = """
import numpy as np
import tensorflow as tf
from keras import backend as K
from keras.utils import np_utils
from keras.engine.topology import Layer
from keras.preprocessing.sequence import pad_sequences
from tensorflow.python.keras.layers import Dense
from tensorflow.keras.layers.experimental import preprocessing
from tensorflow.keras.layers.experimental.preprocessing import Normalization
from tensorflow.keras.optimizers.legacy import Adam
import densekit
assert Normalization is preprocessing.Normalization is densekit.layers.Normalization
assert tf.keras.layers.experimental.preprocessing.Normalization is Normalization
assert Layer is densekit.Layer and Adam is tf.keras.optimizers.legacy.Adam
assert tf.keras.losses.KLD is densekit.losses.kl_divergence

def rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true), axis=-1))

model = tf.keras.Sequential([Dense(4, input_dim=2), tf.keras.layers.ThresholdedReLU(0.5), Dense(2)])
model.compile(Adam(lr=0.25), rmse, metrics=[rmse])
x = np.ones((8, 2), "float32")
batch = x, np_utils.to_categorical([0, 1] * 4)
h = model.fit_generator(iter([batch] * 3), steps_per_epoch=3, verbose=0)
K.set_value(model.optimizer.lr, K.get_value(model.optimizer.lr) / 2)
print(float(model.optimizer.learning_rate), model.predict_classes(x).shape, sorted(h.history))
"""
NUMPY_READS = """
import numpy as np
import tensorflow as tf
model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(2, "softmax")])
optimizer = tf.keras.optimizers.SGD(0.1)
for _ in range(3):
    with tf.GradientTape() as tape:
        probabilities = model(tf.convert_to_tensor(np.ones((1, 4))))
        drawn = np.random.choice(2, p=np.squeeze(probabilities))
        loss = -tf.math.log(probabilities[0, drawn])
        first = model(np.ones((1, 4)))[0, 0] * 2.0
    gradients = tape.gradient(loss, model.trainable_variables)
    assert np.abs(gradients[0]).sum() > 0
    gradients, norm = tf.clip_by_global_norm(gradients, 0.5)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
action = tf.random.categorical(tf.math.log([[0.5, 0.5]]), 1)[0, 0]
batch = tf.shape(model.kernel if hasattr(model, "kernel") else model.weights[0])[0]
noise = tf.random.normal((batch, 3))
total = tf.reduce_sum(np.ones(3)) + 1.0  # single numbers are tensors, too
assert total.numpy() == 4.0 and tf.argmax(np.ones(3)).numpy() == 0 and (total > 1).numpy()
assert float(tf.constant([[2.5]])) == 2.5 and [10, 20][tf.argmax([0.0, 1.0])] == 20
print(type(action.numpy()).__name__, loss.numpy().shape, noise.shape, f"{first:.1f}" != "")
"""
OLD_STEP = """
import numpy as np
import tensorflow as tf
from tensorflow import keras

class Old(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

def trained(kind):
    tf.random.set_seed(1)
    inputs = keras.Input((4,))
    model = kind(inputs, keras.layers.Dense(1, kernel_regularizer="l2")(inputs))
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.arange(32, dtype="float32").reshape(8, 4) / 32
    return model.fit(x, x[:, :1], epochs=2, shuffle=False, verbose=0).history

old, new = trained(Old), trained(keras.Model)
print(sorted(old), all(np.allclose(old[k], new[k], rtol=1e-5) for k in new))
"""


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        (OLD_NAMES, "0.125 (8,) ['loss', 'rmse']\n"),
        (NUMPY_READS, "int64 () (4, 3) True\n"),
        (OLD_STEP, "['loss', 'mae'] True\n"),
        (OWN_LOOP, "True True (64, 3)\n"),
        (OWN_STEP, "['loss', 'mae'] True\n"),
        (VARIABLES, "[2. 3.] 13.0 [4. 6.] int32\n"),
    ],
    ids=["old-names", "numpy-reads", "old-step", "own-loop", "own-train-step", "variables"],
)
def test_scripts_of_tensorflow_run(script: str, printed: str, tmp_path: Path) -> None:
    assert of_script(script, tmp_path) == printed


def test_models_stay_native_after_install() -> None:
    code = """
import densekit, numpy as np
densekit.install(); densekit.install()
import keras
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
model.fit(np.ones((8, 4)), np.ones(8), verbose=0)
assert " 0 of 2 parts in Python" in model.explain_plan(), model.explain_plan()
"""
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("statement", "error", "named"),
    [
        ("import tensorflow as tf; tf.data.Dataset", "AttributeError", "tf.data"),
        ("import tensorflow as tf; tf.nn.conv2d", "AttributeError", "tf.nn.conv2d"),
        ("import tensorflow as tf; tf.math.bessel_i0", "AttributeError", "tf.math.bessel_i0"),
        ("import tensorflow.compat.v1", "ModuleNotFoundError", "tensorflow.compat"),
        ("from keras.applications import VGG16", "ModuleNotFoundError", "keras.applications"),
        ("from keras.layers import LSTM", "ImportError", "LSTM"),
        ("import keras.layers._dense", "ModuleNotFoundError", "keras.layers._dense"),
    ],
)
def test_what_is_not_there_is_named_in_a_sentence(statement: str, error: str, named: str) -> None:
    done = run("-c", f"import densekit; densekit.install(); {statement}")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(error) and named in last, last


def test_install_after_keras_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("")
    done = run("-c", "import keras, densekit; densekit.install()", cwd=tmp_path)
    assert done.stderr.strip().splitlines()[-1].startswith("RuntimeError: densekit.install")


def test_the_command_line_explains_itself(tmp_path: Path) -> None:
    assert "usage" in run("-m", "densekit", "--help").stdout
    assert run("-m", "densekit").returncode == 2
    absent = run("-m", "densekit", str(tmp_path / "absent.py"))
    assert absent.returncode == 2 and "absent.py" in absent.stderr


def test_nothing_of_it_is_loaded_otherwise() -> None:
    code = (
        "import sys, densekit as k; k.Sequential([k.Input((2,)), k.layers.Dense(1)]).summary();"
        "print([m for m in sys.modules if 'compat' in m and 'densekit' in m])"
    )
    assert run("-c", code).stdout.splitlines()[-1] == "[]"
