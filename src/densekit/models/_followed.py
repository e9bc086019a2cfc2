"""`FollowedLayer`: a layer of layers, whose calls inside make a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from densekit._core import tree
from densekit._core.errors import message
from densekit._core.types import Tree
from densekit.layers import Layer
from densekit.layers._base.call import CallContext, call_context
from densekit.layers._base.shapes import has_tensors, shapes_of
from densekit.layers._base.tracking import Tracker
from densekit.models._given_graph import GivenGraph, given_graph
from densekit.models._graph import Graph
from densekit.models._inputs import of_any_batch, reads_text, tensors_of
from densekit.ops import KerasTensor


def _traced(layer: Layer, inputs: object) -> Graph | None:
    from densekit.models._trace import trace  # a first model that is given does not wait

    return trace(layer, inputs)


class _OpenTracker(Tracker):
    """A model may get new layers after it is built."""

    locked = property(lambda self: False, lambda self, value: None)


class FollowedLayer(Layer):
    """What it computes is the graph that it was given, or its `call`, followed once."""

    def _dk_ensure_tracker(self) -> Tracker:
        if "_tracker" not in self.__dict__:
            self.__dict__["_tracker"] = _OpenTracker()
        tracker: Tracker = self._tracker
        return tracker

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes: its graph, or what a subclass writes."""
        given = given_graph(self)
        if given is not None:
            return given.call(*args, **kwargs)
        raise NotImplementedError(
            f"Model {type(self).__name__} does not have a `call()` method implemented."
        )

    @property
    def _dk_has_call(self) -> bool:
        """Whether the model says what it computes; one with steps of its own need not."""
        return type(self).call is not FollowedLayer.call or given_graph(self) is not None

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic outputs for symbolic inputs."""
        given = given_graph(self)
        if given is not None:
            return given.compute_output_spec(*args, **kwargs)
        return super().compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes of the outputs for shapes of the inputs."""
        given = given_graph(self)
        if given is not None:
            return given.compute_output_shape(*args, **kwargs)
        return super().compute_output_shape(*args, **kwargs)

    @property
    def input_spec(self) -> Any:
        """What inputs must look like: what was set, or what the graph was made for; else None.

        What was set is what calls are held against.
        """
        given = given_graph(self)
        return self._input_spec if given is None or self._input_spec else given.input_specs()

    @input_spec.setter
    def input_spec(self, value: object) -> None:
        self._input_spec = value
        self.__dict__.update(_dk_fast_call=None, _dk_fast_version=-1)  # which looks at no spec

    def _dk_knows_output_shape(self) -> bool:
        return type(self).compute_output_shape is not FollowedLayer.compute_output_shape

    def build(self, input_shape: object = None, **shapes: object) -> None:
        """Create the weights for a shape, or a list or dict of shapes, batch axis included.

        A `call` of several arguments takes one shape for each: ``build(a_shape=..., b_shape=...)``.
        """
        if type(self).call is FollowedLayer.call or given_graph(self) is not None:
            return
        given: dict[str, object] = {}
        if not shapes or input_shape is not None:
            given[self._dk_call_info.names[0]] = input_shape
        given |= {name.removesuffix("_shape"): shape for name, shape in shapes.items()}
        tensors = {name: tensors_of(shape) for name, shape in given.items()}
        known = self._dk_inputs_met()
        if known is not None and len(tensors) == 1 and reads_text(known):  # shapes do not say it
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

    def _dk_build_for(self, arguments: dict[str, object], symbolic: bool) -> None:
        if not symbolic:  # for batches of any size, not for this one
            arguments = {k: tree.map_structure(of_any_batch, v) for k, v in arguments.items()}
        if len(arguments) == 1 and reads_text(*arguments.values()):
            self.__dict__.setdefault("_dk_traced_on", *arguments.values())
        named = self._dk_call_info.mask_names
        given = {k: v for k, v in arguments.items() if k not in named and has_tensors(v)}
        if type(self).build is FollowedLayer.build and len(given) > 1:
            self.build(**{f"{name}_shape": shapes_of(value) for name, value in given.items()})
        else:
            super()._dk_build_for(arguments, symbolic)

    def _dk_build_on(self, inputs: object) -> None:
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
        made_of: GivenGraph | None = self.__dict__.get("_dk_given")  # asked for in every step
        if made_of is not None:
            return made_of.graph()
        cached, version = self.__dict__.get("_dk_graph_cache"), self._dk_version()
        if cached is None or cached[0] != version:
            inputs = self.__dict__.get("_dk_traced_on")
            graph = None if inputs is None else _traced(self, inputs)
            if graph is not None:  # layers that are no attributes, and changes made meanwhile
                self._tracker.listen_to(graph.layers)
            self.__dict__["_dk_graph_cache"] = cached = (version, graph)
        found: Graph | None = cached[1]
        return found

    def _dk_open_to(self, shape: tuple[int, ...]) -> bool:
        return False

    def _dk_inputs_met(self) -> Tree[KerasTensor] | None:
        """Symbolic inputs that the model was built on; None before, and for a graph."""
        met: Tree[KerasTensor] | None = self.__dict__.get("_dk_traced_on")
        return met

    def _dk_forget_graph(self) -> None:
        """Follow `call` anew when the graph is asked for."""
        self.__dict__.pop("_dk_graph_cache", None)


class _in_call:
    """Inside, layers that are called know that they belong to `model`."""

    def __init__(self, model: object) -> None:
        outer = call_context.get()
        self._context = CallContext(model, outer, outer is not None and outer.calling)

    def __enter__(self) -> None:
        self._token = call_context.set(self._context)

    def __exit__(self, *exc: object) -> None:
        call_context.reset(self._token)
