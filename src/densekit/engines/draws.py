"""Random values of rows in plans: by the core, which draws what the definitions draw."""

from __future__ import annotations

from densekit.engines.plan import Handle, NotLowerable, PlanBuilder
from densekit.ops._row_draws import DropoutDraw, FreeDraw


def lower_draw(plan: PlanBuilder, draw: FreeDraw) -> Handle:
    """Values of a distribution, new ones for each row."""
    if not plan.inputs:
        raise NotLowerable("it draws for no rows")
    first, second = draw.numbers
    if draw.distribution == "constant":
        return plan.filled(plan.inputs[0], draw.sample_shape, first)
    zeros = plan.filled(plan.inputs[0], draw.sample_shape, 0.0)
    if draw.distribution == "uniform":
        if not first < second:
            raise NotLowerable("it draws between ends that are not in order")
        return plan.uniform(zeros, first, second, draw.seed_generator)
    if second < 0:
        raise NotLowerable("it draws with a negative deviation")
    y = plan.noise(zeros, second, False, draw.seed_generator)
    return y if first == 0 else plan.elementwise("add", y, first)


def lower_dropout(plan: PlanBuilder, draw: DropoutDraw, x: Handle) -> Handle:
    """`x` with a mask that is drawn."""
    if draw.noise_shape is None:
        return plan.dropout(x, draw.rate, draw.seed_generator)
    pairs = zip(x.sample_shape, draw.noise_shape, strict=True)
    ones = plan.filled(x, [n if m is None else m for n, m in pairs], 1.0)
    return plan.elementwise("multiply", x, plan.dropout(ones, draw.rate, draw.seed_generator))
