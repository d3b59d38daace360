"""`chatstore flush-cache` as a person types it."""

from __future__ import annotations

import gzip
import json
import os
import pty
import select
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import FLUSH_KEYS, as_line, as_lines, forget, record, stored, wanted_of, write_journal
from tests.support.mongod import Mongod, poll

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals, with three messages and a bad line in it."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    write_journal(folder / "s1.jsonl", [record(0), record(1), {"bad": True}])
    write_journal(folder / "s2.jsonl", [record(2, session="s2")])
    return folder


def test_the_folder_of_the_settings_is_flushed_and_the_target_named_first(
    chatstore: Chatstore, database: Documents, folder: Path
):
    outcome = chatstore("flush-cache", "-o", "json")
    assert outcome.code == 7, outcome.err
    row = json.loads(outcome.out)
    assert list(row) == [*FLUSH_KEYS, "target"]
    assert [row[key] for key in FLUSH_KEYS[:8]] == [2, 4, 3, 0, 1, 0, 0, 0]
    lines = outcome.err.splitlines()
    assert lines[0] == f"Target: {row['target']}"
    assert lines[0].endswith(f", database {database.name}")
    assert lines[1] == "Created collection chat_messages with its indexes."
    assert lines[2] == "To list the quarantined lines with their reasons: chatstore cache quarantine list"
    assert stored(database) == wanted_of([record(0), record(1), record(2, session="s2")])

    outcome = chatstore("flush-cache", "--ignore-ledger")
    assert outcome.code == 0, outcome.err
    shown = dict(line.rsplit(maxsplit=1) for line in outcome.out.splitlines())
    assert (shown["Lines"], shown["Stored"], shown["Already stored"], shown["Already quarantined"]) == (
        "4", "0", "3", "1",
    )  # fmt: skip


def test_a_dry_run_names_the_target_and_writes_nothing(chatstore: Chatstore, database: Documents, folder: Path):
    outcome = chatstore("flush-cache", "--dry-run", "-o", "json", "--read-only")
    assert outcome.code == 7
    assert outcome.err.splitlines()[0].endswith(f"database {database.name} (dry run: nothing is written)")
    assert [json.loads(outcome.out)[key] for key in FLUSH_KEYS[:8]] == [2, 4, 3, 0, 1, 0, 0, 0]
    assert database.client[database.name].list_collection_names() == []
    assert sorted(file.name for file in folder.iterdir()) == ["s1.jsonl", "s2.jsonl"]


def test_files_folders_compressed_files_and_standard_input_can_be_named(
    chatstore: Chatstore, database: Documents, tmp_path: Path
):
    write_journal(tmp_path / "a" / "a.jsonl", [record(0)])
    write_journal(tmp_path / "b" / "sub" / "b.jsonl", [record(1)])
    (tmp_path / "c.gz").write_bytes(gzip.compress(as_line(record(2))))
    outcome = chatstore(
        "flush-cache", tmp_path / "a" / "a.jsonl", tmp_path / "b", tmp_path / "c.gz", "-", "-o", "json",
        stdin=as_line(record(3)) + b"bad\n" + as_line(record(4))[:9],
    )  # fmt: skip
    assert outcome.code == 7, outcome.err
    row = json.loads(outcome.out)
    assert (row["files"], row["lines"], row["stored"], row["pending"]) == (4, 5, 4, 1)
    assert stored(database) == wanted_of(record(number) for number in range(4))
    outcome = chatstore("cache", "quarantine", "list", "-", "-o", "json")
    assert [line["source"] for line in json.loads(outcome.out)["items"]] == ["stdin"]
    again = chatstore("flush-cache", "-", "-o", "json", "--dry-run", stdin=as_line(record(3)) + b"bad\n")
    assert (again.code, json.loads(again.out)["already_quarantined"]) == (0, 1)


def test_wrong_use_is_one_line_each(chatstore: Chatstore, folder: Path):
    for arguments, code, message in (
        (["flush-cache", "nowhere"], 3, "No journal file or folder 'nowhere'."),
        (["flush-cache", "--ttl-from", "noon"], 2, "--ttl-from: 'noon' is not flush or created."),
        (["flush-cache", "--timeout", "-1"], 2, "--timeout"),
        (["flush-cache", "--read-only"], 4, "--read-only"),
    ):
        outcome = chatstore(*arguments)
        assert outcome.code == code, outcome.err
        assert message in outcome.err
        assert "Traceback" not in outcome.err
        assert outcome.out == ""
    assert not (folder / ".chatstore").exists()


