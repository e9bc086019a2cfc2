"""What `TensorBoard` writes, read back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

import densekit as keras
from densekit.callbacks import TensorBoard


def records(folder: Path) -> list[Any]:
    """The summaries of all event files of a folder: length, checksum, bytes, checksum."""
    found = []
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            found += [(event.step, value) for value in event.summary.value]
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    values: dict[str, list[tuple[int, float]]] = {}
    for step, value in records(folder):
        if value.WhichOneof("value") == "simple_value":
            values.setdefault(value.tag, []).append((step, value.simple_value))
    return values


def model(optimizer: Any = "sgd") -> Any:
    made = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1)]
    )
    made.compile(optimizer, "mse", metrics=["mae"])
    return made


X, Y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")


def test_epochs(tmp_path: Path) -> None:
    network = model()
    history = network.fit(
        X,
        Y,
        epochs=2,
        batch_size=2,
        validation_data=(X, Y),
        verbose=0,
        callbacks=[TensorBoard(tmp_path, write_steps_per_second=True)],
    )
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    assert set(train) == {
        *("epoch_loss", "epoch_mae", "epoch_learning_rate", "epoch_steps_per_second")
    }
    for name in ("loss", "mae"):
        np.testing.assert_allclose(
            train[f"epoch_{name}"], list(enumerate(history.history[name])), rtol=1e-6
        )
        np.testing.assert_allclose(
            validation[f"epoch_{name}"], list(enumerate(history.history[f"val_{name}"])), rtol=1e-6
        )
    np.testing.assert_allclose(train["epoch_learning_rate"], [(0, 0.01), (1, 0.01)], rtol=1e-6)
    assert [step for step, _ in validation["evaluation_loss_vs_iterations"]] == [4, 8]
    (graph,) = [value for _, value in records(tmp_path / "train") if value.tag == "keras"]
    assert graph.metadata.plugin_data.plugin_name == "graph_keras_model"
    assert graph.tensor.string_val[0].decode() == network.to_json()


def test_batches(tmp_path: Path) -> None:
    for frequency, steps in (("batch", [1, 2, 3, 4]), (2, [2, 4])):
        folder = tmp_path / str(frequency)
        log = TensorBoard(folder, update_freq=frequency, write_steps_per_second=True)
        model().fit(X, Y, batch_size=2, verbose=0, callbacks=[log])
        found = scalars(folder / "train")
        assert [step for step, _ in found["batch_loss"]] == steps
        assert [step for step, _ in found["batch_steps_per_second"]] == steps


def test_batches_run_together_unless_asked_for() -> None:
    from densekit.callbacks._callback import wants_batches

    assert not wants_batches(TensorBoard(), "train")
    assert not wants_batches(TensorBoard(write_steps_per_second=True), "test")
    assert wants_batches(TensorBoard(update_freq=5), "train")


def test_weights(tmp_path: Path) -> None:
    log = TensorBoard(tmp_path, histogram_freq=2, write_images=True, write_graph=False)
    model().fit(X, Y, epochs=3, verbose=0, callbacks=[log])
    found = records(tmp_path / "train")
    tags = {value.tag for _, value in found}
    assert "keras" not in tags
    histograms = [(step, v) for step, v in found if v.tag.endswith("hidden/kernel/histogram")]
    assert [step for step, _ in histograms] == [0, 2]
    assert histograms[0][1].histo.num == 12
    images = [v for _, v in found if v.tag.endswith("hidden/kernel/image")]
    assert (images[0].image.height, images[0].image.width) == (3, 4)


def test_embeddings(tmp_path: Path) -> None:
    network = keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(3, 2, name="words"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    network.compile("sgd", "mse")
    (tmp_path / "names.tsv").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match="wrong"):
        TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"wrong": "x"}).set_model(
            network
        )
    log = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "names.tsv"})
    network.fit(np.ones((2, 2), "int32"), np.ones((2, 1)), verbose=0, callbacks=[log])
    (table,) = (tmp_path / "train").rglob("tensors.tsv")
    assert np.loadtxt(table).shape == (3, 2)
    assert (table.parent / "metadata.tsv").read_text().split() == ["a", "b", "c"]
    assert "words" in (tmp_path / "train" / "projector_config.pbtxt").read_text()


def test_rates_of_several_optimizers(tmp_path: Path) -> None:
    by_path = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.5, name="slow"), {".*bias": keras.optimizers.SGD(0.25, name="fast")}
    )
    network = model(keras.optimizers.MultiOptimizer(by_path))
    network.fit(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])
    found = scalars(tmp_path / "train")
    assert found["epoch_learning_rate_slow"] == [(0, 0.5)]
    assert found["epoch_learning_rate_fast"] == [(0, 0.25)]
    scaled = model(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.125)))
    scaled.fit(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path / "scaled")])
    assert scalars(tmp_path / "scaled" / "train")["epoch_learning_rate"] == [(0, 0.125)]


def test_an_evaluation_alone(tmp_path: Path) -> None:
    network = model()
    network.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])
    assert [s for s, _ in scalars(tmp_path / "validation")["evaluation_mae_vs_iterations"]] == [0]


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="profile_batch"):
        TensorBoard(profile_batch=(2, 4))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "densekit\[tensorboard\]"'):
        TensorBoard()
