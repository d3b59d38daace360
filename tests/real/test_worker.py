"""`chatstore worker` as a service, and with --once."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.mongo.connection import Connection
from tests.conftest import Chatstore
from tests.support.journals import (
    FLUSH_KEYS,
    as_line,
    as_lines,
    quarantined,
    record,
    store_of,
    stored,
    wanted_of,
    write_journal,
)
from tests.support.mongod import ADMIN, Mongod, poll
from tests.support.worker_processes import running_worker, wait_until_stored

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals, which does not exist yet."""
    return chatstore.folder / "data" / "cache" / "chat_sessions"


def append(journal: Path, *records: dict[str, Any]) -> None:
    with journal.open("ab") as stream:
        stream.write(as_lines(records))


# --- following -------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_made_and_what_comes_into_it_is_stored(
    chatstore: Chatstore, database: Documents, folder: Path
):
    with running_worker(chatstore) as worker:
        worker.wait_until_it_follows()
        assert worker.err.splitlines()[0].startswith("Target: ")
        assert f"Following {folder}." in worker.err
        lines = [record(0), record(1)]
        write_journal(folder / "s1.jsonl", lines)
        wait_until_stored(database, wanted_of(lines))
        write_journal(folder / "s2.jsonl", [record(2, session="s2")])
        write_journal(folder / "deep~" / "s3.jsonl", [record(3, session="s3")])
        append(folder / "s1.jsonl", record(4))
        lines += [record(2, session="s2"), record(3, session="s3"), record(4)]
        wait_until_stored(database, wanted_of(lines))
        assert worker.end() == 0
        assert "[CHAT WORKER] Flushed 2/2 chat messages to Mongo (" in worker.err
        row = dict(line.rsplit(maxsplit=1) for line in worker.out.splitlines())
        assert (row["Files"], row["Stored"]) == ("3", "5")
    assert list(database["chat_messages"].index_information()) == [
        "_id_", "session_ts_idx", "expires_at_idx", "recent_idx",
    ]  # fmt: skip


def test_a_round_that_met_new_lines_is_a_row_and_an_idle_one_is_none(
    chatstore: Chatstore, database: Documents, folder: Path
):
    write_journal(folder / "s1.jsonl", [record(0)])
    with running_worker(chatstore, "-o", "jsonl") as worker:
        poll(lambda: len(worker.rows) == 1)
        append(folder / "s1.jsonl", record(1), record(2))
        poll(lambda: sum(row["stored"] for row in worker.rows) == 3)
        time.sleep(0.3)  # idle rounds, which must give nothing
        assert worker.end(signal.SIGINT) == 0
        assert [list(row) for row in worker.rows] == [FLUSH_KEYS] * len(worker.rows)
        assert all(row["lines"] for row in worker.rows)


def test_a_line_that_is_written_in_pieces_is_stored_once_it_is_whole(
    chatstore: Chatstore, database: Documents, folder: Path
):
    folder.mkdir(parents=True)
    line = as_line(record(0, text="é☕𝄞"))
    with running_worker(chatstore) as worker:
        with (folder / "s1.jsonl").open("ab", buffering=0) as stream:
            for at in range(0, len(line), 20):
                stream.write(line[at : at + 20])
                time.sleep(0.06)
        wait_until_stored(database, wanted_of([record(0, text="é☕𝄞")]))
        assert worker.end() == 0
    assert quarantined(folder) == []


def test_a_bad_line_is_said_and_kept_and_ends_nothing(chatstore: Chatstore, database: Documents, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0), {"bad": True}])
    with running_worker(chatstore, "-o", "jsonl") as worker:
        worker.wait_until_it_said("[CHAT WORKER] 1 line was quarantined: chatstore cache quarantine list")
        append(folder / "s1.jsonl", record(1))
        wait_until_stored(database, wanted_of([record(0), record(1)]))
        assert worker.end() == 0
        assert sum(row["quarantined"] for row in worker.rows) == 1
    assert [line.line for line in quarantined(folder)] == [2]


