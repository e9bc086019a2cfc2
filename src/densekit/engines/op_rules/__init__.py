"""Rules that lower `densekit.ops` in graphs: tables that map many names onto few native ops."""

from densekit.engines.op_rules import beside_nan as beside_nan
from densekit.engines.op_rules import composed as composed
from densekit.engines.op_rules import elementwise as elementwise
from densekit.engines.op_rules import moves as moves
from densekit.engines.op_rules import order as order
from densekit.engines.op_rules import products as products
from densekit.engines.op_rules import reductions as reductions
from densekit.engines.op_rules.rule import Arguments as Arguments
from densekit.engines.op_rules.rule import rules as rules
