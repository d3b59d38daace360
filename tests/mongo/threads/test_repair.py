"""What interrupted processes leave in the collections of threads: found, and removed or corrected, while others write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.threads import repair as core
from chatstore_cli.core.threads.repair import RepairResult, ThreadExamination, repair
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import Conflict, ForeignCollection, Overdue, UnsuitableCollection
from chatstore_cli.domain.threads.copies import LONGEST_COPY
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.domain.threads.repair import HighestSequence, ThreadFault, ThreadProblem
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.documents import message_document, thread_document, to_message
from chatstore_cli.mongo.threads.repair import MongoThreadRepairs
from chatstore_cli.mongo.threads.store import MongoThreadStore
from tests.support.at_command import AtCommand
from tests.support.mongod import Mongod

Documents = Database[dict[str, Any]]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
OLD = BEFORE - timedelta(milliseconds=1)


def thread(thread_id: str, last_sequence: Any = 0) -> dict[str, Any]:
    """A stored thread."""
    stored = thread_document(ChatThread(id=thread_id, user_id="u", org_id="o", name="n"), 0)
    return {**stored, "last_sequence": last_sequence}


def message(thread_id: Any, sequence: Any, instant: Any = OLD, **more: Any) -> dict[str, Any]:
    """A stored message."""
    fields: dict[str, Any] = {"sender_role": "user", "content": {"type": "text", "text": "hello"}}
    message = ChatMessage(id=f"{thread_id}-{sequence}", chat_thread_id=str(thread_id), **fields)
    times = {"created_at": instant, "updated_at": instant}
    return {**message_document(message), "chat_thread_id": thread_id, "sequence": sequence, **times, **more}


def store(database: Documents, *documents: dict[str, Any]) -> None:
    """Store threads and messages, with the index of the messages."""
    database["chat_thread_messages"].create_index([("chat_thread_id", 1), ("sequence", 1)], unique=True)
    for document in documents:
        collection = "chat_thread_messages" if "chat_thread_id" in document else "chat_threads"
        database[collection].insert_one(dict(document))


def faults(connection: Connection) -> tuple[list[ThreadFault], ThreadExamination]:
    """Everything that is found, and the examination."""
    examination = ThreadExamination(MongoThreadRepairs(connection, Settings()), BEFORE)
    return sorted(examination.faults(), key=lambda fault: fault.thread_id), examination


def left(database: Documents) -> list[str]:
    """The ids of the stored messages."""
    return sorted(str(each["_id"]) for each in database["chat_thread_messages"].find())


def test_messages_without_a_thread_are_removed_and_a_last_sequence_is_raised(
    any_connection: Connection, any_database: Documents
) -> None:
    store(
        any_database,
        thread("empty"), thread("good", 2), message("good", 1), message("good", 2),
        thread("after a deletion", 9), message("after a deletion", 3),
        message("gone", 1), message("gone", 2),
        thread("behind", 1), message("behind", 1), message("behind", 4, NOW),
        thread("text", "7"), message("text", 3),
    )  # fmt: skip
    found, examination = faults(any_connection)
    expected = [
        ThreadFault("behind", ThreadProblem.SEQUENCE_BEHIND, last_sequence=1, highest_sequence=4),
        ThreadFault("gone", ThreadProblem.NO_THREAD, messages=2),
        ThreadFault("text", ThreadProblem.SEQUENCE_BEHIND, last_sequence=0, highest_sequence=3),
    ]
    assert found == expected
    assert examination.is_complete
    assert (examination.examined, examination.recent_messages) == (6, 0)

    repairs = MongoThreadRepairs(any_connection, Settings())
    done = [repair(repairs, fault, BEFORE) for fault in found]
    assert done == [(RepairResult.CORRECTED, 0), (RepairResult.REMOVED, 2), (RepairResult.CORRECTED, 0)]
    assert faults(any_connection)[0] == []
    assert [repair(repairs, fault, BEFORE)[0] for fault in found] == [RepairResult.CHANGED] * 3
    assert not any(name.startswith("gone") for name in left(any_database))
    assert len(left(any_database)) == 6
    assert {each["_id"]: each["last_sequence"] for each in any_database["chat_threads"].find()} == {
        "empty": 0, "good": 2, "after a deletion": 9, "behind": 4, "text": 3,
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_compare_every_thread_once(
    any_connection: Connection, any_database: Documents, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads and messages are ordered byte by byte: é comes after z, and 𝄞 (of four bytes) after U+FFFD (of three)."""
    monkeypatch.setattr(core, "_THREADS_PER_PAGE", size)
    names = ["", "A", "a", "b", "z", "é", "\ufffd", "𝄞"]
    behind, missing = names[::2], names[1::2]
    store(any_database, *map(thread, behind), *(message(name, 1) for name in names))
    found, examination = faults(any_connection)
    assert [(each.thread_id, each.problem) for each in found] == [
        (name, ThreadProblem.SEQUENCE_BEHIND if name in behind else ThreadProblem.NO_THREAD) for name in sorted(names)
    ]
    assert examination.examined == len(names) == len(behind) + len(missing)


