"""The variables an optimizer owns: creation, order, files."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, cast

from densekit import initializers
from densekit._core.assignments import CountsAssignments
from densekit._core.errors import before_init, message
from densekit._core.frames import warn
from densekit._core.name_scope import in_scope
from densekit._core.naming import auto_name
from densekit._core.types import Array, Identifier, Shape
from densekit._core.variable import Variable


class State(CountsAssignments):
    """A named object with variables, in the order of their creation: the order of files."""

    name: str
    built: bool
    _variables: list[Variable]

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, Variable) and not isinstance(
            getattr(type(self), name, None), property
        ):
            self._dk_track(value)
        super().__setattr__(name, value)

    def _dk_track(self, variable: Variable) -> None:
        if "_variables" not in self.__dict__:
            raise before_init(self)
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def _dk_own_variable(
        self, value: object, name: str, dtype: object, shape: Shape | None = None
    ) -> Variable:
        return Variable(
            value,
            shape=shape,
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
            path=in_scope(f"{self.name}/{name}"),
        )

    @property
    def variables(self) -> list[Variable]:
        """``iteration``, ``learning_rate`` unless scheduled, then slots: the order of files."""
        return list(self._variables)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Identifier = "zeros",
        dtype: object = None,
        aggregation: str = "none",
        layout: object = None,
        name: str | None = None,
    ) -> Variable:
        """Create a variable of the optimizer and keep it among `variables`."""
        name = name or auto_name(Variable)
        variable = self._dk_own_variable(initializers.get(initializer), name, dtype, tuple(shape))
        self._dk_track(variable)
        return variable

    def add_variable_from_reference(
        self,
        reference_variable: Variable,
        name: str | None = None,
        initializer: Identifier = "zeros",
    ) -> Variable:
        """Create a variable of the shape and dtype of `reference_variable`, named after both."""
        variable = self.add_variable(
            shape=reference_variable.shape,
            initializer=initializer,
            dtype=reference_variable.dtype,
            name=f"{reference_variable.path.replace('/', '_')}_{name or 'var'}",
        )
        variable.reference = reference_variable
        return variable

    def add_optimizer_variables(
        self,
        trainable_variables: Sequence[Variable],
        name: str | Sequence[str],
        initializer: Identifier | Sequence[Identifier] = "zeros",
    ) -> Any:
        """One slot for each variable; several names give several lists.

        Those of one variable are created, and so saved, side by side.

        A variable with `overwrite_with_gradient` needs no slot and gets None.
        """
        names = [name] if isinstance(name, str) else list(name)
        firsts: list[Identifier]
        if isinstance(initializer, list | tuple):
            firsts = list(initializer)
        else:
            firsts = [cast("Identifier", initializer)] * len(names)
        if len(names) != len(firsts):
            raise ValueError(
                message(
                    self.name,
                    f"an initializer for each of {names}",
                    f"{len(firsts)} of them",
                    "Pass one initializer, or as many as names.",
                )
            )
        slots: list[list[Variable | None]] = [[] for _ in names]
        for variable in trainable_variables:
            for column, slot, first in zip(slots, names, firsts, strict=True):
                needed = not variable.overwrite_with_gradient
                column.append(
                    self.add_variable_from_reference(variable, slot, first) if needed else None
                )
        return slots[0] if isinstance(name, str) else tuple(slots)

    def assign(self, variable: Variable, value: object) -> None:
        """``variable <- value``."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: object) -> None:
        """``variable <- variable + value``."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: object) -> None:
        """``variable <- variable - value``."""
        variable.assign_sub(value)

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Overwrite the state by arrays in the order of `variables`.

        Raises:
            ValueError: if the optimizer is not built or a shape differs. Nothing has changed then.
        """
        if not self.built:
            raise ValueError(
                message(
                    f"{self.name}.set_weights",
                    "an optimizer that knows its weights",
                    "one that is not built",
                    "Call `build` with the model's trainable variables first.",
                )
            )
        pairs = list(zip(self.variables, weights, strict=False))
        for variable, weight in pairs:
            if variable.shape != tuple(weight.shape):
                raise ValueError(
                    message(
                        f"{self.name}.set_weights",
                        f"shape {variable.shape} for {variable.path!r}",
                        f"shape {tuple(weight.shape)}",
                        "Pass the arrays in the order of `variables`.",
                    )
                )
        for variable, weight in pairs:
            variable.assign(weight)

    def save_own_variables(self, store: MutableMapping[str, Array]) -> None:
        """Write the state into `store` under ``"0"``, ``"1"``, ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Array]) -> None:
        """Read the state from `store`; one of another length is left alone, with a warning."""
        found = len(store.keys())
        if found != len(self.variables):
            warn(
                f"Optimizer {self.name!r}: expected {len(self.variables)} saved variables, "
                f"got {found}. Nothing was loaded; build the optimizer first."
            )
            return
        for i, variable in enumerate(self.variables):
            variable.assign(store[str(i)])
