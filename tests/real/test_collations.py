"""Ids are exact in collections whose default collation takes different texts for equal, on a real MongoDB.

Each test runs under `strength: 2`, which ignores case and width, and under the default strength 3, which still takes
composed and decomposed characters for equal, ignores invisible ones, and sorts ":" before digits.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli import Message, MongoChatStorage
from chatstore_cli.config.settings import Settings
from chatstore_cli.core.indexes import create_missing
from chatstore_cli.domain.errors import Conflict, UnsuitableCollection
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.usage_ledger import LedgerQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.index_specs import index_specs as chat_indexes
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.maintenance.expiry_dates import MongoDocumentDates
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.messages.feed import FlatChanges, FlatMessageChanges
from chatstore_cli.mongo.messages.layout import index_specs as message_indexes
from chatstore_cli.mongo.session_documents.feed import DocumentChanges, DocumentMessageChanges
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.threads.index_specs import index_specs as thread_indexes
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from chatstore_cli.mongo.watch.messages import MessageChanges, MongoMessageFeed
from chatstore_cli.mongo.watch.sessions import MongoSessionFeed
from chatstore_cli.mongo.workflow.index_specs import index_specs as session_indexes
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.conftest import Chatstore
from tests.support.ag2_events import new_manager, text
from tests.support.journals import flush, forget, record, write_journal
from tests.support.mongod import poll
from tests.support.usage_snapshots import snapshot

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]

STRENGTH_2 = {"locale": "en", "strength": 2}
STRENGTH_3 = {"locale": "en"}
COLLECTIONS = (
    "chat_messages",
    "chat_sessions",
    "chat_session_segments",
    "usage_events",
    "GeneralChatSessions",
    "general_chat_segments",
)

OBJECT_ID = ObjectId("65e1a0b2c3d4e5f601234567")
ALIKE = ["Ann", "ann", "\uff41nn", "Wabc", "WAbC", "cafe\u0301", "caf\u00e9", "ann\u00ad", "$ann", "a:1", "a1"]
"""Ids some of which each collation takes for equal: case, full width, composition, an ignorable character."""
STORED_IDS: list[Any] = [*ALIKE, 7, 7.5, OBJECT_ID, str(OBJECT_ID).upper()]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(params=[STRENGTH_2, STRENGTH_3], ids=["strength 2", "strength 3"])
def collated(request: pytest.FixtureRequest, database: Documents) -> Documents:
    """The test's database with collections of that default collation."""
    for name in COLLECTIONS:
        database.create_collection(name, collation=request.param)
    return database


@pytest.fixture(params=["strength 2, theirs", "strength 2, ours", "strength 3, none"])
def indexed(request: pytest.FixtureRequest, database: Documents, connection: Connection) -> Documents:
    """The same with indexes of the application, which have the collation, with those of chatstore, and with none."""
    strength, _, indexes = request.param.partition(", ")
    for name in COLLECTIONS:
        database.create_collection(name, collation=STRENGTH_2 if strength == "strength 2" else STRENGTH_3)
    if indexes == "theirs":
        database.chat_messages.create_index([("session_id", 1), ("created_at", -1)])
        database.chat_sessions.create_index("chat_id")
    if indexes == "ours":
        create_indexes(connection)
    return database


def create_indexes(connection: Connection) -> list[str]:
    specs = [*message_indexes("chat_messages"), *session_indexes("chat_sessions"), *chat_indexes("GeneralChatSessions")]
    dates = MongoDocumentDates(connection, seconds=5, sample=10)
    return list(create_missing(specs, MongoIndexStore(connection, connection), dates, NOON))


def row(session_id: Any, number: int = 0, **more: Any) -> dict[str, Any]:
    created_at = (NOON + timedelta(seconds=number)).isoformat()
    return {
        "session_id": session_id,
        "role": "user",
        "text": f"{session_id!r} {number}",
        "created_at": created_at,
        **more,
    }


def chat(session_id: Any, number: int = 0, **more: Any) -> dict[str, Any]:
    message = {"sender": "user", "role": "user", "content": f"{session_id!r}", "event_id": "E", "sequence": 1}
    return {
        "chat_id": session_id, "enterprise_id": "acme", "workflow_name": "Triage", "status": 0, "messages": [message],
        "updated_at": NOON + timedelta(seconds=number), "last_sequence": 1, **more,
    }  # fmt: skip


