"""kill -9 while an edited line is stored: it is neither lost nor stored twice, however the user continues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.held_command import start_held
from tests.support.journals import as_line, record, stored, wanted_of

pytestmark = pytest.mark.real
REMEMBERED, STORED = 2, 4
"""Steps: after the edited line is remembered, and after it is stored."""


def test_an_edit_that_was_killed_is_finished_in_every_way(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path
):
    folder = tmp_path / "journals"
    folder.mkdir()
    (folder / "s1.jsonl").write_bytes(b"".join(as_line(record(number, role="bot")) for number in range(3)))
    assert chatstore("flush-cache", folder).code == 7
    listed = json.loads(chatstore("cache", "quarantine", "list", folder, "-o", "json").out)["items"]
    ids = [row["quarantine_id"] for row in listed]

    def edit(number: int, role: str) -> tuple[str, ...]:
        return "cache", "quarantine", "edit", ids[number], str(folder), "--set", f"role={role}"

    for number, step in enumerate((REMEMBERED, STORED, STORED)):
        process = start_held(chatstore, tmp_path / "reached", "forever", step, *edit(number, "assistant"))
        process.kill()
        assert process.wait() == -9, process.communicate()
    shown = json.loads(chatstore("cache", "quarantine", "show", ids[0], folder, "-o", "json").out)
    assert json.loads(shown["edit"])["role"] == "assistant"
    assert chatstore("cache", "quarantine", "drop", ids[1], folder, "--yes").code == 8  # it may be stored
    other_edit = chatstore(*edit(1, "user"))
    assert other_edit.code == 8 and "interrupted and is stored now" in other_edit.err
    assert json.loads(chatstore(*edit(2, "assistant"), "-o", "json").out)["result"] == "already_stored"
    assert chatstore(*edit(2, "assistant")).code == 3  # it has left the quarantine
    retried = chatstore("cache", "quarantine", "retry", folder, "-o", "json")
    assert (retried.code, json.loads(retried.out)["stored"]) == (0, 1)
    assert chatstore("flush-cache", folder, "--ignore-ledger").code == 0
    assert stored(database) == wanted_of([record(number, role="assistant") for number in range(3)])