def test_a_missing_folder_and_a_folder_without_journals(chatstore: Chatstore, tmp_path: Path):
    outcome = chatstore("flush-cache", "-o", "json")
    assert outcome.code == 3
    assert json.loads(outcome.err)["error"]["kind"] == "not_found"
    (tmp_path / "empty").mkdir()
    outcome = chatstore("flush-cache", tmp_path / "empty", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["files"]) == (0, 0)


def test_an_unreadable_journal_does_not_stop_the_others(chatstore: Chatstore, database: Documents, tmp_path: Path):
    """A link to nowhere: root may read whatever chmod says."""
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "a.jsonl").symlink_to(tmp_path / "gone")
    write_journal(tmp_path / "j" / "b.jsonl", [record(0)])
    outcome = chatstore("flush-cache", tmp_path / "j", "-o", "json")
    assert outcome.code == 1
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert "a.jsonl: No such file or directory" in error["message"]
    assert "From all journals: 1 message stored of 1 line read." in error["hint"]
    assert sum(stored(database).values()) == 1
    row = json.loads(outcome.out)
    assert (row["files"], row["lines"], row["stored"]) == (2, 1, 1)
    again = chatstore("flush-cache", tmp_path / "j")  # there is nothing new in the other one
    assert (again.code, again.out) == (1, "")
    assert "Nothing new" not in again.err
    outcome = chatstore("flush-cache", tmp_path / "j", "--session", "of-the-other-journal", "--ignore-ledger")
    assert (outcome.code, outcome.out) == (1, "")
    assert "a.jsonl: No such file or directory" in outcome.err


def test_every_unreadable_journal_is_named(chatstore: Chatstore, tmp_path: Path):
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "a.jsonl").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "j" / "b.jsonl")
    (tmp_path / "j" / "c.jsonl.gz").write_text("not compressed\n")
    (tmp_path / "j" / "d.jsonl").write_text("{}\n")
    dry_run = chatstore("flush-cache", tmp_path / "j", "--dry-run")
    assert "0 messages would be stored of 1 line read; 1 would be quarantined." in dry_run.err
    outcome = chatstore("flush-cache", tmp_path / "j")
    assert (dry_run.code, outcome.code) == (1, 1)
    assert [each.out.splitlines()[0].split() for each in (dry_run, outcome)] == [["Files", "4"]] * 2
    assert "0 messages stored of 1 line read; 1 quarantined." in outcome.err.splitlines()[-1]
    for told in (dry_run.err, outcome.err):
        assert [told.count(name) for name in ("a.jsonl:", "b.jsonl:", "c.jsonl.gz:")] == [1, 1, 1]
        assert "b.jsonl: Not a regular file. Repair it, rename it, or remove it." in told
        assert "cut off: it is not a gzip file. The part" in told


def test_names_that_are_not_utf8_can_be_flushed_and_listed(chatstore: Chatstore, database: Documents, tmp_path: Path):
    journal = tmp_path / "j" / os.fsdecode(b"caf\xe9\x1b[31m.jsonl")
    journal.parent.mkdir()
    journal.write_bytes(as_line(record(0)) + b"bad\n")
    outcome = chatstore("flush-cache", tmp_path / "j", "-v")
    assert outcome.code == 7, outcome.err
    assert chatstore("flush-cache", tmp_path / "j", "-o", "json").code == 0
    outcome = chatstore("cache", "quarantine", "list", tmp_path / "j")
    assert (outcome.code, "\x1b" in outcome.out) == (0, False)
    assert sum(stored(database).values()) == 1