@pytest.mark.parametrize("field", ["created_at", "updated_at", "copied_at"])
def test_messages_are_left_alone_while_any_of_their_dates_is_younger_than_an_hour(
    any_connection: Connection, any_database: Documents, field: str
) -> None:
    store(any_database, message("gone", 1), message("gone", 2, **{field: BEFORE}), message("other", 1, copied_at=OLD))
    found, examination = faults(any_connection)
    assert [each.thread_id for each in found] == ["other"]
    assert (examination.recent_messages, examination.threads_of_recent) == (2, 1)
    repairs = MongoThreadRepairs(any_connection, Settings())
    assert repairs.remove_orphaned_messages("gone", BEFORE) == 0
    assert repairs.remove_orphaned_messages("gone", BEFORE + timedelta(milliseconds=1)) == 2


def test_a_message_without_a_date_is_never_removed(any_connection: Connection, any_database: Documents) -> None:
    store(any_database, message("text", 1, "2020-01-01T00:00:00Z"), message("none", 1, None))
    found, examination = faults(any_connection)
    assert found == []
    assert examination.threads_of_recent == 2


def test_other_ids_and_documents_of_another_product_are_left_alone(
    any_connection: Connection, any_database: Documents
) -> None:
    identity = ObjectId()
    store(
        any_database,
        {**thread("x"), "_id": identity, "last_sequence": 1}, message(str(identity), 1),
        message(7, 1), message(None, 1), {"_id": "ticket", "chat_thread_id": "gone", "sequence": 1, "title": "t"},
        {"_id": "another", "title": "t"}, message("another", 5), thread("a", 1), message("a", 1), message("text", "5"),
        thread("text", 1),
    )  # fmt: skip
    assert faults(any_connection)[0] == []
    assert len(left(any_database)) == 7


def test_a_message_that_is_added_meanwhile_is_no_fault(any_connection: Connection, any_database: Documents) -> None:
    store(any_database, thread("a", 1), message("a", 1))

    class Adding(MongoThreadRepairs):
        def highest_sequences(self, after: str | None, up_to: str | None) -> Any:
            if self.last_sequence("a") == 1:
                store(any_database, message("a", 2))
                any_database["chat_threads"].update_one({"_id": "a"}, {"$set": {"last_sequence": 2}})
                store(any_database, thread("b", 1), message("b", 1))
            return super().highest_sequences(after, up_to)

    examination = ThreadExamination(Adding(any_connection, Settings()), BEFORE)
    assert list(examination.faults()) == []


