"""`chatstore sessions watch` on a replica set: each change once, across every fault of the server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.watch.messages import INITIALLY_KNOWN
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll, start_replica_set
from tests.support.watch_processes import Watcher, watching

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
FailPoint = Callable[..., AbstractContextManager[None]]


def now() -> datetime:
    """The present time in milliseconds, as MongoDB stores it."""
    instant = datetime.now(UTC)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def session(chat_id: str, **more: Any) -> dict[str, Any]:
    """A workflow session of tenant acme, running, without messages."""
    return {
        "chat_id": chat_id, "enterprise_id": "acme", "user_id": "ada", "workflow_name": "Triage", "status": 0,
        "created_at": now(), "updated_at": now(), "messages": [], **more,
    }  # fmt: skip


def message(number: int, **more: Any) -> dict[str, Any]:
    return {
        "sender": "user", "role": "user", "content": f"turn {number}", "timestamp": now(), "event_id": f"e-{number}",
        "sequence": number, **more,
    }  # fmt: skip


def push(database: Documents, chat_id: str, *messages: dict[str, Any]) -> None:
    change = {"$push": {"messages": {"$each": list(messages)}}, "$set": {"updated_at": now()}}
    assert database["chat_sessions"].update_one({"chat_id": chat_id}, change).matched_count == 1


def flat(session_id: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "session_id": session_id, "role": "user", "text": f"turn {number}",
        "created_at": datetime.now(UTC).isoformat(timespec="microseconds"), **more,
    }  # fmt: skip


# --- sessions --------------------------------------------------------------------------------------------------------


def test_new_changed_and_deleted_sessions_of_both_layouts_are_a_row_each(chatstore: Chatstore, database: Documents):
    begun = now()
    database["chat_sessions"].insert_one(session("before"))
    with watching(chatstore) as watcher:
        database["chat_sessions"].insert_one(session("a"))
        watcher.wait_for_rows(1)
        push(database, "a", message(0))
        watcher.wait_for_rows(2)
        database["chat_messages"].insert_one(flat("f", 0))
        database["chat_messages"].insert_one(flat("f", 1))
        push(database, "before", message(0))
        rows = watcher.wait_for_rows(5)
        database["chat_sessions"].delete_one({"chat_id": "a"})
        watcher.wait_for_rows(6)
        part = {"layout": "messages", "session_id": "f", "part": "of a long tombstone"}
        database["chatstore_tombstones"].insert_one({"_id": part, "row_ids": []})
        assert chatstore("sessions", "delete", "f", "--yes").code == 0
        deleted = watcher.wait_for_rows(7)[5:]
        database["chat_messages"].insert_one(flat("f", 2))
        watcher.wait_for_rows(8)
        assert watcher.end() == 0
    assert watcher.changes == [
        ("a", "new"), ("a", "changed"), ("f", "new"), ("f", "changed"), ("before", "changed"), ("a", "deleted"),
        ("f", "deleted"), ("f", "new"),
    ]  # fmt: skip
    listed = json.loads(chatstore("sessions", "list", "--layout", "workflow", "-o", "json").out)["items"]
    assert [list(row) for row in rows] == [[*listed[0], "change", "changed_at", "only_document_id"]] * 5
    assert {key: rows[4][key] for key in listed[0]} == listed[0]
    assert deleted[0]["message_count"] == 1
    assert begun <= datetime.fromisoformat(rows[0]["changed_at"]) <= datetime.now(UTC)


def test_a_session_that_was_never_shown_is_deleted_under_the_id_of_its_document(
    chatstore: Chatstore, database: Documents
):
    identity = ObjectId()
    database["chat_sessions"].insert_many([session("a", _id=identity), session("b", _id="b")])
    with watching(chatstore) as watcher:
        database["chat_sessions"].delete_many({})
        watcher.wait_for_rows(2)
        watcher.wait_for_notice("only the _id of its document is known")
    assert sorted(watcher.changes) == sorted([(str(identity), "deleted"), ("b", "deleted")])
    assert [row["only_document_id"] for row in watcher.rows] == [True, True]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--tenant", "acme"], ["a", "b", "end"]),
        (["--user", "eve"], ["b", "end"]),
        (["--workflow", "Mail"], ["c", "end"]),
        (["--status", "failed"], ["a", "end"]),
        (["--layout", "messages"], ["f", "end"]),
        (["--layout", "workflow"], ["a", "b", "c", "a", "end"]),
    ],
)
def test_filters_select_sessions(chatstore: Chatstore, database: Documents, filters: list[str], expected: list[str]):
    with watching(chatstore, *filters) as watcher:
        everything = {"user_id": "eve", "workflow_name": "Mail", "status": -1}
        database["chat_sessions"].insert_many([session("a"), session("b", user_id="eve")])
        database["chat_sessions"].insert_one(session("c", enterprise_id="other", workflow_name="Mail"))
        database["chat_messages"].insert_one(flat("f", 0))
        database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": -1, "enterprise_id": "past"}})
        database["chat_sessions"].insert_one(session("end", **everything))
        database["chat_messages"].insert_one(flat("end", 0))
        poll(lambda: "end" in [name for name, _ in watcher.changes])
        names = [name for name, _ in watcher.changes]
    if filters == ["--tenant", "acme"]:
        names = [name for name in names if name != "a"]  # a row has the facts of the moment when it was read
        expected = expected[1:]
    if filters == ["--status", "failed"]:
        names = list(dict.fromkeys(names))  # for that reason `a` may already be new as a failed session
    assert names == expected
    left_out = "The layout messages has no" in watcher.err
    assert left_out is (filters[0] not in {"--layout"})


def test_a_change_of_fields_that_no_row_shows_gives_no_row(
    chatstore: Chatstore, database: Documents, connection: Connection
):
    database["chat_sessions"].insert_one(session("a", messages=[message(number) for number in range(6)]))
    with watching(chatstore) as watcher, watching(chatstore, "a") as messages:
        database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"expected_echo": {"run": 2}}})
        move(connection, "a", keep=2)
        push(database, "a", message(6))
        watcher.wait_for_rows(1)
        move(connection, "a", keep=1)
        push(database, "a", message(7))
        watcher.wait_for_rows(2)
        messages.wait_for_rows(2)
        assert [row["message_count"] for row in watcher.rows][-1] == 8
        assert messages.contents == ["turn 6", "turn 7"]
    assert watcher.changes == [("a", "changed"), ("a", "changed")]


def move(connection: Connection, chat_id: str, *, keep: int) -> None:
    """Move the oldest messages into a segment."""
    moved = MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest(chat_id, keep_messages=keep)
    assert moved is not None


def test_changes_that_come_faster_than_they_are_read_share_a_row(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_many([session("a"), session("b")])
    with watching(chatstore) as watcher:
        watcher.process.send_signal(signal.SIGSTOP)
        for status in (1, 0, -1):
            database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": status}})
        database["chat_sessions"].update_one({"chat_id": "b"}, {"$set": {"status": 1}})
        watcher.process.send_signal(signal.SIGCONT)
        database["chat_sessions"].insert_one(session("end"))
        poll(lambda: ("end", "new") in watcher.changes)
    rows = [(row["session_id"], row["status"]) for row in watcher.rows]
    assert rows == [("a", "failed"), ("b", "completed"), ("end", "running")]


def test_messages_that_two_reads_returned_are_not_shown_again_by_the_feed(
    chatstore: Chatstore, database: Documents, connection: Connection, fail_point: FailPoint
):
    database["chat_sessions"].insert_one(session("a", messages=[{"content": number} for number in range(5)]))
    with watching(chatstore, "a") as watcher:
        watcher.process.send_signal(signal.SIGSTOP)
        move(connection, "a", keep=3)
        move(connection, "a", keep=1)
        push(database, "a", {"content": "first"})
        with fail_point(["ping"], blockConnection=True, blockTimeMS=500, appName="chatstore"):
            watcher.process.send_signal(signal.SIGCONT)
            watcher.wait_for_rows(
                1
            )  # read after the first move; the read ends with a ping, and the second move is next
            push(database, "a", {"content": "second"})
            watcher.wait_for_rows(2)
        push(database, "a", {"content": "end"})
        poll(lambda: "end" in watcher.contents)
    assert watcher.contents == ["first", "second", "end"]


def test_since_starts_with_earlier_changes_without_a_gap_and_without_duplicates(
    chatstore: Chatstore, database: Documents
):
    database["chat_sessions"].insert_one(session("old", updated_at=now() - timedelta(days=2)))
    written: list[str] = []
    stop = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not stop.is_set():
            name = f"s-{writer}-{number}"
            if writer:
                database["chat_sessions"].insert_one(session(name))
            else:
                database["chat_messages"].insert_one(flat(name, 0))
            written.append(name)
            number += 1

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    try:
        poll(lambda: len(written) > 200)
        with watching(chatstore, "--since", "1h") as watcher:
            poll(lambda: len(written) > 1_500)
            stop.set()
            for thread in threads:
                thread.join()
            watcher.wait_for_rows(len(written))
            assert watcher.end() == 0
    finally:
        stop.set()
    assert Counter(watcher.changes) == Counter((name, "new") for name in written)


def test_updates_during_the_start_are_shown(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a"))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            push(database, "a", message(number))
            number += 1
            stop.wait(0.002)
        push(database, "a", message(10_000))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with watching(chatstore, "--since", "1h") as watcher:
            watcher.wait_for_rows(30)
            stop.set()
            thread.join()
            total = len((database["chat_sessions"].find_one({"chat_id": "a"}) or {})["messages"])
            poll(lambda: watcher.rows[-1]["message_count"] == total)
    finally:
        stop.set()
    instants = [row["changed_at"] for row in watcher.rows]
    assert len(set(instants[1:])) == len(instants) - 1


def test_a_document_near_the_size_limit_is_shown_without_its_messages(chatstore: Chatstore, database: Documents):
    large = [message(number, content="x" * 1_000_000) for number in range(9)]
    with watching(chatstore) as watcher:
        database["chat_sessions"].insert_one(session("large", messages=large))
        for number in range(4):
            push(database, "large", message(20 + number, content="y" * 100_000))
        database["chat_sessions"].update_one(
            {"chat_id": "large"}, [{"$set": {"messages": {"$slice": ["$messages", -9]}}}]
        )
        database["chat_sessions"].update_one(
            {"chat_id": "large"}, [{"$set": {"messages": {"$reverseArray": "$messages"}, "status": 1}}]
        )
        poll(lambda: watcher.rows and watcher.rows[-1]["status"] == "completed")
    assert watcher.changes == [("large", "new"), *[("large", "changed")] * (len(watcher.rows) - 1)]
    assert 2 <= len(watcher.rows) <= 7 and watcher.rows[-1]["message_count"] == 9


# --- messages --------------------------------------------------------------------------------------------------------


def test_messages_of_a_workflow_session_are_the_rows_of_sessions_show(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a", messages=[message(0)]))
    with watching(chatstore, "a") as watcher:
        push(database, "a", message(1, content=[{"text": "\x1b[2J"}], tool_calls=[{"id": "t"}], metadata={"$a.b": 1}))
        push(database, "a", message(2), message(3))
        database["chat_sessions"].insert_one(session("other", messages=[message(9)]))
        watcher.wait_for_rows(3)
        assert watcher.end(signal.SIGINT) == 0
    shown = json.loads(chatstore("sessions", "show", "a", "--first", "0", "--last", "3", "-o", "json").out)
    assert watcher.rows == shown["last_messages"]
    assert "\x1b" not in watcher.out


def test_a_session_whose_id_is_that_of_its_document_is_watched_too(chatstore: Chatstore, database: Documents):
    variant = session("", _id="c-1", app_id="acme", last_updated_at=now())
    for field in ("chat_id", "enterprise_id", "updated_at"):
        del variant[field]
    database["chat_sessions"].insert_one(variant)
    with watching(chatstore, "c-1") as watcher, watching(chatstore, "--tenant", "acme") as sessions:
        change = {"$push": {"messages": message(0)}, "$set": {"last_updated_at": now()}}
        database["chat_sessions"].update_one({"_id": "c-1"}, change)
        watcher.wait_for_rows(1)
        sessions.wait_for_rows(1)
    assert sessions.changes == [("c-1", "changed")]


def test_messages_of_a_flat_session_come_in_the_order_they_are_stored(chatstore: Chatstore, database: Documents):
    database["chat_messages"].insert_one(flat("f", 0))
    with watching(chatstore, "f") as watcher:
        same = datetime.now(UTC).isoformat()
        database["chat_messages"].insert_many([flat("f", number, created_at=same) for number in range(1, 4)])
        database["chat_messages"].insert_one(flat("f", 4, created_at="2020-01-01T00:00:00+00:00"))
        database["chat_messages"].insert_one(flat("g", 5))
        database["chat_messages"].update_one({"session_id": "f"}, {"$set": {"vector_ids": [1]}})
        database["chat_messages"].insert_one(flat("f", 6))
        watcher.wait_for_rows(5)
        assert chatstore("sessions", "delete", "f", "--yes").code == 0
        watcher.wait_for_notice("Session 'f' was deleted.")
        database["chat_messages"].insert_one(flat("f", 7))
        watcher.wait_for_rows(6)
    assert watcher.contents == [f"turn {number}" for number in (1, 2, 3, 4, 6, 7)]


def test_since_shows_earlier_messages_and_those_that_follow(chatstore: Chatstore, database: Documents):
    hour = timedelta(hours=1)
    early = [message(number, timestamp=now() - (9 - number) * hour) for number in range(9)]
    database["chat_sessions"].insert_one(session("a", messages=early))
    database["chat_messages"].insert_many(
        [flat("f", number, created_at=(now() - (9 - number) * hour).isoformat()) for number in range(9)]
    )
    with watching(chatstore, "a", "--since", "150m") as watcher, watching(chatstore, "f", "--since", "150m") as other:
        push(database, "a", message(9))
        database["chat_messages"].insert_one(flat("f", 9))
        watcher.wait_for_rows(3)
        other.wait_for_rows(3)
    assert watcher.contents == other.contents == ["turn 7", "turn 8", "turn 9"]


def test_a_rewritten_array_gives_only_its_new_messages(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a", messages=[message(number) for number in range(3)]))
    sessions = database["chat_sessions"]
    with watching(chatstore, "a") as watcher:
        sessions.update_one({"chat_id": "a"}, {"$set": {"messages": [message(number) for number in range(5)]}})
        sessions.update_one({"chat_id": "a"}, {"$push": {"messages": {"$each": [message(5)], "$position": 0}}})
        front = {"$concatArrays": [[message(6)], "$messages"]}
        sessions.update_one({"chat_id": "a"}, [{"$set": {"messages": front}}])
        sessions.update_one({"chat_id": "a"}, {"$pull": {"messages": {"event_id": "e-1"}}})
        sessions.update_one({"chat_id": "a"}, {"$set": {"messages.0.content": "turn 6"}})
        push(database, "a", message(7))
        stored = sessions.find_one({"chat_id": "a"})
        assert stored is not None
        sessions.replace_one({"chat_id": "a"}, {**stored, "messages": [*stored["messages"], message(8)]})
        push(database, "a", message(9))
        watcher.wait_for_rows(7)
        push(database, "a", message(10))
        watcher.wait_for_rows(8)
    assert Counter(watcher.contents) == Counter(f"turn {number}" for number in range(3, 11))


def test_the_beginning_of_a_shifted_long_array_is_not_shown_as_new(chatstore: Chatstore, database: Documents):
    sessions = database["chat_sessions"]
    sessions.insert_one(session("a", messages=[message(number) for number in range(INITIALLY_KNOWN + 300)]))
    with watching(chatstore, "a") as watcher:
        in_front = {"$concatArrays": [[message(2_000)], "$messages"]}
        sessions.update_one({"chat_id": "a"}, [{"$set": {"messages": in_front}}])
        sessions.update_one({"chat_id": "a"}, {"$pull": {"messages": {"event_id": "e-3"}}})
        push(database, "a", message(2_001))
        sessions.update_one({"chat_id": "a"}, {"$pop": {"messages": -1}})
        push(database, "a", message(2_002))
        watcher.wait_for_rows(2)
        poll(lambda: "turn 2002" in watcher.contents)
    assert [content for content in watcher.contents if content != "turn 2000"] == ["turn 2001", "turn 2002"]


def test_a_session_that_is_deleted_and_restored_shows_no_message_twice(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a", messages=[message(0)]))
    with watching(chatstore, "a") as watcher:
        push(database, "a", message(1))
        watcher.wait_for_rows(1)
        stored = database["chat_sessions"].find_one_and_delete({"chat_id": "a"})
        watcher.wait_for_notice("Session 'a' was deleted.")
        assert stored is not None
        database["chat_sessions"].insert_one(
            {**stored, "_id": ObjectId(), "messages": [*stored["messages"], message(2)]}
        )
        push(database, "a", message(3))
        watcher.wait_for_rows(3)
        push(database, "a", message(4))
        watcher.wait_for_rows(4)
    assert watcher.contents == ["turn 1", "turn 2", "turn 3", "turn 4"]


def test_equal_messages_without_an_id_are_each_shown(chatstore: Chatstore, database: Documents):
    bare = {"role": "user", "content": "ok"}
    database["chat_sessions"].insert_one(session("a", messages=[bare, bare]))
    with watching(chatstore, "a") as watcher:
        for _ in range(3):
            push(database, "a", bare)
        stored = {"$concatArrays": ["$messages", [bare, bare]]}
        database["chat_sessions"].update_one({"chat_id": "a"}, [{"$set": {"messages": stored, "updated_at": now()}}])
        push(database, "a", {"role": "user", "content": "end"})
        poll(lambda: "end" in watcher.contents)
    assert watcher.contents == ["ok"] * 5 + ["end"]


# --- faults ----------------------------------------------------------------------------------------------------------

WRITER = """
    import sys, time
    from datetime import UTC, datetime
    from pymongo import MongoClient
    from pymongo.errors import DuplicateKeyError, PyMongoError

    uri, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    database = MongoClient(uri, w="majority", journal=True, serverSelectionTimeoutMS=500)[name]
    sessions, flat = database["chat_sessions"], database["chat_messages"]

    def write(number):
        message = {"role": "user", "content": number, "event_id": f"e-{number}", "sequence": number}
        sessions.update_one(
            {"chat_id": "a", "messages.event_id": {"$ne": f"e-{number}"}},
            {"$push": {"messages": message}, "$set": {"updated_at": datetime.now(UTC)}},
        )
        at = datetime.now(UTC).isoformat()
        flat.insert_one({"_id": f"f-{number}", "session_id": "f", "role": "user", "text": number, "created_at": at})

    for number in range(count):
        while True:
            try:
                write(number)
                break
            except DuplicateKeyError:
                break
            except PyMongoError:
                time.sleep(0.05)
        print(number, flush=True)
        time.sleep(0.001)
