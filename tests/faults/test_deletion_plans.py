"""Planned deletions with kill -9, with a second process, and with a changing session, each at every command to MongoDB.

A session is deleted as a whole or left as a whole, whatever happens between two commands.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.sessions.deletion_plan import SessionDeletions
from chatstore_cli.domain.deletions import PlannedSession, Result
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.labels.store import MongoLabels
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from tests.support.at_command import AtCommand
from tests.support.kill_at_command import KillAtCommand, run_in_fork
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=1)
LATER = NOON + timedelta(hours=1)
WITH_TOMBSTONES = ("workflow", "messages", "general")
Another = Callable[..., Connection]


@pytest.fixture(params=["workflow", "messages", "threads", pytest.param("general", marks=pytest.mark.soak)])
def layout(request: pytest.FixtureRequest) -> str:
    """A layout in which chatstore deletes."""
    return str(request.param)


@pytest.fixture
def another(mongod: Mongod, database: Documents) -> Another:
    """A new connection to the test's database, with a listener. It does not wait for the disk: no server is killed here."""
    options: dict[str, Any] = {"timeout_seconds": 10, "write_concern": "1", "journaled": False}
    return lambda listener=None: connect(mongod.uri, database.name, listener=listener, **options)


def deletions(connection: Connection, layout: str) -> SessionDeletions:
    """Deletions of one layout, as a command makes them."""
    settings = Settings()
    readers = [LAYOUTS[layout](connection.for_one_command(), settings)]
    return SessionDeletions(readers, MongoLabels(connection.for_one_command(), settings), lambda _: lambda: NOW)


