"""Rounds: all members of a sweep that are at work do their next run at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from densekit._core.engine import EngineKind, Run
from densekit.sweeps._member import Member
from densekit.training._fit_loop import Session


def run_round(members: Sequence[Member]) -> None:
    """The pending run of each, and on to the next one; who fails has ended."""
    groups: dict[str, tuple[EngineKind, list[tuple[Member, Run]]]] = {}
    for member in members:
        if member.why_alone() is not None:
            member.run_alone()
            continue
        assert member.pending is not None
        session, chunk, training = member.pending
        assert isinstance(session, Session)
        try:
            rows = session.make_ready(chunk)
        except Exception as error:
            member.fail(error)
            continue
        _, group = groups.setdefault(member.kind.name, (member.kind, []))
        group.append((member, Run(session.engine, chunk, rows, training)))
    for kind, group in groups.values():
        results = kind.run_many([run for _, run in group])
        for (member, run), result in zip(group, results, strict=True):
            if isinstance(result, Exception):
                member.fail(result)
                continue
            assert member.pending is not None
            session = member.pending.session
            assert isinstance(session, Session)
            try:
                session.follow(run.chunk, run.predictions, result)
            except Exception as error:
                member.fail(error)
            else:
                member.advance()
