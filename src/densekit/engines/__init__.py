"""Engines: what turns a model's graph into something that runs."""

from __future__ import annotations

from densekit.engines.lowering import lower_graph as lower_graph
from densekit.engines.lowering import lower_whole as lower_whole
from densekit.engines.lowering import metric_variables as metric_variables
from densekit.engines.native import LossTerm as LossTerm
from densekit.engines.native import NativeEngine as NativeEngine
from densekit.engines.native import Rows as Rows
from densekit.engines.plan import Handle as Handle
from densekit.engines.plan import NotLowerable as NotLowerable
from densekit.engines.plan import PlanBuilder as PlanBuilder
