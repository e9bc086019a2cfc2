"""Callbacks: when they are called, and what each does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit.callbacks._callback import wants_batches
from densekit.engines import NativeEngine

X = np.linspace(-1, 1, 80).reshape(20, 4).astype("float32")
Y = X.sum(axis=1)


def model_of(optimizer: Any = "sgd") -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


# One native call for many steps, unless a callback must see them all


class OverridesEpochs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


class OverridesBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


class OverridesOldName(keras.callbacks.Callback):
    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        pass


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (keras.callbacks.Callback(), False),
        (OverridesEpochs(), False),
        (OverridesBatches(), True),
        (OverridesOldName(), True),
        (keras.callbacks.LambdaCallback(on_epoch_end=print), False),
        (keras.callbacks.LambdaCallback(on_train_batch_end=print), True),
        (keras.callbacks.LambdaCallback(on_batch_end=print), True),
        (keras.callbacks.ProgbarLogger(), False),
        (keras.callbacks.History(), False),
        (keras.callbacks.EarlyStopping(), False),
        (keras.callbacks.ModelCheckpoint("a.keras"), False),
        (keras.callbacks.ModelCheckpoint("a.keras", save_freq=3), True),
        (keras.callbacks.BackupAndRestore("folder"), False),
        (keras.callbacks.BackupAndRestore("folder", save_freq=3), True),
        (keras.callbacks.TerminateOnNaN(), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_who_wants_every_batch(callback: Any, expected: bool) -> None:
    assert wants_batches(callback, "train") is expected
    assert not wants_batches(callback, "predict")


@pytest.mark.parametrize(("callback", "calls"), [(OverridesEpochs(), 1), (OverridesBatches(), 5)])
def test_native_calls_per_epoch(callback: Any, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    train = NativeEngine.train

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return train(self, *args, **kwargs)

    monkeypatch.setattr(NativeEngine, "train", counted)
    model_of().fit(X, Y, batch_size=4, verbose=0, callbacks=[callback])
    assert len(made) == calls


# The list


def test_the_list_adds_defaults_once() -> None:
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([[history]], add_history=True, add_progbar=True)
    assert [type(c).__name__ for c in callbacks.callbacks] == ["History", "ProgbarLogger"]


def test_what_one_callback_adds_to_the_logs_the_next_ones_see() -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["extra"] = 1.0

    history = model_of().fit(X, Y, verbose=0, callbacks=[Adds()])
    assert history.history["extra"] == [1.0]


def test_one_callback_list_for_everything() -> None:
    model = model_of()
    seen: list[str] = []
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append("train"),
        on_test_begin=lambda logs: seen.append("test"),
        on_predict_begin=lambda logs: seen.append("predict"),
    )
    model.fit(X, Y, verbose=0, callbacks=callback)
    model.evaluate(X, Y, verbose=0, callbacks=[callback])
    model.predict(X, verbose=0, callbacks=[callback])
    assert seen == ["train", "test", "predict"]


# Each of them


@pytest.mark.filterwarnings("ignore:fit, epoch:RuntimeWarning")
def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    x = X.copy()
    x[9] = np.nan
    model = model_of()
    stop = keras.callbacks.TerminateOnNaN()
    model.fit(x, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[stop])
    assert int(model.optimizer.iterations.numpy()) == 3
    assert "Batch 2" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="batch 0"):
        model.fit(x, Y, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN(raise_error=True)])


def test_early_stopping_restores_the_best_weights() -> None:
    class Worsen(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.1 if epoch < 2 else -0.5

    model = model_of(keras.optimizers.SGD(0.1))
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=2, restore_best_weights=True, verbose=0
    )
    history = model.fit(
        X, Y, epochs=9, verbose=0, validation_data=(X, Y), callbacks=[Worsen(), stop]
    )
    assert history.epoch == [0, 1, 2, 3]
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(min(history.history["val_loss"]))


def test_a_monitor_that_is_not_there() -> None:
    with pytest.warns(UserWarning, match="val_loss"):
        model_of().fit(X, Y, verbose=0, callbacks=[keras.callbacks.EarlyStopping()])
    with pytest.raises(ValueError, match="mode='min'"):
        stop = keras.callbacks.EarlyStopping(monitor="val_unheard_of")
        model_of().fit(X, Y, verbose=0, callbacks=[stop])


def test_unknown_mode_warns() -> None:
    with pytest.warns(UserWarning, match="mode"):
        assert keras.callbacks.EarlyStopping(mode="best").mode == "auto"


def test_learning_rate_scheduler_takes_one_argument_or_two() -> None:
    for schedule in (lambda epoch: 0.5**epoch, lambda epoch, rate: 0.5**epoch):
        callback = keras.callbacks.LearningRateScheduler(schedule)
        history = model_of().fit(X, Y, epochs=3, verbose=0, callbacks=[callback])
        assert history.history["learning_rate"] == [1.0, 0.5, 0.25]
    with pytest.raises(ValueError, match="float"):
        wrong = keras.callbacks.LearningRateScheduler(lambda epoch: "fast")  # type: ignore
        model_of().fit(X, Y, verbose=0, callbacks=[wrong])


def test_checkpoints_every_so_many_batches(tmp_path: Path) -> None:
    save = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}-{batch}.weights.h5"), save_weights_only=True, save_freq=3
    )
    model_of().fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[save])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["1-3.weights.h5", "2-1.weights.h5", "2-4.weights.h5"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"filepath": "model.txt"},
        {"filepath": "model.keras", "save_weights_only": True},
        {"filepath": "model.keras", "save_freq": "often"},
    ],
    ids=str,
)
def test_checkpoint_refuses(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        keras.callbacks.ModelCheckpoint(**arguments)


def test_checkpoint_names_a_missing_field(tmp_path: Path) -> None:
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{val_loss}.keras"))
    with pytest.raises(KeyError, match="val_loss"):
        model_of().fit(X, Y, verbose=0, callbacks=[save])


def test_backup_survives_a_cut_short_one(tmp_path: Path) -> None:
    model = model_of()
    backup = keras.callbacks.BackupAndRestore(
        tmp_path / "b", double_checkpoint=True, delete_checkpoint=False
    )
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[backup])
    assert json.loads((tmp_path / "b" / "training_metadata.json").read_text())["epoch"] == 2
    (tmp_path / "b" / "latest.weights.h5").write_bytes(b"cut")
    resumed = model_of()
    history = resumed.fit(X, Y, epochs=3, verbose=0, callbacks=[backup])
    assert history.epoch == [1, 2]


def test_backup_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    backup = keras.callbacks.BackupAndRestore(tmp_path / "b")
    model_of().fit(X, Y, epochs=2, verbose=0, callbacks=[backup])
    assert not (tmp_path / "b").exists()


def test_backup_refuses() -> None:
    with pytest.raises(ValueError):
        keras.callbacks.BackupAndRestore("")
    with pytest.raises(ValueError, match="save_freq"):
        keras.callbacks.BackupAndRestore("b", save_freq="often")


@pytest.mark.parametrize("on_epoch", [False, True])
def test_swap_ema_weights(on_epoch: bool) -> None:
    model = model_of(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    seen: list[Any] = []

    class Watch(keras.callbacks.Callback):
        def on_test_end(self, logs: Any = None) -> None:
            seen.append(self.model.get_weights()[0])

    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch)
    model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[Watch(), swap])
    kernel = model.trainable_variables[0]
    average = model.optimizer.native_ema(kernel).numpy()
    assert len(seen) == 2
    assert (seen[0] != seen[1]).any()
    np.testing.assert_array_equal(seen[1], average)
    if on_epoch:
        np.testing.assert_array_equal(kernel.numpy(), average)


def test_swap_needs_averages() -> None:
    with pytest.raises(ValueError, match="use_ema"):
        model_of().evaluate(X, Y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


def test_interactive_logging_off_keeps_the_terminal_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keras.utils.disable_interactive_logging()
    try:
        model_of().fit(X, Y, verbose=1)
        assert capsys.readouterr().out == ""
    finally:
        keras.utils.enable_interactive_logging()


def test_progbar_of_unknown_length(capsys: pytest.CaptureFixture[str]) -> None:
    bar = keras.utils.Progbar(None, interval=0)
    bar.add(2, [("loss", 1.0)])
    assert capsys.readouterr().out == ""  # no terminal: the end alone is shown
    bar.update(2, finalize=True)
    assert "2/Unknown" in capsys.readouterr().out
    with pytest.raises(ValueError):
        keras.utils.Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])
