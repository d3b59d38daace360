"""Retrying quarantined lines: each keeps the identity with which it was refused, and none is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from chatstore_cli.mongo.connection import Connection
from tests.support.journals import (
    COLLECTION,
    as_lines,
    flush,
    quarantined,
    record,
    retry_quarantine,
    stored,
    wanted_of,
    write_journal,
)


def test_equal_lines_that_were_refused_are_all_stored_in_the_end(
    memory: Connection, tmp_path: Path, refusing: list[str]
):
    lines = [record(0), record(1), record(1), record(1), record(2, message_id="m")]
    refusing += ["message 1", "message 2"]
    write_journal(tmp_path / "s.jsonl", lines)
    assert flush(memory, tmp_path).quarantined == 4
    identities = [line.identity for line in quarantined(tmp_path)]
    assert len(set(identities)) == 4
    assert retry_quarantine(memory, tmp_path).still_quarantined == 4
    refusing.clear()
    result = retry_quarantine(memory, tmp_path)
    assert (result.lines, result.stored, result.already_stored, result.still_quarantined) == (4, 4, 0, 0)
    assert stored(memory.database) == wanted_of(lines)
    assert {row["_id"] for row in memory.database[COLLECTION].find()} >= set(identities)
    assert flush(memory, tmp_path).stored == 0


def test_lines_that_a_flush_has_stored_meanwhile_leave_the_quarantine(
    memory: Connection, tmp_path: Path, refusing: list[str]
):
    refusing.append("message 1")
    write_journal(tmp_path / "s.jsonl", [record(0), record(1)])
    flush(memory, tmp_path)
    refusing.clear()
    assert flush(memory, tmp_path).stored == 1
    result = retry_quarantine(memory, tmp_path)
    assert (result.stored, result.already_stored, result.still_quarantined) == (0, 1, 0)
    assert quarantined(tmp_path) == []


def test_bad_lines_stay_and_keep_their_bytes(memory: Connection, tmp_path: Path):
    bad = [b"torn", b"\xff", as_lines([record(0, role="x")])[:-1], as_lines([record(0, created_at="x")])[:-1]]
    (tmp_path / "s.jsonl").write_bytes(b"\n".join([*bad, b""]))
    flush(memory, tmp_path)
    result = retry_quarantine(memory, tmp_path)
    assert (result.lines, result.still_quarantined) == (4, 4)
    assert [line.raw for line in quarantined(tmp_path)] == bad


def test_several_journals_of_one_folder_share_one_quarantine(memory: Connection, tmp_path: Path, refusing: list[str]):
    refusing.append("message 1")
    for name in ("a", "b", "c"):
        write_journal(tmp_path / f"{name}.jsonl", [record(0, session=name), record(1, session=name)])
    assert flush(memory, tmp_path).quarantined == 3
    refusing.clear()
    result = retry_quarantine(memory, tmp_path, tmp_path / "a.jsonl")
    assert (result.lines, result.stored) == (3, 3)
    assert len({line.source for line in quarantined(tmp_path)}) == 0


def test_a_deleted_sessions_lines_leave_the_quarantine_unstored(
    memory: Connection, tmp_path: Path, refusing: list[str]
):
    refusing.append("message 1")
    write_journal(tmp_path / "s.jsonl", [record(0), record(1)])
    flush(memory, tmp_path)
    memory.database[COLLECTION].delete_many({})
    tombstone = {"_id": {"layout": "messages", "session_id": "s1"}, "deleted_at": datetime.now(UTC)}
    memory.database["chatstore_tombstones"].insert_one(tombstone)
    refusing.clear()
    assert retry_quarantine(memory, tmp_path).stored == 0
    assert memory.database[COLLECTION].count_documents({}) == 0
    assert quarantined(tmp_path) == []
