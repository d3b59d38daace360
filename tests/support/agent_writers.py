"""Processes that change agents, also to be killed: forked from one that has everything imported already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tests.support.forked_jobs import ForkedJobs, forked_jobs, serve


def agent_writers() -> AbstractContextManager[ForkedJobs]:
    """Processes that change agents. `work` of a job is a function below; `kill_at`: see KillAtCommand."""
    return forked_jobs(__file__)


def registry(uri: str, database: str) -> Any:
    """The agents of a database, for each process its own."""
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.agents.registry import AgentRegistryService
    from chatstore_cli.mongo.agents.store import MongoAgentStore
    from chatstore_cli.mongo.connection import connect

    return AgentRegistryService(MongoAgentStore(connect(uri, database, timeout_seconds=10), Settings()))


def update(agents: Any, job: dict[str, Any]) -> None:
    """Set the configuration, `times` times, each time to another one."""
    for number in range(job.get("times", 1)):
        agents.update_agent(job["agent_id"], config={"by": job["name"], "n": number})


def rename(agents: Any, job: dict[str, Any]) -> None:
    """Change the name alone."""
    for number in range(job.get("times", 1)):
        agents.update_agent(job["agent_id"], name=f"{job['name']} {number}")


def activate(agents: Any, job: dict[str, Any]) -> None:
    """Activate a version."""
    agents.activate(job["agent_id"], job["version_id"])


def purge(agents: Any, job: dict[str, Any]) -> None:
    """Delete a deleted agent for good."""
    agents.purge(job["agent_id"])


def upsert(agents: Any, job: dict[str, Any]) -> None:
    """Set a field of its own of the agent with the key."""
    agents.upsert_keyed_agent(job["key"], {job["name"]: 1})


def _do(job: dict[str, Any]) -> None:
    from pymongo import monitoring

    from tests.support.kill_at_command import KillAtCommand

    killer = KillAtCommand(*job.get("kill_at", ("never", 0)), is_armed=False)
    monitoring.register(killer)
    agents = registry(job["uri"], job["database"])
    agents.purge("f" * 24)  # after this the collections have been examined, which changes nothing
    killer.arm()
    works = {"update": update, "rename": rename, "activate": activate, "purge": purge, "upsert": upsert}
    works[job["work"]](agents, job)
    killer.wait()


if __name__ == "__main__":
    import chatstore_cli.core.agents.registry
    import chatstore_cli.mongo.agents.store  # noqa: F401 - imported once, for all that are forked

    serve(_do)
