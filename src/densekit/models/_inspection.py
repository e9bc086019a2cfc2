"""`Inspection`: the methods of `Model` that show what is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from densekit._core.errors import message
from densekit._core.frames import filters_traceback
from densekit.layers import Layer
from densekit.models._followed import FollowedLayer


class Inspection(FollowedLayer):
    """`summary` and what belongs to it."""

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside the model."""
        raise NotImplementedError

    @filters_traceback
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in `layers`.

        Raises:
            ValueError: if there is none, or not exactly one of both is given.
        """
        where = f"{type(self).__name__} {self.name!r}.get_layer"
        layers = self.layers
        if (name is None) == (index is None):
            got = f"name={name!r}, index={index!r}"
            raise ValueError(message(where, "either a name or an index", got, "Pass one of them."))
        if index is not None:
            if index >= len(layers):
                raise ValueError(
                    message(where, f"an index below {len(layers)}", f"{index}", "See `layers`.")
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(message(where, f"one of {names}", repr(name), "No such layer: see names."))

    @filters_traceback
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], object] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Parts marked ``[python]`` run in Python, for want of a native form.

        Args:
            line_length: width of the table. Default: by the terminal, at most 88 (108) columns.
            positions: relative ends of the columns. Default: chosen for the content.
            print_fn: called once with the whole text. Default: `print`.
            expand_nested: whether layers of nested models are listed. Default: ``False``.
            show_trainable: whether a column tells if a layer is trained. Default: ``False``.
            layer_range: names, or patterns, of the first and the last layer to list. Default: all.

        Raises:
            ValueError: for a width or a range that cannot be shown.
        """
        from densekit.models._summary import print_summary  # slow: terminals

        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    @filters_traceback
    def explain_plan(self, training: bool = True) -> str:
        """Which parts of the model run natively, and for the others why they run in Python.

        An own `train_step` has a line, too: it may be made natively after its first steps.

        Args:
            training: whether the plan that trains or the one that predicts is meant. Default:
                ``True``.

        Example:

        >>> import densekit as keras
        >>> own = keras.layers.Lambda(keras.ops.i0, name="own")
        >>> layers = [keras.layers.Dense(2, name="dense"), own]
        >>> model = keras.Sequential([keras.Input((3,)), *layers], name="it")
        >>> print(model.explain_plan())
        Sequential 'it', training: 1 of 2 parts in Python
          dense  native
          own    Python: `ops.i0` has no native form
        """
        from densekit.models._explain import explain_plan  # slow: engines

        return explain_plan(self, bool(training))
