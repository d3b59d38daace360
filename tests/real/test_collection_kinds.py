"""Collections in which documents cannot be stored reliably are refused before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli import LocalChatCache, Message, MongoChatStorage
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.workflow.ag2_manager import AG2Manager
from chatstore_cli.domain.errors import UnsuitableCollection
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.tombstones import TOMBSTONES
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.conftest import Chatstore
from tests.support.ag2_events import new_manager, text
from tests.support.journals import flush, record, write_journal
from tests.support.mongod import poll
from tests.support.usage_snapshots import snapshot

pytestmark = pytest.mark.real

KINDS: dict[str, dict[str, Any]] = {
    "capped collection": {"capped": True, "size": 4096, "max": 5},
    "time series collection": {"timeseries": {"timeField": "created_at"}},
    "view": {"viewOn": "elsewhere", "pipeline": []},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def contents(database: Any) -> dict[str, int]:
    return {
        name: database[name].count_documents({})
        for name in database.list_collection_names()
        if not name.startswith("system.")
    }


@each_kind
@pytest.mark.parametrize(
    "command", [["flush-cache", "j"], ["flush-cache", "j", "--dry-run"], ["worker", "--once", "j"], ["worker", "j"]]
)
def test_commands_that_store_messages_refuse_the_collection(
    chatstore: Chatstore, database: Any, kind: str, command: list[str]
) -> None:
    database.create_collection("chat_messages", **KINDS[kind])
    write_journal(chatstore.folder / "j" / "s1.jsonl", [record(number) for number in range(20)])
    outcome = chatstore(*command, "-o", "json")
    assert (outcome.code, outcome.out) == (1, "")
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["kind"] == "unsuitable_collection"
    assert f"chat_messages is a {kind}: " in error["message"]
    assert contents(database) == {"chat_messages": 0}


@each_kind
@pytest.mark.parametrize("collection", ["chat_messages", "chat_sessions", "usage_events"])
@pytest.mark.parametrize("command", [["indexes", "apply"], ["ttl", "set", "--days", "3"]])
def test_commands_that_make_indexes_refuse_the_collection(
    chatstore: Chatstore, database: Any, kind: str, collection: str, command: list[str]
) -> None:
    if command[0] == "ttl" and collection == "usage_events":
        return  # it has no TTL index
    database.create_collection(collection, **KINDS[kind])
    outcome = chatstore(*command, "--yes")
    assert (outcome.code, outcome.out) == (1, "")
    assert f"{collection} is a {kind}: " in outcome.err
    assert contents(database) == {collection: 0}


@each_kind
def test_the_library_refuses_the_collection_and_keeps_the_messages(
    mongo_uri: str, database: Any, tmp_path: Path, kind: str
) -> None:
    database.create_collection("chat_messages", **KINDS[kind])
    message = Message("s1", "user", "hello", message_id="m1", created_at=datetime(2026, 3, 2, tzinfo=UTC))
    with MongoChatStorage(mongo_uri, database.name) as storage:
        for store in (storage.ensure_indexes, lambda: storage.insert_messages([message])):
            with pytest.raises(UnsuitableCollection, match=f"is a {kind}"):
                store()
    assert contents(database) == {"chat_messages": 0}


def test_the_worker_in_an_application_reports_the_collection_and_stores_once_it_is_replaced(
    mongo_uri: str, database: Any, tmp_path: Path
) -> None:
    from chatstore_cli import ChatPersistenceWorker

    database.create_collection("chat_messages", capped=True, size=4096)
    with MongoChatStorage(mongo_uri, database.name) as storage, LocalChatCache(disk_path=tmp_path / "j") as cache:
        worker = ChatPersistenceWorker(cache, storage, interval=0.01)
        worker.start()
        try:
            cache.record_chat_event("s1", "user", "hello")
            poll(lambda: "capped collection" in (worker.stats().last_error or ""))
            assert contents(database) == {"chat_messages": 0}
            database.drop_collection("chat_messages")
            poll(lambda: worker.stats().flushed == 1)
        finally:
            worker.stop()


# --- the collections of the workflow layout ---------------------------------------------------------------------------


def _save_event(manager: AG2Manager, _: Connection) -> None:
    manager.save_event(text("hello"), chat_id="c", enterprise_id="acme")


def _store_usage(_: AG2Manager, connection: Connection) -> None:
    MongoUsageLedger(connection, Settings()).insert({"r1": snapshot(1, 30)})


def _roll_up(_: AG2Manager, connection: Connection) -> None:
    list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())


def _split(_: AG2Manager, connection: Connection) -> None:
    MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("c")


WRITERS: dict[str, Callable[[AG2Manager, Connection], None]] = {
    "chat_sessions": _save_event,
    "chat_session_segments": _split,
    "usage_events": _store_usage,
    "usage_daily": _roll_up,
}


@each_kind
@pytest.mark.parametrize("collection", WRITERS)
def test_each_writer_of_the_workflow_layout_refuses_the_collection(
    connection: Connection, database: Any, kind: str, collection: str
) -> None:
    if collection != "chat_sessions":
        database.chat_sessions.insert_one({"chat_id": "c", "messages": [{"sequence": 1}, {"sequence": 2}]})
    database.create_collection(collection, **KINDS[kind])
    before = contents(database)
    with pytest.raises(UnsuitableCollection, match=f"{collection} is a {kind}"):
        WRITERS[collection](new_manager(connection), connection)
    assert contents(database) == before


def test_a_status_in_a_capped_collection_is_not_changed(chatstore: Chatstore, database: Any) -> None:
    database.create_collection("chat_sessions", capped=True, size=1 << 20)
    document = {"_id": 1, "chat_id": "c", "enterprise_id": "acme", "status": 0, "messages": []}
    database.chat_sessions.insert_one(document)
    outcome = chatstore("sessions", "fail", "c")
    assert outcome.code == 1
    assert "chat_sessions is a capped collection" in outcome.err
    assert database.chat_sessions.find_one() == document


@pytest.mark.parametrize("kind", ["time series collection", "view"])
def test_a_deletion_that_cannot_succeed_leaves_no_tombstone(chatstore: Chatstore, database: Any, kind: str) -> None:
    row = {"session_id": "s1", "role": "user", "text": "hello", "created_at": datetime(2026, 3, 2, tzinfo=UTC)}
    database.create_collection("chat_messages", **KINDS[kind])
    database["elsewhere" if kind == "view" else "chat_messages"].insert_one(row)
    outcome = chatstore("sessions", "delete", "s1", "--yes")
    assert outcome.code == 1
    assert f"chat_messages is a {kind}" in outcome.err
    assert TOMBSTONES not in database.list_collection_names()


def test_a_view_of_messages_is_read(chatstore: Chatstore, database: Any) -> None:
    database.elsewhere.insert_many([record(number, session=f"s{number % 2}") for number in range(5)])
    database.create_collection("chat_messages", viewOn="elsewhere", pipeline=[])
    listed = chatstore("sessions", "list", "-o", "json")
    assert listed.code == 0, listed.err
    found = [(row["session_id"], row["message_count"]) for row in json.loads(listed.out)["items"]]
    assert sorted(found) == [("s0", 3), ("s1", 2)]
    assert len(chatstore("resume", "s0").out.splitlines()) == 3
    refused = chatstore("sessions", "delete", "s0", "--yes")
    assert refused.code == 1 and "is a view" in refused.err


def test_the_messages_of_a_capped_collection_can_be_deleted(chatstore: Chatstore, database: Any) -> None:
    database.create_collection("chat_messages", capped=True, size=1 << 20)
    database.chat_messages.insert_one({"session_id": "s1", "role": "user", "text": "hello", "created_at": "2026-03-02"})
    assert chatstore("sessions", "delete", "s1", "--yes").code == 0
    assert database.chat_messages.count_documents({}) == 0


def test_a_validator_quarantines_what_it_rejects_as_before(
    connection: Connection, database: Any, tmp_path: Path
) -> None:
    database.create_collection("chat_messages", validator={"text": {"$ne": "message 1"}})
    journal = write_journal(tmp_path / "s1.jsonl", [record(number) for number in range(3)])
    result = flush(connection, journal, rules=StoringRules(), state=tmp_path / "state")
    assert (result.stored, result.quarantined) == (2, 1)


@each_kind
def test_no_index_is_asked_for_where_none_would_be_created(chatstore: Chatstore, database: Any, kind: str) -> None:
    database.create_collection("chat_messages", **KINDS[kind])
    checked = chatstore("indexes", "check", "--layout", "messages", "-o", "json")
    assert checked.code == 6
    assert [row["state"] for row in json.loads(checked.out)["items"] if row["state"] == "missing"] == []
    assert f"chat_messages is a {kind}: " in checked.err
    assert "indexes apply" not in checked.err
    assert chatstore("indexes", "apply", "--layout", "messages").code == 1
    rows = {row["name"]: row for row in json.loads(chatstore("verify", "-o", "json").out)["items"]}
    assert (rows["collections"]["status"], rows["indexes"]["status"]) == ("fail", "skip")
    assert rows["indexes"]["detail"].startswith("chat_messages not compared: see the check collections")


@pytest.mark.parametrize("action", ["complete", "fail", "pause", "unpause"])
def test_a_missing_session_to_change_names_the_documents_that_were_left_out(
    chatstore: Chatstore, database: Any, action: str
) -> None:
    database.chat_sessions.insert_many([{"session": "c", "expires": 1}, *map(own_session, range(3))])
    outcome = chatstore("sessions", action, "c", "-o", "json")
    assert outcome.code == 3
    suggestion = "Did you mean 'chat-2', 'chat-1' or 'chat-0'?"
    assert json.loads(outcome.err.splitlines()[-1])["error"]["hint"] == (
        f"{suggestion} chat_sessions holds 1 document that is not a session of layout workflow: _id, session, expires."
    )
    database.chat_sessions.delete_one({"session": "c"})
    outcome = chatstore("sessions", action, "c", "-o", "json")
    hint = f"{suggestion} The whole id is required. To list session ids, run: chatstore sessions list."
    assert (outcome.code, json.loads(outcome.err.splitlines()[-1])["error"]["hint"]) == (3, hint)


def own_session(number: int) -> dict[str, Any]:
    return {"chat_id": f"chat-{number}", "enterprise_id": "acme", "status": 0, "messages": []}