def test_the_second_of_two_flushes_names_the_first(chatstore: Chatstore, database: Documents, folder: Path):
    """The first process waits in the middle of its standard input. Once killed, it holds nothing."""
    (folder / "s1.jsonl").write_bytes(as_lines([record(0)]))
    first = chatstore.popen("flush-cache", folder, "-", stdin=subprocess.PIPE)
    poll((folder / ".chatstore" / "lock.holder").exists, what="the lock")
    outcome = chatstore("flush-cache", "-o", "json")
    assert outcome.code == 8
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["kind"] == "locked"
    assert f"chatstore flush-cache (process {first.pid} on " in error["message"]
    assert chatstore("cache", "quarantine", "retry").code == 8
    assert chatstore("flush-cache", "--dry-run").code == 0
    first.kill()
    first.communicate()
    assert chatstore("flush-cache").code == 0
    assert sum(stored(database).values()) == 2


# --- expiry ----------------------------------------------------------------------------------------------------------


def test_messages_that_expire_at_once_are_counted_and_need_confirmation(
    chatstore: Chatstore, database: Documents, tmp_path: Path
):
    fresh = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    old = (datetime.now(UTC) - timedelta(days=400)).isoformat()
    write_journal(tmp_path / "j" / "s.jsonl", [record(0, created_at=old), record(1, created_at=fresh)])
    flush = ("flush-cache", tmp_path / "j", "--ttl-from", "created", "-o", "json")
    outcome = chatstore(*flush)
    assert outcome.code == 2
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["message"] == (
        "1 message has expired, counted from created_at. MongoDB deletes expired messages within a minute. Nothing was done."
    )
    assert "--yes" in error["hint"]
    assert "--skip-expired" in error["hint"]
    assert database.list_collection_names() == []
    assert chatstore("flush-cache", tmp_path / "j", "--skip-expired").code == 2

    planned = chatstore(*flush, "--dry-run")
    assert (planned.code, json.loads(planned.out)["stored"]) == (0, 2)
    assert "Messages that have already expired, counted from created_at: 1.\n" in planned.err

    outcome = chatstore(*flush, "--skip-expired")
    assert (outcome.code, json.loads(outcome.out)["skipped"]) == (0, 1)
    [row] = database["chat_messages"].find()
    assert row["expires_at"] == datetime.fromisoformat(fresh).replace(
        microsecond=row["expires_at"].microsecond
    ) + timedelta(days=30)
    forget(tmp_path / "j")
    assert chatstore(*flush).code == 2
    outcome = chatstore(*flush, "--yes")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (0, 1)
    outcome = chatstore("flush-cache", "-", "--ttl-from", "created", stdin=as_line(record(5)))
    assert outcome.code == 2
    assert "Standard input can be read only once" in outcome.err


def test_messages_expire_ttl_days_after_the_flush_or_never(chatstore: Chatstore, database: Documents, folder: Path):
    assert chatstore("flush-cache", "--session", "s2", env={"CHATSTORE_MONGO__TTL_DAYS": "3"}).code == 0
    [row] = database["chat_messages"].find()
    assert timedelta(days=3) - timedelta(minutes=5) < row["expires_at"] - datetime.now(UTC) <= timedelta(days=3)
    assert chatstore("flush-cache", "--session", "s1", env={"CHATSTORE_MONGO__TTL_DAYS": "0"}).code == 0
    assert ["expires_at" in row for row in database["chat_messages"].find({"session_id": "s1"})] == [False, False]


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_ctrl_c_reports_the_progress_and_how_to_continue(chatstore: Chatstore, database: Documents, tmp_path: Path):
    read, write = os.pipe()
    process = chatstore.popen("flush-cache", "-", stdin=read)
    os.close(read)
    os.write(write, as_lines(record(number) for number in range(100)))
    assert process.stderr is not None
    while not process.stderr.readline().startswith(b"Created collection"):
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    os.close(write)
    assert process.returncode == 130, err
    assert out == b""
    assert b"Interrupted." in err
    assert b"Run the same command again to continue." in err
    assert b"Traceback" not in err
    assert sum(stored(database).values()) in {0, 100}


