"""kill -9 and several processes at once while agents are changed: every accepted change is in the history."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.mongo.agents.versions import all_entries
from tests.support import agent_writers
from tests.support.forked_jobs import ForkedJobs
from tests.support.kill_at_command import INSTANTS
from tests.support.mongod import Mongod
from tests.support.thread_writers import NOON

pytestmark = pytest.mark.real
_MOST_COMMANDS = 20


@pytest.fixture
def agents(mongod: Mongod, database: Database[dict[str, Any]]) -> Any:
    """The agents of that database."""
    return agent_writers.registry(mongod.uri, database.name)


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with agent_writers.agent_writers() as processes:
        yield processes


@pytest.fixture
def processes(all_writers: ForkedJobs, mongod: Mongod, database: Database[dict[str, Any]]) -> ForkedJobs:
    """Processes that write to that database."""
    all_writers.write_to(mongod.uri, database.name)
    return all_writers


def states(database: Database[dict[str, Any]], agents: Any, agent_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and configuration of every version, the oldest first. Exactly one is active, and it is the present state."""
    history = agents.history(agent_id)
    [active] = [version for version in history if version.active]
    [document] = database["agents"].find()
    stored = {
        each["versionId"]: each["config"] for each in (*database["agent_versions"].find(), *all_entries(document))
    }
    agent = agents.get_agent(agent_id)
    assert (active.name, stored[active.version_id], active.version_id) == (agent.name, agent.config, agent.version_id)
    assert not active.archived
    return [(version.name, stored[version.version_id]) for version in reversed(history)]


def begin(database: Database[dict[str, Any]], agents: Any, versions: int) -> str:
    """An agent with that many versions, and nothing else."""
    agent_id: str = agents.create_agent("a", config={"by": "begin", "n": versions - 1}).agent_id
    if versions > 1:
        entries = [
            {
                "versionId": str(uuid.uuid4()),
                "name": "a",
                "description": None,
                "config": {"by": "begin", "n": number},
                "active": number == versions - 1,
                "createdAt": NOON + timedelta(seconds=number),
            }
            for number in range(versions)
        ]
        database["agents"].update_one({}, {"$set": {"versions": entries}})
    return agent_id


def test_8_processes_at_once_lose_no_update(
    database: Database[dict[str, Any]], agents: Any, processes: ForkedJobs
) -> None:
    agent_id = begin(database, agents, 90)
    jobs = [{"work": "update", "agent_id": agent_id, "name": str(number), "times": 4} for number in range(6)]
    jobs += [{"work": "rename", "agent_id": agent_id, "name": f"name {number}", "times": 3} for number in range(2)]
    assert processes.run(*jobs) == [0] * 8
    found = states(database, agents, agent_id)
    assert len(found) == 90 + 6 * 4 + 2 * 3
    configs = [config for _, config in found]
    for number in range(6):
        mine = [config["n"] for config in configs if config["by"] == str(number)]
        assert list(dict.fromkeys(mine)) == [0, 1, 2, 3]
    names = {name for name, _ in found}
    assert names == {"a", *(f"name {number} {time}" for number in range(2) for time in range(3))}
    [document] = database["agents"].find()
    assert len(document["versions"]) == 100
    assert database["agent_versions"].count_documents({}) >= len(found) - 100


def test_8_processes_store_one_agent_of_a_key(
    database: Database[dict[str, Any]], agents: Any, processes: ForkedJobs
) -> None:
    jobs = [{"work": "upsert", "key": "k", "name": f"field{number}"} for number in range(8)]
    assert processes.run(*jobs) == [0] * 8
    [document] = database["agents"].find()
    assert {name for name in document if name.startswith("field")} == {f"field{number}" for number in range(8)}


@pytest.mark.parametrize(
    ("versions", "work", "instant"),
    [(1, "update", "after"), (3, "activate", "before"), *((100, "update", instant) for instant in INSTANTS)],
)
def test_a_killed_change_is_done_or_not(
    database: Database[dict[str, Any]], agents: Any, processes: ForkedJobs, versions: int, work: str, instant: str
) -> None:
    agent_id = begin(database, agents, versions)
    before = states(database, agents, agent_id)
    snapshot = database["agents"].find_one({})
    assert snapshot is not None
    first = agents.history(agent_id)[-1].version_id
    outcomes = set()
    for number in range(1, _MOST_COMMANDS):
        database["agents"].replace_one({}, snapshot)
        database["agent_versions"].delete_many({})
        job = {
            "work": work,
            "agent_id": agent_id,
            "name": "new",
            "version_id": first,
            "kill_at": (instant, number, 0.5),
        }
        [code] = processes.run(job)
        found = states(database, agents, agent_id)
        is_done = found != before if work == "update" else agents.get_agent(agent_id).version_id == first
        if work == "update":
            assert found == ([*before, ("a", {"by": "new", "n": 0})] if is_done else before)
        else:
            assert found == before
        if not is_done:
            assert bson.encode(database["agents"].find_one({}) or {}) == bson.encode(snapshot)
        outcomes.add(is_done)
        if code == 0:
            assert is_done
            break
        assert code == -9
        agents.update_agent(
            agent_id, config={"by": "after", "n": 0}
        )  # what a kill leaves does not disturb the next change
        assert len(states(database, agents, agent_id)) == len(found) + 1
    else:
        pytest.fail("the change never ended")
    assert True in outcomes
    assert outcomes == {True, False} or instant == "during"


@pytest.mark.parametrize("instant", ["before", "during"])
def test_a_killed_purge_is_completed_by_a_repetition(
    database: Database[dict[str, Any]], agents: Any, processes: ForkedJobs, instant: str
) -> None:
    agent_id = begin(database, agents, 100)
    for number in range(2):
        agents.update_agent(agent_id, config={"by": "end", "n": number})
    agents.delete_agent(agent_id)
    snapshots = {name: list(database[name].find()) for name in ("agents", "agent_versions")}
    for number in range(1, _MOST_COMMANDS):
        for name, stored in snapshots.items():
            database[name].delete_many({})
            database[name].insert_many(stored)
        [code] = processes.run({"work": "purge", "agent_id": agent_id, "kill_at": (instant, number, 0.5)})
        if database["agent_versions"].count_documents({}):
            assert database["agents"].count_documents({"_id": ObjectId(agent_id)}) == 1
        agents.purge(agent_id)
        assert {name: database[name].count_documents({}) for name in snapshots} == {"agents": 0, "agent_versions": 0}
        if code == 0:
            return
        assert code == -9
    pytest.fail("the purge never ended")
