"""`Sequential`: a stack of layers, each fed with the output of the one before."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from densekit._core.dtypes import STRING
from densekit._core.errors import describe, message
from densekit._core.registry import export
from densekit._core.serialization import deserialize_keras_object, serialize_keras_object
from densekit._core.types import Config, PartialShape
from densekit.layers import InputLayer, Layer
from densekit.layers._base.shapes import is_structure_of_shapes
from densekit.layers._base.tracking import no_tracking
from densekit.models._graph import Graph
from densekit.models._model import Functional, Model, machinery
from densekit.models._stacked_calls import called, called_again, forget_calls
from densekit.ops import KerasTensor
from densekit.ops._keras_tensor import standardize_shape
from densekit.saving._attributes import attribute_children

_opening = threading.RLock()  # held while models are opened to other sizes


@export("keras")
class Sequential(Model):
    """A `Model` that is a stack of layers.

    Args:
        layers: the layers, first to last; a leading ``keras.Input(shape)`` builds the model at
            once. Default: none yet.
        trainable: whether optimizers update it. Default: ``True``.
        name: Default: numbered ``sequential``.

    Raises:
        ValueError: for something that is no layer, or two layers of one name.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    >>> [w.shape for w in model.weights]
    [(4, 8), (8,), (8, 2), (2,)]
    """

    def __init__(
        self,
        layers: Iterable[Layer | KerasTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self._dk_init_model(trainable=trainable, name=name)
        self._dk_set_stack([], [])
        self._dk_push(layers or ())
        if layers:
            self._dk_rebuild()

    def _dk_set_stack(self, stack: list[Layer], tensors: list[KerasTensor]) -> None:
        """The layers, input layer included, and the outputs of those that have been called."""
        mine = {id(layer) for layer in (*self.__dict__.get("_dk_stack", ()), *stack)}
        others = [layer for layer in self._tracker.layers if id(layer) not in mine]
        with no_tracking():
            self._dk_stack, self._dk_tensors = stack, tensors
        self._tracker.layers[:] = [*stack, *others]
        self.__dict__["_dk_whole"] = None
        self._tracker.changed()

    def __getstate__(self) -> dict[str, object]:
        self._functional  # noqa: B018 - which carries the graph into the copy
        return super().__getstate__()

    def add(self, layer: Layer | KerasTensor, rebuild: bool = True) -> None:
        """Put a layer on top of the stack.

        Raises:
            ValueError: if it is no layer, its name is taken, or its input does not fit. The model
                is then as it was.
        """
        before = (list(self._dk_stack), list(self._dk_tensors), self.built)
        self._dk_push([layer])
        if rebuild:
            try:
                self._dk_rebuild()
            except BaseException:
                self._dk_set_stack(*before[:2])
                self.built = before[2]
                raise

    def _dk_push(self, layers: Iterable[Layer | KerasTensor]) -> None:
        """Put layers on top of the stack, all or none, in time proportional to their number."""
        stack: list[Layer] = list(self._dk_stack)
        names = {layer.name: layer for layer in stack}
        for layer in layers:
            shape = getattr(layer, "_input_shape_arg", None)
            if not stack and shape is not None:
                stack.append(InputLayer(shape=shape))
                names[stack[0].name] = stack[0]
            one: object = layer
            if isinstance(layer, KerasTensor) and layer._keras_history is not None:
                one = layer._keras_history[0]
            checked = self._dk_checked_next(one, stack, names)
            stack.append(checked)
            names[checked.name] = checked
        self._dk_set_stack(stack, self._dk_tensors)
        self.built = False

    def _dk_checked_next(self, layer: object, stack: list[Layer], names: dict[str, Layer]) -> Layer:
        where = f"Sequential {self.name!r}.add"
        if not isinstance(layer, Layer):
            raise ValueError(
                message(where, "an instance of `keras.Layer`", describe(layer), "Pass a layer.")
            )
        if names.get(layer.name, layer) is not layer:
            raise ValueError(
                message(
                    where,
                    "layers of unique names",
                    f"the name {layer.name!r} again",
                    "Pass another `name=`.",
                )
            )
        if isinstance(layer, InputLayer) and stack and isinstance(stack[0], InputLayer):
            raise ValueError(
                message(
                    where,
                    "no second input layer",
                    f"{layer!r} after input shape {stack[0].batch_shape}",
                    "Make a new model for another input.",
                )
            )
        return layer

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off the stack and return it."""
        layer = self.layers[-1]  # an `InputLayer` is no layer of the stack
        self._dk_set_stack(self._dk_stack[:-1], self._dk_tensors[: len(self._dk_stack) - 1])
        self.built = False
        if rebuild and self._dk_stack:
            self._dk_rebuild()
        return layer

    def _dk_rebuild(self) -> None:
        """Build if the input shape is known."""
        self.built = False
        if len(self._dk_stack) < 2:
            return
        first = self._dk_stack[0]
        if isinstance(first, InputLayer):
            self.build(first.batch_shape)
        elif hasattr(first, "input_shape"):
            self.build(first.input_shape)

    def build(self, input_shape: object = None) -> None:  # type: ignore[override]
        """Create the weights for inputs of `input_shape`, batch axis included."""
        where = f"Sequential {self.name!r}.build"
        if not self._dk_stack:
            raise ValueError(
                message(where, "at least one layer", "none", "Call `model.add(layer)` first.")
            )
        first = self._dk_stack[0]
        if input_shape is None and isinstance(first, InputLayer):
            input_shape = first.batch_shape
        if not isinstance(first, InputLayer) and is_structure_of_shapes(input_shape):
            super().build(input_shape)  # followed from its call, as a subclass is
            return
        shape = standardize_shape(input_shape)
        if isinstance(first, InputLayer):
            if tuple(first.batch_shape) != shape:
                raise ValueError(
                    message(
                        where,
                        f"input shape {first.batch_shape} (fixed by the input layer)",
                        f"{shape}",
                        "Make a new model for another shape.",
                    )
                )
            stack, tensors = self._dk_stack, list(self._dk_tensors)
        else:
            traced = self.__dict__.get("_dk_traced_on")  # what it is built on
            text = getattr(traced, "dtype", None) == STRING
            dtype = STRING if text else first.compute_dtype
            first = InputLayer(batch_shape=shape, dtype=dtype)
            stack, tensors = [first, *self._dk_stack], []
        if not tensors:
            tensors = [first.output]
        new = stack[len(tensors) :]
        counts = [len(layer._inbound_nodes) for layer in new]
        try:
            for layer in new:
                tensors.append(called(layer, tensors[-1]))
        except NotImplementedError:  # a layer that cannot say its shape: no graph, calls alone
            forget_calls(new, counts)
            return
        self._dk_set_stack(stack, tensors)

    def _dk_open_to(self, shape: tuple[int, ...]) -> bool:
        """Leave open the sizes in which `shape` differs, if the layers take both."""
        with _opening:
            first = self._dk_stack[0] if self.built else None
            if not isinstance(first, InputLayer) or len(shape) != len(first.batch_shape):
                return False
            known = zip(first.batch_shape[1:], shape[1:], strict=True)
            opened = (first.batch_shape[0], *(n if n in (None, m) else None for n, m in known))
            if opened == first.batch_shape:  # by another thread, or nothing to open
                return True
            layers = self._dk_stack[1:]
            new = InputLayer(batch_shape=opened, dtype=first.dtype, name=first.name)
            tensors = called_again(layers, self._dk_tensors, new, shape)
            if tensors is not None:
                self._dk_set_stack([new, *layers], tensors)
            return tensors is not None

    def _dk_takes(self, shape: tuple[int | None, ...]) -> bool:
        own = self._dk_tensors[0].shape
        return len(own) == len(shape) and all(
            n is None or n == m for n, m in zip(own, shape, strict=True)
        )

    @property
    def _functional(self) -> Functional | None:
        """The same graph as a functional model, None before the model is built."""
        stack = self._dk_stack
        if not stack or len(self._dk_tensors) != len(stack):
            return None
        if self.__dict__["_dk_whole"] is None:
            with no_tracking():
                self._dk_whole = Functional(
                    self._dk_tensors[0], self._dk_tensors[-1], name=self.name
                )
        whole: Functional = self.__dict__["_dk_whole"]
        return whole

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> Any:
        """Run the layers one after the other."""
        whole = self._functional
        if whole is not None:
            shape = getattr(inputs, "shape", ())
            if not isinstance(inputs, KerasTensor) and not self._dk_takes(shape):
                self._dk_open_to(shape)
                whole = self._functional or whole
            return whole.call(inputs, training=training, mask=mask)
        for i, layer in enumerate(self.layers):
            takes = i == 0 and mask is not None and "mask" in layer._dk_call_info.mask_names
            inputs = layer(inputs, mask=mask) if takes else layer(inputs)
        return inputs

    def compute_output_spec(
        self, inputs: object, training: bool | None = None, mask: object = None
    ) -> Any:
        """Symbolic output for a symbolic input."""
        whole = self._functional
        if whole is not None:
            return whole.compute_output_spec(inputs)
        for layer in self.layers:
            inputs = layer.compute_output_spec(inputs)
        return inputs

    def compute_output_shape(self, input_shape: object) -> Any:
        """Shape of the output for a shape of the input."""
        whole = self._functional
        if whole is not None:
            return whole.compute_output_shape(input_shape)
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def _dk_knows_output_shape(self) -> bool:
        return type(self).compute_output_shape is not Sequential.compute_output_shape

    def _dk_graph(self) -> Graph | None:
        whole = self._functional
        return super()._dk_graph() if whole is None else whole._dk_graph()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input layer."""
        stack = self._dk_stack
        return stack[1:] if stack and isinstance(stack[0], InputLayer) else list(stack)

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError("`Sequential.layers` is reserved. Use `add()` and `pop()`.")

    def _dk_of_whole(self, name: str) -> Any:
        whole = self._functional
        if whole is None:
            raise AttributeError(
                f"Sequential model '{self.name}' has no defined {name} yet: build it first."
            )
        return getattr(whole, name)

    @property
    def input_shape(self) -> PartialShape:  # type: ignore[override]
        """Shape of the input; AttributeError before the model is built."""
        shape: PartialShape = self._dk_of_whole("input_shape")
        return shape

    @property
    def output_shape(self) -> Any:  # type: ignore[override]
        """Shape of the output; AttributeError before the model is built."""
        return self._dk_of_whole("output_shape")

    @property
    def inputs(self) -> list[KerasTensor]:  # type: ignore[override]
        """The symbolic input in a list; AttributeError before the model is built."""
        return list(self._dk_of_whole("inputs"))

    @property
    def outputs(self) -> list[KerasTensor]:  # type: ignore[override]
        """The symbolic output in a list; AttributeError before the model is built."""
        return list(self._dk_of_whole("outputs"))

    @property
    def input(self) -> KerasTensor:
        """The symbolic input; AttributeError before the model is built."""
        found: KerasTensor = self._dk_of_whole("input")
        return found

    @property
    def output(self) -> Any:
        """The symbolic output; AttributeError before the model is built."""
        return self._dk_of_whole("output")

    @property
    def input_names(self) -> list[str]:  # type: ignore[override]
        """Name of the input in a list."""
        return list(self._dk_of_whole("input_names"))

    @property
    def output_names(self) -> list[str]:  # type: ignore[override]
        """Name of the last layer in a list."""
        return list(self._dk_of_whole("output_names"))

    @property
    def input_dtype(self) -> str:
        """Type that inputs are cast to: that of the input layer."""
        stack = self.__dict__.get("_dk_stack")
        if stack and isinstance(stack[0], InputLayer):
            return str(stack[0].dtype)
        return str(super().input_dtype)

    def _dk_saved_children(self) -> Iterator[tuple[str, object]]:
        yield "layers", self.layers  # before all else: what the user adds comes after
        yield from attribute_children(self, machinery(Sequential) - {"optimizer"})

    def get_config(self) -> Config:
        """The layers, and the shape the model was built for."""
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": serialize_keras_object(self.dtype_policy),
            "layers": [serialize_keras_object(layer) for layer in self._dk_stack],
        }
        if self._functional is not None:
            first = self._dk_stack[0]
            assert isinstance(first, InputLayer)  # once it is built
            config["build_input_shape"] = first.batch_shape
        return config

    def get_trainable_config(self, config: Config) -> list[bool] | None:
        """None where the config holds the layers, each with its own flag."""
        kept = type(self).get_config is Sequential.get_config
        return None if kept else super().get_trainable_config(config)

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Any:
        """Create from `get_config`."""
        if "name" not in config or "layers" not in config:
            raise ValueError(
                message(
                    "Sequential.from_config",
                    "a dict with the keys 'name' and 'layers'",
                    f"the keys {sorted(config)}",
                    "Pass what `get_config` returned.",
                )
            )
        model = cls(name=config["name"])
        model.dtype_policy = config.get("dtype")  # None: the global one
        model._dk_push(deserialize_keras_object(one, custom_objects) for one in config["layers"])
        model.mark_trainable(config.get("trainable") is not False)
        shape = config.get("build_input_shape")
        if model._dk_stack:
            model._dk_rebuild()
            if not model.built and isinstance(shape, list | tuple):
                model.build(shape)
        return model
