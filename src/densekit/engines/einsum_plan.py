"""The part of a plan builder with sums of products that are named by letters.

Axes of the factors are sorted by who has them: those of both and of the result number matrices,
those of both alone are summed over, the others are rows and columns. Then it is one product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product as all_pairs

from densekit._core.types import Shape
from densekit._core.variable import Variable
from densekit.engines.layer_plan import LayerPlan
from densekit.engines.plan_op import Handle, NotLowerable

_SPARE = "".join(chr(code) for code in range(0x3B1, 0x3CA))  # letters that no equation has


class EinsumPlan(LayerPlan):
    """Methods of `PlanBuilder` that take axes by their letters."""

    def dense(
        self,
        x: Handle,
        kernel: Variable,
        bias: Variable | None,
        activation: Callable[..., object] | None = None,
    ) -> Handle:
        """``x @ kernel`` along the last axis."""
        raise NotImplementedError

    def einsum(self, equation: str, x: Handle, y: Handle | Variable) -> Handle:
        """The sum of products of a value with another, or with a variable.

        Args:
            equation: two terms and the result. The first letter of values is the batch.
        """
        left, named, result = letters_of(equation, len(x.shape), len(y.shape))
        batch = left[:1]
        if result[:1] != batch or left.count(batch) > 1 or result.count(batch) > 1:
            raise NotLowerable("it does not keep the batch axis in front")
        if any(len(set(term)) != len(term) for term in (left, named, result)):
            raise NotLowerable("it takes a diagonal")
        x, left = self._without_sums(x, left, named + result)
        if isinstance(y, Handle):
            if named[:1] != batch:
                raise NotLowerable("it multiplies samples with each other")
            y, named = self._without_sums(y, named, left + result)
            z, found = self._of_values(x, left[1:], y, named[1:], result[1:])
        else:
            if batch in named:
                raise NotLowerable("it meets an array with a batch axis of its own")
            if any(a not in left + result for a in named):
                raise NotLowerable("it sums over an axis that the weights alone have")
            z, found = self._of_weights(x, left[1:], y, named, result[1:])
        if sorted(found) != sorted(result[1:]):
            raise NotLowerable("its result has an axis that no factor has")
        return self.transpose(z, [found.index(a) + 1 for a in result[1:]])

    def _without_sums(self, x: Handle, letters: str, kept: str) -> tuple[Handle, str]:
        """A factor, summed over the axes that nothing else has."""
        lost = [i for i, a in enumerate(letters) if i and a not in kept]
        if not lost:
            return x, letters
        return self.reduce("sum", x, lost), "".join(a for a in letters if a in kept)

    def _of_values(
        self, x: Handle, left: str, y: Handle, named: str, result: str
    ) -> tuple[Handle, str]:
        sizes = _sizes((left, x.sample_shape), (named, y.sample_shape))
        both = "".join(a for a in result if a in left and a in named)
        rows = "".join(a for a in result if a in left and a not in named)
        columns = "".join(a for a in result if a in named and a not in left)
        summed = "".join(a for a in left if a in named and a not in result)

        def size(letters: str) -> int:
            return math.prod(sizes[a] for a in letters)

        first = self.transpose(x, [left.index(a) + 1 for a in both + rows + summed])
        second = self.transpose(y, [named.index(a) + 1 for a in both + summed + columns])
        first = self.reshape(first, (size(both), size(rows), size(summed)))
        second = self.reshape(second, (size(both), size(summed), size(columns)))
        found = both + rows + columns
        return self.reshape(self.product(first, second), [sizes[a] for a in found]), found

    def _of_weights(
        self, x: Handle, left: str, kernel: Variable, named: str, result: str
    ) -> tuple[Handle, str]:
        sizes = _sizes((left, x.sample_shape), (named, kernel.shape))
        rows = "".join(a for a in result if a in left and a not in named)
        summed = [a for a in named if a in left and a not in result]
        columns = [a for a in named if a in result and a not in left]
        if len(columns) == 1 and named == "".join(summed) + columns[0]:
            last = self.transpose(x, [left.index(a) + 1 for a in rows + "".join(summed)])
            flat = math.prod(sizes[a] for a in summed)
            last = self.reshape(last, (*(sizes[a] for a in rows), flat))
            return self.dense(last, kernel, None), rows + columns[0]
        inner, outer = _run(named, summed), _run(named, columns)
        entries = [a for a in named if a not in inner + outer]
        apart = [a for a in entries if a not in left]  # columns that do not lie with the others
        shared = [a for a in left if a in entries]
        x = self.transpose(x, [left.index(a) + 1 for a in [*shared, *rows, *inner]])
        if apart:  # the same rows for each of them
            x = self.reshape(x, (*(1 for _ in apart), *x.sample_shape))
            x = self.broadcast(x, (*(sizes[a] for a in apart), *x.sample_shape[len(apart) :]))
        order = [*apart, *shared]
        z = self.weight_product(x, kernel, named, sizes, order, rows, inner, outer)
        found = "".join([*order, *rows, *outer])
        lost = [i + 1 for i, a in enumerate(found) if a not in result]
        if lost:
            z = self.reduce("sum", z, lost)
        return z, "".join(a for a in found if a in result)

    def weight_product(
        self,
        x: Handle,
        kernel: Variable,
        named: str,
        sizes: dict[str, int],
        entries: Sequence[str],
        rows: str,
        inner: str,
        outer: str,
    ) -> Handle:
        """Each matrix of rows of `x` times one that lies in `kernel`, whose axes are `named`.

        Args:
            entries: letters that number the matrices.
            rows, inner, outer: letters of their rows, of what is summed over, of their columns.
        """
        if self.precision:
            raise NotLowerable(f"its product of several matrices is none in {self.precision}")
        strides = {a: math.prod(sizes[b] for b in named[i + 1 :]) for i, a in enumerate(named)}
        steps = [[index * strides[a] for index in range(sizes[a])] for a in entries]
        m, k, n = (math.prod(sizes[a] for a in letters) for letters in (rows, inner, outer))
        if 0 in (m, k, n) or any(not step for step in steps):
            raise NotLowerable("there is nothing to multiply")
        k_stride = strides[inner[-1]] if k > 1 else 0
        n_stride = strides[outer[-1]] if n > 1 else 0
        # What has one row or column may take any step.
        k_stride = k_stride or (n if n_stride <= 1 else 1)
        n_stride = n_stride or (k if k_stride == 1 else 1)
        if min(k_stride, n_stride) != 1:
            raise NotLowerable("the last axis of its weights numbers matrices")
        return self.op(
            "weight_product",
            [x],
            [sizes[a] for a in [*entries, *rows, *outer]],
            [kernel],
            offsets=[sum(at) for at in all_pairs(*steps)],
            m=m,
            k=k,
            n=n,
            k_stride=k_stride,
            n_stride=n_stride,
        )


def letters_of(equation: str, rank_x: int, rank_y: int) -> tuple[str, str, str]:
    """The letters of two factors and of the result, those behind an ellipsis among them."""
    equation = equation.replace(" ", "")
    terms, arrow, result = equation.partition("->")
    left, comma, right = terms.partition(",")
    if not comma or "," in right:
        raise NotLowerable("it has not two factors")
    if not arrow:
        once = sorted(a for a in set(terms) - set(",.") if terms.count(a) == 1)
        result = ("..." if "..." in terms else "") + "".join(once)
    hidden = 0
    found = []
    for term, rank in ((left, rank_x), (right, rank_y)):
        count = rank - len(term.replace("...", ""))
        if count < 0 or (count and "..." not in term):
            raise NotLowerable("its letters do not fit its factors")
        hidden = max(hidden, count)
        found.append(term.replace("...", _SPARE[len(_SPARE) - count :]))
    return found[0], found[1], result.replace("...", _SPARE[len(_SPARE) - hidden :])


def _sizes(*terms: tuple[str, Shape]) -> dict[str, int]:
    """Sizes by letter."""
    sizes: dict[str, int] = {}
    for letters, shape in terms:
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise NotLowerable("its factors differ in an axis that both have")
    return sizes


def _run(named: str, wanted: Sequence[str]) -> str:
    """The letters of those wanted that lie next to each other: the last ones, or most."""
    runs = [""]
    for letter in named:
        if letter in wanted:
            runs[-1] += letter
        elif runs[-1]:
            runs.append("")
    return runs[-1] if runs[-1] else max(runs, key=len)
