"""A pipe, a device, a socket or a folder with the name of a file of ours: one clear line, and no command waits for it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import LocalChatCache
from chatstore_cli.core.regular_files import open_regular, read_regular
from chatstore_cli.domain.errors import NotRecorded
from chatstore_cli.files.journal_reader import JournalFile
from tests.conftest import Chatstore
from tests.support.journals import record, stored, wanted_of, write_journal
from tests.support.open_files import open_files

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
JOURNALS = Path("data/cache/chat_sessions")


@pytest.fixture(autouse=True)
def no_endless_wait() -> Iterator[None]:
    """End a test that waits for a pipe."""

    def end(_signal: int, _frame: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": make_socket,
    "folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT | os.O_APPEND])
def test_only_a_regular_file_is_opened(kind: str, flags: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    KINDS[kind](tmp_path / "it")
    with pytest.raises(OSError, match="Is a directory" if kind == "folder" else "Not a regular file"):
        open_regular(tmp_path / "it", flags)
    assert open_files(tmp_path) == []
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file") == b"content"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["config.yaml", ".env"])
def test_a_configuration_that_is_not_a_file_is_one_line(
    chatstore: Chatstore, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(chatstore.folder)
    (chatstore.folder / name).unlink(missing_ok=True)
    KINDS[kind](chatstore.folder / name)
    outcome = chatstore("config", "show", "-o", "json")
    if (kind, name) == ("folder", ".env"):  # it may be a virtual environment
        assert outcome.code == 0
    else:
        assert outcome.code == 2
        told = json.loads(outcome.err)["error"]["message"]
        assert told in {f"{name}: cannot be read: Not a regular file.", f"{name}: cannot be read: Is a directory."}


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_journal_that_is_not_a_file_stops_no_other(chatstore: Chatstore, database: Documents, kind: str):
    folder = chatstore.folder / JOURNALS
    write_journal(folder / "b.jsonl", [record(0)])
    KINDS[kind](folder / "a.jsonl")
    KINDS[kind](folder / "c.jsonl.gz")
    for command in (["flush-cache", "--dry-run"], ["flush-cache"], ["cache", "status"], ["worker", "--once"]):
        outcome = chatstore(*command, "-o", "json")
        assert outcome.code == 1, command
        assert "a.jsonl: " in outcome.err
        assert "ot a regular file" in outcome.err
    assert stored(database) == wanted_of([record(0)])
    rows = json.loads(chatstore("cache", "prune", "--older-than", "0s", "--dry-run", "-o", "json").out)["items"]
    assert [row["action"] for row in rows] == ["keep", "prune", "keep"]
    checks = {row["name"]: row for row in json.loads(chatstore("verify", "-o", "json").out)["items"]}
    assert "Not a regular file" in checks["journal-flushed"]["detail"]
    for session in ("a", "c"):
        assert chatstore("history", session).code == 3
    assert chatstore("flush-cache", JOURNALS / "a.jsonl").code == 2


@pytest.mark.parametrize("name", ["ledger.sqlite3", "quarantine.jsonl", "lock.holder"])
def test_bookkeeping_that_is_not_a_file_hangs_nothing(chatstore: Chatstore, database: Documents, name: str):
    folder = chatstore.folder / JOURNALS
    write_journal(folder / "b.jsonl", [record(0), {"bad": True}])
    (folder / ".chatstore").mkdir()
    os.mkfifo(folder / ".chatstore" / name)
    for command in (["cache", "status"], ["cache", "quarantine", "list"], ["flush-cache"]):
        outcome = chatstore(*command)
        assert outcome.code == (1 if name == "quarantine.jsonl" else 7 if command == ["flush-cache"] else 0), (
            outcome.err
        )
        assert name != "quarantine.jsonl" or outcome.err.count("quarantine.jsonl: Not a regular file.") == 1


def test_a_quarantine_that_cannot_be_read_hides_no_other(chatstore: Chatstore, database: Documents):
    """As after a run of root: one is beside the journals, and this user's own is in the state folder."""
    folder = chatstore.folder / JOURNALS
    write_journal(folder / "b.jsonl", [{"bad": True}])
    (folder / ".chatstore").touch()
    assert chatstore("flush-cache").code == 7
    (folder / ".chatstore").unlink()
    (folder / ".chatstore").mkdir()
    os.mkfifo(folder / ".chatstore" / "quarantine.jsonl")
    outcome = chatstore("cache", "quarantine", "list", "-o", "json")
    assert outcome.code == 1
    assert [item["line"] for item in json.loads(outcome.out)["items"]] == [1]
    outcome = chatstore("cache", "status", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["quarantined"]) == (1, None)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_message_is_not_recorded_into_something_that_is_not_a_file(tmp_path: Path, kind: str):
    KINDS[kind](tmp_path / "s1.jsonl")
    with LocalChatCache(disk_path=tmp_path) as cache, pytest.raises(NotRecorded, match="Not a regular file"):
        cache.record_chat_event("s1", "user", "hello")


def test_a_compressed_journal_is_closed_after_it_was_read(tmp_path: Path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    assert len(list(JournalFile(tmp_path / "a.jsonl.gz").blocks())) == 1
    assert open_files(tmp_path) == []