def as_text(stored_id: Any) -> str:
    return stored_id if isinstance(stored_id, str) else str(stored_id)


def reader(connection: Connection, layout: str) -> Any:
    return LAYOUTS[layout](connection, Settings())


# --- workflow and messages: find, read, delete ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["messages", "workflow", "general"])
def test_each_session_is_found_read_and_deleted_by_its_own_id(
    connection: Connection, indexed: Documents, layout: str
) -> None:
    if layout == "messages":
        indexed.chat_messages.insert_many(row(session, number) for session in STORED_IDS for number in range(3))
    else:
        indexed.chat_sessions.insert_many(chat(session) for session in STORED_IDS)
        indexed.GeneralChatSessions.insert_many(chat(session) for session in STORED_IDS)
    collection, count, field = {
        "messages": (indexed.chat_messages, 3, "session_id"),
        "workflow": (indexed.chat_sessions, 1, "chat_id"),
        "general": (indexed.GeneralChatSessions, 1, "chat_id"),
    }[layout]
    sessions = reader(connection, layout)
    remaining = Counter({as_text(each): count for each in STORED_IDS})
    for stored_id in STORED_IDS:
        session_id = as_text(stored_id)
        if isinstance(stored_id, float) and layout != "messages":  # there a double is not an id
            continue
        found = sessions.find(session_id)
        assert (found.session_id, found.message_count) == (session_id, count)
        contents = [message.content for message in sessions.messages(session_id, MessageSelection())]
        assert len(contents) == count
        assert all(content.startswith(repr(stored_id)) for content in contents)
        deleted = sum(part.documents for part in sessions.remove(session_id, NOON + timedelta(days=1)))
        assert deleted == count
        del remaining[session_id]
        assert Counter(as_text(each[field]) for each in collection.find()) == remaining
    assert sessions.find("ANN") is None


@pytest.mark.parametrize("session_id", ["ann", "ANN", "aNn\u00ad"])
def test_a_session_without_chat_id_is_found_only_by_its_own_id(
    connection: Connection, collated: Documents, session_id: str
) -> None:
    document = {**chat(None), "_id": "Ann"}
    del document["chat_id"]
    collated.chat_sessions.insert_one(document)
    sessions = reader(connection, "workflow")
    assert sessions.find(session_id) is None
    assert not any(part.documents for part in sessions.remove(session_id, NOON))
    assert sessions.find("Ann").message_count == 1
    manager = new_manager(connection)
    assert manager.save_event(text("more"), chat_id="Ann", enterprise_id="acme").sequence == 2
    assert sum(part.documents for part in sessions.remove("Ann", NOON)) == 1


def store_alike_threads(database: Documents) -> None:
    for number, name in enumerate(ALIKE):
        thread = {"_id": name, "user_id": name, "org_id": name, "name": name, "updated_at": NOON}
        database.chat_threads.insert_one(thread)
        usage = {"text": name, "metadata": {"usage": {"total_tokens": number + 1}}}
        message = {"chat_thread_id": name, "sender_role": "user", "content": usage}
        database.chat_thread_messages.insert_many({**message, "sequence": place} for place in range(2))


@pytest.mark.parametrize("are_ours", [False, True])
def test_threads_with_ids_that_a_collation_takes_for_equal_are_not_mixed(
    connection: Connection, database: Documents, are_ours: bool
) -> None:
    """The collation is that of the messages, and of fields: in `_id` it would reject such threads."""
    database.create_collection("chat_thread_messages", collation=STRENGTH_2)
    store_alike_threads(database)
    if are_ours:
        options = {"collation": {"locale": "simple"}}
        for spec in thread_indexes("chat_threads", "chat_thread_messages"):
            database[spec.collection].create_index(list(spec.keys), name=spec.name, unique=spec.unique, **options)
    threads = reader(connection, "threads")
    listed = list(threads.newest_first(SessionQuery(), None, 100))
    assert [(each.session_id, each.message_count) for each in listed] == [(name, 2) for name in sorted(ALIKE)[::-1]]
    tokens = {each.session_id: each.usage.total_tokens for each in threads.all_facts(SessionQuery())}
    assert tokens == {name: 2 * number + 2 for number, name in enumerate(ALIKE)}
    for number, name in enumerate(ALIKE):
        assert [each.user_id for each in threads.newest_first(SessionQuery(user_id=name), None, 9)] == [name]
        assert [each.content for each in threads.messages(name, MessageSelection(last=1))] == [name]
        assert threads.find(name).message_count == 2
        assert sum(part.documents for part in threads.remove(name, NOON + timedelta(days=1))) == 3
        assert database.chat_thread_messages.count_documents({}) == 2 * (len(ALIKE) - number - 1)


