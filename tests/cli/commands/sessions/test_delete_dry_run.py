"""`chatstore sessions delete --dry-run`: it lists what the deletion then deletes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commands.sessions.test_delete_many import store_all, store_workflow

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
WAYS: dict[str, tuple[list[str], str | None]] = {
    "one id": (["w-1"], None),
    "ids": (["w-1", "m-1", "t-1"], None),
    "stdin": (["--stdin"], "w-2\nm-2\n"),
    "filter": (["--tenant", "acme"], None),
    "layout": (["--layout", "messages"], None),
}


def everything(database: Database[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """All documents by collection."""
    return {name: list(database[name].find().sort("_id")) for name in sorted(database.list_collection_names())}


@pytest.mark.parametrize("way", WAYS)
def test_a_dry_run_lists_what_is_then_deleted(
    chatstore: Chatstore, database: Database[dict[str, Any]], way: str
) -> None:
    store_all(database)
    store_workflow(database, "of another tenant", enterprise_id="bolt")
    named, stdin = WAYS[way]
    before = everything(database)
    done = chatstore("sessions", "delete", *named, "--dry-run", "--read-only", "-o", "json", stdin=stdin)
    assert done.code == 0, done.err
    assert "(dry run: nothing is deleted)" in done.err
    assert everything(database) == before
    planned = json.loads(done.out)
    rows = planned["items"]
    assert rows
    assert {(row["result"], row["reason"]) for row in rows} == {("planned", None)}
    expected = {name: len(documents) for name, documents in before.items()}
    for row in rows:
        for part in row["documents"]:
            expected[part["collection"]] -= part["deleted"]
    assert planned["totals"]["planned"] == len(rows)

    assert chatstore("sessions", "delete", *named, "--yes", stdin=stdin).code == 0
    after = {name: database[name].count_documents({}) for name in before}
    assert after == expected
    sums = {part["collection"]: part["documents"] for part in planned["totals"]["documents"]}
    assert sums == {name: len(before[name]) - number for name, number in after.items() if number != len(before[name])}


def test_a_dry_run_names_what_an_interrupted_deletion_left(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    store_workflow(database, "w-1")
    assert chatstore("sessions", "tag", "w-1", "late").code == 0
    database["chat_sessions"].delete_many({})
    done = chatstore("sessions", "delete", "w-1", "--dry-run", "-o", "jsonl")
    assert [part["deleted"] for part in json.loads(done.out)["documents"]] == [1]


@pytest.mark.parametrize(
    ("named", "code"),
    [(["x"], 3), (["--user", "nobody"], 3), (["w-1", "--plan", "p"], 2), (["--apply", "p"], 2), ([], 2)],
)
def test_a_dry_run_fails_as_the_deletion_does(
    chatstore: Chatstore, database: Database[dict[str, Any]], tmp_path: Path, named: list[str], code: int
) -> None:
    store_workflow(database, "w-1")
    done = chatstore("sessions", "delete", *named, "--dry-run")
    assert (done.code, done.out) == (code, ""), done.err


def test_without_a_matching_session_a_dry_run_says_so(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_workflow(database, "w-1")
    done = chatstore("sessions", "delete", "--tenant", "acme", "--status", "failed", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "No session would be deleted." in done.err
