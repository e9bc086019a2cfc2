"""Engines: what turns a model's graph into something that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from densekit._core.rooms import lazy_room

if TYPE_CHECKING:
    from densekit._core.engine import LossTerm as LossTerm
    from densekit._core.plan import Handle as Handle
    from densekit._core.plan import NotLowerable as NotLowerable
    from densekit.engines import definition as definition
    from densekit.engines import kinds as kinds
    from densekit.engines import lowering as lowering
    from densekit.engines import native as native
    from densekit.engines import objective as objective
    from densekit.engines import on_host as on_host
    from densekit.engines import plain_kind as plain_kind
    from densekit.engines import plan as plan
    from densekit.engines import recording as recording
    from densekit.engines import reference as reference
    from densekit.engines import rows as rows
    from densekit.engines import updates as updates
    from densekit.engines.definition import DefinitionEngine as DefinitionEngine
    from densekit.engines.kinds import check_engine as check_engine
    from densekit.engines.kinds import default_name as default_name
    from densekit.engines.kinds import engine_kind as engine_kind
    from densekit.engines.kinds import engine_names as engine_names
    from densekit.engines.kinds import inside as inside
    from densekit.engines.kinds import register_engine as register_engine
    from densekit.engines.lowering import has_flags as has_flags
    from densekit.engines.lowering import lower_graph as lower_graph
    from densekit.engines.lowering import lower_layer as lower_layer
    from densekit.engines.native import NativeEngine as NativeEngine
    from densekit.engines.objective import Objective as Objective
    from densekit.engines.objective import beside_targets as beside_targets
    from densekit.engines.on_host import lower_whole as lower_whole
    from densekit.engines.on_host import metric_variables as metric_variables
    from densekit.engines.plain_kind import PlainKind as PlainKind
    from densekit.engines.plan import PlanBuilder as PlanBuilder
    from densekit.engines.recording import lend as lend
    from densekit.engines.recording import take_back as take_back
    from densekit.engines.reference import ReferenceEngine as ReferenceEngine
    from densekit.engines.rows import READABLE_TYPES as READABLE_TYPES
    from densekit.engines.rows import Missing as Missing
    from densekit.engines.rows import is_missing as is_missing
    from densekit.engines.rows import is_readable as is_readable
    from densekit.engines.rows import readable as readable
    from densekit.engines.rows import rows_at_once as rows_at_once
    from densekit.engines.updates import NativeUpdates as NativeUpdates
else:
    __getattr__, __dir__, __all__ = lazy_room(
        __name__,
        {
            "densekit._core.engine": "LossTerm",
            "densekit._core.plan": "Handle NotLowerable",
            "lowering": "has_flags lower_graph lower_layer",
            "on_host": "lower_whole metric_variables",
            "definition": "DefinitionEngine",
            "kinds": "check_engine default_name engine_kind engine_names inside register_engine",
            "native": "NativeEngine",
            "objective": "Objective beside_targets",
            "plain_kind": "PlainKind",
            "plan": "PlanBuilder",
            "recording": "lend take_back",
            "reference": "ReferenceEngine",
            "rows": "READABLE_TYPES Missing is_missing is_readable readable rows_at_once",
            "updates": "NativeUpdates",
        },
    )