@pytest.mark.parametrize("session_id", ["ann", "ANN", "aNn\u00ad"])
def test_a_general_chat_is_found_only_by_its_own_id(
    connection: Connection, database: Documents, session_id: str
) -> None:
    """In `_id`, which is a chat's id, the collation would reject a second one that it takes for equal."""
    database.create_collection("GeneralChatSessions", collation=STRENGTH_2)
    for name in ("Ann", "bob"):
        fields = {"app_id": name, "user_id": name, "last_updated_at": NOON, "messages": []}
        database.GeneralChatSessions.insert_one({"_id": name, **fields})
    chats = reader(connection, "general")
    assert chats.find(session_id) is None
    assert not any(part.documents for part in chats.remove(session_id, NOON))
    assert list(chats.newest_first(SessionQuery(tenant_id=session_id), None, 9)) == []
    assert [each.session_id for each in chats.newest_first(SessionQuery(user_id="Ann"), None, 9)] == ["Ann"]
    assert sum(part.documents for part in chats.remove("Ann", NOON)) == 1


@pytest.mark.parametrize("session_id", ["ann", "ANN", "aNn\u00ad"])
def test_a_thread_in_a_collection_with_a_collation_is_found_only_by_its_own_id(
    connection: Connection, database: Documents, session_id: str
) -> None:
    database.create_collection("chat_threads", collation=STRENGTH_2)
    names = ["Ann", "bob", "Cy"]
    for name in names:
        thread = {"_id": name, "user_id": name, "org_id": "o", "name": name, "updated_at": NOON}
        database.chat_threads.insert_one(thread)
    threads = reader(connection, "threads")
    assert threads.find(session_id) is None
    assert not any(part.documents for part in threads.remove(session_id, NOON))
    assert list(threads.newest_first(SessionQuery(user_id=session_id), None, 9)) == []
    after, listed = None, []
    while page := list(threads.newest_first(SessionQuery(), after, 1)):
        listed += [each.session_id for each in page]
        after = SessionKey.of(page[-1])
    assert listed == ["bob", "Cy", "Ann"]


# --- listing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["messages", "workflow", "general"])
def test_pages_list_every_session_once_newest_first(connection: Connection, indexed: Documents, layout: str) -> None:
    for number, session in enumerate(ALIKE):
        indexed.chat_messages.insert_many([row(session, number), row(session, number - 60)])
        indexed.chat_sessions.insert_one(chat(session, number))
        indexed.GeneralChatSessions.insert_one(chat(session, number))
    sessions = reader(connection, layout)
    after, listed = None, []
    while page := list(sessions.newest_first(SessionQuery(), after, 3)):
        listed += page
        after = SessionKey.of(page[-1])
    assert [session.session_id for session in listed] == ALIKE[::-1]
    assert {session.message_count for session in listed} == {2 if layout == "messages" else 1}
    assert {session.session_id for session in sessions.all_facts(SessionQuery())} == set(ALIKE)


def test_filters_compare_tenants_byte_by_byte(connection: Connection, indexed: Documents) -> None:
    indexed.chat_sessions.insert_many(chat(tenant, enterprise_id=tenant) for tenant in ALIKE)
    for tenant in ALIKE:
        page = list(reader(connection, "workflow").newest_first(SessionQuery(tenant_id=tenant), None, 20))
        assert [session.session_id for session in page] == [tenant]


