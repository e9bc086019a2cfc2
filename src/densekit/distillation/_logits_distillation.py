"""`LogitsDistillation`: the student's logits approach those of the teacher."""

from __future__ import annotations

from collections.abc import Callable

from densekit import losses, ops
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.distillation._distillation_loss import LossOfOutputs, mean_loss
from densekit.training._overrides import followed


@export("keras.distillation")
class LogitsDistillation(LossOfOutputs):
    """Compares logits, divided by a temperature.

    ``T² KL(softmax(teacher / T) || softmax(student / T))``; another loss is handed
    ``teacher / T`` and ``student / T``.

    Args:
        temperature: ``T`` > 0; the higher, the more counts what the teacher holds for unlikely.
            Default: 3.
        loss: a name, function or object for each output, in the structure of the outputs; None
            where an output is not compared. Default: ``"kl_divergence"``.

    Raises:
        ValueError: for a temperature that is no positive number, and where every loss is None.

    Example:

    >>> import densekit as keras
    >>> loss = keras.distillation.LogitsDistillation(temperature=2.0)
    >>> logits = keras.ops.array([[2.0, 0.0]])
    >>> round(float(loss.compute_loss(logits, -logits)), 4)
    1.8485

    References:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2.
    """

    def __init__(self, temperature: float = 3.0, loss: object = "kl_divergence") -> None:
        super().__init__(loss)
        if not isinstance(temperature, int | float) or not temperature > 0:
            got = describe(temperature)
            raise ValueError(
                message("LogitsDistillation", "`temperature` > 0, a number", got, "Try 3.0.")
            )
        self.temperature = temperature

    @followed
    def compute_loss(
        self, teacher_outputs: object, student_outputs: object, **kwargs: object
    ) -> TensorLike:
        """The loss of a batch of logits, one number."""
        return self.summed(self._compared, teacher_outputs, student_outputs)

    @followed
    def _compared(
        self, loss: Callable[..., TensorLike], teacher: TensorLike, student: TensorLike
    ) -> TensorLike:
        teacher, student = ops.divide(teacher, self.temperature), student / self.temperature
        if loss is not losses.kl_divergence and not isinstance(loss, losses.KLDivergence):
            return mean_loss(loss, teacher, student)
        value = mean_loss(loss, ops.softmax(teacher, axis=-1), ops.softmax(student, axis=-1))
        return value * self.temperature**2  # as large a gradient as at a temperature of 1

    def get_config(self) -> Config:
        """The constructor's arguments, as plain data."""
        return {"temperature": self.temperature, **super().get_config()}
