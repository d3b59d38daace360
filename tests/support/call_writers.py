"""Processes that start and end calls, also to be killed: forked from one that has everything imported already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve

TAKEN = 8
"""The exit code of a process whose call began in a room that has an open call."""


def call_writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that start and end calls, and bind phone numbers. `kill_at` of a job: see KillAtCommand."""
    return forked_jobs(__file__)


def services(uri: str, database: str) -> tuple[Any, Any]:
    """The calls and the phone numbers of a database, for each process its own."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.call_sessions.calls import CallSessions
    from chatstore_cli.core.phone_numbers.routing import PhoneNumbers
    from chatstore_cli.mongo.agents.store import MongoAgentStore
    from chatstore_cli.mongo.call_sessions.store import MongoCallSessionStore
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.phone_numbers.store import MongoBindingStore

    connection, settings = connect(uri, database, timeout_seconds=10), Settings()
    numbers = PhoneNumbers(MongoBindingStore(connection, settings), MongoAgentStore(connection, settings))
    return CallSessions(MongoCallSessionStore(connection, settings)), numbers


def _do(job: dict[str, Any]) -> None:
    import os

    from pymongo import monitoring

    from chatstore_cli.domain.errors import Conflict
    from tests.support.kill_at_command import KillAtCommand

    killer = KillAtCommand(*job.get("kill_at", ("never", 0)))
    monitoring.register(killer)
    calls, numbers = services(job["uri"], job["database"])
    try:
        if job["work"] == "start":
            calls.start(job["room"], session_id=job["session_id"])
        elif job["work"] == "end":
            calls.end(session_id=job["session_id"], close_reason="hung up")
        else:
            numbers.bind(job["number"], job["agent_id"])
    except Conflict:
        os._exit(TAKEN)
    killer.wait()


if __name__ == "__main__":
    import chatstore_cli.core.agents.registry
    import chatstore_cli.core.call_sessions.calls
    import chatstore_cli.core.phone_numbers.routing
    import chatstore_cli.mongo.agents.store
    import chatstore_cli.mongo.call_sessions.store
    import chatstore_cli.mongo.phone_numbers.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)