def test_ctrl_c_does_not_wait_for_an_unreachable_server(
    chatstore: Chatstore, database: Documents, start_mongod: Any, tmp_path: Path, short_folder: Path
):
    server: Mongod = start_mongod(short_folder / "m")
    write_journal(tmp_path / "j" / "s.jsonl", (record(number) for number in range(30_000)))
    process = chatstore.popen(
        "flush-cache", tmp_path / "j", "--uri", server.uri, "--timeout", "600",
        env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"},
    )  # fmt: skip
    messages = server.client(serverSelectionTimeoutMS=500)[database.name]["chat_messages"]
    poll(messages.find_one, what="a first message")
    server.kill()
    assert process.stderr is not None
    said = b""
    while b"Retrying" not in said:
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert b"Run the same command again to continue." in err


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_a_terminal_shows_the_progress(chatstore: Chatstore, tmp_path: Path):
    write_journal(tmp_path / "j" / "s.jsonl", (record(number) for number in range(20_000)))
    terminal, end = pty.openpty()
    process = chatstore.popen("flush-cache", tmp_path / "j", stderr=end, env={"TERM": "xterm"})
    os.close(end)
    shown = b""
    while True:
        if select.select([terminal], [], [], 60)[0]:
            try:
                shown += os.read(terminal, 10_000)
            except OSError:
                break
    os.close(terminal)
    process.communicate()
    assert process.returncode == 0
    assert b"messages/s" in shown
    assert b"MB" in shown
    quiet = chatstore("flush-cache", tmp_path / "j", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


# --- what it prints ---------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_what_would_be_done(chatstore: Chatstore, folder: Path) -> None:
    done = chatstore("flush-cache", "--dry-run")
    rows = dict(line.rsplit(maxsplit=1) for line in done.out.splitlines())
    assert (rows["Would be stored"], rows["Would be quarantined"], rows["Would be skipped"]) == ("3", "1", "0")
    assert rows.keys().isdisjoint({"Stored", "Quarantined", "Skipped"})
    assert list(json.loads(chatstore("flush-cache", "--dry-run", "-o", "json").out))[: len(FLUSH_KEYS)] == FLUSH_KEYS
    assert "Would be" not in chatstore("flush-cache").out


@pytest.mark.parametrize(
    "command", [("flush-cache",), ("flush-cache", "--dry-run"), ("worker", "--once")], ids=" ".join
)
def test_a_run_with_nothing_new_prints_a_sentence_and_no_zeros(
    chatstore: Chatstore, folder: Path, command: tuple[str, ...]
) -> None:
    assert chatstore("flush-cache").code == 7
    with (folder / "s2.jsonl").open("a") as journal:
        journal.write('{"session_id": "s2", "role"')
    done = chatstore(*command)
    assert (done.code, done.out) == (0, "")
    assert "Nothing new in 2 journals since the last flush." in done.err
    assert f"Incomplete last lines, left for the next flush: 1 ({folder / 's2.jsonl'})." in done.err
    row = json.loads(chatstore(*command, "-o", "json").out)
    assert list(row)[: len(FLUSH_KEYS)] == FLUSH_KEYS
    assert (row["files"], row["lines"], row["pending"]) == (2, 0, 1)


def test_a_session_that_no_journal_has_is_not_found(chatstore: Chatstore, folder: Path, database: Documents) -> None:
    for more in ((), ("--dry-run",), ("-o", "json"), ("--ignore-ledger",)):
        done = chatstore("flush-cache", "--session", "nosuch", *more)
        assert (done.code, done.out) == (3, "")
        assert "No session 'nosuch' in the journals." in done.err
    assert database.chat_messages.count_documents({}) == 0
    for _ in range(2):  # stored, and already stored
        assert chatstore("flush-cache", "--session", "s2").code == 0
    assert database.chat_messages.count_documents({}) == 1


def test_lines_in_quarantine_since_an_earlier_flush_are_counted(chatstore: Chatstore, folder: Path) -> None:
    assert chatstore("flush-cache").code == 7
    notice = "In quarantine since an earlier flush: 1 line. To list them: chatstore cache quarantine list"
    path = folder / "s1.jsonl"
    for named in ((), (path,), ("--dry-run",), None):
        done = chatstore("worker", "--once") if named is None else chatstore("flush-cache", *named)
        assert done.code == 0
        assert f"{notice}{f' {path}' if named == (path,) else ''}\n" in done.err
    assert "quarantine" not in chatstore("flush-cache", folder / "s2.jsonl").err
    assert "quarantine" not in chatstore("flush-cache", "-", stdin="").err