def test_without_the_index_or_in_a_collection_of_another_product_nothing_is_compared(
    any_connection: Connection, any_database: Documents
) -> None:
    repairs = MongoThreadRepairs(any_connection, Settings())
    assert not repairs.exist()
    repairs.require_comparable()
    messages = any_database["chat_thread_messages"]
    messages.insert_one(message("gone", 1))
    messages.create_index([("chat_thread_id", 1), ("sequence", 1)], name="not unique")
    assert repairs.exist()
    with pytest.raises(UnsuitableCollection, match="chat_thread_messages has no unique index"):
        repairs.require_comparable()
    messages.drop_index("not unique")
    messages.create_index([("chat_thread_id", 1), ("sequence", 1)], name="theirs", unique=True)
    repairs.require_comparable()
    messages.delete_many({})
    messages.insert_many({"subject": number, "sequence": number} for number in range(3))
    other = MongoThreadRepairs(
        Connection(any_connection.client, any_database, "", any_connection.in_memory), Settings()
    )
    for refused in (other.require_comparable, lambda: other.remove_orphaned_messages("gone", BEFORE)):
        with pytest.raises(ForeignCollection):
            refused()


@pytest.mark.real
def test_the_server_reads_one_index_key_for_each_thread_and_no_message(connection: Connection, database: Documents):
    store(database)
    threads = range(50)
    database["chat_thread_messages"].insert_many(
        [message(f"t-{each:03}", number) for each in threads for number in range(1, 21)]
    )
    database.command("profile", 2)
    rows = list(MongoThreadRepairs(connection, Settings()).highest_sequences("t-009", "t-019"))
    database.command("profile", 0)
    assert sorted(rows) == [HighestSequence(f"t-{each:03}", 20) for each in range(10, 20)]
    [plan] = database["system.profile"].find({"command.aggregate": "chat_thread_messages"})
    assert plan["docsExamined"] == 0
    assert plan["keysExamined"] <= 12
    assert plan["planSummary"].startswith("DISTINCT_SCAN")


@pytest.mark.real
def test_a_query_ends_at_its_time_limit(connection: Connection, database: Documents, fail_point: Callable[..., Any]):
    store(database, message("gone", 1))
    repairs = MongoThreadRepairs(connection, Settings(), seconds=1)
    with fail_point(["aggregate"], errorCode=50), pytest.raises(Overdue):
        list(repairs.highest_sequences(None, None))


@pytest.mark.real
def test_ids_are_compared_byte_by_byte_under_any_collation(connection: Connection, database: Documents) -> None:
    for name in ("chat_threads", "chat_thread_messages"):
        database.create_collection(name, collation={"locale": "en", "strength": 2})
    database["chat_thread_messages"].create_index(
        [("chat_thread_id", 1), ("sequence", 1)], unique=True, collation={"locale": "simple"}
    )
    for each in (thread("ann", 1), thread("B:1", 1)):
        database["chat_threads"].insert_one(each)
    ids = ["Ann", "ann", "b:1", "B:1", "\uff41nn"]
    for number, thread_id in enumerate(ids):
        database["chat_thread_messages"].insert_one({**message(thread_id, 2), "_id": number})
    repairs = MongoThreadRepairs(connection, Settings())
    repairs.require_comparable()
    found, _ = faults(connection)
    behind, no_thread = ThreadProblem.SEQUENCE_BEHIND, ThreadProblem.NO_THREAD
    assert {each.thread_id: (each.problem, each.messages) for each in found} == {
        "ann": (behind, 0), "B:1": (behind, 0), "Ann": (no_thread, 1), "b:1": (no_thread, 1), "\uff41nn": (no_thread, 1),
    }  # fmt: skip
    for fault in found:
        repair(repairs, fault, BEFORE)
    assert [ids[int(number)] for number in left(database)] == ["ann", "B:1"]
    assert faults(connection)[0] == []


# --- while others write ------------------------------------------------------------------------------------------------

IMPORTED = ChatThread(id="t", user_id="u", org_id="o", name="n", created_at=OLD, updated_at=OLD)


def import_again(connection: Connection) -> bool:
    """Import the thread whose first messages an interrupted import has stored. Returns whether it exists now."""
    messages = [to_message(message("t", number)) for number in range(1, 5)]
    try:
        MongoThreadStore(connection, Settings()).insert_whole_thread(IMPORTED, messages)
    except Conflict:
        return False
    return True