def test_a_journal_that_cannot_be_read_is_said_once_and_stops_no_other(
    chatstore: Chatstore, database: Documents, folder: Path
):
    """Links that lead nowhere or round in circles: root may read whatever chmod says. And a compressed one, cut off."""
    folder.mkdir(parents=True)
    (folder / "nowhere.jsonl").symlink_to(folder / "gone")
    (folder / "circle.jsonl").symlink_to(folder / "circle.jsonl")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(as_lines(record(number) for number in range(9)))[:-20])
    with running_worker(chatstore) as worker:
        for name in ("nowhere.jsonl: No such file", "circle.jsonl: Too many levels", "cut.jsonl.gz: the compressed"):
            worker.wait_until_it_said(name)
        write_journal(folder / "s1.jsonl", [record(20), record(21)])
        poll(lambda: database["chat_messages"].count_documents({"text": "message 21"}))
        time.sleep(0.4)  # more rounds, which must not say it again
        for name in ("nowhere.jsonl", "circle.jsonl", "cut.jsonl.gz"):
            assert worker.err.count(f"{name}: ") == 1, worker.err
        (folder / "gone").write_bytes(as_line(record(30, session="s2")))
        poll(lambda: database["chat_messages"].count_documents({"text": "message 30"}), what="the mended journal")
        assert worker.end() == 0


def test_a_session_that_is_deleted_on_purpose_stays_deleted(chatstore: Chatstore, database: Documents, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0), record(1)])
    write_journal(folder / "s2.jsonl", [record(2, session="s2")])
    with running_worker(chatstore) as worker:
        wait_until_stored(database, wanted_of([record(0), record(1), record(2, session="s2")]))
        assert chatstore("sessions", "delete", "s1", "--yes").code == 0
        append(folder / "s1.jsonl", record(3))
        append(folder / "s2.jsonl", record(4, session="s2"))
        poll(lambda: database["chat_messages"].count_documents({"text": "message 4"}))
        append(folder / "s1.jsonl", record(5))
        append(folder / "s2.jsonl", record(6, session="s2"))
        poll(lambda: database["chat_messages"].count_documents({"text": "message 6"}))
        assert {key[0] for key in stored(database)} == {"s2"}
        assert worker.end() == 0


def test_named_journals_alone_are_followed_and_one_that_is_not_there_is_said(
    chatstore: Chatstore, database: Documents, tmp_path: Path
):
    write_journal(tmp_path / "j" / "other.jsonl", [record(9, session="other")])
    (tmp_path / "j" / "s1.jsonl").touch()
    missing = chatstore("worker", tmp_path / "j" / "s1.jsonl", tmp_path / "k" / "s2.jsonl")
    assert missing.code == 3
    assert "No journal file" in missing.err
    assert "give their folder" in missing.err
    assert not (tmp_path / "k").exists()
    write_journal(tmp_path / "k" / "s2.jsonl", [])
    with running_worker(chatstore, tmp_path / "j" / "s1.jsonl", tmp_path / "k" / "s2.jsonl") as worker:
        worker.wait_until_it_follows()
        write_journal(tmp_path / "k" / "s2.jsonl", [record(1, session="s2")])
        write_journal(tmp_path / "j" / "s1.jsonl", [record(0)])
        wait_until_stored(database, wanted_of([record(0), record(1, session="s2")]))
        assert worker.end() == 0
    assert {key[0] for key in stored(database)} == {"s1", "s2"}


@pytest.mark.parametrize(("expires", "ttl_index"), [(1, True), (-1, False)])
def test_a_collection_that_was_made_anew_gets_its_indexes_but_none_that_would_delete_at_once(
    connection: Connection, database: Documents, expires: int, ttl_index: bool
):
    message = {"session_id": "s1", "role": "user", "text": "hello"}
    database["chat_messages"].insert_one({**message, "expires_at": datetime.now(UTC) + timedelta(hours=expires)})
    store = store_of(connection)
    assert store.prepare() == ["Created index session_ts_idx on chat_messages."]
    database["chat_messages"].drop_indexes()
    store.prepare(recreated=True)
    names = {"_id_", "session_ts_idx", "recent_idx"} | ({"expires_at_idx"} if ttl_index else set())
    assert set(database["chat_messages"].index_information()) == names
    assert store.prepare(recreated=True) == []


# --- the lock --------------------------------------------------------------------------------------------------------


