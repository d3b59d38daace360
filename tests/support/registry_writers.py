"""Processes that switch the workflows of one client session, also to be killed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve

OWNER = ("acme", "ann", "laptop")
"""The tenant, the user and the key of the client session."""


def registry_writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that switch workflows. `calls` of a job are those of `_do`; `kill_at`: see KillAtCommand."""
    return forked_jobs(__file__)


def registry_of(uri: str, database: str) -> Any:
    """The registry of a database, for each process its own."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.session_registry.registry import SessionRegistry
    from chatstore_cli.mongo.connection import connect
    from chatstore_cli.mongo.session_registry.store import MongoRegistryStore

    return SessionRegistry(MongoRegistryStore(connect(uri, database, timeout_seconds=10), Settings()))


def _do(job: dict[str, Any]) -> None:
    """Do the calls of a job, each the name of a method with its arguments after the connection."""
    from pymongo import monitoring

    from tests.support.kill_at_command import KillAtCommand

    killer = KillAtCommand(*job.get("kill_at", ("never", 0)), is_armed=False)
    monitoring.register(killer)
    registry = registry_of(job["uri"], job["database"])
    registry.attach(job["connection"], *OWNER)
    if job.get("is_warm", True):
        registry.switch_workflow(job["connection"], "none")  # after this the collection has been examined
    killer.arm()
    for method, *arguments in job["calls"]:
        getattr(registry, method)(job["connection"], *arguments)
    killer.wait()


if __name__ == "__main__":
    import chatstore_cli.core.session_registry.registry
    import chatstore_cli.mongo.session_registry.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)
