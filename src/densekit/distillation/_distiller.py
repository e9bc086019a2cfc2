"""`Distiller`: a model that trains a student with a teacher beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from densekit import losses, metrics, ops, tree
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit.distillation._agreement import check_agreement
from densekit.distillation._distillation_loss import DistillationLoss
from densekit.distillation._features import FINAL, extractor
from densekit.models import Model
from densekit.training._overrides import followed


@export("keras.distillation")
class Distiller(Model):
    """Trains a student on labels and on what a teacher, which is frozen, makes of the same rows.

    ``loss = a supervised + (1 - a) sum_i w_i distillation_i``, with ``a = student_loss_weight``.
    `fit`, `evaluate` and `predict` are those of the student; the logs hold ``student_loss``,
    ``distillation_loss`` and ``total_loss``.

    Args:
        teacher: a trained model.
        student: the model to train, of the same inputs and outputs.
        distillation_losses: a `DistillationLoss` or a list of them.
        distillation_loss_weights: ``w``, one for each of a list. Default: all 1.
        student_loss_weight: ``a``, 0 to 1. Default: 0.5.
        name: Default: ``"distiller"``.
        **kwargs: further arguments of `Model`.

    Raises:
        ValueError: for models whose inputs or outputs differ in shape or dtype, and for weights
            that do not fit.

    Example:

    >>> import densekit as keras
    >>> import numpy as np
    >>> teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> student = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> distiller = keras.distillation.Distiller(
    ...     teacher, student, keras.distillation.LogitsDistillation(temperature=2.0)
    ... )
    >>> distiller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8, int), verbose=0)
    >>> sorted(history.history)
    ['distillation_loss', 'loss', 'student_loss', 'total_loss']

    References:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2.
    """

    def __init__(
        self,
        teacher: Model,
        student: Model,
        distillation_losses: DistillationLoss | Sequence[DistillationLoss],
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str | None = "distiller",
        **kwargs: str | bool | None,
    ) -> None:
        super().__init__(name=name, **kwargs)
        check_agreement(teacher, student)
        self.teacher = teacher
        self.student = student
        if not isinstance(student_loss_weight, int | float) or not 0 <= student_loss_weight <= 1:
            got = describe(student_loss_weight)
            raise _refused("`student_loss_weight`, a number from 0 to 1", got, "Try 0.5.")
        self.student_loss_weight = student_loss_weight
        if isinstance(distillation_losses, DistillationLoss):
            distillation_losses = [distillation_losses]
            distillation_loss_weights = None  # one has nothing to be weighed against, for Keras
        if not _are_losses(distillation_losses):
            action = "Use LogitsDistillation, FeatureDistillation or a subclass of yours."
            got = describe(distillation_losses)
            raise _refused("a DistillationLoss or a list of them", got, action)
        self.distillation_losses = distillation_losses
        count = len(self.distillation_losses)
        if distillation_loss_weights is None:
            distillation_loss_weights = [1.0] * count
        elif len(distillation_loss_weights) != count:
            got = f"{len(distillation_loss_weights)} `distillation_loss_weights`"
            raise _refused(f"a weight for each of {count} losses", got, "Leave them out for 1.")
        self.distillation_loss_weights = distillation_loss_weights
        for loss in self.distillation_losses:
            loss.validate_model_compatibility(teacher, student)
        parts = self.distillation_losses
        self._teacher_feature_extractor = extractor(teacher, (x.teacher_layer_name for x in parts))
        self._student_feature_extractor = extractor(student, (x.student_layer_name for x in parts))
        self.teacher.trainable = False
        self.student_loss_tracker = metrics.Mean(name="student_loss")
        self.distillation_loss_tracker = metrics.Mean(name="distillation_loss")
        self.total_loss_tracker = metrics.Mean(name="total_loss")

    def compile(  # type: ignore[override]  # in Keras' order
        self,
        optimizer: object = "adam",
        loss: object = None,
        metrics: Sequence[object] | None = None,
        **kwargs: object,
    ) -> None:
        """Set the optimizer, the student's loss on labels, and metrics.

        Args:
            optimizer: Default: ``"adam"``.
            loss: a name, function or object, in the structure of the outputs.
            metrics: a list. Default: none.
            **kwargs: further arguments of `Model.compile`.

        Raises:
            ValueError: without a loss, or if `metrics` is no list.
        """
        if loss is None:
            raise _refused("`loss`, of the student on the labels", "None", "Name one.")
        if metrics is not None and not isinstance(metrics, list | tuple):
            raise _refused("`metrics`, a list or tuple", describe(metrics), "Put it into a list.")
        self._student_loss = tree.map_structure(losses.get, loss)
        super().compile(optimizer=optimizer, loss=None, metrics=metrics, **kwargs)  # type: ignore[arg-type]

    def call(self, inputs: TensorLike, training: bool | None = None) -> TensorLike:
        """What the student makes of the inputs."""
        outputs: TensorLike = self.student(inputs, training=training)
        return outputs

    @followed
    def compute_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: bool = True,
    ) -> TensorLike:
        """The loss of a batch: of the student on the labels, and of how far it is from the teacher.

        Args:
            x: inputs.
            y: labels; without them the teacher alone counts.
            y_pred: outputs of the student. Default: computed.
            sample_weight: not used, as in Keras.
            training: whether the student is being trained.
        """
        if y_pred is None:
            y_pred = self(x, training=training)
        supervised: TensorLike | float = 0.0
        if self.student_loss_weight > 0 and y is not None:
            supervised = self._dk_supervised(y, y_pred)
        distilled: TensorLike | float = 0.0
        if self.student_loss_weight < 1:
            distilled = self._dk_distilled(x, y_pred)
        total = ops.add(
            ops.multiply(self.student_loss_weight, supervised),
            ops.multiply(1.0 - self.student_loss_weight, distilled),
        )
        self.student_loss_tracker.update_state(supervised)
        self.distillation_loss_tracker.update_state(distilled)
        self.total_loss_tracker.update_state(total)
        return total

    @followed
    def _dk_supervised(self, y: object, y_pred: object) -> TensorLike:
        total: TensorLike | None = None
        for loss, true, predicted in zip(
            tree.flatten(self._student_loss), tree.flatten(y), tree.flatten(y_pred), strict=True
        ):
            value = ops.mean(loss(true, predicted))
            total = value if total is None else total + value
        assert total is not None  # a structure has a leaf
        return total

    @followed
    def _dk_distilled(self, x: object, y_pred: object) -> TensorLike:
        of_teacher = _features(self._teacher_feature_extractor, self.teacher, x, False)
        of_student = {FINAL: y_pred}
        if self._student_feature_extractor is not None:
            seen = _features(self._student_feature_extractor, self.student, x, True)
            of_student = {**seen, FINAL: y_pred}
        total: TensorLike | None = None
        for loss, weight in zip(
            self.distillation_losses, self.distillation_loss_weights, strict=True
        ):
            teacher = of_teacher[loss.teacher_layer_name or FINAL]
            student = of_student[loss.student_layer_name or FINAL]
            loss.validate_outputs(teacher, student)
            value = loss.compute_loss(teacher, student)
            if len(ops.shape(value)):
                got = f"a loss of shape {tuple(ops.shape(value))}"
                raise _refused(f"one number from {type(loss).__name__}", got, "Take its mean.")
            value = ops.multiply(weight, value)
            total = value if total is None else total + value
        return ops.zeros(()) if total is None else total

    def get_compile_config(self) -> Config:
        """The arguments of `compile`, as plain data; empty for a model that is not compiled."""
        config = super().get_compile_config()
        return {**config, "loss": serialize_keras_object(self._student_loss)} if config else config

    def compile_from_config(self, config: Config) -> None:
        """Compile as `get_compile_config` says, and build the optimizer if the model is built."""
        self.compile(**deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def get_config(self) -> Config:
        """The constructor's arguments, as plain data."""
        return {
            **super().get_config(),
            "teacher": serialize_keras_object(self.teacher),
            "student": serialize_keras_object(self.student),
            "distillation_losses": [serialize_keras_object(x) for x in self.distillation_losses],
            "distillation_loss_weights": list(self.distillation_loss_weights),
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: Config | None = None) -> Self:
        """Create from `get_config`."""
        made: Callable[[object], object] = deserialize_keras_object
        return cls(
            **{
                **config,
                "teacher": made(config["teacher"]),
                "student": made(config["student"]),
                "distillation_losses": [made(x) for x in config["distillation_losses"]],
            }
        )


def _are_losses(given: object) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(x, DistillationLoss) for x in given)


@followed
def _features(inside: Model | None, model: Model, x: object, training: bool) -> dict[str, object]:
    if inside is None:
        return {FINAL: model(x, training=training)}
    found: dict[str, object] = inside(x, training=training)
    return found


def _refused(expected: str, got: str, action: str) -> ValueError:
    return ValueError(message("Distiller", expected, got, action))
