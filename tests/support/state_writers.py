"""Processes that change states and save messages, also to be killed: forked from one that has everything imported already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve


def state_writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that change states and save messages. `kill_at` of a job: see KillAtCommand."""
    return forked_jobs(__file__)


def services(uri: str, database: str) -> tuple[Any, Any]:
    """The states and the sessions of a database, for each process its own."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.agent_sessions.sessions import AgentSessions
    from chatstore_cli.core.agent_states.states import AgentStates
    from chatstore_cli.mongo.agent_sessions.store import MongoAgentSessionStore
    from chatstore_cli.mongo.agent_states.store import MongoAgentStateStore
    from chatstore_cli.mongo.connection import connect

    connection = connect(uri, database, timeout_seconds=10)
    sessions = AgentSessions(MongoAgentSessionStore(connection, "sessions", "messages"))
    return AgentStates(MongoAgentStateStore(connection, Settings())), sessions


def _do(job: dict[str, Any]) -> None:
    from pymongo import monitoring

    from tests.support.kill_at_command import KillAtCommand

    killer = KillAtCommand(*job.get("kill_at", ("never", 0)), is_armed=not job.get("prepared"))
    monitoring.register(killer)
    states, sessions = services(job["uri"], job["database"])
    if job.get("prepared"):  # the collections are examined and their indexes are created
        states._store._prepare()
        sessions._store._prepare()
        killer.arm()
    if job["work"] == "set":
        for path in job["paths"]:
            states.set_value("ana", "s", path, job["value"])
    elif job["work"] == "unset":
        states.unset_value("ana", "s", job["paths"][0])
    else:
        sessions.get_session("s", "ana")
        sessions.save_messages("s", job["messages"])
    killer.wait()


if __name__ == "__main__":
    import chatstore_cli.core.agent_sessions.sessions
    import chatstore_cli.core.agent_states.states
    import chatstore_cli.mongo.agent_sessions.store
    import chatstore_cli.mongo.agent_states.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)