"""


def writer(uri: str, name: str, count: int, folder: Path) -> subprocess.Popen[bytes]:
    """A process that appends numbered messages to sessions `a` (workflow) and `f` (flat), whatever the server does."""
    (folder / "writer.py").write_text(textwrap.dedent(WRITER))
    with (folder / "writer.out").open("wb") as out:
        return subprocess.Popen([sys.executable, folder / "writer.py", uri, name, str(count)], stdout=out)


def written(folder: Path) -> int:
    return len((folder / "writer.out").read_text().splitlines())


def wait_for_last_rows(sessions: Watcher, count: int, *, each_once: bool = True) -> None:
    """Wait for the row that counts all messages of a writer; each row must count more than the one before it."""
    poll(lambda: {row["session_id"]: row["message_count"] for row in sessions.rows} == {"a": count, "f": count + 1})
    assert {change for _, change in sessions.changes} == {"changed"}
    for name in ("a", "f"):
        # Two queries return the count and the newest time: a row may have the new value of only one of them.
        rows = [(row["message_count"], row["updated_at"]) for row in sessions.rows if row["session_id"] == name]
        assert not each_once or rows == sorted(set(rows))


def use(chatstore: Chatstore, server: Mongod) -> Documents:
    """Point the command at a new database of another server, with sessions `a` and `f` in it."""
    name = f"watched_{uuid4().hex[:8]}"
    chatstore.environment |= {"CHATSTORE_URI": server.uri, "CHATSTORE_DATABASE": name}
    database = server.client()[name]
    database["chat_sessions"].insert_one(session("a"))
    database["chat_messages"].insert_one(flat("f", -1))
    return database


@pytest.mark.parametrize("replica_set", [True, False], ids=["replica set", "standalone"])
def test_over_a_crash_and_a_restart_of_the_server_each_message_comes_once(
    chatstore: Chatstore, request: pytest.FixtureRequest, replica_set: bool
):
    server: Mongod = request.getfixturevalue("second_server" if replica_set else "standalone")
    database = use(chatstore, server)
    count = 150
    chatstore.environment["CHATSTORE_MONGO__TIMEOUT_SECONDS"] = "0.5"
    faster = () if replica_set else ("--poll", "0.1")
    with (
        watching(chatstore, "a", *faster) as document,
        watching(chatstore, "f", *faster) as messages,
        watching(chatstore, *faster) as sessions,
    ):
        process = writer(server.uri, database.name, count, chatstore.folder)
        poll(lambda: written(chatstore.folder) > 50)
        server.kill()
        for watcher in (document, messages, sessions):
            watcher.wait_for_notice("Waiting for the server")
        server.start()
        if replica_set:  # then a clean restart
            poll(lambda: written(chatstore.folder) > 100)
            server.terminate()
            server.start()
        assert process.wait(120) == 0
        expected = list(range(count))
        for watcher in (document, messages):
            watcher.wait_for_rows(count)
            assert watcher.contents == expected
        wait_for_last_rows(sessions, count, each_once=replica_set)
        assert [document.end(), messages.end(signal.SIGINT), sessions.end()] == [0, 0, 0]


@pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 189}], ids=["network", "step-down"])
def test_over_faults_of_the_network_and_step_downs_each_row_comes_once(
    chatstore: Chatstore, database: Documents, mongo_uri: str, fail_point: FailPoint, fault: dict[str, Any]
):
    database["chat_sessions"].insert_one(session("a"))
    database["chat_messages"].insert_one(flat("f", -1))
    count = 200
    chatstore.environment["CHATSTORE_MONGO__TIMEOUT_SECONDS"] = "0.5"
    with watching(chatstore, "a") as document, watching(chatstore) as sessions:
        process = writer(mongo_uri, database.name, count, chatstore.folder)
        for _ in range(3):
            with fail_point(["getMore", "aggregate", "find"], times=3, appName="chatstore", **fault):
                before = written(chatstore.folder)
                poll(lambda before=before: written(chatstore.folder) > before + 40 or process.poll() is not None)
        assert process.wait(120) == 0
        document.wait_for_rows(count)
        wait_for_last_rows(sessions, count)
    assert document.contents == list(range(count))


def test_if_the_oplog_no_longer_has_the_token_it_reports_that_and_catches_up(
    chatstore: Chatstore, database: Documents, fail_point: FailPoint
):
    database["chat_sessions"].insert_many([session("a", messages=[message(0)]), session("b")])
    with watching(chatstore, "a") as document, watching(chatstore) as sessions:
        push(database, "a", message(1))
        document.wait_for_rows(1)
        sessions.wait_for_rows(1)
        lost = {"errorCode": 286, "errorLabels": ["NonResumableChangeStreamError"]}
        for watcher in (document, sessions):
            watcher.process.send_signal(signal.SIGSTOP)
        push(database, "a", message(2))
        database["chat_sessions"].insert_one(session("c"))
        with fail_point(["getMore"], appName="chatstore", **lost):
            for watcher in (document, sessions):
                watcher.process.send_signal(signal.SIGCONT)
            for watcher in (document, sessions):
                watcher.wait_for_notice("no longer has all changes")
        database["chat_sessions"].insert_one(session("whole again"))
        poll(lambda: "whole again" in [name for name, _ in sessions.changes])
        document.wait_for_rows(2)
        push(database, "a", message(3))
        push(database, "b", message(0))
        document.wait_for_rows(3)
        database["chat_sessions"].insert_one(session("end"))
        poll(lambda: ("end", "new") in sessions.changes)
        assert document.failures == sessions.failures == 0
    assert document.contents == ["turn 1", "turn 2", "turn 3"]
    rows = Counter(sessions.changes)
    assert rows[("c", "changed")] + rows[("c", "new")] == 1
    assert rows[("a", "changed")] == 3
    # b was inserted less than a minute before, which is the difference that clocks may have
    assert rows[("b", "changed")] in {1, 2}


def test_a_dropped_database_is_followed_when_it_is_created_again(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a"))
    with watching(chatstore) as watcher:
        database["chat_sessions"].insert_one(session("b"))
        watcher.wait_for_rows(1)
        database.client.drop_database(database.name)
        database["chat_sessions"].insert_one(session("c"))
        watcher.wait_for_rows(2)
    assert watcher.changes == [("b", "new"), ("c", "new")]
    assert "no longer has all changes" not in watcher.err


@pytest.mark.soak
def test_over_step_downs_of_a_real_set_each_message_comes_once(chatstore: Chatstore, short_folder: Path):
    servers = start_replica_set(short_folder)
    try:
        chatstore.environment |= {"CHATSTORE_URI": servers.uri, "CHATSTORE_DATABASE": "watched"}
        database = servers.client()["watched"]
        database["chat_sessions"].insert_one(session("a"))
        database["chat_messages"].insert_one(flat("f", -1))
        count = 6_000
        with (
            watching(chatstore, "a") as document,
            watching(chatstore, "f") as messages,
            watching(chatstore) as sessions,
        ):
            process = writer(servers.uri, "watched", count, chatstore.folder)
            for number in range(3):
                poll(lambda number=number: written(chatstore.folder) > 200 * (number + 1))
                servers.step_down()
            victim = servers.primary()
            victim.kill()
            poll(lambda: written(chatstore.folder) > 1_500)
            victim.start()
            assert process.wait(170) == 0
            for watcher in (document, messages):
                watcher.wait_for_rows(count)
                assert watcher.contents == list(range(count))
            wait_for_last_rows(sessions, count)
    finally:
        servers.remove()


# --- stopping ----------------------------------------------------------------------------------------------------------


def test_a_closed_pipe_stops_it_quietly_and_without_another_row(chatstore: Chatstore, database: Documents):
    process = chatstore.popen("sessions", "watch", "-o", "jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"TERM or INT" in process.stderr.readline()
    database["chat_sessions"].insert_one(session("a"))
    assert json.loads(process.stdout.readline())["session_id"] == "a"
    process.stdout.close()
    assert process.wait(120) == 0
    assert process.stderr.read() == b""


def test_count_and_for_stop_it(chatstore: Chatstore, database: Documents):
    with watching(chatstore, "--count", "2") as watcher:
        database["chat_sessions"].insert_many([session("a"), session("b"), session("c")])
        assert watcher.process.wait(120) == 0
    assert watcher.changes == [("a", "new"), ("b", "new")]
    outcome = chatstore("sessions", "watch", "--for", "0.2", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)) == (0, {"items": [], "next_cursor": None})


def test_a_server_that_hangs_does_not_keep_it_from_stopping(chatstore: Chatstore, second_server: Mongod):
    use(chatstore, second_server)
    chatstore.environment["CHATSTORE_MONGO__TIMEOUT_SECONDS"] = "600"
    with watching(chatstore) as by_term, watching(chatstore) as by_int:
        second_server.pause()
        try:
            for watcher in (by_term, by_int):
                watcher.wait_for_notice("has not answered for 2 s")
            assert [by_term.end(signal.SIGTERM), by_int.end(signal.SIGINT)] == [0, 0]
        finally:
            second_server.resume()
    assert "Traceback" not in by_term.err + by_int.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody"], 3, "No session 'nobody'"),
        (["both"], 8, "--layout"),
        (["a", "--tenant", "acme"], 2, "cannot be used with SESSION_ID"),
        (["--since", "later"], 2, "--since"),
        (["--poll", "0"], 2, "--poll"),
        (["--poll", "inf"], 2, "3600"),
        (["--for", "nan"], 2, "--for"),
        (["--layout", "other"], 2, "'other' is not a layout"),
    ],
)
def test_wrong_use_is_an_error_at_once(
    chatstore: Chatstore, database: Documents, arguments: list[str], code: int, said: str
):
    database["chat_sessions"].insert_many([session("a"), session("both")])
    database["chat_messages"].insert_one(flat("both", 0))
    outcome = chatstore("sessions", "watch", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err


def test_an_unknown_host_is_an_error_at_once(chatstore: Chatstore):
    # A label that begins with a hyphen is not a name: every resolver reports that, even without a network.
    for arguments in ((), ("a",), ("--poll", "1")):
        uri = "mongodb://-nobody.invalid/?serverSelectionTimeoutMS=200"
        outcome = chatstore("sessions", "watch", *arguments, "--uri", uri)
        assert (outcome.code, outcome.out) == (5, "") and "nobody.invalid" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "how", "seconds"),
    [((), signal.SIGTERM, "600"), (("a",), signal.SIGINT, "0.3"), (("--poll", "0.1"), signal.SIGTERM, "0.3")],
)
def test_it_can_be_stopped_while_it_waits_for_a_server_at_the_start(
    chatstore: Chatstore, arguments: tuple[str, ...], how: signal.Signals, seconds: str
):
    chatstore.environment |= {"CHATSTORE_URI": "mongodb://127.0.0.1:9", "CHATSTORE_MONGO__TIMEOUT_SECONDS": seconds}
    process = chatstore.popen("sessions", "watch", *arguments, "-o", "jsonl")
    assert process.stderr is not None
    # Before it there may be the notice that every command prints after two seconds without a server.
    while not (notice := process.stderr.readline().decode()).endswith("Waiting for the server.\n"):
        assert notice.startswith("Waiting for MongoDB")
    process.send_signal(how)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, b"")
    assert err.decode().splitlines()[-1].startswith("No changes. Target: 127.0.0.1:9, database ")


def test_a_server_that_is_away_at_the_start_is_waited_for(chatstore: Chatstore, second_server: Mongod):
    database = use(chatstore, second_server)
    second_server.kill()
    chatstore.environment["CHATSTORE_MONGO__TIMEOUT_SECONDS"] = "0.3"
    try:
        outcome = chatstore("sessions", "watch", "--for", "0.5", "-o", "json")
        assert (outcome.code, outcome.out) == (5, "")
        error = json.loads(outcome.err.splitlines()[-1])["error"]
        assert error["message"] == "No server answered within 0.5 s, so nothing was watched."
        with watching(chatstore, first_notice="Waiting for the server") as watcher:
            second_server.start()
            watcher.wait_for_notice("TERM or INT stops it.")
            database["chat_sessions"].insert_one(session("b"))
            watcher.wait_for_rows(1)
            assert watcher.end() == 0
    finally:
        if second_server.process is None:
            second_server.start()
    assert watcher.failures == 1
    assert watcher.err.count("Waiting for the server.") == watcher.err.count("answers again")


def test_each_outage_is_reported_once_when_it_begins_and_once_when_it_ends(
    chatstore: Chatstore, second_server: Mongod, fail_point: FailPoint
):
    database = use(chatstore, second_server)

    def restart() -> None:
        second_server.kill()
        second_server.start()

    def step_down() -> None:
        with fail_point(["getMore"], times=1, errorCode=189, appName="chatstore", client=second_server.client()):
            poll(lambda: watcher.failures == 2)

    def hang() -> None:
        second_server.pause()
        try:
            watcher.wait_for_notice("has not answered for 2 s")
        finally:
            second_server.resume()

    with watching(chatstore) as watcher:
        for number, (cause, failures) in enumerate(((restart, 1), (step_down, 2), (hang, 2)), 1):
            cause()
            poll(lambda: watcher.err.count("Waiting for the server.") == watcher.err.count("The server answers again"))
            database["chat_sessions"].insert_one(session(f"after {cause.__name__}"))
            watcher.wait_for_rows(number)
            assert watcher.failures == failures, watcher.err
        assert watcher.end() == 0


def test_a_list_does_not_import_what_watching_needs(chatstore: Chatstore):
    script = "import sys; from chatstore_cli.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, "sessions", "list"]
    loaded = subprocess.run(command, env=chatstore.environment, cwd=chatstore.folder, capture_output=True, text=True)
    assert "chatstore_cli.cli.commands.sessions.sessions" in loaded.stdout.split()
    assert not [name for name in loaded.stdout.split() if "watch" in name]


# --- output ----------------------------------------------------------------------------------------------------------


def test_a_table_shows_each_row_at_once_and_no_control_characters(chatstore: Chatstore, database: Documents):
    database["chat_sessions"].insert_one(session("a"))
    with watching(chatstore, "a", output=None) as messages, watching(chatstore, output="csv") as rows:
        push(database, "a", message(0, content="\x1b[2Jred\u202e\nline"))
        database["chat_sessions"].insert_one(session("=1+1\x1b[31m", workflow_name="\x1b]0;x\x07"))
        poll(lambda: messages.out.count("\n") == 2)
        poll(lambda: rows.out.count("\n") == 3)
        assert messages.out.splitlines()[0].split() == ["SEQUENCE", "TIME", "(UTC)", "ROLE", "NAME", "CONTENT"]
        assert r"\x1b[2Jred\u202e↵line" in messages.out
        assert rows.out.startswith("changed_at,change,session_id,")
        assert "'=1+1" in rows.out
    assert "\x1b" not in messages.out + rows.out
