"""`RunQueues`: where the members of a sweep that are at work have their runs."""

from __future__ import annotations

from densekit._core.engine import Run, RunQueue
from densekit.sweeps._member import Member
from densekit.training._session import Session


class RunQueues:
    """A queue for each engine that the members have."""

    def __init__(self) -> None:
        self._queues: dict[str, RunQueue] = {}
        self._under_way: dict[str, dict[int, Member]] = {}  # by queue, and by engine

    def send(self, member: Member) -> None:
        """Have the pending run made, unless the member fails or ends before."""
        while member.pending is not None and member.why_alone() is not None:
            member.run_alone()
        if member.pending is None:
            return
        session, chunk, training = member.pending
        assert isinstance(session, Session)
        try:
            rows = session.make_ready(chunk)
        except Exception as error:
            member.fail(error)
            return
        name = member.kind.name
        if name not in self._queues:
            self._queues[name], self._under_way[name] = member.kind.run_queue(), {}
        self._under_way[name][id(session.engine)] = member
        self._queues[name].submit(Run(session.engine, chunk, rows, training))

    def receive(self) -> list[Member]:
        """Members whose runs are done, gone on to the next one or ended."""
        received = []
        for name, under_way in self._under_way.items():
            for run, result in self._queues[name].collect() if under_way else ():
                member = under_way.pop(id(run.engine))
                received.append(member)
                assert member.pending is not None
                session = member.pending[0]
                assert isinstance(session, Session)
                try:
                    if isinstance(result, Exception):
                        raise result
                    session.follow(run.chunk, run.predictions, result)
                except Exception as error:
                    member.fail(error)
                else:
                    member.advance()
        return received

    def close(self) -> None:
        """Give up what is under way."""
        for queue in self._queues.values():
            queue.close()
