"""Journals under every name that a rotation gives them: each message is stored once, and what is ignored is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.mongo.connection import Connection
from tests.conftest import Chatstore
from tests.support.journals import as_line, as_lines, flush, record, stored, wanted_of, write_journal
from tests.support.worker_processes import running_worker, wait_until_stored

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
NAMES = (
    "S.JSONL", "s.jsonl.1", "s.jsonl-20261127", "s.jsonl-2026112813.gz", "s.jsonl.2026-11-28",
    "s.jsonl.2026-11-28_13-45.GZ", "line\nfeed.jsonl",
)  # fmt: skip


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    return folder


def write(journal: Path, *records: dict[str, Any]) -> None:
    content = as_lines(records)
    journal.write_bytes(gzip.compress(content) if journal.suffix.lower() == ".gz" else content)


@pytest.fixture
def lines(folder: Path) -> list[dict[str, Any]]:
    """What journals under every name contain, one message each and one more in a linked folder; beside them other files."""
    outside = folder.parent / "outside"
    outside.mkdir()
    lines = [record(number, session="s") for number in range(len(NAMES) + 1)]
    for name, line in zip(NAMES, lines, strict=False):
        write(folder / name, line)
    write(outside / "s.jsonl", lines[-1])
    (folder / "linked").symlink_to(outside)
    (folder / "again").symlink_to(outside)
    (outside / "back").symlink_to(folder)
    for name in ("notes.json", "app.log", "old.tar.gz", "s.jsonl.bak"):
        (folder / name).write_bytes(as_line(record(99)))
    (folder / ".old").mkdir()
    write(folder / ".old" / "s.jsonl", record(99))
    return lines


IGNORED = [
    {"reason": "other_name", "count": 4, "examples": ["app.log", "notes.json", "old.tar.gz"]},
    {"reason": "hidden_folder", "count": 1, "examples": [".old"]},
]
NOTICE = (
    "Ignored: 4 files do not have a journal's name (app.log, notes.json, old.tar.gz, …); 1 folder is hidden (.old). "
    "A journal is a file named *.jsonl"
)


def test_a_journal_that_cannot_be_read_does_not_hide_the_ignored_files(
    chatstore: Chatstore, folder: Path, lines: list[dict[str, Any]]
):
    (folder / "gone.jsonl").symlink_to("nowhere")
    outcome = chatstore("flush-cache", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (1, 8)
    assert NOTICE in outcome.err
    assert "gone.jsonl" in outcome.err


def test_every_rotation_is_flushed_once_and_the_rest_is_named(
    chatstore: Chatstore, database: Documents, folder: Path, lines: list[dict[str, Any]]
):
    outcome = chatstore("flush-cache", "-o", "json")
    row = json.loads(outcome.out)
    assert (outcome.code, row["files"], row["stored"], row["ignored_files"]) == (0, 8, 8, IGNORED)
    assert NOTICE in outcome.err
    assert stored(database) == wanted_of(lines)
    assert json.loads(chatstore("flush-cache", "--ignore-ledger", "-o", "json").out)["already_stored"] == 8
    shown = dict(line.rsplit(maxsplit=1) for line in chatstore("flush-cache", "--ignore-ledger").out.splitlines())
    assert shown["Ignored files"] == "5"

    status = chatstore("cache", "status", "-o", "json")
    assert json.loads(status.out)["ignored_files"] == IGNORED
    assert (json.loads(status.out)["journals"], json.loads(status.out)["not_persisted"]) == (8, 0)
    assert NOTICE in status.err

    check = json.loads(chatstore("verify", "--only", "ignored-files", "-o", "json").out)["items"][0]
    assert (check["status"], check["detail"]) == ("warn", NOTICE.removeprefix("Ignored: ").partition(". A ")[0])

    items = json.loads(chatstore("cache", "prune", "--older-than", "0s", "--yes", "-o", "json").out)["items"]
    kept = {
        Path(item["journal"]).relative_to(folder).as_posix(): item["reason"]
        for item in items
        if item["action"] == "keep"
    }
    assert kept == {"again/s.jsonl": "in a linked folder: name that folder itself"}
    assert sum(item["action"] == "pruned" for item in items) == 7
    assert stored(database) == wanted_of(lines)


def test_a_worker_takes_the_same_files_and_names_the_rest_once(
    chatstore: Chatstore, database: Documents, folder: Path, lines: list[dict[str, Any]]
):
    with running_worker(chatstore, "-o", "jsonl") as worker:
        wait_until_stored(database, wanted_of(lines))
        lines.append(record(50, session="s"))
        write_journal(folder / "new.jsonl", lines[-1:])
        wait_until_stored(database, wanted_of(lines))
        assert worker.end() == 0
        assert worker.err.count("[CHAT WORKER] Ignored: ") == 1
        assert NOTICE in worker.err
        assert {len(row["ignored_files"]) for row in worker.rows} == {2}
    once = chatstore("worker", "--once", "-o", "json")
    assert json.loads(once.out)["ignored_files"] == IGNORED


def test_a_name_with_a_line_feed_adds_no_line_to_what_is_said(chatstore: Chatstore, database: Documents, folder: Path):
    write(folder / "a\nb.jsonl", record(0))
    write(folder / "c\nd.json", record(0))
    (folder / "e\nf.jsonl").symlink_to("gone")
    outcome = chatstore("flush-cache")
    assert outcome.code == 1
    assert [line[:8] for line in outcome.err.splitlines()] == ["Target: ", "Ignored:", "Created ", "chatstor"]
    (folder / "e\nf.jsonl").unlink()
    assert "Ignored: 1 file does not have a journal's name (c\u21b5d.json). A journal" in chatstore("flush-cache").err
    plan = chatstore("cache", "prune", "--older-than", "0s").err.splitlines()
    assert plan[2].startswith(f"  {folder}/a\\nb.jsonl (1 line, ")
    assert len(plan) == 4


def test_history_reads_the_same_journals(chatstore: Chatstore, folder: Path, lines: list[dict[str, Any]]):
    outcome = chatstore("history", "s", "-o", "json", env={"CHATSTORE_MONGO__ENABLED": "false"})
    texts = [item["content"] for item in json.loads(outcome.out)["items"]]
    assert texts == [
        line["text"] for line in lines[1:6]
    ]  # not S.JSONL, which is a session S, nor what is in a linked folder
    newest = chatstore("history", "s", "--limit", "2", "-o", "json", env={"CHATSTORE_MONGO__ENABLED": "false"})
    assert [item["content"] for item in json.loads(newest.out)["items"]] == texts[-2:]


@pytest.mark.parametrize("flushed_before", [0, 1, 2])
@pytest.mark.parametrize("name", ["s1.jsonl-20261128", "s1.jsonl.2026-11-28"])
def test_a_rotation_by_date_between_flushes_doubles_and_loses_nothing(
    connection: Connection, database: Documents, folder: Path, flushed_before: int, name: str
):
    """Equal lines of one journal are messages of their own; a copy of a journal is none."""
    before = [record(0), record(0), record(1), record(1, message_id="m1")]
    after = [record(2), record(3), record(3)]
    journal = write_journal(folder / "s1.jsonl", before[: 2 * flushed_before])
    flush(connection, folder)
    write_journal(journal, before)
    journal.rename(folder / name)
    write_journal(journal, after)
    flush(connection, folder)
    assert stored(database) == wanted_of([*before, *after])
    (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
    assert flush(connection, folder).stored == 0
    (folder / name).unlink()
    assert flush(connection, folder, ignore_ledger=True).stored == 0
    assert stored(database) == wanted_of([*before, *after])
