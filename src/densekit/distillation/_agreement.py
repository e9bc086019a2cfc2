"""Whether a teacher and a student can be set side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from densekit import tree
from densekit._core.errors import describe, message
from densekit.distillation._features import has_graph
from densekit.models import Model


def check_agreement(teacher: Model, student: Model) -> None:
    """Refuse what are no models, and models of other inputs or outputs, as far as these are known.

    Raises:
        ValueError: if they do not go together.
    """
    given: dict[str, object] = {"teacher": teacher, "student": student}
    for what, model in given.items():
        if not isinstance(model, Model):
            action = "Pass a Model."
            raise ValueError(message("Distiller", f"`{what}`, a model", describe(model), action))
    if has_graph(teacher) and has_graph(student):
        _compare("input", teacher, student)
        _compare("output", teacher, student)


def _compare(side: Literal["input", "output"], teacher: Model, student: Model) -> None:
    ours = teacher.input if side == "input" else teacher.output
    theirs = student.input if side == "input" else student.output
    tree.assert_same_structure(ours, theirs)
    for one, two in zip(tree.flatten(ours), tree.flatten(theirs), strict=True):
        if not _fit(one.shape, two.shape) or one.dtype != two.dtype:
            raise ValueError(
                message(
                    "Distiller",
                    f"the {side}s of teacher and student to agree",
                    f"{one.dtype} of shape {one.shape} and {two.dtype} of shape {two.shape}",
                    f"Give both the same {side}s.",
                )
            )


def _fit(one: Sequence[int | None], two: Sequence[int | None]) -> bool:
    return len(one) == len(two) and all(
        a == b or a is None or b is None for a, b in zip(one, two, strict=True)
    )