# --- flushing ---------------------------------------------------------------------------------------------------------


def test_a_flush_stores_each_message_once(connection: Connection, indexed: Documents, tmp_path: Path) -> None:
    """Every session has the same messages; another writer has stored one of a session that equals the others."""
    indexed.chat_messages.insert_one({**record(0, "ann"), "_id": "theirs"})
    sessions = [session for session in ALIKE if session != "$ann"]
    lines = [record(number, session) for number in range(3) for session in sessions]
    lines += [record(9, session, message_id=f"m-{session}") for session in sessions]
    journal = write_journal(tmp_path / "j" / "all.jsonl", lines)
    said: list[str] = []
    result = flush(connection, journal, said=said)
    assert (result.lines, result.stored, result.already_stored) == (len(lines), len(lines) - 1, 1)
    counts = Counter(each["session_id"] for each in indexed.chat_messages.find())
    assert counts == dict.fromkeys(sessions, 4)
    forget(journal.parent)
    result = flush(connection, journal)
    assert (result.stored, result.already_stored) == (0, len(lines))


def test_a_deletion_hides_only_its_own_session_from_a_flush(
    chatstore: Chatstore, collated: Documents, tmp_path: Path
) -> None:
    write_journal(chatstore.folder / "j" / "all.jsonl", [record(0, "Ann"), record(0, "ann")])
    assert chatstore("flush-cache", "j").code == 0
    deleted = chatstore("sessions", "delete", "Ann", "--yes")
    assert deleted.code == 0, deleted.err
    stored = json.loads(chatstore("flush-cache", "j", "--ignore-ledger", "-o", "json").out)
    assert (stored["already_stored"], stored["skipped"]) == (1, 1)
    assert [each["session_id"] for each in collated.chat_messages.find()] == ["ann"]


def test_the_command_says_so_once_and_a_new_process_needs_no_index(
    chatstore: Chatstore, collated: Documents, tmp_path: Path
) -> None:
    write_journal(chatstore.folder / "j" / "all.jsonl", [record(0, "Ann"), record(0, "ann")])
    outcome = chatstore("flush-cache", "j")
    assert outcome.code == 0
    assert outcome.err.count("chat_messages has the collation en") == 1
    write_journal(chatstore.folder / "j" / "more.jsonl", [record(1, "Ann")])
    worked = chatstore("worker", "--once", "j")
    assert (worked.code, worked.err.count("has the collation en")) == (0, 1)


def test_the_library_stores_and_reads_each_session_by_itself(mongo_uri: str, collated: Documents) -> None:
    messages = [Message(session, "user", session, message_id="m", created_at=NOON) for session in ALIKE]
    with MongoChatStorage(mongo_uri, collated.name) as storage:
        assert storage.insert_messages(messages).stored == len(ALIKE)
        assert storage.insert_messages(messages).already_stored == len(ALIKE)
        for session in ALIKE:
            assert [message.content for message in storage.history(session)] == [session]
            assert len(storage.newest_stored(session, 5, None)) == 1


# --- agents -----------------------------------------------------------------------------------------------------------


def test_events_go_to_the_session_of_their_id(connection: Connection, collated: Documents) -> None:
    manager = new_manager(connection)
    for session in ALIKE:
        for event_id in ("E1", "e1", "E1"):
            manager.save_event(text(session, uuid=event_id), chat_id=session, enterprise_id="acme")
    for session in ALIKE:
        [document] = [each for each in collated.chat_sessions.find() if each["chat_id"] == session]
        assert [(each["event_id"], each["content"]) for each in document["messages"]] == [
            ("E1", session),
            ("e1", session),
        ]


def test_event_ids_are_exact_in_a_document_that_only_its_text_id_finds(
    connection: Connection, collated: Documents
) -> None:
    document = {**chat(None), "_id": "Ann", "messages": [], "last_sequence": 0}
    del document["chat_id"]
    collated.chat_sessions.insert_one(document)
    collated.chat_sessions.insert_many(chat(f"other {number}") for number in range(20))
    manager = new_manager(connection)
    saved = [
        str(manager.save_event(text("hello", uuid=event_id), chat_id="Ann", enterprise_id="acme").saved_as)
        for event_id in ("E1", "e1", "\uff45\uff11", "E1", "e1")
    ]
    assert saved == ["message", "message", "message", "duplicate", "duplicate"]


