"""Students learn from teachers, natively."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densekit as keras
from densekit import ops
from densekit.distillation import (
    DistillationLoss,
    Distiller,
    FeatureDistillation,
    LogitsDistillation,
)
from densekit.training import _step_follower

X = np.random.default_rng(3).normal(size=(24, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)


def network(units: int, name: str, features: int = 5, classes: int = 3) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(units, "relu", name=f"{name}_hidden"),
            keras.layers.Dense(classes, name=f"{name}_logits"),
        ]
    )


def distiller(*losses: DistillationLoss, **options: Any) -> Distiller:
    made = Distiller(network(8, "teacher"), network(8, "student"), list(losses), **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return made


def softened(logits: Any, temperature: float) -> Any:
    powers = np.exp(np.asarray(logits, "float64") / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


HINTS = FeatureDistillation("mse", "teacher_hidden", "student_hidden")


def test_the_student_approaches_the_teacher_and_the_labels() -> None:
    teacher = network(32, "teacher")
    teacher.compile(
        keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    teacher.fit(X, Y, epochs=30, verbose=0)
    student = network(8, "student")
    made = Distiller(teacher, student, LogitsDistillation(2.0), student_loss_weight=0.3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    before = teacher.get_weights()
    history = made.fit(X, Y, epochs=40, validation_data=(X, Y), verbose=0).history
    for log in ("total_loss", "student_loss", "distillation_loss", "val_distillation_loss"):
        assert history[log][-1] < 0.5 * history[log][0], log
    assert history["accuracy"][-1] > 0.9
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(made.predict(X, verbose=0), student.predict(X, verbose=0))


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_logs_are_the_formula(weight: float) -> None:
    made = distiller(
        LogitsDistillation(3.0),
        HINTS,
        distillation_loss_weights=[0.7, 0.2],
        student_loss_weight=weight,
    )
    teacher, student = made.teacher, made.student
    p, q = softened(teacher(X), 3.0), softened(student(X), 3.0)
    hidden = [np.asarray(m.layers[0](X), "float64") for m in (teacher, student)]
    divergence = 9 * np.mean(np.sum(p * np.log(p / q), axis=-1))
    distilled = 0.7 * divergence + 0.2 * np.mean((hidden[0] - hidden[1]) ** 2)
    labels = -np.mean(np.log(softened(student(X), 1.0)[np.arange(len(Y)), Y]))
    logs = made.evaluate(X, Y, batch_size=len(X), return_dict=True, verbose=0)
    expected = {
        "student_loss": labels if weight > 0 else 0.0,
        "distillation_loss": distilled if weight < 1 else 0.0,
        "total_loss": weight * labels + (1 - weight) * distilled,
    }
    for log, value in expected.items():
        np.testing.assert_allclose(logs[log], value, rtol=2e-5, atol=1e-7, err_msg=log)


@pytest.mark.parametrize("loss", ["kl_divergence", "KLDivergence", keras.losses.KLDivergence()])
def test_divergences_are_of_probabilities_however_they_are_named(loss: Any) -> None:
    logits = X[:, :3], X[:, 1:4]
    p, q = (softened(part, 4.0) for part in logits)
    expected = 16 * np.mean(np.sum(p * np.log(p / q), axis=-1))
    made = LogitsDistillation(4.0, loss).compute_loss(*logits)
    np.testing.assert_allclose(np.asarray(made), expected, rtol=1e-5)


def test_each_output_has_its_loss_or_none() -> None:
    loss = LogitsDistillation(2.0, {"a": "mse", "b": None})
    teacher, student = {"a": X, "b": X}, {"a": X + 1, "b": X + 5}
    np.testing.assert_allclose(np.asarray(loss.compute_loss(teacher, student)), 0.25, rtol=1e-5)
    loss.validate_outputs(teacher, student)
    with pytest.raises(ValueError, match="structure"):
        loss.validate_outputs([X, X], [X, X])


def test_a_layer_is_compared_with_the_output_of_the_other_where_one_is_named() -> None:
    teacher = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(3, name="inside"), keras.layers.Dense(3)]
    )
    student = network(4, "student")
    made = Distiller(
        teacher, student, FeatureDistillation("mse", "inside"), student_loss_weight=0.0
    )
    made.compile("sgd", "mse")
    expected = np.mean((np.asarray(teacher.layers[0](X)) - np.asarray(student(X))) ** 2)
    logs = made.evaluate(X, Y, batch_size=24, return_dict=True, verbose=0)
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)


def test_own_losses() -> None:
    class Rows(DistillationLoss):
        def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **_: Any) -> Any:
            return ops.sum((teacher_outputs - student_outputs) ** 2, axis=-1)

    class Mean(Rows):
        def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **_: Any) -> Any:
            return ops.mean(super().compute_loss(teacher_outputs, student_outputs))

    history = distiller(Mean()).fit(X, Y, epochs=3, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    with pytest.raises(ValueError, match=r"one number from Rows, got a loss of shape"):
        distiller(Rows()).fit(X, Y, verbose=0)


def test_files_and_configs(tmp_path: Path) -> None:
    made = distiller(LogitsDistillation(2.0, "mse"), HINTS, student_loss_weight=0.7)
    made.fit(X, Y, verbose=0)
    made.save(tmp_path / "distiller.keras")
    loaded = keras.models.load_model(tmp_path / "distiller.keras")
    assert loaded.student_loss_weight == 0.7
    assert [type(x) for x in loaded.distillation_losses] == [
        LogitsDistillation,
        FeatureDistillation,
    ]
    assert loaded.distillation_losses[0].temperature == 2.0
    assert loaded.distillation_losses[1].student_layer_name == "student_hidden"
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), made.predict(X, verbose=0))


def test_misuse() -> None:
    teacher, student, loss = network(4, "teacher"), network(4, "student"), LogitsDistillation()
    wide, many = network(4, "wide", features=6), network(4, "many", classes=4)
    for build, expected in [
        (lambda: Distiller("teacher", student, loss), "`teacher`, a model"),
        (lambda: Distiller(teacher, wide, loss), "inputs of teacher and student to agree"),
        (lambda: Distiller(teacher, many, loss), "outputs of teacher and student to agree"),
        (lambda: Distiller(teacher, student, loss, student_loss_weight=2), "from 0 to 1"),
        (lambda: Distiller(teacher, student, None), "a DistillationLoss"),
        (lambda: Distiller(teacher, student, [loss], [1.0, 2.0]), "a weight for each of 1"),
        (lambda: Distiller(teacher, student, FeatureDistillation("mse", "x")), "In the teacher"),
        (lambda: LogitsDistillation(0), "`temperature` > 0"),
        (lambda: LogitsDistillation(loss=[None]), "a loss for one output"),
        (lambda: FeatureDistillation(None), "a loss for one output"),
        (lambda: Distiller(teacher, student, loss).compile("sgd"), "`loss`, of the student"),
    ]:
        with pytest.raises(ValueError, match=expected):
            build()
    assert student.trainable

    class Subclass(keras.Model):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ValueError, match="a student without symbolic outputs"):
        Distiller(teacher, Subclass(), HINTS)


@pytest.mark.parametrize(
    "losses",
    [
        [LogitsDistillation(2.0)],
        [
            LogitsDistillation(loss="mse"),
            FeatureDistillation("mse", "teacher_hidden", "student_hidden"),
        ],
    ],
)
def test_its_steps_are_made_natively(
    losses: list[DistillationLoss], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_step_follower, "FIRST_STEPS", 2)
    monkeypatch.setattr(_step_follower, "TRIED_STEPS", 2)
    found = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(2)
        model = distiller(*losses)
        model.run_eagerly = eagerly
        history = model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0).history
        found.append([*model.student.get_weights(), *map(np.asarray, history.values())])
    assert model.train_function.follower.reason == ""
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
