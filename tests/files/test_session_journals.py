"""Journals of single sessions, and what is new in a log."""

from __future__ import annotations

import fcntl
import json
import threading

import pytest

from chatstore_cli.domain.errors import Locked, NotFound, WrongUse
from chatstore_cli.files.log_tail import LogTail
from chatstore_cli.files.session_journals import SessionJournals
from tests.support.mongod import poll

SESSION = "verifier-ab"


def line(text: str, **others: object) -> str:
    """A journal's line."""
    return json.dumps({"session_id": SESSION, "role": "user", "text": text, "message_id": "m", **others}) + "\n"


def test_a_sessions_journals_are_read_with_rotated_ones_and_what_is_no_message_of_it_is_counted(tmp_path):
    (tmp_path / f"{SESSION}.jsonl.1").write_text(line("a"))
    others = [line("x", session_id="other"), line("x", role=5), "not JSON\n", "[]\n", "[" * 100_000 + "\n"]
    (tmp_path / f"{SESSION}.jsonl").write_text(
        line("b", created_at="2026-03-02T12:00:00Z") + "".join(others) + '{"half'
    )
    (tmp_path / f"{SESSION}-ws.jsonl").write_text(line("c"))
    found = SessionJournals(tmp_path, 1.0).read(SESSION)
    assert (found.files, [turn.text for turn in found.messages], found.unreadable) == (2, ["a", "b"], 5)
    assert str(found.messages[1].created_at) == "2026-03-02 12:00:00+00:00"
    assert SessionJournals(tmp_path / "none", 1.0).read(SESSION) == (0, [], 0)
    assert not SessionJournals(tmp_path / "none", 1.0).exists


def test_a_journal_is_removed_once_its_writer_has_let_go_and_no_other_is(tmp_path):
    journals = SessionJournals(tmp_path, 120.0)
    path, other = tmp_path / f"{SESSION}.jsonl", tmp_path / "verifier-abc.jsonl"
    path.write_text(line("a"))
    other.write_text(line("a"))
    removed = []
    with path.open("rb") as writer:
        fcntl.flock(writer.fileno(), fcntl.LOCK_EX)
        removing = threading.Thread(target=lambda: removed.append(journals.remove(SESSION)))
        removing.start()
        with pytest.raises(Locked, match=f"{SESSION}.jsonl is in use by a process"):
            SessionJournals(tmp_path, 0.05).remove(SESSION)
        assert path.exists()
    removing.join()
    assert (removed, path.exists(), other.exists()) == ([1], False, True)
    assert journals.remove(SESSION) == 0


def test_of_a_log_only_what_is_new_is_seen_also_when_it_is_cut_off_or_rotated(tmp_path):
    path = tmp_path / "app.log"
    path.write_text("CACHE old\n")
    log = LogTail(path)
    assert log.read(["CACHE"]) == []
    with path.open("a") as stream:
        stream.write("CACHE 1\nnothing\nWORKER 2\nCACHE ha")
    assert log.read(["CACHE", "WORKER"]) == ["CACHE 1", "WORKER 2"]
    with path.open("ab") as stream:
        stream.write(b"lf \xff\n")
    assert log.read(["CACHE"]) == ["CACHE half \ufffd"]
    path.rename(tmp_path / "app.log.1")
    assert log.read(["CACHE"]) == []
    path.write_text("CACHE 3\n")
    assert log.read(["CACHE"]) == ["CACHE 3"]
    path.write_text("CACHE\n")  # shorter than before
    assert poll(lambda: log.read(["CACHE"]), what="the new line") == ["CACHE"]


def test_a_log_that_is_not_there_or_no_file_is_said_before_anything_is_sent(tmp_path):
    with pytest.raises(NotFound, match=r"No log file .*absent"):
        LogTail(tmp_path / "absent")
    with pytest.raises(WrongUse, match="is not a regular file"):
        LogTail(tmp_path)