def test_an_id_that_a_unique_index_takes_for_another_is_a_conflict_in_words(
    connection: Connection, database: Documents
) -> None:
    database.create_collection("chat_sessions", collation=STRENGTH_2)
    database.chat_sessions.create_index("chat_id", unique=True)
    manager = new_manager(connection)
    manager.save_event(text("hello"), chat_id="Ann", enterprise_id="acme")
    with pytest.raises(Conflict, match=r"cannot hold chat_id 'ann': its collation \(en, strength 2\).*'Ann'"):
        manager.save_event(text("hello"), chat_id="ann", enterprise_id="acme")
    database.chat_sessions.drop_indexes()
    create_indexes(connection)
    manager.save_event(text("hello"), chat_id="ann", enterprise_id="acme")
    assert database.chat_sessions.count_documents({}) == 2


@pytest.mark.parametrize("command", ["fail", "complete", "pause"])
def test_a_status_changes_for_one_session(chatstore: Chatstore, collated: Documents, command: str) -> None:
    collated.chat_sessions.insert_many([chat("WAbC"), chat("Wabc"), chat("wabc")])
    assert chatstore("sessions", command, "Wabc").code == 0
    changed = [each["chat_id"] for each in collated.chat_sessions.find() if each["status"] or each.get("paused")]
    assert changed == ["Wabc"]


def test_segments_belong_to_the_session_of_their_id(connection: Connection, indexed: Documents) -> None:
    messages = [{"content": f"{number}", "event_id": f"E{number}", "sequence": number} for number in range(1, 7)]
    indexed.chat_sessions.insert_many(
        chat(name, messages=messages, last_sequence=6) for name in ("Ann", "ann", "a:1", "b")
    )
    store = MongoSegmentStore(WORKFLOW, connection, Settings())
    for name in ("Ann", "a:1", "b"):
        assert store.move_oldest(name, keep_messages=2) is not None
    sessions = reader(connection, "workflow")
    manager = new_manager(connection)
    for name in ("Ann", "a:1", "b", "ann"):
        assert sessions.find(name).message_count == 6
        contents = [message.content for message in sessions.messages(name, MessageSelection())]
        assert contents == [f"{number}" for number in range(1, 7)]
        assert str(manager.save_event(text("x", uuid="E1"), chat_id=name, enterprise_id="acme").saved_as) == "duplicate"
        assert str(manager.save_event(text("x", uuid="e1"), chat_id=name, enterprise_id="acme").saved_as) == "message"
    sessions.remove("Ann", NOON)
    assert sessions.find("ann").message_count == 7
    assert {each["chat_id"] for each in indexed.chat_session_segments.find()} == {"a:1", "b"}


def test_segments_that_the_collation_takes_for_one_are_a_conflict_in_words(
    connection: Connection, database: Documents
) -> None:
    database.create_collection("chat_session_segments", collation=STRENGTH_2)
    messages = [{"content": f"{number}", "sequence": number} for number in range(1, 4)]
    database.chat_sessions.insert_many(chat(name, messages=messages) for name in ("Ann", "ann"))
    store = MongoSegmentStore(WORKFLOW, connection, Settings())
    assert store.move_oldest("Ann") is not None
    with pytest.raises(Conflict, match="cannot hold _id 'ann:1'"):
        store.move_oldest("ann")
    assert reader(connection, "workflow").find("ann").message_count == 3


# --- usage ------------------------------------------------------------------------------------------------------------


