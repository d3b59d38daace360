"""Exports of the usage ledger on a real server: each row once and in one order, whoever writes, exports, waits or is killed."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.exporting import UsageExport
from chatstore_cli.core.usage.recorder import UsageRecorder, carry_over_counters
from chatstore_cli.domain.errors import BadValue, ChatstoreError, Conflict
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.usage import exports as exports_module
from chatstore_cli.mongo.usage.exports import MongoUsageExports
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.kill_at_command import KillAtCommand, run_in_fork
from tests.support.usage_snapshots import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from tests.conftest import Chatstore

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports_module, "_BATCH", 5)


def exports_of(connection: Connection) -> MongoUsageExports:
    return MongoUsageExports(connection, "usage_events", "usage_exports")


def exported(connection: Connection, after: str = "start") -> tuple[list[str], str]:
    """The row ids of an export, and its next cursor."""
    export = UsageExport(exports_of(connection), after)
    return [each.row.row_id for each in export], export.cursor


def store(connection: Connection, *numbers: int) -> None:
    UsageRecorder(MongoUsageLedger(connection, Settings())).record([snapshot(each, 10 * each) for each in numbers])


def stored(database: Database[dict[str, Any]]) -> list[str]:
    return sorted(row["_id"] for row in database["usage_events"].find({}, {"_id": 1}))


def test_a_cursor_gives_the_same_rows_again_and_then_new_ones(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    assert exported(connection)[0] == []
    store(connection, *range(12))
    first, cursor = exported(connection)
    assert sorted(first) == stored(database)
    assert exported(connection, cursor) == ([], cursor)
    store(connection, -3, 40)  # one that was reported earlier, but is stored later
    second, next_cursor = exported(connection, cursor)
    assert sorted(first + second) == stored(database)
    assert exported(connection, "") == (first + second, next_cursor)
    assert exported(connection, cursor) == (second, next_cursor)


@pytest.mark.parametrize("step", ["find", "update_one", "update_many"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_exporter_that_is_held_at_any_step_while_others_export_skips_and_repeats_nothing(
    connection: Connection, database: Database[dict[str, Any]], step: str, after: bool
) -> None:
    store(connection, *range(3))
    others: list[tuple[list[str], str]] = []
    held = exports_of(connection)
    collection = held._exports if step == "update_one" else held._rows
    original: Callable[..., Any] = getattr(collection, step)
    number = iter(range(100))

    def overtaken(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options) if after else None
        if next(number) == 0:
            others.append(exported(connection))
            store(connection, *range(3, 14))
            others.append(exported(connection, others[-1][1]))
        return result if after else original(*arguments, **options)

    setattr(collection, step, overtaken)
    export = UsageExport(held, "start")
    own = [each.row.row_id for each in export]
    rest, _ = exported(connection, export.cursor)
    late, _ = exported(connection, others[-1][1])
    everything = exported(connection)[0]
    assert own + rest == [*others[0][0], *others[1][0], *late] == everything
    assert sorted(everything) == stored(database)


def test_rows_of_two_writers_are_given_once_to_each_of_two_exporters_beside_them(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    is_writing = threading.Event()
    is_writing.set()
    found: list[list[str]] = [[], []]
    cursors = ["start", "start"]
    failures: list[ChatstoreError] = []

    def write(first: int) -> None:
        for number in range(first, first + 25):
            store(connection, number)

    def read(place: int) -> None:
        try:
            while is_writing.is_set():
                rows, cursors[place] = exported(connection, cursors[place])
                found[place] += rows
        except ChatstoreError as error:
            failures.append(error)

    readers = [threading.Thread(target=read, args=(place,)) for place in range(2)]
    writers = [threading.Thread(target=write, args=(100 * place,)) for place in range(2)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_writing.clear()
    for thread in readers:
        thread.join()
    assert failures == []
    everything, _ = exported(connection)
    assert sorted(everything) == stored(database)
    for rows, cursor in zip(found, cursors, strict=True):
        assert rows + exported(connection, cursor)[0] == everything


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("instant", ["before", "after"])
def test_an_exporter_that_is_killed_at_any_command_leaves_an_order_that_continues(
    connection: Connection, database: Database[dict[str, Any]], mongo_uri: str, instant: str, number: int
) -> None:
    store(connection, 1, 2)
    before, cursor = exported(connection)
    store(connection, *range(3, 14))

    def export() -> None:
        killer = KillAtCommand(instant, number)
        exported(connect(mongo_uri, database.name, timeout_seconds=10, listener=killer))

    assert run_in_fork(export) == -9
    store(connection, 20)
    rows, _ = exported(connection, cursor)
    assert exported(connection)[0] == before + rows
    assert sorted(before + rows) == stored(database)


def test_an_opening_balance_that_becomes_higher_is_exported_again_and_one_that_does_not_is_not(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    database["chat_sessions"].insert_one({"chat_id": "chat-1", "workflow_name": "w", "usage_total_tokens_final": 5})
    ledger = MongoUsageLedger(connection, Settings())
    key = carry_over_counters(ledger, "chat-1")
    first, cursor = exported(connection)
    assert first == [key]
    balance = ledger.row(key)
    assert balance is not None
    ledger.store_opening_balance(key, balance)
    assert exported(connection, cursor) == ([], cursor)
    database["chat_sessions"].update_one({}, {"$set": {"usage_total_tokens_final": 8}})
    carry_over_counters(ledger, "chat-1")
    again = UsageExport(exports_of(connection), cursor)
    assert [(each.row.row_id, each.row.snapshot.total_tokens) for each in again] == [(key, 8)]
    assert exported(connection, again.cursor) == ([], again.cursor)


def test_a_cursor_of_another_ledger_is_rejected(connection: Connection, database: Database[dict[str, Any]]) -> None:
    store(connection, 1)
    _, cursor = exported(connection)
    for wrong in ("7", "x", "a b-1", f"{cursor}x", "-1", f"a-{'9' * 5_000}"):
        with pytest.raises(BadValue):
            exported(connection, wrong)
    for foreign in (f"{cursor}9", f"0{cursor}"):
        with pytest.raises(Conflict, match="is not one of this usage ledger"):
            exported(connection, foreign)
    database["usage_exports"].drop()
    with pytest.raises(Conflict):
        exported(connection, cursor)
    store(connection, 2)
    assert sorted(exported(connection)[0]) == stored(database)


def test_rows_of_older_versions_and_other_writers_are_exported(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    rows: list[dict[str, Any]] = [
        {"_id": 1, "chat_id": ["a"], "run": None, "exported_in": None},
        {"_id": "x", "chat_id": "b", "run": 1, "exported_in": -7, "total_tokens": "many"},
        {"_id": {"a": 1}, "chat_id": 5, "run": 1, "layout": 3},
    ]
    database["usage_events"].insert_many(rows)
    found = list(UsageExport(exports_of(connection), "start"))
    assert sorted(each.row.row_id for each in found) == sorted(["1", "x", found[-1].row.row_id])
    assert all(each.row.problem for each in found)


def test_the_command_prints_rows_as_lines_and_writes_the_next_cursor(
    chatstore: Chatstore, connection: Connection, tmp_path: Path
) -> None:
    store(connection, 3)
    place = tmp_path / "billing.cursor"
    first = chatstore("usage", "--after", "start", "-o", "jsonl", "--cursor-to", str(place))
    assert first.code == 0, first.err
    [row] = [json.loads(line) for line in first.out.splitlines()]
    assert row.pop("usage_id")
    assert row == {
        "kind": "running_total", "session_id": "chat-1", "layout": "workflow", "tenant_id": "acme", "user_id": "ada",
        "workflow": "triage", "run": 1, "agent": "Writer", "model": "m-1", "turn_id": None, "event_id": "event-3",
        "at": "2026-03-02T01:00:00Z",
        "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30, "cost": "0.03"},
        "cached_tokens": None, "reasoning_tokens": None, "duration_sec": None, "problem": None,
    }  # fmt: skip
    cursor = place.read_text().strip()
    assert first.err.endswith(f"Next export: --after {cursor}\n")
    again = chatstore("usage", "--after", cursor, "-o", "json")
    assert json.loads(again.out)["items"] == []
    assert json.loads(again.out)["next_cursor"] == cursor
    assert "The usage ledger has no new rows." in again.err
    assert chatstore("usage", "--after", "start").out.count("chat-1") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--after", "start", "--by", "day"), 2, "--by cannot be combined with --after"),
        (("--cursor-to", "c"), 2, "it needs --after"),
        (("--after", "nonsense"), 2, "'nonsense' is not start, or the next cursor"),
        (("--read-only", "--after", "start"), 4, "--read-only is set"),
        (("--after", "start", "--cursor-to", "no/c"), 3, "no"),
    ],
)
def test_wrong_use_of_an_export(chatstore: Chatstore, arguments: tuple[str, ...], code: int, message: str) -> None:
    outcome = chatstore("usage", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


@pytest.mark.parametrize("output", ["jsonl", "json", "table"])
def test_rows_that_nobody_got_leave_the_cursor_as_it_was(
    chatstore: Chatstore, connection: Connection, output: str
) -> None:
    store(connection, 1)
    command = chatstore.command("usage", "--after", "start", "-o", output, "--cursor-to", "next")
    (chatstore.folder / "next").write_text("before")
    reasons = {
        ">/dev/full": "stdout: No space left on device",
        ">&-": "stdout is closed, so the rows cannot be printed",
    }
    for where, reason in reasons.items():
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {where}', "sh", *command],
            env=chatstore.environment, cwd=chatstore.folder, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode in (1, 2)
        assert reason in done.stderr
        assert (chatstore.folder / "next").read_text() == "before"
