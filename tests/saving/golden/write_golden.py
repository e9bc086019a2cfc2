"""Writes the golden files of a release of Keras, in an environment that holds it.

``python write_golden.py FOLDER keras`` (Keras 2.2 and 3), or ``tf`` for what TensorFlow brings.
The contents of the folder are zipped as ``keras-RELEASE.zip``. Runs on Python 3.7.
"""

import os
import sys

import numpy as np

if sys.argv[2] == "keras":
    import keras

    version = keras.__version__
else:
    import tensorflow
    from tensorflow import keras

    version = tensorflow.__version__

folder = sys.argv[1]
rng = np.random.RandomState(0)
x = rng.normal(size=(40, 3)).astype("float32")
labels = rng.randint(0, 3, size=(40,))
target = (x[:, :1] * 2 - x[:, 1:2]).astype("float32")
L = keras.layers
expected = {"x": x, "labels": labels, "target": target}


def sequential():
    model = keras.models.Sequential(
        [
            L.Dense(
                8,
                activation="relu",
                input_shape=(3,),
                kernel_regularizer=keras.regularizers.l2(1e-3),
                name="hidden",
            ),
            L.BatchNormalization(name="norm"),
            L.Dropout(0.25, name="drop"),
            L.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, labels, epochs=2, batch_size=8, verbose=0)
    return model, [x]


def functional():
    a, b = L.Input(shape=(3,), name="a"), L.Input(shape=(3,), name="b")
    h = L.Dense(5, activation="tanh", name="shared")
    joined = L.concatenate([h(a), h(b)], name="joined")
    added = L.add(
        [L.Dense(4, name="left")(joined), L.Dense(4, use_bias=False, name="right")(joined)],
        name="sum",
    )
    out = L.Dense(1, name="value", kernel_constraint=keras.constraints.max_norm(3.0))(
        L.LeakyReLU(name="leaky")(added)
    )
    flat = L.Reshape((4,), name="flat") if version.startswith("2.2") else L.Flatten(name="flat")
    side = L.Dense(1, activation="sigmoid", name="side")(flat(added))
    model = keras.models.Model([a, b], [out, side])
    sgd = keras.optimizers.SGD(momentum=0.9, nesterov=True)
    model.compile(optimizer=sgd, loss=["mse", "binary_crossentropy"], loss_weights=[1.0, 0.5])
    model.fit(
        [x, x[::-1]], [target, (target > 0).astype("float32")], epochs=2, batch_size=8, verbose=0
    )
    return model, [x, x[::-1]]


for name, make in (("sequential", sequential), ("functional", functional)):
    model, inputs = make()
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    for i, value in enumerate(outputs):
        expected[name + "_" + str(i)] = value
    endings = ([".keras"] if tuple(map(int, version.split(".")[:2])) >= (2, 12) else []) + [
        ".h5"
    ]  # in this order: writing .h5 takes the optimizer out of what .keras holds
    for ending in endings:
        path = os.path.join(folder, name + ending)
        if ending == ".keras" and version.startswith("2.12"):
            model.save(path, save_format="keras_v3")
        else:
            model.save(path)
    weights = os.path.join(folder, name + ".weights.h5")
    model.save_weights(weights)
    # One more step on all rows, without dropout's chance: what a resumed run must give.
    if name == "functional":
        model.fit(
            inputs,
            [target, (target > 0).astype("float32")],
            epochs=1,
            batch_size=40,
            shuffle=False,
            verbose=0,
        )
        for i, value in enumerate(model.predict(inputs, verbose=0)):
            expected["resumed_" + str(i)] = value
np.savez_compressed(os.path.join(folder, "expected.npz"), **expected)
print(
    version,
    sorted(os.listdir(folder)),
    sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder)),
)
