"""`Model`: layers that belong together, and what can be done with them."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit._core import masks, tree
from densekit._core.errors import message, unstopped
from densekit._core.frames import filters_traceback, hide_internal_frames, warn
from densekit._core.name_scope import in_scope
from densekit._core.registry import export
from densekit._core.scope import variable_scope as _scope
from densekit._core.types import Config
from densekit._core.variable import Variable
from densekit.layers import Input, Layer
from densekit.layers._base.call import call_context, call_info
from densekit.models._followed import FollowedLayer
from densekit.models._functional_config import functional_config, revive_functional
from densekit.models._given_graph import GivenGraph, GraphAttribute, given_graph
from densekit.models._inputs import as_plain
from densekit.models._inspection import Inspection
from densekit.models._parts import Parts
from densekit.models._state_tree import StateTree
from densekit.models._stepper import Stepper
from densekit.models._storage import Storage
from densekit.models._trainer import Trainer
from densekit.saving._attributes import attribute_children

if TYPE_CHECKING:
    from densekit.models._quantize import Filters

_TRAINING = frozenset({"training"})
# What counts of a model that is a graph: these, and state.
_OF_GRAPHS = frozenset({"activity_regularizer", "autocast", "built", "_dtype_policy"})


@export("keras", "keras.Model")
class Model(Trainer, Stepper, Inspection, Storage, StateTree, FollowedLayer):
    """Layers with training, evaluation, prediction, saving and a summary.

    Made in three ways: ``Model(inputs, outputs)`` from symbolic tensors, as a `Sequential`, or as a
    subclass with its own `call`. A subclass is followed once with symbolic tensors to run natively;
    if its `call` cannot be followed, it runs as it is.

    Args:
        inputs: tensor, list or dict of tensors from `keras.Input`.
        outputs: tensor, list or dict of tensors computed from them.
        name: Default: numbered class name.

    Example:

    >>> import densekit as keras
    >>> x = keras.Input((4,))
    >>> model = keras.Model(x, keras.layers.Dense(2)(x))
    >>> model.output_shape
    (None, 2)
    """

    _dk_config_is_default = True
    _dk_passes_text = True
    # The plan's entry for one array, as long as the tracker has that version.
    _dk_fast_call: Any = None
    _dk_fast_version: int = -1

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _means_graph(args, kwargs):
            cls = Functional
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not _means_graph(args, kwargs):
            return self._dk_init_model(*args, **kwargs)
        if not isinstance(self, Functional):
            Functional.register(type(self))
        self._dk_init_graph(*args, **kwargs)

    def _dk_init_model(self, **kwargs: Any) -> None:
        Layer.__init__(self, **kwargs)
        Parts.__init__(self)

    def _dk_init_graph(
        self, inputs: object, outputs: object, name: str | None = None, **kwargs: Any
    ) -> None:
        trainable = kwargs.pop("trainable", None)
        if "_dk_super_called" not in self.__dict__:
            self._dk_init_model(name=name, **kwargs)
        given = GivenGraph(inputs, outputs, f"{type(self).__name__} {self.name!r}")
        self.__dict__["_dk_given"] = given
        self._dk_path = in_scope(self.name)
        if type(self).call is FollowedLayer.call:
            self._dk_call_info = call_info(given.call)
        layers = self._tracker.layers
        layers += [one for one in given.layers if not any(one is other for other in layers)]
        self._tracker.changed()
        if trainable is not None:
            self.trainable = trainable
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True

    def _dk_depends_on(self, name: str, value: object) -> bool:
        # A graph of layers has no attributes that its own `call` would read.
        own = type(self).call.__module__.startswith("densekit.")
        read = not own and (name[:1] == "_" or self._tracker.is_read(name))
        return super()._dk_depends_on(name, value) and (read or name in _OF_GRAPHS)

    def __getstate__(self) -> dict[str, object]:
        state = dict(super().__getstate__())
        for name in ("_dk_graph_cache", "_dk_fast_call", "_dk_fast_version", "_dk_variables"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        given = given_graph(self)
        if given is not None:
            given.attach()

    # Calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # One array at inference: every test here costs as much as a small layer.
        if (
            not kwargs
            and self._dk_fast_version == self._tracker.version
            and _scope() is None
            and call_context.get() is None
            and len(args) == 1
        ):
            outputs = self._dk_fast_call(args[0])
            if outputs is not NotImplemented:
                return outputs
        try:
            scope = _scope()
            if (
                scope is not None
                and len(args) == 1
                and type(args[0]) is np.ndarray
                and kwargs.keys() <= _TRAINING
            ):
                outputs = scope.run_model(self, args[0], kwargs.get("training"))
                if outputs is not NotImplemented:
                    return outputs
            return self._dk_call_general(args, kwargs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_call_general(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Natively for arrays at inference; else the definition, or a node of a graph."""
        plain = {key: value for key, value in kwargs.items() if value is not None}
        training = plain.pop("training", None)
        masked = masks.in_use and len(args) == 1 and masks.any_mask(masks.masks_of(args[0]))
        if not training and not plain and len(args) == 1 and not masked:
            outer = call_context.get()
            given = args[0]
            if type(given) is not np.ndarray and self.built:
                given = self._dk_data.arranged(given)
            inputs = given
            if type(given) is not np.ndarray or given.dtype.kind in "OST":
                text = self._dk_data.takes_text
                inputs = tree.map_structure(lambda leaf: as_plain(leaf, text), given)
            native = (
                (outer is None or not outer.calling)
                and _scope() is None
                and all(type(leaf) is np.ndarray for leaf in tree.flatten(inputs))
            )
            if native:
                if not self.built:
                    self._dk_build_on(inputs)
                    self._dk_data.remember_columns(given)
                if self._input_spec is not None:
                    self._dk_check_first((tree.map_structure(self._dk_convert_array, inputs),), {})
                outputs = self._dk_predictions.native_call(inputs, training)
                if outputs is not NotImplemented:
                    return outputs
        return Layer.__call__(self, *args, **kwargs)

    def _dk_names(self) -> tuple[list[str] | None, list[str] | None]:
        """Names of inputs and outputs; None where there are none. Users may set them."""
        return getattr(self, "input_names", None), getattr(self, "output_names", None)

    # Layers

    @property
    def variables(self) -> list[Variable]:
        """All state: weights and the state of seed generators."""
        known, version = self.__dict__.get("_dk_variables"), self._tracker.current()
        if known is None or known[0] != version:
            known = self.__dict__["_dk_variables"] = version, super().variables
        return [*known[1]]

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside the model; of a graph in its order, input layers included."""
        given = given_graph(self)
        return list(self._tracker.layers) if given is None else [*given.layers]

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError("`Model.layers` is reserved. Use another name for the attribute.")

    @filters_traceback
    def quantize(  # type: ignore[override]  # Keras has `type_check` among the others here
        self, mode: object = None, config: object = None, filters: Filters = None, **kwargs: Any
    ) -> None:
        """Keep the weights of all layers that can in fewer bits from now on.

        Args:
            mode: ``"int8"`` or ``"int4"``. Default: that of `config`.
            config: a `quantizers.QuantizationConfig`. Default: that of `mode`.
            filters: which layers: a regular expression found in their names, a list of such, or a
                function of the layer. Default: all.
            **kwargs: `type_check`, as for `Layer.quantize`.

        Raises:
            ValueError: for an unknown mode, or if a layer is quantized already.

        Example:

        >>> import densekit as keras
        >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10)])
        >>> model.quantize("int8")
        >>> model.layers[0].dtype_policy
        <QuantizedDTypePolicy "int8_from_float32">
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            where = f"{type(self).__name__}.quantize"
            raise ValueError(message(where, "known arguments", f"{kwargs}", "Leave them out."))
        from densekit.models._quantize import quantize_model  # slow: quantizers

        quantize_model(self, mode, config, filters, type_check)

    # The graph, if the model was given one

    operations = GraphAttribute(lambda g: list(g.operations), "Layers and ops in order.")
    inputs = GraphAttribute(lambda g: list(g.inputs), "The symbolic inputs, flat.")
    outputs = GraphAttribute(lambda g: list(g.outputs), "The symbolic outputs, flat.")
    input_names = GraphAttribute(lambda g: g.input_names, "Names of the inputs.")
    output_names = GraphAttribute(lambda g: g.output_names, "Names of the layers of the outputs.")
    input_shape = GraphAttribute(lambda g: g.input_shape, "Shape of the input, or a list of them.")
    output_shape = GraphAttribute(lambda g: g.output_shape, "Shape of the output, or a list.")

    @property
    def input(self) -> Any:
        """The symbolic inputs as they were given."""
        given = given_graph(self)
        return super().input if given is None else given.input_structure

    @property
    def output(self) -> Any:
        """The symbolic outputs as they were given."""
        given = given_graph(self)
        return super().output if given is None else given.output_structure

    # Configs

    def get_config(self) -> Config:
        """Of a graph its layers and how they are connected, in Keras' form; else the arguments."""
        given = given_graph(self)
        if given is None or not _takes_graphs(type(self)):
            return super().get_config()
        return functional_config(self, given)

    def get_trainable_config(self, config: Config) -> list[bool] | None:
        """None where the config holds the layers, each with its own flag."""
        if given_graph(self) is not None and _takes_graphs(type(self)):
            return None
        return super().get_trainable_config(config)

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, object] | None = None) -> Any:
        """Create from `get_config`."""
        if "input_layers" in config and _takes_graphs(cls):
            return revive_functional(cls, config, custom_objects, Model)
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                message(
                    f"{cls.__name__}.from_config",
                    "the constructor's arguments",
                    f"the keys {sorted(config)} ({error})",
                    "Return from `get_config` what `__init__` takes.",
                )
            ) from error

    def get_build_config(self) -> Config | None:
        """What `build_from_config` needs; ``{"input_shape": None}`` for a graph, which is built."""
        return (
            {"input_shape": None} if given_graph(self) is not None else super().get_build_config()
        )

    def build_from_config(self, config: Config | None) -> None:
        """Build as `get_build_config` recorded."""
        if given_graph(self) is not None:
            return
        if not config or not ("shapes_dict" in config or config.get("input_shape")):
            return
        try:
            super().build_from_config(config)
        except ValueError as error:
            why = unstopped(str(error))
            warn(
                f"Model {self.name!r} could not be built from its config ({why}): it has no "
                "weights until it is called on data."
            )

    def _dk_saved_children(self) -> Iterator[tuple[str, object]]:
        """What a weight file holds of the model, by the names Keras gives the places."""
        if given_graph(self) is not None:
            yield "layers", self.layers  # before all else: what the user adds comes after
            yield from attribute_children(self, machinery(Functional) - {"optimizer"})
        else:
            skipped = machinery(Model) - _GRAPH_ATTRIBUTES - {"layers", "optimizer"}
            yield from attribute_children(self, skipped)

    @classmethod
    def _dk_bare(cls) -> Model:
        """The least model of this kind; its name is given, so that none is used up."""
        return cls(name="_")


