"""`Wrapper`: an optimizer whose steps are made by others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from densekit._core.errors import message
from densekit._core.frames import filters_traceback
from densekit._core.types import ArrayLike, TensorLike
from densekit._core.variable import Variable
from densekit.optimizers._optimizer import Optimizer


class Wrapper(Optimizer):
    """Abstract: checks what `apply` is handed, then a subclass' `_dk_hand_on` passes it on."""

    @filters_traceback
    def apply(
        self,
        grads: Sequence[ArrayLike | None],
        trainable_variables: Iterable[Variable] | None = None,
    ) -> None:
        """One step; arguments and errors as for `Optimizer.apply`."""
        grads = list(grads)
        if not grads:
            return
        variables = self._dk_variables_of(grads, trainable_variables)
        pairs = self._dk_pairs(grads, variables)
        if not self.built:
            self.build(variables)
        self._dk_hand_on(pairs)

    def _dk_hand_on(self, pairs: list[tuple[TensorLike, Variable]]) -> None:
        """One step by gradients that are all there."""
        raise NotImplementedError

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """As `Optimizer.exclude_from_weight_decay`, for all that make the steps."""
        variables, names = list(var_list or ()), list(var_names or ())
        for part in self.native_parts:
            part.exclude_from_weight_decay(variables, names)


_INNER_OPTIONS: dict[str, object] = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


def check_own_options(where: str, given: dict[str, object]) -> None:
    """Options of the optimizer inside may only be passed at their defaults, as old files do."""
    for name, value in given.items():
        if name not in _INNER_OPTIONS:
            raise ValueError(message(where, "known arguments", name, "Remove it."))
        if value != _INNER_OPTIONS[name]:
            action = f"Set `{name}` on the inner optimizer."
            raise ValueError(message(where, f"no `{name}`", f"{name}={value!r}", action))
