"""Losses that compare the rows of a batch: by native programs, the numbers of their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import losses, ops
from densekit.engines import batch_losses

from .losses_of_batches import (
    contrastive,
    counted,
    hardest_triplet,
    in_order,
    neighbours,
    nt_xent,
    ranking,
    similarities,
    vicreg,
)  # fmt: skip

Array = np.ndarray[Any, Any]


LOSSES: dict[str, Callable[[], Any]] = {
    "circle": lambda: losses.Circle(gamma=4.0),
    "circle of neighbours": lambda: losses.Circle(gamma=4.0, remove_diagonal=False),
    **{f.__name__: lambda f=f: f for f in (contrastive, nt_xent, hardest_triplet, vicreg)},
    **{f.__name__: lambda f=f: f for f in (ranking, neighbours, in_order, counted)},
}
PER_SAMPLE = ("circle", "contrastive", "hardest_triplet", "neighbours")


def model_with(loss: Any, **options: Any) -> Any:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)]
    )
    model.compile(keras.optimizers.SGD(0.02), loss, **options)
    return model


def data(dtype: str = "float32") -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 5)).astype(dtype), rng.integers(0, 3, 40)


@pytest.fixture
def native_runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Rows and whether slopes were asked for, of each run of a program."""
    runs: list[tuple[int, bool]] = []
    run = batch_losses._Program.run

    def noted(self: Any, columns: list[Any], need_gradient: bool) -> Any:
        runs.append((len(columns[1]), need_gradient))
        return run(self, columns, need_gradient)

    monkeypatch.setattr(batch_losses._Program, "run", noted)
    return runs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_programs_give_what_the_definition_gives(
    name: str, dtype: str, native_runs: list[tuple[int, bool]]
) -> None:
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        x, y = data(dtype)
        found = []
        for engine in ("native", "reference"):
            model = model_with(LOSSES[name](), engine=engine)
            history = model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
            score = [model.evaluate(x, y, batch_size=16, verbose=0) for _ in range(2)]
            found.append((history["loss"], score, *model.get_weights()))
    finally:
        keras.config.set_floatx(before)
    tolerance = 2e-5 if dtype == "float32" else 1e-10
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance)
    # A kind of batch is met once in Python: the second batch of 16, the second one of 8 rows.
    assert native_runs[:5] == [(16, True), (16, True), (16, True), (8, True), (16, True)]
    assert (8, False) in native_runs


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_weights_of_samples(name: str, native_runs: list[tuple[int, bool]]) -> None:
    x, y = data()
    weight = np.random.default_rng(1).random(40)
    found = []
    for engine in ("native", "reference"):
        model = model_with(LOSSES[name](), engine=engine)
        fit = model.fit(x, y, 20, 3, sample_weight=weight, shuffle=False, verbose=0)
        found.append((fit.history["loss"], *model.get_weights()))
    for mine, wanted in zip(*found, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=2e-5, atol=2e-5)
    assert len(native_runs) == 5


def test_numbers_that_floats_round_stay_in_python(native_runs: list[tuple[int, bool]]) -> None:
    x, y = data()
    near = y + (1 << 24)  # floats of 32 bits hold every second one of these
    losses_of = []
    for labels in (y, near):
        model = model_with(contrastive)
        model.loss = contrastive
        losses_of.append(model.fit(x, labels, 20, 2, shuffle=False, verbose=0).history["loss"])
    assert len(native_runs) == 3
    assert all(np.isfinite(values).all() for values in losses_of)


def test_what_no_program_can_say_runs_in_python(native_runs: list[tuple[int, bool]]) -> None:
    def by_values(y_true: Any, y_pred: Any) -> Any:
        gap = ops.mean(similarities(y_pred)) - 0.2
        return gap if float(np.asarray(len(y_pred))) > 1 else -gap

    def by_the_median(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(similarities(y_pred)) * ops.cast(ops.unique(y_true).shape[0], "float32")

    x, y = data()
    for loss in (by_values, by_the_median):
        history = model_with(loss).fit(x, y, 20, 2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
    assert not native_runs or len(native_runs) == 3  # the first may be followed: it has a length


def test_few_kinds_of_batches_have_programs(native_runs: list[tuple[int, bool]]) -> None:
    x, y = data()
    model = model_with(contrastive)
    for _ in range(3):
        for rows in range(2, 22):
            model.train_on_batch(x[:rows], y[:rows])
    kinds = {rows for rows, _ in native_runs}
    assert len(kinds) == batch_losses._MOST_PROGRAMS


def test_a_number_of_the_loss_that_changes_counts() -> None:
    scale = [1.0]
    x, y = data()
    model = model_with(lambda t, p: scale[0] * contrastive(t, p))
    first = [model.evaluate(x, y, batch_size=20, verbose=0) for _ in range(2)][-1]
    scale[0] = 3.0
    again = [model.evaluate(x, y, batch_size=20, verbose=0) for _ in range(2)]
    assert again == pytest.approx([3 * first, 3 * first], rel=1e-5)