_GRAPH_ATTRIBUTES = {n for n, found in vars(Model).items() if isinstance(found, GraphAttribute)}


@export("keras.src.models.functional")
class Functional(Model, metaclass=ABCMeta):
    """A `Model` made by ``keras.Model(inputs, outputs)``; one of a subclass counts as such.

    Args:
        inputs: tensor, list or dict of tensors: what `keras.Input` returned, or anything computed
            from it.
        outputs: tensor, list or dict of tensors computed from `inputs`.
        name: Default: numbered ``functional``.
        trainable: whether optimizers update it. Default: as the layers are.

    Raises:
        ValueError: if an output does not follow from the inputs, or two layers share a name.

    Example:

    >>> import densekit as keras
    >>> x = keras.Input((4,))
    >>> type(keras.Model(x, keras.layers.Dense(2)(x))).__name__
    'Functional'
    """

    def __init__(
        self, inputs: object, outputs: object, name: str | None = None, **kwargs: Any
    ) -> None:
        self._dk_init_graph(inputs, outputs, name, **kwargs)

    def call(self, inputs: object, training: bool | None = None, mask: object = None) -> Any:
        """Run the graph on arrays; `training`, unless None, outdoes flags given in the graph."""
        return super().call(inputs, training)

    @classmethod
    def _dk_bare(cls) -> Model:
        x = Input((1,), name="_")
        return cls(x, x, name="_")


@cache
def machinery(kind: type[Model]) -> frozenset[str]:
    """Names of attributes that every model of a kind has: not the user's."""
    return frozenset(dir(kind._dk_bare()))


def _takes_graphs(cls: type) -> bool:
    """Whether the constructor of `cls` takes inputs and outputs, as a graph config has them."""
    parameters = inspect.signature(cls).parameters
    kinds = {p.kind for p in parameters.values()}
    everything = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds
    return everything or list(parameters)[:3] == ["inputs", "outputs", "name"]


def _means_graph(args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
    """Whether a constructor was given inputs and outputs."""
    if len(args) == 1:
        return "outputs" in kwargs
    return len(args) >= 2 or ("inputs" in kwargs and "outputs" in kwargs)
