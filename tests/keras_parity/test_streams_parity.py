"""Which batches `fit`, `evaluate` and `predict` take from a source, beside real Keras.

Every row of batch k is k, and the loss of a row is its target. So the logs of batch hooks tell
which batches were seen, in order; the sources write down their own calls.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import densekit

ROWS, BATCHES = 4, 4
Journal = list[str]


def batch(k: int, rows: int = ROWS) -> tuple[Any, Any]:
    return np.full((rows, 2), k, "float32"), np.full((rows, 1), k, "float32")


def dataset(library: Any, journal: Journal, hooks: bool = True, endless: bool = False) -> Any:
    class Numbered(library.utils.PyDataset):  # type: ignore[misc, name-defined]
        if endless:
            num_batches = None
        else:

            def __len__(self) -> int:
                return BATCHES

        if hooks:

            def on_epoch_begin(self) -> None:
                journal.append("<")

            def on_epoch_end(self) -> None:
                journal.append(">")

        def __getitem__(self, k: int) -> Any:
            if not endless and k >= BATCHES:
                raise IndexError(k)
            return batch(k)

    return Numbered()


def generator(endless: bool = False) -> Iterator[Any]:
    yield from map(batch, itertools.count() if endless else range(BATCHES))


def arrays() -> tuple[Any, Any]:
    return tuple(np.concatenate(parts) for parts in zip(*map(batch, range(BATCHES)), strict=True))


SOURCES: dict[str, Callable[[Any, Journal], Any]] = {
    "dataset": lambda library, journal: dataset(library, journal, hooks=False),
    "dataset with hooks": dataset,
    "endless dataset": lambda library, journal: dataset(library, journal, endless=True),
    "generator": lambda library, journal: generator(),
    "endless generator": lambda library, journal: generator(endless=True),
    "arrays": lambda library, journal: arrays(),
}
CASES = [
    pytest.param(source, steps, id=f"{source}, {steps} steps")
    for source in SOURCES
    for steps in (None, 2, 3, BATCHES, 9)
    if "endless" not in source or steps in (2, 3)
]


def recorder(library: Any, journal: Journal) -> Any:
    class Recorder(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def note(self, step: int, logs: Any, total: list[float]) -> None:
            # The mean of equal batches so far, times their number, less that before.
            total.append(logs["loss"] * len(total))
            journal.append(f"{step}:{total[-1] - total[-2]:.2f}")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            journal.append(f"epoch {epoch}")
            self.trained = [0.0]

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert logs is not None
            journal.append(str({name: round(float(logs[name]), 4) for name in sorted(logs)}))

        def on_test_begin(self, logs: Any = None) -> None:
            journal.append("test")
            self.tested = [0.0]

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            self.note(step, logs, self.trained)

        def on_test_batch_end(self, step: int, logs: Any = None) -> None:
            self.note(step, logs, self.tested)

        def on_predict_batch_end(self, step: int, logs: Any = None) -> None:
            journal.append(f"{step}:{np.asarray(logs['outputs'])[:, 0] / 2}")

    return Recorder()


def seen(library: Any, run: Callable[[Any, Any, Journal], Any], per_call: int = 1) -> Journal:
    """What a run does to a new model: batches, hooks, warnings and what it returns."""
    journal: Journal = []

    def loss(y_true: Any, y_pred: Any) -> Any:
        return library.ops.mean(y_true + 0 * y_pred, axis=-1)

    model = library.Sequential(
        [library.Input((2,)), library.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile("sgd", loss, steps_per_execution=per_call)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        journal.append(f"returns {run(library, model, journal)}")
    for warning in caught:
        if "ran out of data" in str(warning.message):
            journal.append("ran out of data")
    return [*journal, f"{int(model.optimizer.iterations)} updates"]


def data_arguments(source: Any) -> dict[str, Any]:
    if isinstance(source, tuple):
        return {"x": source[0], "y": source[1], "batch_size": ROWS}
    return {"x": source}


def assert_alike(run: Callable[[Any, Any, Journal], Any], per_call: int = 1) -> Journal:
    ours, theirs = (seen(library, run, per_call) for library in (densekit, keras))
    assert ours == theirs
    return ours


@pytest.mark.parametrize(("source", "steps"), CASES)
def test_training(source: str, steps: int | None) -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        history = model.fit(
            **data_arguments(SOURCES[source](library, journal)),
            steps_per_epoch=steps,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=[recorder(library, journal)],
        )
        return history.params["steps"]

    assert_alike(run)


@pytest.mark.parametrize(("source", "steps"), CASES)
def test_validation(source: str, steps: int | None) -> None:
    def run(library: Any, model: Any, journal: Journal) -> None:
        x, y = batch(0)
        model.fit(
            x,
            y,
            epochs=3,
            verbose=0,
            callbacks=[recorder(library, journal)],
            validation_data=SOURCES[source](library, journal),
            validation_steps=steps,
            validation_batch_size=ROWS if source == "arrays" else None,
        )

    assert_alike(run)


@pytest.mark.parametrize(("source", "steps"), CASES)
def test_evaluation_and_prediction(source: str, steps: int | None) -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        results = []
        for _ in range(2):
            data = data_arguments(SOURCES[source](library, journal))
            arguments: Any = {"steps": steps, "verbose": 0}
            arguments["callbacks"] = [recorder(library, journal)]
            results.append(round(float(model.evaluate(**data, **arguments)), 4))
            data = data_arguments(SOURCES[source](library, journal))
            data.pop("y", None)
            results.append(np.asarray(model.predict(**data, **arguments)).shape)
        return results

    assert_alike(run)


@pytest.mark.parametrize("source", ["dataset with hooks", "generator"])
def test_several_steps_a_call(source: str) -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        calls = recorder(library, journal)
        model.fit(
            SOURCES[source](library, journal), epochs=2, shuffle=False, verbose=0, callbacks=[calls]
        )
        model.evaluate(SOURCES[source](library, journal), verbose=0, callbacks=[calls])

    assert_alike(run, per_call=3)


def test_one_generator_goes_on_from_call_to_call() -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        source = generator(endless=True)
        arguments = {"verbose": 0, "callbacks": [recorder(library, journal)]}
        for steps in (2, 3):
            model.fit(source, steps_per_epoch=steps, epochs=2, shuffle=False, **arguments)
            model.evaluate(source, steps=steps, **arguments)

    assert_alike(run)


@pytest.mark.parametrize("arguments", [{"batch_size": 4}, {}], ids=str)
def test_a_short_last_batch(arguments: dict[str, Any]) -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        x, y = (a[:14] for a in arrays())
        history = model.fit(
            x, y, steps_per_epoch=2, epochs=3, shuffle=False, verbose=0, **arguments
        )
        return np.round(history.history["loss"], 4).tolist()

    assert_alike(run)


def test_a_data_set_may_make_its_batches_when_the_epoch_begins() -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        class Made(library.utils.PyDataset):  # type: ignore[misc, name-defined]
            epoch = 0

            def __len__(self) -> int:
                return 2

            def on_epoch_begin(self) -> None:
                self.batches = [batch(10 * self.epoch + k) for k in range(2)]

            def on_epoch_end(self) -> None:
                self.epoch += 1
                self.batches = []

            def __getitem__(self, k: int) -> Any:
                return self.batches[k]

        calls = [recorder(library, journal)]
        for _ in range(2):
            model.fit(
                Made(), epochs=2, shuffle=False, verbose=0, callbacks=calls, validation_data=Made()
            )

    assert_alike(run)


def test_the_journal_tells_runs_apart() -> None:
    def run(library: Any, model: Any, journal: Journal) -> Any:
        steps = 2 if library is densekit else 3
        model.fit(generator(), steps_per_epoch=steps, verbose=0, callbacks=[])

    with pytest.raises(AssertionError):
        assert_alike(run)