def document(id_field: str, updated_field: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x", "sequence": 2}, {"role": "user", "content": "y", "sequence": 3}]
    times = {"created_at": NOON, updated_field: NOON}
    return {id_field: "s", **times, "status": 0, "messages": messages, "last_sequence": 3, "last_segment": 0}


def stored(layout: str) -> dict[str, list[dict[str, Any]]]:
    """The documents of one session `s` with everything that belongs to it."""
    label = {"chatstore_labels": [{"_id": {"layout": layout, "session_id": "s"}, "tags": ["a"], "title": "t"}]}
    moved = {"_id": "s:0", "chat_id": "s", "messages": [{"role": "user", "content": "w", "sequence": 1}]}
    usage = {"_id": "u", "chat_id": "s", "run": 1, "total_tokens": 5, "at": NOON}
    if layout == "workflow":
        facts = {"_id": "s", **document("chat_id", "updated_at"), "enterprise_id": "acme"}
        return label | {"chat_sessions": [facts], "chat_session_segments": [moved], "usage_events": [usage]}
    if layout == "general":
        facts = {"_id": "s", **document("chat_id", "last_updated_at"), "app_id": "a", "user_id": "u", "sequence": 1}
        return label | {"GeneralChatSessions": [facts], "general_chat_segments": [moved]}
    if layout == "messages":
        times = [(NOON + timedelta(seconds=each)).isoformat(timespec="microseconds") for each in range(3)]
        rows = [
            {"_id": f"m{each}", "session_id": "s", "role": "user", "text": "x", "created_at": each} for each in times
        ]
        return label | {"chat_messages": rows}
    thread = {"_id": "s", "user_id": "u", "org_id": "o", "name": "n", "created_at": NOON, "updated_at": NOON}
    return label | {
        "chat_threads": [{**thread, "last_sequence": 2}],
        "chat_thread_messages": [thread_message(1), thread_message(2)],
    }


def thread_message(number: int) -> dict[str, Any]:
    content = {"type": "text", "text": "x"}
    times = {"created_at": NOON, "updated_at": NOON, "sequence": number}
    return {"_id": f"m{number}", "chat_thread_id": "s", "sender_role": "user", "content": content, **times}


def change(database: Documents, layout: str) -> bool:
    """A message is added to the session, if it exists, as an application does it. Returns whether it was.

    A flat message is added in any case.
    """
    if layout in ("workflow", "general"):
        name, updated = (
            ("chat_sessions", "updated_at") if layout == "workflow" else ("GeneralChatSessions", "last_updated_at")
        )
        message = {"role": "user", "content": "new", "sequence": 4}
        changes = {"$push": {"messages": message}, "$set": {updated: LATER, "last_sequence": 4}}
        return database[name].update_one({"chat_id": "s", "last_sequence": 3}, changes).matched_count == 1
    if layout == "messages":
        row = {"session_id": "s", "role": "user", "text": "new", "created_at": LATER.isoformat(timespec="microseconds")}
        database["chat_messages"].insert_one({"_id": "new", **row})
        return False
    changes = {"$set": {"updated_at": LATER, "last_sequence": 3}}
    if database["chat_threads"].update_one({"_id": "s"}, changes).matched_count == 0:
        return False
    database["chat_thread_messages"].insert_one(thread_message(3))
    return True


def start_over(database: Documents, layout: str) -> None:
    """Store the session, and nothing else."""
    for name in {*stored(layout), "chatstore_tombstones"}:
        database[name].delete_many({})
    for name, rows in stored(layout).items():
        database[name].insert_many(rows)


def left(database: Documents, layout: str) -> dict[str, list[dict[str, Any]]]:
    """What is stored of the session."""
    return {name: rows for name in stored(layout) if (rows := list(database[name].find().sort("_id", 1)))}


@pytest.fixture
def planned(database: Documents, another: Another, layout: str) -> PlannedSession:
    """The plan to delete the session."""
    start_over(database, layout)
    connection = another()
    session = LAYOUTS[layout](connection, Settings()).find("s")
    assert session is not None
    [planned] = deletions(connection, layout).plan([session])
    assert planned.documents == {name: len(rows) for name, rows in stored(layout).items()}
    return planned


@pytest.fixture
def numbers(
    pytestconfig: pytest.Config, database: Documents, another: Another, layout: str, planned: PlannedSession
) -> list[int]:
    """Numbers of the commands of a deletion, and one more: all with --soak, else the writes and what precedes each."""
    listener = AtCommand(0, lambda: None)
    deletions(another(listener), layout).carry_out(planned)
    assert left(database, layout) == {}
    last = len(listener.commands) + 1
    if pytestconfig.getoption("--soak"):
        return list(range(1, last + 1))
    writes = [number for number, name in enumerate(listener.commands, 1) if name in ("delete", "update")]
    return sorted({1, last, *(number - before for number in writes for before in range(3))})


def test_killed_before_each_command_it_is_completed_by_another_run(
    database: Documents, another: Another, layout: str, planned: PlannedSession, numbers: list[int]
) -> None:
    deleted_before_kill = False
    for number in numbers:
        start_over(database, layout)
        code = run_in_fork(lambda: deletions(another(KillAtCommand("before", number)), layout).carry_out(planned))  # noqa: B023 - called in this round
        if code == 0:
            break
        assert code == -9
        is_begun = left(database, layout) != stored(layout)
        deleted_before_kill = deleted_before_kill or is_begun
        again = deletions(another(), layout).carry_out(planned)
        assert again.result is not Result.CHANGED, f"before command {number}: {again.reason}"
        assert left(database, layout) == {}, f"before command {number}"
        has_tombstone = database["chatstore_tombstones"].count_documents({}) == 1
        assert has_tombstone is (layout in WITH_TOMBSTONES)
    assert deleted_before_kill


def test_a_second_run_between_two_commands_of_the_first(
    database: Documents, another: Another, layout: str, planned: PlannedSession, numbers: list[int]
) -> None:
    other = another()
    for number in numbers:
        start_over(database, layout)
        seconds: list[Any] = []
        listener = AtCommand(number, lambda: seconds.append(deletions(other, layout).carry_out(planned)))  # noqa: B023 - called in this round
        first = deletions(another(listener), layout).carry_out(planned)
        assert left(database, layout) == {}, f"before command {number}"
        if not listener.reached:
            break
        assert Result.CHANGED not in {first.result, seconds[0].result}, f"before command {number}"


def test_a_session_that_changes_between_two_commands_is_left_or_deleted_as_a_whole(
    database: Documents, another: Another, layout: str, planned: PlannedSession, numbers: list[int]
) -> None:
    start_over(database, layout)
    change(database, layout)
    changed = left(database, layout)
    new_alone = {"chat_messages": [row for row in changed.get("chat_messages", []) if row["_id"] == "new"]}
    outcomes: list[Result] = []
    for number in numbers:
        start_over(database, layout)
        was_changed: list[bool] = []
        listener = AtCommand(number, lambda: was_changed.append(change(database, layout)))  # noqa: B023 - called in this round
        outcome = deletions(another(listener), layout).carry_out(planned)
        if not listener.reached:
            break
        outcomes.append(outcome.result)
        assert outcome.result is Result.CHANGED or was_changed == [False], f"before command {number}"
        if outcome.result is Result.CHANGED:
            assert left(database, layout) == changed, f"before command {number}"
            assert database["chatstore_tombstones"].count_documents({}) == 0
        else:
            expected = new_alone if layout == "messages" else {}
            assert left(database, layout) == expected, f"before command {number}"
    assert outcomes == sorted(outcomes)  # once it has begun, it is not left any more
    assert set(outcomes) == {Result.CHANGED, Result.DELETED}
