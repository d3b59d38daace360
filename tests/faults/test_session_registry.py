"""Client sessions that several processes switch at once, processes that are killed while they switch, and lost servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.session_registry import Switch
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.session_registry import store
from chatstore_cli.mongo.session_registry.store import MongoRegistryStore
from tests.support.forked_jobs import ForkedJobs
from tests.support.mongod import Mongod
from tests.support.registry_stores import statuses
from tests.support.registry_writers import OWNER, registry_of, registry_writers

pytestmark = pytest.mark.real
PROCESSES, SWITCHES = 8, 12


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with registry_writers() as processes:
        yield processes


@pytest.fixture
def registry(mongod: Mongod, database: Database[dict[str, Any]], processes: ForkedJobs) -> SessionRegistry:
    """A registry to which `ws` is attached, with c1 (paused) and c2 (active)."""
    processes.write_to(mongod.uri, database.name)
    registry: SessionRegistry = registry_of(mongod.uri, database.name)
    registry.attach("ws", *OWNER)
    registry.add_workflow("ws", "c1", "Generator", "acme", "ann", "artifact-1")
    registry.add_workflow("ws", "c2", "Investor", "acme", "ann")
    return registry


def changes(registry: SessionRegistry) -> list[Switch]:
    """The switches that were not refused, the oldest first."""
    return [each for each in reversed(registry.history("ws", 500)) if each.refused is None]


def assert_chained(registry: SessionRegistry) -> None:
    """Every version has one switch, each of which begins where the one before it ended."""
    stored = changes(registry)
    assert [each.version for each in stored] == list(range(1, len(stored) + 1))
    assert all(after.from_chat_id == before.to_chat_id for before, after in pairwise(stored))
    active = registry.get_active_workflow("ws")
    assert (None if active is None else active.chat_id) == stored[-1].to_chat_id
    assert list(statuses(registry, "ws").values()).count("active") == (active is not None)


def test_processes_that_switch_at_once_lose_nothing(registry: SessionRegistry, processes: ForkedJobs) -> None:
    jobs: list[dict[str, Any]] = []
    for number in range(PROCESSES):
        calls: list[list[str]] = [["add_workflow", f"own-{number}", "Portal", "acme", "ann"]]
        for turn in range(SWITCHES):
            target = ["c1", "c2", f"own-{number}", "missing"][(turn + number) % 4]
            calls.append(["enter_general_mode"] if turn == number else ["switch_workflow", target])
        jobs.append({"connection": f"ws-{number}", "calls": calls})
    assert processes.run(*jobs) == [0] * PROCESSES
    assert_chained(registry)
    history = registry.history("ws", 500)
    for number, job in enumerate(jobs):
        made = [each for each in reversed(history) if each.connection == f"ws-{number}"]
        named = [each.to_chat_id for each in made if each.to_chat_id is not None]  # general mode may be entered already
        assert named == ["none", *(call[1] for call in job["calls"] if len(call) > 1)]
        assert all((each.refused is not None) == (each.to_chat_id in ("missing", "none")) for each in made)
    assert set(statuses(registry, "ws")) == {"c1", "c2", *(f"own-{number}" for number in range(PROCESSES))}


@pytest.mark.parametrize("call", [["switch_workflow", "c1"], ["enter_general_mode"], ["complete_workflow", "c2"]])
@pytest.mark.parametrize("instant", ["before", "after"])
def test_killed_at_any_command(registry: SessionRegistry, processes: ForkedJobs, call: list[str], instant: str) -> None:
    before = (statuses(registry, "ws"), registry.is_in_general_mode("ws"), len(changes(registry)))
    codes = []
    for number in range(1, 10):
        job = {"connection": "ws-2", "calls": [call], "kill_at": [instant, number]}
        [code] = processes.run(job)
        codes.append(code)
        assert_chained_to_general(registry)
        after = (statuses(registry, "ws"), registry.is_in_general_mode("ws"), len(changes(registry)))
        if code == 0:
            assert after != before
            break
        if after != before:
            assert len(changes(registry)) == before[2] + 1
            assert instant == "after"
            break
    assert codes[:1] == [-9]
    assert len(codes) <= 3
    getattr(registry, call[0])("ws", *call[1:])
    assert_chained_to_general(registry)


def assert_chained_to_general(registry: SessionRegistry) -> None:
    """Every version has one switch, and at most one workflow is active."""
    assert [each.version for each in changes(registry)] == list(range(1, len(changes(registry)) + 1))
    assert list(statuses(registry, "ws").values()).count("active") <= 1


def test_two_first_starts_at_once_make_one_entry(
    mongod: Mongod, database: Database[dict[str, Any]], processes: ForkedJobs
) -> None:
    processes.write_to(mongod.uri, database.name)
    jobs = [
        {
            "connection": f"ws-{number}",
            "is_warm": False,
            "calls": [["add_workflow", f"c{number}", "Generator", "acme", "ann"]],
        }
        for number in range(PROCESSES)
    ]
    assert processes.run(*jobs) == [0] * PROCESSES
    registry = registry_of(mongod.uri, database.name)
    registry.attach("ws", *OWNER)
    assert database["chat_session_registry"].count_documents({}) == 1
    assert_chained(registry)
    assert len(changes(registry)) == PROCESSES


def test_a_server_that_fails_changes_nothing(
    registry: SessionRegistry, fail_point: Callable[..., Any], database: Database[dict[str, Any]]
) -> None:
    documents = database["chat_session_registry"]
    before = documents.find_one({})
    with (
        fail_point(["update"], closeConnection=True, namespace=f"{database.name}.chat_session_registry"),
        pytest.raises(Unreachable),
    ):
        registry.switch_workflow("ws", "c1")
    assert documents.find_one({}) == before
    registry.switch_workflow("ws", "c1")
    assert_chained(registry)


def test_without_a_server_every_call_raises_unreachable() -> None:
    connection = connect("mongodb://127.0.0.1:9", "chat", timeout_seconds=0.05)
    registry = SessionRegistry(MongoRegistryStore(connection, Settings()))
    registry.attach("ws", *OWNER)
    for call in (
        lambda: registry.add_workflow("ws", "c1", "Generator", "acme", "ann"),
        lambda: registry.history("ws"),
    ):
        with pytest.raises(Unreachable):
            call()


def test_an_answer_that_is_lost_leaves_one_switch(registry: SessionRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.MongoRegistryStore.change

    def change_and_lose(self: MongoRegistryStore, *arguments: Any) -> bool:
        whole(self, *arguments)
        monkeypatch.undo()
        raise Unreachable(what="the answer was lost")

    monkeypatch.setattr(store.MongoRegistryStore, "change", change_and_lose)
    with pytest.raises(Unreachable):
        registry.switch_workflow("ws", "c1")
    assert statuses(registry, "ws") == {"c1": "active", "c2": "paused"}
    assert_chained(registry)
