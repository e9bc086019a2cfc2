"""`FeatureDistillation`: layers of the student approach those of the teacher."""

from __future__ import annotations

from densekit._core.errors import message
from densekit._core.registry import export
from densekit._core.types import Config, TensorLike
from densekit.distillation._distillation_loss import LossOfOutputs, mean_loss
from densekit.distillation._features import has_graph
from densekit.models import Model
from densekit.training._overrides import followed


@export("keras.distillation")
class FeatureDistillation(LossOfOutputs):
    """Compares the output of a layer of the teacher with that of a layer of the student.

    Args:
        loss: a name, function or object; for layers of several outputs one for each, in their
            structure, None where an output is not compared. Default: ``"mse"``.
        teacher_layer_name: a layer of the teacher. Default: None, its output.
        student_layer_name: a layer of the student. Default: None, its output.

    Raises:
        ValueError: where every loss is None.

    Example:

    >>> import densekit as keras
    >>> loss = keras.distillation.FeatureDistillation("mae")
    >>> float(loss.compute_loss(keras.ops.array([[1.0, 2.0]]), keras.ops.array([[1.0, 4.0]])))
    1.0

    References:
        Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, equation 3.
    """

    def __init__(
        self,
        loss: object = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ) -> None:
        super().__init__(loss)
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name

    def validate_model_compatibility(self, teacher: Model, student: Model) -> None:
        """Refuse models without the layers, or whose layers cannot be asked.

        Raises:
            ValueError: if a layer is named and a model has none of the name, or no graph.
        """
        names = {"teacher": self.teacher_layer_name, "student": self.student_layer_name}
        if not any(names.values()):
            return
        models = {"teacher": teacher, "student": student}
        subclassed = [what for what, model in models.items() if not has_graph(model)]
        if subclassed:
            raise ValueError(
                message(
                    "FeatureDistillation with layer names",
                    "Functional models, or Sequential ones that are built",
                    f"a {' and a '.join(subclassed)} without symbolic outputs",
                    "Leave out the names, or use LogitsDistillation.",
                )
            )
        for what, name in names.items():
            if name is not None:
                try:
                    models[what].get_layer(name=name)
                except ValueError as error:
                    raise ValueError(f"In the {what}: {error}") from error

    @followed
    def compute_loss(
        self, teacher_outputs: object, student_outputs: object, **kwargs: object
    ) -> TensorLike:
        """The loss of a batch of features, one number."""
        return self.summed(mean_loss, teacher_outputs, student_outputs)

    def get_config(self) -> Config:
        """The constructor's arguments, as plain data."""
        return {
            **super().get_config(),
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
        }