def remove(connection: Connection) -> None:
    """Remove the messages of the thread if it does not exist."""
    MongoThreadRepairs(connection, Settings()).remove_orphaned_messages("t", BEFORE)


@pytest.mark.real
@pytest.mark.parametrize("server", ["replica set", "standalone"])
@pytest.mark.parametrize(("first", "second"), [(remove, import_again), (import_again, remove)])
def test_an_import_that_is_repeated_while_messages_are_removed_loses_none(
    mongod: Mongod,
    standalone: Mongod,
    database: Documents,
    server: str,
    first: Callable[[Connection], Any],
    second: Callable[[Connection], Any],
) -> None:
    """One of the two happens between two commands of the other, before each of them in turn."""
    uri = (mongod if server == "replica set" else standalone).uri
    other = connect(uri, database.name, timeout_seconds=10)
    documents = other.database
    number, is_reached = 0, True
    while is_reached:
        number += 1
        for collection in ("chat_thread_messages", "chat_threads"):
            documents[collection].delete_many({})
        store(documents, *(message("t", each, copied_at=OLD) for each in range(1, 4)))
        results: list[Any] = []
        listener = AtCommand(number, lambda results=results: results.append(second(other)))
        results.append(first(connect(uri, database.name, timeout_seconds=10, listener=listener)))
        is_reached = listener.reached
        if True not in results:
            # The import has noticed that messages were removed, or the removal came after everything.
            assert documents["chat_threads"].count_documents({}) == 0
            assert import_again(other) or not is_reached
        if is_reached:
            assert left(documents) == ["t-1", "t-2", "t-3", "t-4"], listener.commands
            assert documents["chat_threads"].count_documents({}) == 1
    assert number > 4
    other.client.drop_database(database.name)


@pytest.mark.real
def test_a_fork_loses_no_message_to_a_repair_at_any_moment(
    mongod: Mongod, connection: Connection, database: Documents
) -> None:
    """Its messages have the dates of the original, and a date of their own at which they were copied."""
    store(database, thread("t", 3), *(message("t", each) for each in range(1, 4)))
    found: list[ThreadFault] = []

    def repair_all() -> None:
        before = datetime.now(UTC) - LONGEST_COPY
        repairs = MongoThreadRepairs(connection, Settings())
        for fault in ThreadExamination(repairs, before).faults():
            found.append(fault)
            repair(repairs, fault, before)

    number, is_reached = 0, True
    while is_reached:
        number += 1
        listener = AtCommand(number, repair_all)
        held = connect(mongod.uri, database.name, timeout_seconds=10, listener=listener)
        fork = StoredConversations(MongoThreadStore(held, Settings())).fork_thread("t")
        is_reached = listener.reached
        assert database["chat_thread_messages"].count_documents({"chat_thread_id": fork.id}) == 3
    assert found == []
    assert number > 4


@pytest.mark.real
def test_an_addition_on_a_standalone_server_is_corrected_at_any_moment(standalone: Mongod, database: Documents) -> None:
    """A repair between two commands of an addition never lowers a `last_sequence`, and removes nothing."""
    other = connect(standalone.uri, database.name, timeout_seconds=10)
    number, is_reached = 0, True

    def repair_all() -> None:
        repairs = MongoThreadRepairs(other, Settings())
        for fault in ThreadExamination(repairs, datetime.now(UTC)).faults():
            assert fault.problem is ThreadProblem.SEQUENCE_BEHIND
            repair(repairs, fault, datetime.now(UTC))

    store(other.database, thread("t"))
    while is_reached:
        number += 1
        listener = AtCommand(number, repair_all)
        held = MongoThreadStore(
            connect(standalone.uri, database.name, timeout_seconds=10, listener=listener), Settings()
        )
        added = held.add_messages("t", [to_message(message("t", number))], Owner())
        is_reached = listener.reached
        assert added is not None
        assert added[0].sequence == number
        assert other.database["chat_threads"].find_one({"last_sequence": number}) is not None
    assert number > 3
    assert len(left(other.database)) == number
    other.client.drop_database(database.name)