def test_the_second_is_told_who_follows_the_folder(chatstore: Chatstore, database: Documents, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0)])
    with running_worker(chatstore) as worker:
        worker.wait_until_it_follows()
        for arguments in (["worker"], ["worker", "--once"], ["flush-cache"], ["cache", "quarantine", "retry"]):
            outcome = chatstore(*arguments, "-o", "json")
            assert (outcome.code, outcome.out) == (8, ""), outcome.err
            error = json.loads(outcome.err.splitlines()[-1])["error"]
            assert error["kind"] == "locked"
            assert f"chatstore worker (process {worker.process.pid} on " in error["message"]
        assert worker.process.poll() is None
        worker.kill()
    assert chatstore("worker", "--once").code == 0
    assert stored(database) == wanted_of([record(0)])


def test_a_worker_that_was_killed_while_idle_had_put_on_disk_how_far_it_was(
    chatstore: Chatstore, database: Documents, folder: Path
):
    lines = [record(number) for number in range(50)]
    write_journal(folder / "s1.jsonl", lines)
    with running_worker(chatstore) as worker:
        worker.wait_until_it_said("Flushed 50/50")
        poll(lambda: json.loads(chatstore("cache", "status", "-o", "json").out)["not_persisted"] == 0)
        worker.kill()
    outcome = chatstore("worker", "--once", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["lines"]) == (0, 0)


# --- once ------------------------------------------------------------------------------------------------------------


def test_once_stores_all_and_ends_with_the_row_of_flush_cache(chatstore: Chatstore, database: Documents, folder: Path):
    lines = [record(number) for number in range(300)]
    write_journal(folder / "s1.jsonl", lines)
    write_journal(folder / "s2.jsonl", [record(0, session="s2")])
    outcome = chatstore("worker", "--once", "-o", "json")
    assert outcome.code == 0, outcome.err
    row = json.loads(outcome.out)
    assert list(row) == [*FLUSH_KEYS, "target"]
    assert [row[key] for key in FLUSH_KEYS[:8]] == [2, 301, 301, 0, 0, 0, 0, 0]
    assert "[CHAT WORKER] Flushed 301/301 chat messages to Mongo (" in outcome.err
    assert stored(database) == wanted_of([*lines, record(0, session="s2")])
    again = chatstore("worker", "--once", "-o", "jsonl", "--quiet")
    assert (again.code, json.loads(again.out)["lines"], again.err) == (0, 0, "")


def test_once_tells_of_what_it_could_not_store(chatstore: Chatstore, database: Documents, folder: Path):
    outcome = chatstore("worker", "--once", "-o", "json")
    assert outcome.code == 3
    assert json.loads(outcome.err)["error"]["kind"] == "not_found"
    assert not folder.exists()
    write_journal(folder / "s1.jsonl", [record(0), {"bad": True}])
    outcome = chatstore("worker", "--once", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["quarantined"]) == (7, 1)
    (folder / "a.jsonl").symlink_to("gone")
    append(folder / "s1.jsonl", record(1))
    outcome = chatstore("worker", "--once", "-o", "json")
    assert outcome.code == 1
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert "a.jsonl: No such file or directory" in error["message"]
    assert stored(database) == wanted_of([record(0), record(1)])


def test_wrong_use_is_one_line_each(chatstore: Chatstore, folder: Path):
    for arguments, code, message in (
        (["-"], 2, "standard input cannot be followed"),
        (["--interval", "0"], 2, "--interval"),
        (["--interval", "inf"], 2, "--interval"),
        (["--interval", "1e10"], 2, "3600"),
        (["--interval", "nan"], 2, "--interval"),
        (["--timeout", "-1"], 2, "--timeout"),
        (["--timeout", "nan"], 2, "--timeout"),
        (["--read-only"], 4, "--read-only"),
        (["--uri", "mongodb://:::"], 2, "mongo.uri"),
    ):
        outcome = chatstore("worker", *arguments)
        assert (outcome.code, outcome.out) == (code, ""), outcome.err
        assert message in outcome.err
        assert "Traceback" not in outcome.err
    outcome = chatstore("worker", env={"CHATSTORE_MONGO__ENABLED": "false"})
    assert outcome.code == 5
    assert "mongo.enabled" in outcome.err
    assert not folder.exists()


