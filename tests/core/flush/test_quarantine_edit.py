"""Edited and dropped lines in the midst of a journal: equal lines, rejected lines, long lines and chains of edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.core.flush.quarantine_edit import LineEditor, with_values
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import ChatstoreError, Unreachable, WrongUse
from chatstore_cli.domain.quarantine import EditResult
from chatstore_cli.files import journal_reader
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.quarantine import Quarantine, content_of
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.store import MongoMessageStore
from chatstore_cli.wiring.journals import named_journals
from tests.support.journals import (
    COLLECTION,
    as_line,
    flush,
    forget,
    quarantined,
    record,
    retry_quarantine,
    settings_for,
    store_of,
    stored,
    wanted_of,
    write_journal,
)


def edit(memory: Connection, folder: Path, number: int, edited: bytes | dict[str, Any]) -> EditResult:
    """Edit the line that has this number in the list."""
    line = quarantined(folder)[number - 1]
    policy = RetryPolicy(0, say=lambda _: None)
    editor = LineEditor(store_of(memory), Quarantine(folder / ".chatstore"), JournalFile.read, StoringRules(), policy)
    return editor.edit(line.quarantine_id, edited if isinstance(edited, bytes) else as_line(edited))


def drop(folder: Path, *numbers: int) -> None:
    lines = quarantined(folder)
    Quarantine(folder / ".chatstore").drop([lines[number - 1] for number in numbers])


def again(memory: Connection, folder: Path) -> Any:
    """The result of a flush that reads every line again."""
    forget(folder)
    return flush(memory, folder)


def test_rejected_lines_that_were_dropped_or_edited_do_not_come_back(
    memory: Connection,
    tmp_path: Path,
    refusing: list[str],
):
    """The line itself can be stored later: nothing but the memory of its id keeps it out."""
    refusing.append("message 1")
    write_journal(tmp_path / "s.jsonl", [record(0), record(1), record(1), record(1), record(2)])
    assert flush(memory, tmp_path).quarantined == 3
    identities = [line.identity for line in quarantined(tmp_path)]
    drop(tmp_path, 1)
    assert edit(memory, tmp_path, 1, record(1, text="other")).result == "stored"
    refusing.clear()
    assert retry_quarantine(memory, tmp_path).stored == 1
    result = again(memory, tmp_path)
    assert (result.lines, result.stored, result.already_stored, result.skipped) == (5, 0, 4, 1)
    wanted = wanted_of([record(0), record(1, text="other"), record(1), record(2)])
    assert stored(memory.database) == wanted
    assert identities[2] in {row["_id"] for row in memory.database[COLLECTION].find()}
    memory.database.drop_collection(COLLECTION)
    assert again(memory, tmp_path).stored == 4
    assert stored(memory.database) == wanted


def test_an_edit_that_is_rejected_in_another_collection_can_be_edited_again(
    memory: Connection,
    tmp_path: Path,
    refusing: list[str],
):
    write_journal(tmp_path / "s.jsonl", [record(1, role="bot")])
    flush(memory, tmp_path)
    first, second = record(1, text="first"), record(1, text="second")
    assert edit(memory, tmp_path, 1, first).result == "stored"
    memory.database.drop_collection(COLLECTION)
    refusing.append("first")
    assert again(memory, tmp_path).quarantined == 1
    assert edit(memory, tmp_path, 1, second).result == "stored"
    assert again(memory, tmp_path).already_stored == 1
    refusing[:] = ["second"]
    memory.database.drop_collection(COLLECTION)
    assert again(memory, tmp_path).quarantined == 1
    assert edit(memory, tmp_path, 1, first).result == "stored"  # a circle of edits
    assert again(memory, tmp_path).already_stored == 1
    assert stored(memory.database) == wanted_of([first])


def test_an_edit_keeps_the_id_if_the_content_is_the_same(
    memory: Connection,
    tmp_path: Path,
    refusing: list[str],
):
    refusing.append("message 1")
    write_journal(tmp_path / "s.jsonl", [record(1), record(1)])
    flush(memory, tmp_path)
    refusing.clear()
    assert edit(memory, tmp_path, 2, record(1, metadata={"corrected": "yes"})).result == "stored"
    assert edit(memory, tmp_path, 1, record(1)).result == "stored"  # not changed: a retry
    assert stored(memory.database) == wanted_of([record(1), record(1)])
    assert again(memory, tmp_path).already_stored == 2


def test_an_edit_that_meets_an_outage_is_finished_by_a_retry(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_journal(tmp_path / "s.jsonl", [record(1, role="bot")])
    flush(memory, tmp_path)

    def fail(*_: Any, **__: Any) -> Any:
        raise Unreachable(what="gone")

    with monkeypatch.context() as outage:
        outage.setattr(MongoMessageStore, "insert", fail)
        with pytest.raises(Unreachable) as outage_error:
            edit(memory, tmp_path, 1, record(1, text="first"))
    assert "The edit is kept" in str(outage_error.value.hint)
    assert len(quarantined(tmp_path)) == 1
    result = again(memory, tmp_path)  # a flush stores it too, and closes the entry
    assert (result.stored, result.quarantined) == (1, 0)
    assert quarantined(tmp_path) == []
    assert stored(memory.database) == wanted_of([record(1, text="first")])


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_long_lines_and_last_lines_and_parts_of_lines_are_resolved(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: bytes
):
    monkeypatch.setattr(journal_reader, "LINE_LIMIT", 4096)
    long = as_line(record(1, text="x" * 2_000_000))
    fused = b'{"torn": ' + as_line(record(2))
    (tmp_path / "s.jsonl").write_bytes(long + fused + as_line(record(3)) + as_line(record(4, role="bot"))[:-1] + ending)
    flush(memory, tmp_path)
    assert [line.line for line in quarantined(tmp_path)] == [1, 2, 5]
    [numbered, *_] = named_journals(settings_for(tmp_path), [str(tmp_path)]).numbered_lines()
    content = b"".join(content_of(numbered))
    assert content == long[:-1]
    assert edit(memory, tmp_path, 1, with_values(content, {"text": "short"})).result == "stored"
    drop(tmp_path, 1, 2)
    assert quarantined(tmp_path) == [] and not list((tmp_path / ".chatstore").glob("*.bin"))
    result = again(memory, tmp_path)
    assert (result.lines, result.stored, result.already_stored, result.skipped) == (5, 0, 3, 2)
    assert stored(memory.database) == wanted_of([record(1, text="short"), record(2), record(3)])


def test_a_run_for_one_session_has_its_edited_lines_only(memory: Connection, tmp_path: Path):
    lines = [record(1, role="bot"), record(2, "s2", role="bot"), record(3, role="bot")]
    write_journal(tmp_path / "s.jsonl", lines)
    flush(memory, tmp_path)
    edit(memory, tmp_path, 1, record(1))
    edit(memory, tmp_path, 1, record(2, "s2"))
    drop(tmp_path, 1)
    memory.database.drop_collection(COLLECTION)
    result = flush(memory, tmp_path, session="s2", ignore_ledger=True)
    assert (result.lines, result.stored, result.skipped) == (1, 1, 0)
    assert stored(memory.database) == wanted_of([record(2, "s2")])


def test_a_quarantine_of_an_older_version_is_read_and_emptied(memory: Connection, tmp_path: Path):
    write_journal(tmp_path / "s.jsonl", [record(1, role="bot"), record(2, role="bot")])
    flush(memory, tmp_path)
    file = tmp_path / ".chatstore" / "quarantine.jsonl"
    old = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for entry in old:
        del entry["identity"]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in old) + '{"id": "cut', "utf-8")
    assert edit(memory, tmp_path, 1, record(1)).result == "stored"
    drop(tmp_path, 1)
    assert (again(memory, tmp_path).skipped, quarantined(tmp_path)) == (1, [])


def test_set_reads_json_only_where_a_message_has_no_text():
    line = b'{"a": 123456789012345678901234567890, "text": "x", "text": "y"}'
    fields = json.loads(with_values(line, {"text": "1", "metadata": '{"n": 1}', "b": "true", "c": "word", "d": ""}))
    assert fields == {
        "a": 123456789012345678901234567890, "text": "1", "metadata": {"n": 1}, "b": True, "c": "word", "d": "",
    }  # fmt: skip
    for other in (b"[1]", b"torn", b"\xff", b"7"):
        with pytest.raises(WrongUse):
            with_values(other, {"text": "x"})


def test_a_damaged_memory_of_resolved_lines_stops_a_flush_and_brings_nothing_back(memory: Connection, tmp_path: Path):
    write_journal(tmp_path / "s.jsonl", [record(1, role="bot")])
    flush(memory, tmp_path)
    drop(tmp_path, 1)
    file = tmp_path / ".chatstore" / "quarantine-resolved.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ChatstoreError, match="it is damaged"):
        again(memory, tmp_path)
    assert (tmp_path / ".chatstore" / "quarantine.jsonl").read_bytes() == b""
    assert file.stat().st_mode & 0o077 == 0