def test_usage_is_counted_for_the_session_of_its_id(connection: Connection, collated: Documents) -> None:
    ledger = MongoUsageLedger(connection, Settings())
    for number, session in enumerate(ALIKE, 1):
        ledger.insert({f"r{number}": snapshot(number, 10 * number, chat_id=session, agent=session)})
    for number, session in enumerate(ALIKE, 1):
        assert ledger.sums(session).total_tokens == 10 * number
        assert [each.snapshot.total_tokens for each in ledger.rows(session)] == [10 * number]
        assert ledger.has_reports(session, 1)
    assert {session for session, _ in ledger.chats()} == set(ALIKE)
    assert not ledger.has_reports("ANN", 1)
    sums = MongoUsageSums(connection, "usage_events", "usage_daily")
    list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())
    for query in (
        LedgerQuery(("session_id",)),
        LedgerQuery(("agent",)),
        LedgerQuery(("agent",), since=NOON - timedelta(days=9)),
    ):
        groups = {group.group[0]: group.usage.total_tokens for group in sums.groups(query)}
        assert groups == {session: 10 * number for number, session in enumerate(ALIKE, 1)}
    assert sums.chats_with_usage(["ann", "ANN"], "workflow") == {"ann"}


def test_daily_sums_are_not_stored_where_two_sessions_would_share_a_document(
    connection: Connection, database: Documents
) -> None:
    database.create_collection("usage_daily", collation=STRENGTH_2)
    MongoUsageLedger(connection, Settings()).insert({"r": snapshot(1, 10)})
    with pytest.raises(UnsuitableCollection, match="usage_daily has the collation"):
        list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())


# --- watching ---------------------------------------------------------------------------------------------------------


def test_changes_are_reported_for_the_session_of_their_id(connection: Connection, collated: Documents) -> None:
    feed = MongoSessionFeed(
        connection, [FlatChanges(connection, Settings()), DocumentChanges(WORKFLOW, connection, Settings())]
    )
    assert feed.open()
    for number, session in enumerate(ALIKE, 1):
        collated.chat_messages.insert_many(row(session, each) for each in range(number))
        collated.chat_sessions.insert_one(chat(session, messages=[{"content": "x"}] * number))
        collated.chat_sessions.update_one(
            {"_id": {"$type": "objectId"}, "status": 0, "chat_id": session}, {"$set": {"title": "t"}}
        )
    counts: dict[tuple[str, str], int] = {}

    def read() -> bool:
        for event in feed.read().events:
            changed = event.change.session
            counts[changed.layout, changed.session_id] = changed.message_count
        return len(counts) == 2 * len(ALIKE)

    poll(read)
    feed.close()
    expected = {session: number for number, session in enumerate(ALIKE, 1)}
    assert counts == {
        (layout, session): count for layout in ("messages", "workflow") for session, count in expected.items()
    }


@pytest.mark.parametrize("layout", ["messages", "workflow"])
def test_one_session_is_watched_by_its_own_id(connection: Connection, collated: Documents, layout: str) -> None:
    sessions = ["Ann", "ann", "\uff41nn", "ann\u00ad"]
    collated.chat_sessions.insert_many(chat(session) for session in sessions)
    changes: MessageChanges = (
        FlatMessageChanges(Settings(), "ann")
        if layout == "messages"
        else DocumentMessageChanges(WORKFLOW, connection, Settings(), "ann")
    )
    feed = MongoMessageFeed(connection, changes, "ann")
    assert feed.open()
    for session in sessions:
        if layout == "messages":
            collated.chat_messages.insert_one(row(session))
        else:
            found = next(each for each in collated.chat_sessions.find() if each["chat_id"] == session)
            pushed = {"messages": {"content": repr(session)}}
            collated.chat_sessions.update_one({"_id": found["_id"]}, {"$push": pushed})
    collated.chat_messages.insert_one(row("ann", text="last"))
    contents: list[Any] = []

    def read() -> bool:
        contents.extend(event.message.content for event in feed.read().events if event.message is not None)
        return len(contents) >= (2 if layout == "messages" else 1)

    poll(read)
    feed.close()
    assert contents == (["'ann' 0", "last"] if layout == "messages" else ["'ann'"])


# --- indexes and verify -----------------------------------------------------------------------------------------------


