"""What losses, their gradients and updates mean in a followed step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from densekit._core import settings, tree
from densekit._core.native_form import native_form
from densekit._core.plan import NotLowerable
from densekit._core.variable import Variable
from densekit.losses import Loss
from densekit.ops import KerasTensor
from densekit.ops._symbolic import recorded_nodes
from densekit.optimizers import Optimizer
from densekit.training._compiled import Compiled
from densekit.training._row_gradient import row_gradient
from densekit.training._step_formulas import StepFormulas
from densekit.training._step_state import Differentiated, StateValue, StepState
from densekit.training._step_values import (
    BatchLoss,
    Gradient,
    OpenTape,
    RowLoss,
    StepEffects,
    Update,
)

if TYPE_CHECKING:
    from densekit.training._model import TrainableModel

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")


class TapeMethod(NamedTuple):
    """A method of a tape, not yet called."""

    tape: OpenTape
    name: str


class StepUpdates(StepFormulas):
    """Follows losses, gradients and updates of one step.

    Args:
        model: whose step it is.
        compiled: what it was compiled with.
        data: the columns of the data, as symbols.
    """

    state: StepState

    def __init__(
        self, model: TrainableModel, compiled: Compiled, data: Sequence[KerasTensor]
    ) -> None:
        self.effects = StepEffects()
        self._model, self._compiled = model, compiled
        super().__init__(data, model.weights)

    def _loss(
        self, loss: Loss, y_true: object, y_pred: object, sample_weight: object = None
    ) -> RowLoss:
        target = self._data.get(id(self.known(y_true)), -1)
        made = y_true if target < 0 and isinstance(y_true, KerasTensor) else None
        weights = -1
        if sample_weight is not None:
            weights = self._weights(sample_weight)
            if loss.reduction == "mean_with_sample_weight":
                raise NotLowerable("its loss is divided by the weights")
        form = native_form(loss)
        known = form is not None and not form.whole_batch and loss.reduction in _REDUCTIONS
        if not self._tapes or not known or (target < 0 and made is None):
            raise NotLowerable("its loss is none of ours, of targets that are rows")
        if not isinstance(y_pred, KerasTensor) or id(y_pred) not in self._recorded:
            raise NotLowerable("its loss is none of what a model gave")
        if self.batches_of(y_true) != self.batches_of(y_pred):
            raise NotLowerable("its targets are other numbers of rows")
        reduction = "sum" if loss.reduction == "sum" else "mean"
        rows = self._inside(y_pred)
        assert isinstance(rows, KerasTensor)
        return RowLoss(rows, reduction, loss, target, weights, made)

    def _weights(self, given: object) -> int:
        """The column of the data with the weights of samples."""
        place = self._data.get(id(given), -1)
        floats = isinstance(given, KerasTensor) and given.dtype == settings.floatx()
        if place < 0 or not floats or len(given.shape) != 1:  # type: ignore[attr-defined]
            raise NotLowerable("the weights of its loss are no column of numbers of the data")
        return place

    def _compiled_loss(
        self,
        x: object = None,
        y: object = None,
        y_pred: object = None,
        sample_weight: object = None,
        training: object = True,
    ) -> RowLoss:
        term = self._compiled.bare_term()
        if term is None:
            raise NotLowerable("`compute_loss` gives more than one loss")
        return self._loss(term.loss, y, y_pred, sample_weight)

    def _differentiated(
        self, fn: object, variables: object = None, has_aux: object = False
    ) -> Differentiated:
        if variables is not None or not isinstance(has_aux, bool):
            raise NotLowerable("`value_and_grad` takes the gradient by more than values")
        return Differentiated(fn, has_aux)

    def value_and_gradients(
        self, of: Differentiated, result: object, sources: object
    ) -> tuple[object, object]:
        """What a differentiated function gives, from what the function gave."""
        pair = of.has_aux and isinstance(result, tuple) and len(result) == 2
        if of.has_aux and not pair:
            raise NotLowerable("`value_and_grad` is given a function that returns no pair")
        value = result[0] if isinstance(result, tuple) and pair else result
        given = sources if isinstance(sources, list | tuple) else ()
        variables = tuple(v.variable for v in given if isinstance(v, StateValue))
        if len(variables) != len(given):
            raise NotLowerable("it takes the gradient by something else than variables")
        self.state.take(sources, variables)
        return result, self._gradients(OpenTape(), value, variables)

    def of_tape(
        self, method: TapeMethod, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """What a method of a tape gives."""
        if method.name == "watch":
            for x in tree.flatten((list(args), dict(kwargs))):
                if not isinstance(x, KerasTensor) or "float" not in x.dtype:
                    raise NotLowerable("it watches something else than rows")
                method.tape.watched[id(x)] = self._inside(x)
            return None
        return self._gradients(method.tape, *args, **kwargs)

    def _row_gradients(self, tape: OpenTape, target: object, sources: object) -> object:
        """Gradients of rows, or of their sum, by rows that a tape watches."""
        if isinstance(target, RowLoss) and target.reduction == "sum" and target.loss is None:
            target = target.rows
        if not isinstance(target, KerasTensor):
            raise NotLowerable("it takes the gradient by rows of something else than rows")
        found: list[object] = []
        for x in tree.flatten(sources):
            source = tape.watched.get(id(x))
            if not isinstance(source, KerasTensor):
                raise NotLowerable("it takes the gradient by rows that it does not watch")
            made = row_gradient(target, source)
            found.append(self._result(made, self.batches_of(target)))
        return found[0] if isinstance(sources, KerasTensor) else self.made(found)

    def _gradients(self, tape: OpenTape, target: object, sources: object) -> object:
        leaves = tree.flatten(sources)
        if leaves and all(isinstance(x, KerasTensor) for x in leaves):
            return self._row_gradients(tape, target, sources)
        if not isinstance(target, BatchLoss):
            raise NotLowerable("it takes the gradient of something else than a loss")
        variables = [v for v in self.items(sources) if isinstance(v, Variable)]
        if len(variables) != len(leaves) or not variables:
            raise NotLowerable("it takes the gradient by something else than variables")
        if tape.misses:
            raise NotLowerable("its tape begins behind what it takes the gradient through")
        self.effects.losses.append(target)
        return self.made([Gradient(target, v) for v in variables])

    def _update(
        self,
        optimizer: Optimizer,
        name: str,
        grads: object = (),
        trainable_variables: object = None,
        **others: object,
    ) -> None:
        gradients = list(self.items(grads))
        given = trainable_variables
        if name == "apply_gradients":
            pairs = [pair for pair in gradients if isinstance(pair, tuple) and len(pair) == 2]
            gradients, given = [g for g, _ in pairs], [v for _, v in pairs]
        if others or self._tapes:
            raise NotLowerable("it updates inside of a tape, or with more than gradients")
        found = [g for g in gradients if isinstance(g, Gradient)]
        variables = [g.variable for g in found]
        if not gradients or len(variables) != len(gradients):
            raise NotLowerable("it updates by something else than gradients as they are")
        if any(g.loss is not found[0].loss for g in found):
            raise NotLowerable("it updates by the gradients of several losses")
        if given is not None:
            given = list(self.items(given))
        own = optimizer._trainable_variables
        for others_of in (own, own if given is None else given):
            if not isinstance(others_of, list | tuple) or len(others_of) != len(variables):
                raise NotLowerable("it does not update what its optimizer was built for")
            if not all(v is w for v, w in zip(variables, others_of, strict=True)):
                raise NotLowerable("it does not update what its optimizer was built for")
        nodes = recorded_nodes.get()
        assert nodes is not None  # it is being followed
        self.effects.steps.append(Update(found[0].loss, variables, optimizer, len(nodes)))
        self._constant.clear()  # what is read after it is computed after it
