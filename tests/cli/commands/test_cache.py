"""`chatstore cache quarantine list|retry` as a person types it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import as_line, record, stored, wanted_of

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
KEYS = ["number", "quarantine_id", "source", "line", "offset", "length", "reason", "at", "text", "raw", "raw_file"]

BAD = [b"\xff\xfe\0 torn \x1b[31m", as_line(record(3, role="narrator"))[:-1], "=1+1 ☕ \u202e".encode()]


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals, flushed, with three lines in quarantine."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    (folder / "s1.jsonl").write_bytes(as_line(record(0)) + b"".join(line + b"\n" for line in BAD))
    assert chatstore("flush-cache").code == 7
    return folder


def test_every_byte_can_be_had_back_from_json_and_the_place_is_right(chatstore: Chatstore, folder: Path):
    outcome = chatstore("cache", "quarantine", "list", "-o", "json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["items"]
    assert [list(row) for row in rows] == [KEYS] * 3
    assert [base64.b64decode(row["raw"]) for row in rows] == BAD
    journal = (folder / "s1.jsonl").read_bytes()
    for row in rows:
        assert row["source"] == str(folder / "s1.jsonl")
        assert journal[row["offset"] :][: row["length"]] == base64.b64decode(row["raw"])
        assert journal[: row["offset"]].count(b"\n") + 1 == row["line"]
        assert row["at"].startswith("20")
        assert row["raw_file"] is None
    assert rows[1]["reason"] == "unknown role 'narrator'"
    assert len(chatstore("cache", "quarantine", "list", "-o", "jsonl").out.splitlines()) == 3


def test_a_table_of_hostile_bytes_is_safe_to_look_at(chatstore: Chatstore, folder: Path):
    outcome = chatstore("cache", "quarantine", "list")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 4
    assert not set(outcome.out) & {"\x1b", "\0", "\u202e"}
    assert "unknown role 'narrator'" in outcome.out
    assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == ["1", "2", "3"]


def test_an_empty_quarantine_and_a_missing_folder(chatstore: Chatstore, tmp_path: Path):
    outcome = chatstore("cache", "quarantine", "list")
    assert outcome.code == 3
    (tmp_path / "j").mkdir()
    outcome = chatstore("cache", "quarantine", "list", tmp_path / "j", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["items"]) == (0, [])
    outcome = chatstore("cache", "quarantine", "list", tmp_path / "j")
    assert (outcome.code, outcome.out) == (0, "")
    assert "No lines are quarantined." in outcome.err
    assert list((tmp_path / "j").iterdir()) == []


def test_retry_stores_what_a_validator_kept_out_and_leaves_the_rest(
    chatstore: Chatstore, database: Documents, folder: Path
):
    refusing = {"text": {"$not": {"$regex": "secret"}}}
    database.command("collMod", "chat_messages", validator=refusing)
    with (folder / "s1.jsonl").open("ab") as stream:
        stream.write(as_line(record(4, text="secret")) + as_line(record(5)))
    outcome = chatstore("flush-cache", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["quarantined"], json.loads(outcome.out)["stored"]) == (7, 1, 1)

    outcome = chatstore("cache", "quarantine", "retry", "-o", "json")
    assert outcome.code == 7
    result = json.loads(outcome.out)
    assert result.pop("target").endswith(f", database {database.name}")
    assert result == {"lines": 4, "stored": 0, "already_stored": 0, "still_quarantined": 4}
    assert outcome.err.splitlines()[0].startswith("Target: ")
    assert chatstore("cache", "quarantine", "retry", "--read-only").code == 4

    database.command("collMod", "chat_messages", validator={})
    outcome = chatstore("cache", "quarantine", "retry", "-o", "json")
    assert outcome.code == 7
    assert json.loads(outcome.out) | {"target": ""} == {
        "lines": 4, "stored": 1, "already_stored": 0, "still_quarantined": 3, "target": "",
    }  # fmt: skip
    assert stored(database) == wanted_of([record(0), record(4, text="secret"), record(5)])
    rows = json.loads(chatstore("cache", "quarantine", "list", "-o", "json").out)["items"]
    assert [base64.b64decode(row["raw"]) for row in rows] == BAD
    outcome = chatstore("flush-cache", "--ignore-ledger", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["stored"]) == (0, 0)


def test_retry_with_nothing_left_ends_well(chatstore: Chatstore, database: Documents, folder: Path):
    (folder / ".chatstore" / "quarantine.jsonl").unlink()
    outcome = chatstore("cache", "quarantine", "retry", "-o", "json")
    assert (outcome.code, json.loads(outcome.out)["lines"]) == (0, 0)
