"""From nothing to a trained network on disk: import, build, five epochs, predict, save.

whole_process.py PEER FILE
"""

from __future__ import annotations

import sys

import workloads

if sys.argv[1] == "densekit":
    import densekit as keras
else:
    import keras

from peers import _keras_code

w = workloads.find("tabular")
x, y = w.data()
model = _keras_code.build(keras, w)
model.compile(optimizer="adam", loss=w.loss)
model.fit(x, y, batch_size=w.batch, epochs=5, verbose=0)
model.predict(x, verbose=0)
model.save(sys.argv[2])