# --- what ends it, and what does not ---------------------------------------------------------------------------------


def test_a_user_without_the_right_to_write_ends_it_with_4(
    chatstore: Chatstore, start_mongod: Callable[..., Mongod], short_folder: Path, folder: Path
):
    server = start_mongod(short_folder / "m", auth=True)
    write_journal(folder / "s1.jsonl", [record(0)])
    target = ("--uri", server.reader_uri, "--database", "chats")
    outcome = chatstore("worker", *target)
    assert outcome.code == 4, outcome.err
    assert "Check user, password and roles." in outcome.err
    wrong = server.uri_as(ADMIN[0], "another password")
    outcome = chatstore("worker", "--uri", wrong, "--database", "chats")
    assert outcome.code == 4, outcome.err
    assert "another password" not in outcome.err


def test_an_outage_is_bounded_only_where_that_is_asked_for(chatstore: Chatstore, short_folder: Path, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0)])
    away = ["--uri", f"mongodb://{str(short_folder / 'none.sock').replace('/', '%2F')}/", "--database", "chats"]
    env = {"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2"}
    for arguments in (["--once", "--timeout", "0.5"], ["--timeout", "0.5"]):
        outcome = chatstore("worker", *away, *arguments, env=env)
        assert outcome.code == 5, outcome.err
        assert "cannot reach MongoDB" in outcome.err
    with running_worker(chatstore, *away, env=env) as worker:
        worker.wait_until_it_said("cannot reach MongoDB")
        time.sleep(1.0)  # it has been tried again, and said once
        assert worker.err.count("[CHAT WORKER]") == 1, worker.err
        assert worker.end() == 0
        assert worker.err.splitlines()[-1] == "MongoDB did not answer, so no journal was read."
        assert "No journals were found" not in worker.err


def test_once_that_is_interrupted_says_that_it_has_not_ended(chatstore: Chatstore, short_folder: Path, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0)])
    away = ["--uri", f"mongodb://{str(short_folder / 'none.sock').replace('/', '%2F')}/", "--database", "chats"]
    with running_worker(chatstore, *away, "--once", env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2"}) as worker:
        worker.wait_until_it_said("cannot reach MongoDB")
        assert worker.end(signal.SIGINT) == 130
        assert "Interrupted. 0 messages stored." in worker.err


def test_a_reader_that_goes_away_ends_it_quietly(chatstore: Chatstore, database: Documents, folder: Path):
    write_journal(folder / "s1.jsonl", [record(0)])
    process = chatstore.popen("worker", "-o", "jsonl", "--interval", "0.05", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["stored"] == 1
    process.stdout.close()
    append(folder / "s1.jsonl", record(1))
    try:
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_that_is_full_stops_nothing(chatstore: Chatstore, database: Documents, folder: Path):
    folder.mkdir(parents=True)
    with Path("/dev/full").open("wb") as full:
        process = chatstore.popen("worker", "--interval", "0.05", stdout=subprocess.DEVNULL, stderr=full)
    try:
        write_journal(folder / "s1.jsonl", [record(0)])
        wait_until_stored(database, wanted_of([record(0)]))
        append(folder / "s1.jsonl", record(1))
        wait_until_stored(database, wanted_of([record(0), record(1)]))
        process.terminate()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


def test_a_signal_that_was_ignored_stays_ignored(chatstore: Chatstore, database: Documents, folder: Path):
    """As under nohup, or in the background of a script: Ctrl-C is not meant for it."""
    write_journal(folder / "s1.jsonl", [record(0)])
    command = chatstore.command("worker", folder, "--interval", "0.05")
    shell = f"trap '' INT; exec {' '.join(command)}"
    process = subprocess.Popen(
        ["sh", "-c", shell], env=chatstore.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        wait_until_stored(database, wanted_of([record(0)]))
        os.kill(process.pid, signal.SIGINT)
        append(folder / "s1.jsonl", record(1))
        wait_until_stored(database, wanted_of([record(0), record(1)]))
        process.terminate()
        said = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0
        assert ". TERM stops it." in said
    finally:
        process.kill()
        process.communicate()
