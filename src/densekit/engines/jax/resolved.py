"""`Resolved`: gradients in the place of the marks that tapes left in what was traced.

The equations between a tape's marks are the formula that is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

from densekit._core.errors import message
from densekit.engines.jax.marks import Kind, Place, gradient_mark, mark

_Atom: TypeAlias = core.Var | core.Literal
_Env: TypeAlias = dict[core.Var, jax.Array]


class _Request(NamedTuple):
    """A mark where gradients are asked for."""

    targets: Sequence[_Atom]
    seeds: Sequence[_Atom]
    sources: Sequence[_Atom]
    kind: Kind
    tape: int
    number: int
    places: Sequence[int]
    roots: Sequence[bool]


class Resolved:
    """What was traced, with gradients where they were asked for.

    Args:
        closed: with marks.

    Raises:
        TypeError: for a tape inside a part that is traced on its own, such as a branch.
    """

    def __init__(self, closed: core.ClosedJaxpr) -> None:
        self._jaxpr, self._consts = closed.jaxpr, closed.consts
        self._equations = list(closed.jaxpr.eqns)
        for equation in self._equations:
            if _has_marks(core.jaxprs_in_params(equation.params)):
                raise TypeError(
                    message(
                        "GradientTape",
                        "a tape beside `cond` and loops",
                        "one inside",
                        "Open it outside.",
                    )
                )
        self._inside: dict[int, list[int]] = {}  # by request: the equations that its tape recorded
        self._fill_inside()

    def __call__(self, *arguments: jax.Array) -> list[jax.Array]:
        """The results; may be traced."""
        env = dict(zip(self._jaxpr.constvars, self._consts, strict=True))
        env.update(zip(self._jaxpr.invars, arguments, strict=True))
        self._run(range(len(self._equations)), env)
        return [_read(env, atom) for atom in self._jaxpr.outvars]

    def unconnected(self) -> set[Place]:
        """Sources that no target depends on."""
        found: set[Place] = set()
        for i, inside in self._inside.items():
            request = self._request(i)
            made = {v for j in inside for v in self._equations[j].outvars}
            for place, source, is_root in zip(
                request.places, request.sources, request.roots, strict=True
            ):
                depend = self._dependent(inside, {source} if isinstance(source, core.Var) else ())
                is_known = is_root or source in made
                if not is_known or not any(y in depend for y in request.targets):
                    found.add((request.number, place))
        return found

    def _fill_inside(self) -> None:
        recorded: dict[int, list[int]] = {}
        active: list[int] = []
        for i, equation in enumerate(self._equations):
            if equation.primitive is mark:
                tape = equation.params["tape"]
                recorded.setdefault(tape, [])
                if equation.params["begins"]:
                    active.append(tape)
                else:
                    active.remove(tape)
                continue
            if equation.primitive is gradient_mark:
                self._inside[i] = [*recorded[equation.params["tape"]]]
            for tape in active:
                recorded[tape].append(i)

    def _request(self, i: int) -> _Request:
        equation = self._equations[i]
        given, targets = equation.invars, equation.params["targets"]
        sources = len(given) - equation.params["sources"]
        return _Request(
            given[:targets],
            given[targets:sources],
            given[sources:],
            equation.params["kind"],
            equation.params["tape"],
            equation.params["request"],
            equation.params["places"],
            equation.params["roots"],
        )

    def _dependent(self, places: Iterable[int], on: Collection[_Atom]) -> set[_Atom]:
        found = set(on)
        for i in places:
            equation = self._equations[i]
            if any(isinstance(v, core.Var) and v in found for v in equation.invars):
                found.update(equation.outvars)
        return found

    def _run(self, places: Iterable[int], env: _Env, shifts: _Env | None = None) -> None:
        """Those equations, in order; `env` gets what they give.

        Args:
            shifts: what to add to values that are made on the way.
        """
        waiting: list[core.JaxprEqn] = []
        for i in places:
            equation = self._equations[i]
            if equation.primitive is mark:
                continue
            waiting.append(equation)
            shifted = [v for v in equation.outvars if shifts and v in shifts]
            if equation.primitive is not gradient_mark and not shifted:
                continue
            if equation.primitive is gradient_mark:
                self._run_plain(waiting[:-1], env)
                env.update(zip(equation.outvars, self._gradients(i, env), strict=True))
            else:
                self._run_plain(waiting, env)
            waiting = []
            env.update({v: env[v] + (shifts or {})[v] for v in shifted})
        self._run_plain(waiting, env)

    def _run_plain(self, equations: Sequence[core.JaxprEqn], env: _Env) -> None:
        made = list(dict.fromkeys(v for e in equations for v in e.outvars if _is_kept(v)))
        known = set(made)
        free = dict.fromkeys(
            v for e in equations for v in e.invars if isinstance(v, core.Var) and v not in known
        )
        if not equations:
            return
        part = self._jaxpr.replace(
            constvars=[], invars=list(free), outvars=made, eqns=list(equations)
        )
        run = core.jaxpr_as_fun(core.ClosedJaxpr(part, []))
        env.update(zip(made, run(*(env[v] for v in free)), strict=True))

    def _gradients(self, i: int, env: _Env) -> list[jax.Array]:
        request = self._request(i)
        sources = list(dict.fromkeys(s for s in request.sources if isinstance(s, core.Var)))
        forward = self._dependent(self._inside[i], sources)
        needed, path = {y for y in request.targets if isinstance(y, core.Var)}, []
        for j in reversed(self._inside[i]):
            equation = self._equations[j]
            if any(v in needed and v in forward for v in equation.outvars):
                path.append(j)
                needed.update(v for v in equation.invars if isinstance(v, core.Var))
        path.reverse()

        made = {v for j in self._inside[i] for v in self._equations[j].outvars}
        on_path = {v for j in path for v in self._equations[j].outvars}

        def formula(values: Sequence[jax.Array]) -> list[jax.Array]:
            # What is made on the way stays what it is: zeros are added, by which gradients go.
            given = dict(zip(sources, values, strict=True))
            roots = {s: x for s, x in given.items() if s not in made}
            shifts = {s: x for s, x in given.items() if s in made}
            inner = {**env, **roots}
            inner.update({s: env[s] + x for s, x in shifts.items() if s not in on_path})
            self._run(path, inner, shifts)
            return [_read(inner, y) for y in request.targets]

        values = [jnp.zeros_like(env[s]) if s in made else env[s] for s in sources]
        made_now, pull = jax.vjp(formula, values)
        if request.kind is Kind.GRADIENT:
            (found,) = pull([_read(env, dy) for dy in request.seeds])
        else:
            by_row = request.kind is Kind.BATCH_JACOBIAN
            found = _jacobians(made_now[0], lambda seed: pull([seed])[0], by_row)
        by_source = dict(zip(sources, found, strict=True))
        shapes = self._equations[i].outvars
        return [
            by_source[s] if isinstance(s, core.Var) else jnp.zeros(to.aval.shape, to.aval.dtype)
            for s, to in zip(request.sources, shapes, strict=True)
        ]


def _jacobians(
    target: jax.Array, pull: Callable[[jax.Array], list[jax.Array]], by_row: bool
) -> list[jax.Array]:
    """The gradient of every element of a target; of every row by the same row of each source."""
    shared = 1 if by_row else 0
    shape = target.shape[shared:]
    picks = jnp.eye(math.prod(shape), dtype=target.dtype).reshape(-1, *[1] * shared, *shape)
    columns = jax.vmap(pull)(jnp.broadcast_to(picks, (len(picks), *target.shape)))
    return [
        jnp.moveaxis(c, 0, shared).reshape(*target.shape, *c.shape[1 + shared :]) for c in columns
    ]


def _read(env: _Env, atom: _Atom) -> jax.Array:
    return env[atom] if isinstance(atom, core.Var) else atom.val


def _is_kept(variable: core.Var) -> bool:
    return not isinstance(variable, core.DropVar)


def _has_marks(jaxprs: Iterable[core.Jaxpr]) -> bool:
    for jaxpr in jaxprs:
        if any(equation.primitive in (mark, gradient_mark) for equation in jaxpr.eqns):
            return True
        if _has_marks(core.subjaxprs(jaxpr)):
            return True
    return False
