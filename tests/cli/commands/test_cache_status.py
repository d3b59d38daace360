"""`chatstore cache status` as a person types it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import as_line, as_lines, record, wanted_of, write_journal
from tests.support.worker_processes import running_worker, wait_until_stored

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
KEYS = [
    "sessions", "journals", "lines", "bytes", "not_persisted", "oldest_not_persisted", "to_quarantine", "torn", "incomplete_journals",
    "quarantined", "worker", "ignored_files", "future_journals",
]  # fmt: skip


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals, with six messages, one of them bad and one incomplete."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    write_journal(folder / "s1.jsonl", [record(3), record(4), {"bad": True}])
    write_journal(folder / "s1.jsonl.1", [record(0), record(1)])
    (folder / "%53%32.jsonl").write_bytes(as_lines([record(5, session="S2")]) + as_line(record(6, session="S2"))[:-9])
    return folder


def status_of(chatstore: Chatstore, *arguments: str | Path, code: int = 0, **env: str) -> tuple[dict[str, Any], str]:
    outcome = chatstore("cache", "status", *arguments, "-o", "json", env=env)
    assert outcome.code == code, outcome.err
    row = json.loads(outcome.out)
    assert list(row) == KEYS
    return row, outcome.err


def test_what_is_not_stored_is_counted_and_its_oldest_named(chatstore: Chatstore, database: Documents, folder: Path):
    size = sum(file.stat().st_size for file in folder.iterdir())
    row, err = status_of(chatstore)
    assert row == {
        "sessions": 2, "journals": 3, "lines": 6, "bytes": size, "not_persisted": 5,
        "oldest_not_persisted": "2026-03-02T11:41:00.195769Z", "to_quarantine": 1, "torn": 1, "quarantined": 0,
        "incomplete_journals": [str(folder / "%53%32.jsonl")],
        "worker": None, "ignored_files": [], "future_journals": {"count": 0, "examples": []},
    }  # fmt: skip
    assert err == ""
    assert sorted(file.name for file in folder.iterdir()) == ["%53%32.jsonl", "s1.jsonl", "s1.jsonl.1"]
    assert database.list_collection_names() == []

    assert chatstore("flush-cache").code == 7
    with (folder / "s1.jsonl").open("ab") as stream:
        stream.write(as_lines([record(9), record(8), {"worse": True}]))
    row, _ = status_of(chatstore)
    assert [row[key] for key in KEYS[:3]] == [2, 3, 9]
    assert (row["not_persisted"], row["oldest_not_persisted"]) == (2, "2026-03-02T11:41:08.195769Z")
    assert (row["to_quarantine"], row["torn"], row["quarantined"]) == (1, 1, 1)
    assert chatstore("flush-cache").code == 7
    row, _ = status_of(chatstore)
    assert (row["lines"], row["not_persisted"], row["oldest_not_persisted"]) == (9, 0, None)
    assert (row["to_quarantine"], row["torn"], row["quarantined"]) == (0, 1, 2)


def test_journals_with_lines_from_the_future_are_named_whether_they_are_stored_or_not(
    chatstore: Chatstore, database: Documents, folder: Path
):
    later = record(7, session="later", created_at="2099-01-01T00:00:00Z")
    journal = write_journal(folder / "later.jsonl", [later, record(8, session="later")])
    future = {"count": 1, "examples": [str(journal)]}
    for _ in range(2):
        row, err = status_of(chatstore)
        assert row["future_journals"] == future
        assert err.startswith(f"1 journal has lines from the future: {journal}. ")
        assert chatstore("flush-cache").code in (7, 0)
    row, _ = status_of(chatstore, CHATSTORE_MONGO__ENABLED="false")
    assert row["future_journals"] == future
    assert status_of(chatstore, folder / "s1.jsonl")[0]["future_journals"]["count"] == 0
    outcome = chatstore("verify", "--only", "journal-times", "-o", "json")
    [check] = json.loads(outcome.out)["items"]
    assert (outcome.code, check["status"]) == (0, "warn")
    assert check["detail"] == f"1 journal has lines from the future: {journal}"


def test_of_a_named_journal_only_its_own_lines_in_quarantine_are_counted(
    chatstore: Chatstore, database: Documents, folder: Path
):
    write_journal(folder / "other.jsonl", [record(1, session="other"), {"bad": 1}, {"bad": 2}])
    assert chatstore("flush-cache").code == 7
    assert status_of(chatstore)[0]["quarantined"] == 3
    assert status_of(chatstore, folder / "other.jsonl")[0]["quarantined"] == 2
    assert status_of(chatstore, folder / "other.jsonl", folder / "s1.jsonl")[0]["quarantined"] == 3
    assert status_of(chatstore, folder / "s1.jsonl.1")[0]["quarantined"] == 0


def test_with_the_ledger_only_new_lines_are_read(chatstore: Chatstore, database: Documents, folder: Path):
    """A stored line was damaged afterwards. Fingerprints do not cover it, and it is not read again."""
    journal = write_journal(folder / "long.jsonl", [record(number, session="long") for number in range(200)])
    assert chatstore("flush-cache").code == 7
    with journal.open("r+b") as stream:
        stream.seek(journal.stat().st_size // 2)
        stream.write(b"\0" * 20)
    row, _ = status_of(chatstore)
    assert (row["lines"], row["not_persisted"], row["to_quarantine"]) == (206, 0, 0)


def test_while_a_worker_runs_it_is_named(chatstore: Chatstore, database: Documents, folder: Path):
    with running_worker(chatstore) as worker:
        worker.wait_until_it_said("quarantined")
        row, _ = status_of(chatstore)
        assert (row["not_persisted"], row["lines"], row["quarantined"]) == (0, 6, 1)
        assert row["worker"]["command"] == "chatstore worker"
        assert row["worker"]["pid"] == worker.process.pid
        assert row["worker"]["since"].endswith("Z")
        shown = chatstore("cache", "status").out
        assert f"Worker                      chatstore worker (process {worker.process.pid} on " in shown
        assert f", since {row['worker']['since'][:10]} {row['worker']['since'][11:19]} UTC)" in shown
        worker.kill()
    assert (folder / ".chatstore" / "lock.holder").exists()
    assert status_of(chatstore)[0]["worker"] is None, "a killed one holds nothing"


def test_without_the_database_the_files_tell_what_they_can(
    chatstore: Chatstore, database: Documents, folder: Path, short_folder: Path
):
    away = f"mongodb://{str(short_folder / 'none.sock').replace('/', '%2F')}/"
    for _ in ("before anything was stored", "with a ledger"):
        for code, env in (
            (5, {"CHATSTORE_URI": away, "CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2"}),
            (0, {"CHATSTORE_MONGO__ENABLED": "false"}),
        ):
            row, err = status_of(chatstore, code=code, **env)
            assert [row[key] for key in ("sessions", "journals", "lines", "torn")] == [2, 3, 6, 1]
            assert (row["not_persisted"], row["oldest_not_persisted"]) == (None, None)
            assert ("cannot reach MongoDB" if code else "mongo.enabled: false") in err
        assert chatstore("flush-cache").code in {0, 7}
    shown = chatstore("cache", "status", env={"CHATSTORE_MONGO__ENABLED": "false"}).out
    assert "Not persisted               unknown" in shown


def test_what_cannot_be_read_is_said_and_left_out(chatstore: Chatstore, database: Documents, folder: Path):
    (folder / "gone.jsonl").symlink_to("nowhere")
    row, err = status_of(chatstore, code=1)
    assert (row["journals"], row["lines"], row["not_persisted"]) == (4, 6, 5)
    assert "gone.jsonl: No such file or directory" in err


def test_a_folder_that_is_not_there_an_empty_one_and_standard_input(chatstore: Chatstore, tmp_path: Path):
    assert chatstore("cache", "status").code == 3
    assert chatstore("cache", "status", "-").code == 2
    (tmp_path / "j").mkdir()
    row, _ = status_of(chatstore, tmp_path / "j")
    assert [row[key] for key in KEYS] == [0, 0, 0, 0, 0, None, 0, 0, [], 0, None, [], {"count": 0, "examples": []}]
    assert list((tmp_path / "j").iterdir()) == []


def test_sessions_deleted_on_purpose_are_not_waited_for(chatstore: Chatstore, database: Documents, folder: Path):
    assert chatstore("flush-cache").code == 7
    assert chatstore("sessions", "delete", "S2", "--yes").code == 0
    with (folder / "%53%32.jsonl").open("r+b") as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + as_line(record(7, session="S2")))
    assert status_of(chatstore)[0]["not_persisted"] == 0


def test_a_collection_that_was_dropped_is_noticed(chatstore: Chatstore, database: Documents, folder: Path):
    with running_worker(chatstore) as worker:
        wait_until_stored(database, wanted_of([*map(record, (0, 1, 3, 4)), record(5, session="S2")]))
        assert worker.end() == 0
    database.drop_collection("chat_messages")
    assert status_of(chatstore)[0]["not_persisted"] == 5
