"""`chatstore cache quarantine show|edit|drop`: each line is stored once, or never, whatever happens in between."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import as_line, record, stored, wanted_of

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]

GOOD = record(0)
NARRATOR = as_line(record(3, role="narrator"))[:-1]
TORN = b"\xff\xfe\0 torn \x1b[31m"
NO_TEXT = as_line({"session_id": "s1", "role": "user", "content": "hello", "created_at": record(5)["created_at"]})[:-1]
BAD = [NARRATOR, TORN, NO_TEXT]


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals, flushed, with three lines in quarantine."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    (folder / "s1.jsonl").write_bytes(as_line(GOOD) + b"".join(line + b"\n" for line in BAD))
    assert chatstore("flush-cache").code == 7
    return folder


def entries(chatstore: Chatstore) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(chatstore("cache", "quarantine", "list", "-o", "json").out)["items"]
    return items


def flushed(chatstore: Chatstore, *options: str) -> dict[str, Any]:
    outcome = chatstore("flush-cache", "-o", "json", *options)
    row: dict[str, Any] = json.loads(outcome.out)
    return {
        name: row[name]
        for name in ("lines", "stored", "already_stored", "quarantined", "already_quarantined", "skipped")
    }


def test_show_has_text_as_text_and_other_bytes_in_base64(chatstore: Chatstore, folder: Path):
    listed = entries(chatstore)
    assert [row["number"] for row in listed] == [1, 2, 3]
    assert [row["text"] for row in listed] == [NARRATOR.decode(), None, NO_TEXT.decode()]
    for name in ("1", listed[0]["quarantine_id"]):
        row = json.loads(chatstore("cache", "quarantine", "show", name, "-o", "json").out)
        assert (row["text"], base64.b64decode(row["raw"]), row["edit"]) == (NARRATOR.decode(), NARRATOR, None)
    shown = chatstore("cache", "quarantine", "show", "2").out
    assert "\\xff\\xfe" in shown and not set(shown) & {"\x1b", "\0"}
    for missing in ("0", "4", "x"):
        assert chatstore("cache", "quarantine", "show", missing).code == 3


def test_an_edited_line_is_stored_once_and_takes_the_place_of_the_journals_line(
    chatstore: Chatstore, database: Documents, folder: Path
):
    journal = (folder / "s1.jsonl").read_bytes()
    outcome = chatstore("cache", "quarantine", "edit", "1", "--set", "role=assistant", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["result"]) == (0, "stored"), outcome.err
    wanted = wanted_of([GOOD, record(3, role="assistant")])
    assert stored(database) == wanted
    assert [row["line"] for row in entries(chatstore)] == [3, 4]
    assert (folder / "s1.jsonl").read_bytes() == journal
    assert flushed(chatstore, "--ignore-ledger") == {
        "lines": 4, "stored": 0, "already_stored": 2, "quarantined": 0, "already_quarantined": 2, "skipped": 0,
    }  # fmt: skip
    database.drop_collection("chat_messages")  # the edited line is not lost with the collection
    assert flushed(chatstore, "--ignore-ledger")["stored"] == 2
    assert stored(database) == wanted
    assert len(entries(chatstore)) == 2


def test_an_edit_that_is_not_right_changes_nothing(chatstore: Chatstore, database: Documents, folder: Path):
    outcome = chatstore("cache", "quarantine", "edit", "1", "--set", "role=bot", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["result"]) == (7, "quarantined")
    assert "'bot'" in json.loads(outcome.out)["reason"]
    database.command("collMod", "chat_messages", validator={"role": {"$ne": "system"}})
    outcome = chatstore("cache", "quarantine", "edit", "1", "--set", "role=system", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["result"]) == (7, "quarantined"), outcome.err
    outcome = chatstore("cache", "quarantine", "edit", "2", "--set", "role=user")
    assert (outcome.code, "--set: the line is not a JSON object. Correct" in outcome.err) == (2, True), outcome.err
    assert chatstore("cache", "quarantine", "edit", "1", "--set", "role").code == 2
    assert chatstore("cache", "quarantine", "edit", "1").code == 2  # no terminal for an editor
    assert chatstore("cache", "quarantine", "edit", "1", "--read-only", "--set", "role=user").code == 4
    assert stored(database) == wanted_of([GOOD])
    assert [row["edit"] for row in (json.loads(
        chatstore("cache", "quarantine", "show", number, "-o", "json").out) for number in "123")] == [None] * 3  # fmt: skip
    assert flushed(chatstore, "--ignore-ledger")["already_quarantined"] == 3


def test_a_whole_line_comes_from_a_file(chatstore: Chatstore, database: Documents, folder: Path, tmp_path: Path):
    fixed = tmp_path / "fixed.json"
    fixed.write_text("\ufeff" + json.dumps(record(4), indent=2) + "\n", "utf-8")
    outcome = chatstore("cache", "quarantine", "edit", "2", "--from", fixed, "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["result"]) == (0, "stored"), outcome.err
    assert stored(database) == wanted_of([GOOD, record(4)])
    fixed.write_text(json.dumps(record(4)), "utf-8")
    outcome = chatstore("cache", "quarantine", "edit", "2", "--from", fixed, "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["result"]) == (0, "already_stored"), outcome.err
    assert [row["line"] for row in entries(chatstore)] == [2]


def test_a_dropped_line_never_comes_back(chatstore: Chatstore, database: Documents, folder: Path):
    plan = chatstore("cache", "quarantine", "drop", "2")
    assert (plan.code, len(entries(chatstore))) == (2, 3)
    assert "s1.jsonl, line 3" in plan.err and "would be dropped" in plan.err
    assert chatstore("cache", "quarantine", "drop").code == 2
    assert chatstore("cache", "quarantine", "drop", "2", "--read-only", "--yes").code == 4
    outcome = chatstore("cache", "quarantine", "drop", "2", "--yes", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)) == (0, {"dropped": 1, "result": "dropped"}), outcome.err
    assert flushed(chatstore, "--ignore-ledger")["skipped"] == 1
    assert [row["line"] for row in entries(chatstore)] == [2, 4]
    outcome = chatstore("cache", "quarantine", "drop", "--all", folder, "--yes", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)) == (0, {"dropped": 2, "result": "dropped"}), outcome.err
    assert flushed(chatstore, "--ignore-ledger") == {
        "lines": 4, "stored": 0, "already_stored": 1, "quarantined": 0, "already_quarantined": 0, "skipped": 3,
    }  # fmt: skip
    assert chatstore("flush-cache", "--ignore-ledger").code == 0
    assert json.loads(chatstore("cache", "status", "-o", "json").out)["to_quarantine"] == 0
    os.utime(folder / "s1.jsonl", (0, 0))
    plan = chatstore("cache", "prune", "--older-than", "2026-03-03")
    assert "Every line of them is stored, except 3 lines that were dropped from the quarantine:" in plan.err
    pruned = chatstore("cache", "prune", "--older-than", "2026-03-03", "--yes", "-o", "json")
    [row] = json.loads(pruned.out)["items"]
    reason = "3 were dropped from the quarantine, the others are stored"
    assert (row["action"], row["reason"]) == ("pruned", reason)
    assert stored(database) == wanted_of([GOOD])


def test_a_line_that_was_corrected_in_its_journal_closes_its_entry(
    chatstore: Chatstore, database: Documents, folder: Path
):
    fixed = record(5, text="hello", role="user")
    lines = [as_line(GOOD), as_line(record(3, role="assistant")), TORN + b"\n", as_line(fixed)]
    (folder / "s1.jsonl").write_bytes(b"".join(lines))
    outcome = chatstore("flush-cache")
    assert "2 quarantined lines are corrected and stored" in outcome.err, outcome.err
    assert [row["line"] for row in entries(chatstore)] == [3]
    assert stored(database) == wanted_of([GOOD, record(3, role="assistant"), fixed])


def test_a_line_that_was_removed_from_its_journal_stays_in_quarantine(chatstore: Chatstore, folder: Path):
    (folder / "s1.jsonl").write_bytes(as_line(GOOD) + as_line(record(4)) + as_line(record(6)))
    assert chatstore("flush-cache").code == 0
    assert len(entries(chatstore)) == 3
    os.utime(folder / "s1.jsonl", (0, 0))
    kept = json.loads(chatstore("cache", "prune", "--older-than", "2026-03-03", "--yes", "-o", "json").out)["items"]
    assert [(row["action"], row["reason"]) for row in kept] == [
        ("keep", "3 lines are in quarantine that are not in it now")
    ]
