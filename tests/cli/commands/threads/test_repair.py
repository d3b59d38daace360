"""`chatstore threads repair` as a process on a real server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.render.output_format import ROW_FORMATS, OutputFormat
from tests.mongo.threads.test_repair import message, thread
from tests.support.at_command import AtCommand
from tests.support.golden import check_golden

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

    Documents = Database[dict[str, Any]]

pytestmark = pytest.mark.real
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def store_faults(database: Documents) -> None:
    """Two messages without a thread, one that a fork may be storing, and a thread whose last_sequence is behind."""
    database["chat_thread_messages"].create_index([("chat_thread_id", 1), ("sequence", 1)], unique=True)
    now = datetime.now(UTC)
    database["chat_threads"].insert_many([thread("good", 1), thread("t-behind", 1)])
    database["chat_thread_messages"].insert_many([
        message("good", 1, LONG_AGO), message("t-behind", 1_234, LONG_AGO), message("t-gone", 1, LONG_AGO),
        message("t-gone", 2, LONG_AGO), message("copied now", 1, LONG_AGO, copied_at=now),
    ])  # fmt: skip


def everything(database: Documents) -> list[Any]:
    """All stored threads and messages."""
    return [list(database[name].find().sort("_id", 1)) for name in ("chat_threads", "chat_thread_messages")]


def test_it_plans_and_then_repairs(chatstore: Chatstore, database: Documents) -> None:
    store_faults(database)
    before = everything(database)
    plan = chatstore("threads", "repair", "-o", "json")
    assert plan.code == 6
    assert everything(database) == before
    rows = {row["thread_id"]: row for row in json.loads(plan.out)["items"]}
    numbers = {"last_sequence": None, "highest_sequence": None}
    assert rows["t-gone"] == {
        "thread_id": "t-gone", "problem": "no_thread", "messages": 2, **numbers, "result": "planned",
    }  # fmt: skip
    assert rows["t-behind"] == {
        "thread_id": "t-behind", "problem": "sequence_behind", "messages": 0, "last_sequence": 1,
        "highest_sequence": 1_234, "result": "planned",
    }  # fmt: skip
    assert len(rows) == 2
    assert "1 message of 1 thread that does not exist was left alone" in plan.err
    assert "2 documents of chat_thread_messages would be removed and 1 document of chat_threads corrected." in plan.err
    assert "run the command again with --yes" in plan.err

    refused = chatstore("threads", "repair", "--yes", "--read-only")
    assert refused.code == 4
    assert everything(database) == before
    done = chatstore("threads", "repair", "--yes", "-o", "json")
    assert done.code == 0
    report = json.loads(done.out)
    assert {row["thread_id"]: row["result"] for row in report["items"]} == {
        "t-gone": "removed",
        "t-behind": "corrected",
    }
    assert database.name in report["target"]
    [threads, messages] = everything(database)
    assert [each["last_sequence"] for each in threads] == [1, 1_234]
    assert [each["_id"] for each in messages] == ["copied now-1", "good-1", "t-behind-1234"]

    again = chatstore("threads", "repair")
    assert (again.code, again.out) == (0, "")
    assert "Nothing to repair in 3 threads." in again.err
    assert "was left alone" in again.err


def test_without_threads_there_is_nothing_to_repair_and_without_their_index_nothing_is_compared(
    chatstore: Chatstore, database: Documents
) -> None:
    empty = chatstore("threads", "repair", "-o", "json")
    assert (empty.code, json.loads(empty.out)["items"]) == (0, [])
    assert database.list_collection_names() == []
    database["chat_thread_messages"].insert_one(message("gone", 1, LONG_AGO))
    outcome = chatstore("threads", "repair", "--yes", "-o", "json")
    assert (outcome.code, outcome.out) == (1, "")
    assert "has no unique index on (chat_thread_id, sequence)" in outcome.err
    assert "Run chatstore indexes apply." in outcome.err
    assert database["chat_thread_messages"].count_documents({}) == 1


def test_a_thread_that_changes_meanwhile_is_reported(
    database: Documents, mongo_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the plan and the command that deletes, the messages get a new date: an import continues."""
    from chatstore_cli.cli.main import run
    from chatstore_cli.wiring.stores import Stores

    store_faults(database)
    for name, value in (("URI", mongo_uri), ("DATABASE", database.name)):
        monkeypatch.setenv(f"CHATSTORE_{name}", value)

    def continue_import() -> None:
        database["chat_thread_messages"].update_many({}, {"$currentDate": {"copied_at": True}})

    class Continued(AtCommand):
        def started(self, event: Any) -> None:
            if event.command_name == "delete":
                continue_import()

    def listen(stores: Stores, uri: str = mongo_uri) -> None:
        stores._listener = Continued(0, lambda: None)

    create = Stores.__init__
    monkeypatch.setattr(
        Stores, "__init__", lambda stores, *given, **named: (create(stores, *given, **named), listen(stores))[0]
    )
    assert run(["threads", "repair", "--yes", "-o", "json"]) == 7
    captured = capsys.readouterr()
    assert {row["thread_id"]: row["result"] for row in json.loads(captured.out)["items"]} == {
        "t-gone": "changed",
        "t-behind": "corrected",
    }
    assert "Some threads changed in the meantime" in captured.err
    assert database["chat_thread_messages"].count_documents({}) == 5


def test_an_interruption_says_what_was_done(
    database: Documents, mongo_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from chatstore_cli.cli.main import run
    from chatstore_cli.mongo.threads.repair import MongoThreadRepairs

    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    store_faults(database)
    for name, value in (("URI", mongo_uri), ("DATABASE", database.name)):
        monkeypatch.setenv(f"CHATSTORE_{name}", value)
    monkeypatch.setattr(MongoThreadRepairs, "remove_orphaned_messages", interrupted)
    assert run(["threads", "repair", "--yes"]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Interrupted. Repaired: 1 thread. Run the same command again to continue." in captured.err


@pytest.fixture(scope="module")
def reader(module_database: Documents, module_chatstore: Chatstore) -> Chatstore:
    """The command over threads with faults."""
    store_faults(module_database)
    return module_chatstore


@pytest.mark.parametrize("output", ROW_FORMATS)
def test_output_is_byte_for_byte_what_it_was(reader: Chatstore, output: OutputFormat) -> None:
    check_golden(reader, "threads-repair", ("threads", "repair"), output, code=6)
