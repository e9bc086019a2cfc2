"""Callbacks beside real Keras: which hooks run, in which order, with which arguments."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import densekit

HOOKS = [
    f"on_{what}_{when}"
    for what in ("epoch", "train", "test", "predict")
    for when in ("begin", "end")
] + [
    f"on_{what}_{when}"
    for what in ("batch", "train_batch", "test_batch", "predict_batch")
    for when in ("begin", "end")
]


def recorder(library: Any, events: list[Any]) -> Any:
    """A callback that notes every hook: name, index, keys of the logs, values of single numbers."""

    def hook(name: str) -> Callable[..., None]:
        def record(self: Any, *args: Any, **kwargs: Any) -> None:
            logs = kwargs.get("logs", args[-1] if args and not isinstance(args[-1], int) else None)
            index = args[0] if args and isinstance(args[0], int) else None
            events.append((name, index, list(logs) if logs is not None else None))
            if name in ("on_train_batch_begin", "on_train_batch_end"):
                getattr(library.callbacks.Callback, name)(self, *args, **kwargs)

        return record

    return type("Recorder", (library.callbacks.Callback,), {name: hook(name) for name in HOOKS})()


def net(library: Any) -> Any:
    model = library.Sequential([library.Input((3,)), library.layers.Dense(1)])
    return model


X = np.linspace(-1, 1, 60).reshape(20, 3).astype("float32")
Y = X.sum(axis=1)

RUNS: dict[str, Callable[[Any, Any], Any]] = {
    "fit": lambda m, c: m.fit(X, Y, batch_size=6, epochs=2, verbose=0, callbacks=[c]),
    "validation": lambda m, c: m.fit(
        X,
        Y,
        batch_size=6,
        epochs=4,
        initial_epoch=1,
        verbose=0,
        callbacks=[c],
        validation_split=0.5,
        validation_freq=2,
        validation_batch_size=4,
    ),
    "steps": lambda m, c: m.fit(
        X, Y, batch_size=4, epochs=2, steps_per_epoch=2, verbose=0, callbacks=[c]
    ),
    "evaluate": lambda m, c: m.evaluate(X, Y, batch_size=8, verbose=0, callbacks=[c]),
    "evaluate steps": lambda m, c: m.evaluate(
        X, Y, batch_size=8, steps=2, verbose=0, callbacks=[c]
    ),
    "predict": lambda m, c: m.predict(X, batch_size=8, verbose=0, callbacks=[c]),
}


@pytest.mark.parametrize("per_call", [1, 2])
@pytest.mark.parametrize("run", RUNS)
def test_hooks(run: str, per_call: int) -> None:
    seen = []
    for library in (densekit, keras):
        events: list[Any] = []
        model = net(library)
        model.compile("sgd", "mse", metrics=["mae"], steps_per_execution=per_call)
        RUNS[run](model, recorder(library, events))
        seen.append(events)
    assert seen[0] == seen[1]


def test_params() -> None:
    params = []
    for library in (densekit, keras):
        model = net(library)
        model.compile("sgd", "mse")
        callback = library.callbacks.Callback()
        model.fit(X, Y, batch_size=6, epochs=2, verbose=0, callbacks=[callback])
        params.append(callback.params)
    assert params[0] == params[1]


@pytest.mark.parametrize(("hook", "when"), [("on_train_batch_end", 1), ("on_epoch_begin", 0)])
def test_stop_training_within_an_epoch(hook: str, when: int) -> None:
    losses = []
    for library in (densekit, keras):

        def stop(self: Any, at: int, logs: Any = None) -> None:
            if at == when:
                self.model.stop_training = True

        Stop = type("Stop", (library.callbacks.Callback,), {hook: stop})
        model = net(library)
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile("sgd", "mse")
        history = model.fit(
            X, Y + 1, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[Stop()]
        )
        losses.append(history.history["loss"])
    assert len(losses[0]) == len(losses[1]) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def curve(library: Any, values: list[float], callback: Any, name: str = "val_loss") -> Any:
    """Drive a callback by a given sequence of monitored values."""
    model = net(library)
    model.compile(library.optimizers.SGD(1.0), "mse")
    callbacks = library.callbacks.CallbackList([callback], add_history=True, model=model, verbose=0)
    model.stop_training = False
    callbacks.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        model.layers[0].set_weights([np.full((3, 1), float(epoch)), np.zeros(1)])
        callbacks.on_epoch_end(epoch, {name: value})
        rates.append(float(np.asarray(model.optimizer.learning_rate)))
        if model.stop_training:
            break
    callbacks.on_train_end()
    return len(rates), rates, float(model.get_weights()[0][0, 0])


CURVES = {
    "down": [5.0, 4.0, 3.0, 2.0, 1.0],
    "plateau": [3.0, 2.0, 2.5, 2.1, 2.0, 1.9, 1.95, 1.99, 2.0],
    "nan": [3.0, float("nan"), float("nan"), 2.0, float("nan"), float("nan")],
    "up": [1.0, 2.0, 3.0, 4.0],
    "flat": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
}
STOPPERS: list[dict[str, Any]] = [
    {},
    {"patience": 2},
    {"patience": 2, "restore_best_weights": True},
    {"patience": 1, "min_delta": 0.2},
    {"patience": 1, "baseline": 1.5, "restore_best_weights": True},
    {"patience": 1, "mode": "max"},
    {"patience": 1, "start_from_epoch": 3},
]


@pytest.mark.parametrize("values", CURVES)
@pytest.mark.parametrize("arguments", STOPPERS, ids=str)
def test_early_stopping(
    values: str, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ends = []
    for library in (densekit, keras):
        callback = library.callbacks.EarlyStopping(verbose=1, **arguments)
        ends.append((curve(library, CURVES[values], callback), capsys.readouterr().out))
    assert ends[0] == ends[1]


REDUCERS: list[dict[str, Any]] = [
    {"patience": 1},
    {"patience": 2, "factor": 0.5, "cooldown": 1},
    {"patience": 1, "factor": 0.5, "min_lr": 0.3},
    {"patience": 1, "mode": "max", "min_delta": 0.5},
]


@pytest.mark.parametrize("values", CURVES)
@pytest.mark.parametrize("arguments", REDUCERS, ids=str)
def test_reduce_lr_on_plateau(values: str, arguments: dict[str, Any]) -> None:
    ours, theirs = (
        curve(k, CURVES[values], k.callbacks.ReduceLROnPlateau(**arguments))
        for k in (densekit, keras)
    )
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    assert ours[1] == pytest.approx(theirs[1], rel=1e-6)


def test_csv_logger(tmp_path: Path) -> None:
    tables = []
    for library in (densekit, keras):
        path = tmp_path / f"{library.__name__}.csv"
        for append in (False, True):
            model = net(library)
            model.set_weights([np.ones((3, 1)), np.zeros(1)])
            model.compile("sgd", "mse")
            log = library.callbacks.CSVLogger(str(path), separator=";", append=append)
            model.fit(X, Y, epochs=2, shuffle=False, verbose=0, callbacks=[log])
        with open(path, newline="") as file:
            tables.append(list(csv.reader(file, delimiter=";")))
    assert [row[0] for row in tables[0]] == [row[0] for row in tables[1]]
    assert tables[0][0] == tables[1][0]
    assert [row[2] for row in tables[0]] == [row[2] for row in tables[1]]


CHECKPOINTS: list[dict[str, Any]] = [
    {"filepath": "{epoch:02d}-{val_loss:.1f}.weights.h5", "save_weights_only": True},
    {"filepath": "best.weights.h5", "save_weights_only": True, "save_best_only": True},
    {
        "filepath": "{epoch}.weights.h5",
        "save_weights_only": True,
        "save_best_only": True,
        "mode": "max",
    },
    {
        "filepath": "{epoch}.weights.h5",
        "save_weights_only": True,
        "save_best_only": True,
        "initial_value_threshold": 2.05,
    },
]


@pytest.mark.parametrize("arguments", CHECKPOINTS, ids=str)
@pytest.mark.parametrize("values", ["down", "plateau", "up"])
def test_model_checkpoint(values: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    names = []
    for library in (densekit, keras):
        folder = tmp_path / library.__name__
        folder.mkdir()
        path = str(folder / arguments["filepath"])
        curve(
            library,
            CURVES[values],
            library.callbacks.ModelCheckpoint(**{**arguments, "filepath": path}),
        )
        names.append(sorted(p.name for p in folder.iterdir()))
    assert names[0] == names[1]


class Terminal(io.StringIO):
    """A terminal of 200 columns, as far as the text goes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        patch.setattr("sys.stdout", self)
        patch.setenv("COLUMNS", "200")
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)

    def isatty(self) -> bool:
        return True

    def take(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_text(verbose: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text, times left out; with ``verbose=2`` an epoch has one line here, not two."""
    import re

    terminal = Terminal(monkeypatch)
    texts = []
    for library in (densekit, keras):
        model = net(library)
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        model.fit(X, Y + 1, batch_size=20, epochs=2, verbose=verbose, shuffle=False)
        text = terminal.take()
        if verbose == 2 and library is keras:
            text = re.sub(r"(Epoch \d/\d)\n", r"\1 - ", text)
        lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
        texts.append([re.sub(r"\d+(s|ms|us|s/step|ms/step|us/step)\b", "T", x) for x in lines])
    assert texts[0] == texts[1]


def test_progbar_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    texts = []
    for progbar in (densekit.utils.Progbar, keras.utils.Progbar):
        bar = progbar(5, stateful_metrics=["b"], interval=0)
        for i in range(6):
            bar.update(i, [("a", float(i)), ("b", 1e-5)])
        texts.append(terminal.take().replace("\b", ""))
    import re

    ours, theirs = (re.sub(r"\d+(s|ms|us)\b", "T", text) for text in texts)
    assert ours.split() == theirs.split()