def test_an_index_of_the_collation_is_reported_and_one_of_bytes_is_made_beside_it(
    chatstore: Chatstore, collated: Documents
) -> None:
    collated.chat_messages.create_index([("session_id", 1), ("created_at", -1)], name="theirs")
    collated.chat_messages.create_index("expires_at", name="ttl", expireAfterSeconds=0)
    checked = chatstore("indexes", "check", "--layout", "messages", "-o", "json")
    found = {item["name"]: item for item in json.loads(checked.out)["items"]}
    assert checked.code == 6
    assert (found["theirs"]["state"], found["ttl"]["state"]) == ("drifted", "ok")
    assert "its collation is en, strength" in found["theirs"]["detail"]
    applied = chatstore("indexes", "apply", "--layout", "messages")
    assert applied.code == 0
    indexes = collated.chat_messages.index_information()
    assert set(indexes) == {"_id_", "theirs", "ttl", "session_ts_idx", "recent_idx"}
    assert "collation" not in indexes["session_ts_idx"]
    assert chatstore("indexes", "check", "--layout", "messages").code == 0


def test_verify_names_the_collation_and_its_cost(chatstore: Chatstore, collated: Documents) -> None:
    outcome = chatstore("verify", "--only", "connection,collections", "-o", "json")
    [check] = [item for item in json.loads(outcome.out)["items"] if item["name"] == "collections"]
    assert check["status"] == "warn"
    assert "chat_messages (en, strength" in check["detail"]
    assert "indexes apply" in check["hint"]


def winning_stages(connection: Connection, collection: str, condition: dict[str, Any]) -> tuple[set[str], int]:
    exact = connection.collection(collection)
    selected, option = exact.exactly(condition)
    explained = connection.database.command({"explain": {"find": collection, "filter": selected, **option}})
    text_of_plan = json.dumps(explained["queryPlanner"]["winningPlan"], default=str)
    stages = {stage for stage in ("COLLSCAN", "IXSCAN") if stage in text_of_plan}
    return stages, explained["executionStats"]["totalDocsExamined"]


@pytest.mark.parametrize("field", ["_id", "session_id", "chat_id"])
@pytest.mark.parametrize("has_simple_index", [False, True])
def test_a_look_up_is_served_by_whichever_index_there_is(
    connection: Connection, database: Documents, field: str, has_simple_index: bool
) -> None:
    database.create_collection("c", collation=STRENGTH_2)
    if field != "_id":
        database.c.create_index(field, collation={"locale": "simple"} if has_simple_index else STRENGTH_2)
    database.c.insert_many({field: f"id {number}"} for number in range(50))
    assert winning_stages(connection, "c", {field: "id 7"}) == ({"IXSCAN"}, 1)


# --- without a collation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collation", [None, {"locale": "simple"}])
def test_without_a_collation_no_command_changes(mongo_uri: str, database: Documents, collation: Any) -> None:
    from pymongo import monitoring

    from chatstore_cli.mongo.connection import connect

    class Recorder(monitoring.CommandListener):
        def __init__(self) -> None:
            self.commands: list[dict[str, Any]] = []

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            hidden = ("lsid", "$clusterTime", "txnNumber", "$db")
            self.commands.append({name: value for name, value in event.command.items() if name not in hidden})

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
            """Not needed."""

        def failed(self, event: monitoring.CommandFailedEvent) -> None:
            """Not needed."""

    database.create_collection("c", **({"collation": collation} if collation else {}))
    recorder = Recorder()
    connection = connect(mongo_uri, database.name, timeout_seconds=10, listener=recorder)

    def use(collection: Any) -> list[dict[str, Any]]:
        del recorder.commands[:]
        one = {"_id": "Ann", "session_id": {"$in": ["Ann", 7]}, "e": {"$ne": "x"}}
        list(collection.find({"session_id": "ann"}, {"_id": 1}).sort("created_at", -1))
        collection.find_one(one)
        list(collection.aggregate([{"$match": one}, {"$limit": 1}]))
        list(collection.aggregate([{"$match": one}, {"$group": {"_id": "$session_id"}}]))
        collection.distinct("session_id", one)
        collection.count_documents(one)
        collection.update_one(one, {"$set": {"a": 1}})
        collection.update_one({"_id": "up"}, {"$set": {"a": 1}}, upsert=True)
        collection.update_many(one, {"$set": {"a": 1}})
        collection.delete_one(one)
        collection.delete_many(one)
        return [command for command in recorder.commands if "listCollections" not in command]

    assert use(connection.collection("c")) == use(connection.database["c"])
