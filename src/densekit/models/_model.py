"""`Model`: layers that belong together, and what can be done with them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from densekit import models, saving
from densekit._core import tree
from densekit._core.dtypes import STRING
from densekit._core.errors import describe, message
from densekit._core.frames import filters_traceback, hide_internal_frames, warn
from densekit._core.registry import export
from densekit._core.scope import variable_scope as _scope
from densekit._core.text import as_strings, holds_text
from densekit.data._arrays import as_array
from densekit.layers import Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.shapes import has_tensors, shapes_of
from densekit.layers._base.tracking import Tracker
from densekit.models._graph import Graph
from densekit.models._parts import Parts
from densekit.models._state_tree import StateTree
from densekit.models._stepper import Stepper
from densekit.models._trace import trace
from densekit.models._trainer import Trainer
from densekit.ops import KerasTensor
from densekit.saving._attributes import attribute_children

if TYPE_CHECKING:
    from pathlib import Path


# What counts of a model that is a graph: these, and state.
_OF_GRAPHS = frozenset({"activity_regularizer", "autocast", "built", "_dtype_policy"})


class _OpenTracker(Tracker):
    """A model may get new layers after it is built."""

    locked = property(lambda self: False, lambda self, value: None)


@export("keras", "keras.Model")
class Model(Trainer, Stepper, StateTree, Layer):
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

    _dk_passes_text = True
    _dk_fast_call: Any = (
        None  # the plan's entry for one array, while the structure is _fast_version
    )
    _dk_fast_version: int = -1

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _means_graph(args, kwargs):
            cls = models.Functional
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not _means_graph(args, kwargs):
            return self._dk_init_model(*args, **kwargs)
        functional: Any = models.Functional
        if not isinstance(self, functional):
            _derive_from(type(self), functional)
        functional.__init__(self, *args, **kwargs)

    def _dk_init_model(self, **kwargs: Any) -> None:
        Layer.__init__(self, **kwargs)
        Parts.__init__(self)

    def _dk_depends_on(self, name: str, value: Any) -> bool:
        # A graph of layers has no attributes that its own `call` would read.
        own = type(self).call.__module__.startswith("densekit.")
        return super()._dk_depends_on(name, value) and (not own or name in _OF_GRAPHS)

    def _dk_ensure_tracker(self) -> Tracker:
        if "_tracker" not in self.__dict__:
            self.__dict__["_tracker"] = _OpenTracker()
        tracker: Tracker = self._tracker
        return tracker

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_dk_graph_cache", "_dk_fast_call", "_dk_fast_version"):
            state.pop(name, None)
        return state

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
            return self._dk_call_general(args, kwargs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    def _dk_call_general(self, args: Any, kwargs: Any) -> Any:
        """Natively for arrays at inference; else the definition, or a node of a graph."""
        plain = {key: value for key, value in kwargs.items() if value is not None}
        training = plain.pop("training", None)
        if not training and not plain and len(args) == 1:
            outer = call_context.get()
            given = args[0]
            if type(given) is not np.ndarray and self.built:
                given = self._dk_data.arranged(given)
            inputs = given
            if type(given) is not np.ndarray or given.dtype.kind in "OST":
                text = self._dk_data.takes_text
                inputs = tree.map_structure(lambda leaf: _plain(leaf, text), given)
            native = (
                (outer is None or not outer.calling)
                and _scope() is None
                and all(type(leaf) is np.ndarray for leaf in tree.flatten(inputs))
            )
            if native:
                if not self.built:
                    self._dk_build_on(inputs)
                    self._dk_data.remember_columns(given)
                outputs = self._dk_predictions.native_call(inputs, training)
                if outputs is not NotImplemented:
                    return outputs
        return Layer.__call__(self, *args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes; written by subclasses."""
        raise NotImplementedError(
            f"Model {type(self).__name__} does not have a `call()` method implemented."
        )

    @property
    def _dk_has_call(self) -> bool:
        """Whether the model says what it computes; one with steps of its own need not."""
        return type(self).call is not Model.call

    def build(self, input_shape: Any = None, **shapes: Any) -> None:
        """Create the weights for a shape, or a list or dict of shapes, batch axis included.

        A `call` of several arguments takes one shape for each: ``build(a_shape=..., b_shape=...)``.
        """
        if type(self).call is Model.call:
            return
        given = {} if shapes and input_shape is None else {self._dk_call_info.names[0]: input_shape}
        given |= {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
        tensors = {name: _tensors_of(shape) for name, shape in given.items()}
        known = self.__dict__.get("_dk_traced_on")
        if len(tensors) == 1 and _reads_text(known):  # shapes do not say it
            tensors = dict.fromkeys(tensors, known)
        if len(tensors) == 1:
            self.__dict__["_dk_traced_on"] = next(iter(tensors.values()))
        with _in_call(self):
            try:
                Layer.compute_output_spec(self, **tensors)
            except Exception as error:
                raise ValueError(
                    message(
                        f"{type(self).__name__} {self.name!r}.build",
                        "a `call` that runs on inputs of the given shapes",
                        f"{type(error).__name__}: {error}",
                        "Call the model on data instead.",
                    )
                ) from error

    def _dk_build_for(self, arguments: dict[str, Any], symbolic: bool) -> None:
        if not symbolic:  # for batches of any size, not for this one
            arguments = {k: tree.map_structure(_of_any_batch, v) for k, v in arguments.items()}
        if len(arguments) == 1 and _reads_text(*arguments.values()):
            self.__dict__.setdefault("_dk_traced_on", *arguments.values())
        given = {k: v for k, v in arguments.items() if k != "mask" and has_tensors(v)}
        if type(self).build is Model.build and len(given) > 1:
            self.build(**{f"{name}_shape": shapes_of(value) for name, value in given.items()})
        else:
            super()._dk_build_for(arguments, symbolic)

    def _dk_build_on(self, inputs: Any) -> None:
        """Build for arrays, or anything with shapes, whose first axis is the batch."""
        tensors = tree.map_structure(
            lambda x: KerasTensor((None, *np.shape(x)[1:]), dtype=x.dtype), inputs
        )
        self.__dict__.setdefault("_dk_traced_on", tensors)
        if not self.built:
            given = [tensors]
            if self._convert_input_args:
                given = [tree.map_structure(self._dk_input_like, tensors)]
            with _in_call(self):
                self._dk_build_for(dict(zip(self._dk_call_info.names, given, strict=False)), True)

    def _dk_input_like(self, tensor: KerasTensor) -> KerasTensor:
        floating = "float" in tensor.dtype
        return KerasTensor(tensor.shape, dtype=self.input_dtype if floating else tensor.dtype)

    def _dk_graph(self) -> Graph | None:
        """The calls inside the model for an engine; None if `call` cannot be followed."""
        cached, version = self.__dict__.get("_dk_graph_cache"), self._tracker.current()
        if cached is None or cached[0] != version:
            inputs = self.__dict__.get("_dk_traced_on")
            graph = None if inputs is None else trace(self, inputs)
            if graph is not None:  # layers that are no attributes, and changes made meanwhile
                self._tracker.listen_to(graph.layers)
            self.__dict__["_dk_graph_cache"] = cached = (version, graph)
        found: Graph | None = cached[1]
        return found

    def _dk_inputs_met(self) -> Any:
        """Symbolic inputs that the model was built on; None before, and for a graph."""
        return self.__dict__.get("_dk_traced_on")

    def _dk_forget_graph(self) -> None:
        """Follow `call` anew when the graph is asked for."""
        self.__dict__.pop("_dk_graph_cache", None)

    def _dk_names(self) -> tuple[list[str] | None, list[str] | None]:
        """Names of inputs and outputs; None where there are none. Users may set them."""
        return getattr(self, "input_names", None), getattr(self, "output_names", None)

    # Layers

    @property
    def layers(self) -> list[Any]:
        """The layers directly inside the model."""
        return list(self._tracker.layers)

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError("`Model.layers` is reserved. Use another name for the attribute.")

    @filters_traceback
    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
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
    def quantize(  # type: ignore[override]  # Keras has `type_check` among the others here
        self, mode: Any = None, config: Any = None, filters: Any = None, **kwargs: Any
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
        models.quantize_model(self, mode, config, filters, type_check)

    @filters_traceback
    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
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
        models.print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    @filters_traceback
    def explain_plan(self, training: bool = True) -> str:
        """Which parts of the model run natively, and for the others why they run in Python.

        Args:
            training: whether the plan that trains or the one that predicts is meant. Default:
                ``True``.

        Example:

        >>> import densekit as keras
        >>> own = keras.layers.Lambda(keras.ops.sort, name="own")
        >>> layers = [keras.layers.Dense(2, name="dense"), own]
        >>> model = keras.Sequential([keras.Input((3,)), *layers], name="it")
        >>> print(model.explain_plan())
        Sequential 'it', training: 1 of 2 parts in Python
          dense  native
          own    Python: `ops.sort` has no native form
        """
        return models.explain_plan(self, bool(training))

    # Files and configs

    @filters_traceback
    def save(
        self,
        filepath: str | Path,
        overwrite: bool = True,
        zipped: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the whole model to a ``.keras`` or ``.h5`` file: see `saving.save_model`."""
        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @filters_traceback
    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the weights to a ``.weights.h5`` file: see `saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite=overwrite)

    @filters_traceback
    def load_weights(
        self, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any
    ) -> None:
        """Read weights from a file: see `saving.load_weights`."""
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON; `kwargs` go to `json.dumps`."""
        return saving.to_json(self, **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Create from `get_config`."""
        if cls is Model and "input_layers" in config:
            return models.Functional.from_config(config, custom_objects)
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

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Build as `get_build_config` recorded."""
        if not config or not ("shapes_dict" in config or config.get("input_shape")):
            return
        try:
            super().build_from_config(config)
        except ValueError as error:
            warn(
                f"Model {self.name!r} could not be built from its config ({error}): it has no "
                "weights until it is called on data."
            )

    def _dk_saved_children(self) -> Iterator[tuple[str, Any]]:
        """What a weight file holds of the model, by the names Keras gives the places."""
        yield from attribute_children(self, _machinery(Model) - {"layers", "optimizer"})

    @classmethod
    def _dk_bare(cls) -> Model:
        """The least model of this kind; its name is given, so that none is used up."""
        return cls(name="_")


@cache
def _machinery(kind: type[Model]) -> frozenset[str]:
    """Names of attributes that every model of a kind has: not the user's."""
    return frozenset(dir(kind._dk_bare()))


def _means_graph(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a constructor was given inputs and outputs."""
    if len(args) == 1:
        return "outputs" in kwargs
    return len(args) >= 2 or ("inputs" in kwargs and "outputs" in kwargs)


def _derive_from(cls: type, functional: type) -> None:
    """Make a user's subclass of `Model` that is built from inputs and outputs a functional one."""
    if cls is object or issubclass(cls, functional):
        return
    cls.__bases__ = tuple(functional if base is Model else base for base in cls.__bases__)
    for base in cls.__bases__:
        _derive_from(base, functional)


class _in_call:
    """Inside, layers that are called know that they belong to `model`."""

    def __init__(self, model: Any) -> None:
        outer = call_context.get()
        self._context = CallContext(model, outer, outer is not None and outer.calling)

    def __enter__(self) -> None:
        self._token = call_context.set(self._context)

    def __exit__(self, *exc: object) -> None:
        call_context.reset(self._token)


def _tensors_of(shape: Any) -> Any:
    """Symbolic tensors for a shape or a structure of shapes."""
    if isinstance(shape, dict):
        return {key: _tensors_of(value) for key, value in shape.items()}
    if shape is None or not isinstance(shape, list | tuple):
        raise ValueError(
            message("build", "the shape of the input", describe(shape), "Write e.g. (None, 4).")
        )
    if all(n is None or isinstance(n, int) for n in shape):
        return KerasTensor(tuple(shape))
    return [_tensors_of(value) for value in shape]


@export("keras.models")
def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Create a model, with fresh weights, from what `Model.to_json` returned.

    Args:
        json_string: the JSON.
        custom_objects: users' classes and functions by name. Default: none.

    Raises:
        ValueError: for text that is no model's JSON.
        TypeError: for a class that is not known.

    Example:

    >>> import densekit as keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> keras.models.model_from_json(model.to_json()).output_shape
    (None, 2)
    """
    return saving.from_json(json_string, custom_objects)


def _reads_text(tensors: Any) -> bool:
    return any(getattr(leaf, "dtype", None) == STRING for leaf in tree.flatten(tensors))


def _of_any_batch(leaf: Any) -> Any:
    """A symbolic tensor for an array whose first axis is the batch; anything else as it is."""
    shape = getattr(leaf, "shape", ())
    return KerasTensor((None, *shape[1:]), dtype=leaf.dtype) if shape else leaf


def _plain(leaf: Any, text: bool) -> Any:
    """Tables and what derives from arrays as arrays."""
    if type(leaf) is np.ndarray and leaf.dtype.kind in "OST" and text:
        return as_strings(leaf, "inputs")
    is_table = isinstance(leaf, np.ndarray) or hasattr(leaf, "dtypes")
    if not is_table or type(leaf) is np.ndarray:
        return leaf
    return as_strings(leaf, "inputs") if text and holds_text(leaf) else as_array(leaf, "inputs")
