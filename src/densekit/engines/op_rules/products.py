"""Products of matrices and of more axes, by letters: `engines/einsum_plan.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from densekit._core.variable import Variable
from densekit.engines.op_rules.rule import (
    Arguments,
    constant,
    handle,
    name_of,
    require_floats,
    rule,
)
from densekit.engines.plan import PlanBuilder
from densekit.engines.plan_op import Handle, NotLowerable
from densekit.engines.whole_batch import Transposed, sum_of_products
from densekit.ops._symbolic import FunctionOperation

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@rule("matmul", "dot")
def _matmul(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, y = a["x1"], a["x2"]
    require_floats(plan, x, y)
    if isinstance(x, Transposed) and len(y.shape) == 2 and not isinstance(y, Transposed):
        return _product_of(plan, "bi,bj->ij", x.rows, y)
    if isinstance(x, Handle) and isinstance(y, Handle):
        if name_of(operation) == "dot":
            raise NotLowerable("it multiplies samples with each other")
        return plan.product(x, y)
    x, y = handle(x), _weights(plan, y)
    rank, axes = len(x.shape), len(y.shape)
    if axes == 1:
        return plan.reduce("sum", plan.elementwise("multiply", x, y), -1)
    if axes == 2 or (axes <= rank and all(n == 1 for n in y.shape[:-2])):
        return plan.dense(x, y, None)
    if name_of(operation) == "dot" or axes >= rank or 1 in y.shape[:-2]:
        raise NotLowerable("its second operand is no matrix")
    outer = _LETTERS[: rank - 2]  # of x; those of the weights are matched from the back
    return plan.einsum(f"{outer}XY,{outer[rank - axes :]}YZ->{outer}XZ", x, y)


@rule("einsum")
def _einsum(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, *rest = a["operands"]
    require_floats(plan, x, *rest)
    terms, arrow, result = a["subscripts"].replace(" ", "").partition("->")
    factors = terms.split(",")
    if len(rest) == 1:
        return _product_of(plan, a["subscripts"], x, rest[0])
    if not rest or not arrow or "..." in terms:
        raise NotLowerable("it has not two factors")
    first = factors[0]
    for i, y in enumerate(rest, 1):  # pair by pair: what later ones need is kept
        later = set(result).union(*factors[i + 1 :])
        kept = (
            result
            if i == len(rest)
            else "".join(c for c in dict.fromkeys(first + factors[i]) if c in later)
        )
        x = _product_of(plan, f"{first},{factors[i]}->{kept}", x, y)
        first = kept
    return handle(x)


def _product_of(plan: PlanBuilder, equation: str, x: object, y: object) -> Handle:
    if isinstance(x, Handle):
        y = y if isinstance(y, Handle) else _weights(plan, y)
        summed = sum_of_products(plan, equation, x, y)
        return plan.einsum(equation, x, y) if summed is None else summed
    terms, arrow, result = equation.replace(" ", "").partition("->")
    first, _, second = terms.partition(",")
    return plan.einsum(f"{second},{first}{arrow}{result}", handle(y), _weights(plan, x))


@rule("tensordot")
def _tensordot(plan: PlanBuilder, operation: FunctionOperation, a: Arguments) -> Handle:
    x, y = handle(a["x1"]), a["x2"]
    require_floats(plan, x, y)
    ranks = [len(x.shape), len(y.shape if isinstance(y, Handle | Variable) else np.shape(y))]
    return _product_of(plan, letters_of_product("tensordot", a, ranks), x, y)


def letters_of_product(name: str, a: Arguments, ranks: Sequence[int]) -> str:
    """The equation of a product of whole arrays, by letters, none of them hidden.

    Args:
        ranks: of its factors.
    """
    if name == "einsum":
        if "..." in a["subscripts"]:
            raise NotLowerable("it has axes without letters")
        terms, arrow, result = a["subscripts"].replace(" ", "").partition("->")
        if not arrow:
            letters = terms.replace(",", "")
            result = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        return f"{terms}->{result}"
    left, right = _LETTERS[: ranks[0]], _LETTERS[26 : 26 + ranks[1]]
    if name == "tensordot":
        axes = a["axes"]
        if isinstance(axes, int):
            axes = [range(ranks[0] - axes, ranks[0]), range(axes)]
        pairs = list(zip(*(_several(one) for one in axes), strict=True))
    elif not left or not right or (name == "dot" and max(ranks) > 2):
        raise NotLowerable("it has not two matrices")
    else:
        outer = min(ranks) - 2  # axes before the last two, which both have
        pairs = [(-1, -2 if ranks[1] > 1 else -1)]
        pairs += [(-3 - i, -3 - i) for i in range(outer)]
    second = list(right)
    for i, j in pairs:
        second[j] = left[i]
    summed = {left[i] for i, _ in (pairs if name == "tensordot" else pairs[:1])}
    shared = "".join(c for c in left if c not in summed)
    own = "".join(c for c in second if c not in left)
    if name == "matmul" and (len(pairs) > 1 or ranks[1] > 2):  # those of the second come between
        raise NotLowerable("it multiplies several matrices")
    return f"{left},{''.join(second)}->{shared}{own}"


def _several(axes: int | Sequence[int]) -> Sequence[int]:
    return [axes] if isinstance(axes, int) else axes


def _weights(plan: PlanBuilder, y: object) -> Variable:
    return y if isinstance(y, Variable) else constant(plan, np.asarray(y))
