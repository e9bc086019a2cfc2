"""Models: functional, sequential and subclassed, with training, files and cloning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit.models._cloning import clone_model as clone_model
    from densekit.models._explain import explain_plan as explain_plan
    from densekit.models._function import Function as Function
    from densekit.models._graph import Graph as Graph
    from densekit.models._model import Functional as Functional
    from densekit.models._model import Model as Model
    from densekit.models._quantize import quantize_model as quantize_model
    from densekit.models._sequential import Sequential as Sequential
    from densekit.models._storage import model_from_json as model_from_json
    from densekit.models._summary import print_summary as print_summary
    from densekit.saving import load_model as load_model
    from densekit.saving import save_model as save_model
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "_cloning": "clone_model",
            "_function": "Function",
            "_graph": "Graph",
            "_model": "Functional Model",
            "_quantize": "quantize_model",
            "_sequential": "Sequential",
            "_storage": "model_from_json",
            "_explain": "explain_plan",
            "_summary": "print_summary",
            "densekit.saving": "load_model save_model",
        },
    )
