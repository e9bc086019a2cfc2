"""`DistillationLoss`: how far a student is from its teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from densekit import losses, ops, tree
from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.serialization import serialize_keras_object
from densekit._core.types import Config, TensorLike
from densekit.models import Model
from densekit.training._overrides import followed


@export("keras.distillation")
class DistillationLoss:
    """Base class: subclasses define `compute_loss`.

    Attributes:
        teacher_layer_name: layer of the teacher whose output is compared; None for the model's.
        student_layer_name: layer of the student, alike.

    Example:

    >>> import densekit as keras
    >>> class Largest(keras.distillation.DistillationLoss):
    ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
    ...         return keras.ops.max(keras.ops.abs(teacher_outputs - student_outputs))
    >>> float(Largest().compute_loss(keras.ops.array([1.0, 2.0]), keras.ops.array([1.0, 4.0])))
    2.0
    """

    teacher_layer_name: str | None = None
    student_layer_name: str | None = None

    def compute_loss(
        self, teacher_outputs: object, student_outputs: object, **kwargs: object
    ) -> TensorLike:
        """The loss of a batch, one number.

        Args:
            teacher_outputs: what the teacher gives, a tensor or a structure of them.
            student_outputs: what the student gives.
            **kwargs: whatever else a subclass takes.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no `compute_loss`.")

    @followed
    def validate_outputs(self, teacher_outputs: object, student_outputs: object) -> None:
        """Refuse outputs of different structures.

        Raises:
            ValueError: if they differ.
        """
        tree.assert_same_structure(teacher_outputs, student_outputs)

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Refuse models that cannot be compared; any can, unless a subclass says more.

        Raises:
            ValueError: if they cannot.
        """


class LossOfOutputs(DistillationLoss):
    """A loss for each output, or None where an output is not compared."""

    def __init__(self, loss: object) -> None:
        self.loss = tree.map_structure(losses.get, loss)
        if all(part is None for part in tree.flatten(self.loss)):
            raise ValueError(
                message(type(self).__name__, "a loss for one output at least", "None", "Name one.")
            )

    @followed
    def validate_outputs(self, teacher_outputs: object, student_outputs: object) -> None:
        """Refuse outputs of different structures, or other ones than that of `loss`.

        Raises:
            ValueError: if they differ.
        """
        super().validate_outputs(teacher_outputs, student_outputs)
        tree.assert_same_structure(self.loss, teacher_outputs)

    @followed
    def summed(
        self,
        compared: Callable[[Callable[..., TensorLike], TensorLike, TensorLike], TensorLike],
        teacher_outputs: object,
        student_outputs: object,
    ) -> TensorLike:
        """The sum of what ``compared(loss, of_teacher, of_student)`` gives."""
        total: TensorLike | None = None
        for loss, teacher, student in zip(
            tree.flatten(self.loss),
            tree.flatten(teacher_outputs),
            tree.flatten(student_outputs),
            strict=True,
        ):
            if loss is not None:
                value = compared(loss, teacher, student)
                total = value if total is None else total + value
        assert total is not None  # there is a loss
        return total

    def get_config(self) -> Config:
        """The constructor's arguments, as plain data."""
        return {"loss": serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Create from `get_config`."""
        return cls(**{**config, "loss": losses.deserialize(config["loss"])})


@followed
def mean_loss(loss: Callable[..., TensorLike], y_true: TensorLike, y: TensorLike) -> TensorLike:
    """A loss as one number."""
    return ops.mean(loss(y_true, y))
