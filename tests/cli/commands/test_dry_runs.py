"""--dry-run of every command that changes something after a plan: it lists what the command then does, and does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.cli.commands.sessions.test_delete_many import store_thread, store_workflow
from tests.cli.test_output_contract import COMMAND_LINE
from tests.support.journals import as_line, record
from tests.support.stored_agents import DELETED, DESK, NUMBER, store_agents

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
Documents = Any if not TYPE_CHECKING else Database[dict[str, Any]]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def threads(database: Documents) -> None:
    for each in ("t-1", "t-2"):
        store_thread(database, each)


def orphaned_labels(database: Documents) -> None:
    database["chatstore_labels"].insert_one({"_id": {"layout": "workflow", "session_id": "gone"}, "tags": ["x"]})


def large_session(database: Documents) -> None:
    store_workflow(database, "w-1")
    messages = [{"role": "user", "content": "x" * 5_000, "sequence": number} for number in range(1, 21)]
    database["chat_sessions"].update_one({}, {"$set": {"messages": messages, "last_sequence": 20}})


class Case(NamedTuple):
    """A command, the data that it needs, and the keys of a row that are known only afterwards."""

    words: tuple[str, ...]
    store: Callable[[Documents], object]
    later: tuple[str, ...] = ()


CASES = {
    "threads clear": Case(("threads", "clear", "t-1"), threads),
    "threads delete": Case(("threads", "delete", "t-1", "t-2"), threads),
    "agents delete": Case(("agents", "delete", DESK), store_agents),
    "agents purge": Case(("agents", "purge", DELETED), store_agents),
    "agents numbers unbind": Case(("agents", "numbers", "unbind", NUMBER), store_agents),
    "sessions prune-labels": Case(("sessions", "prune-labels"), orphaned_labels),
    "sessions split": Case(
        ("sessions", "split", "w-1", "--keep", "20kB"),
        large_session,
        ("size_bytes", "segments_added", "messages_moved", "message_count", "reads_the_same"),
    ),
}


def everything(database: Documents) -> dict[str, list[Any]]:
    """All documents by collection, without the collections that have none."""
    found = {name: list(database[name].find().sort("_id")) for name in database.list_collection_names()}
    return {name: documents for name, documents in found.items() if documents}


def rows_of(output: str) -> list[dict[str, Any]]:
    """The rows of a list, or the one record, without the target."""
    answer = json.loads(output)
    answer.pop("target", None)
    return list(answer["items"]) if "items" in answer else [answer]


@pytest.mark.parametrize("name", CASES)
def test_a_dry_run_lists_what_is_then_done(chatstore: Chatstore, database: Documents, name: str) -> None:
    words, store, later = CASES[name]
    store(database)
    if name.startswith("agents numbers"):
        assert chatstore("agents", "numbers", "bind", NUMBER, DESK).code == 0
    before = everything(database)
    planned = chatstore(*words, "--dry-run", "--read-only", "--yes", "-o", "json")
    assert planned.code == 0, planned.err
    assert "(dry run: nothing is " in planned.err
    assert "would " in planned.err
    assert everything(database) == before
    rows = rows_of(planned.out)
    assert rows
    assert {row["result"] for row in rows} == {"planned"}
    done = chatstore(*words, "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert everything(database) != before
    left_out = {"result", *later}

    def known(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if key not in left_out} for row in of]

    assert known(rows_of(done.out)) == known(rows)
    assert "planned" not in {row["result"] for row in rows_of(done.out)}


def test_a_dry_run_of_what_does_not_exist_exits_with_status_3(chatstore: Chatstore, database: Documents) -> None:
    for words in (
        ("threads", "delete", "missing"),
        ("agents", "delete", DESK),
        ("agents", "numbers", "unbind", NUMBER),
        ("sessions", "split", "missing"),
    ):
        outcome = chatstore(*words, "--dry-run")
        assert (outcome.code, outcome.out) == (3, ""), (words, outcome.err)
    assert everything(database) == {}


def test_a_dry_run_of_dropping_quarantined_lines_leaves_them(chatstore: Chatstore, database: Documents) -> None:
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    (folder / "s1.jsonl").write_bytes(as_line(record(0, role="wizard")))
    assert chatstore("flush-cache").code == 7
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    planned = chatstore("cache", "quarantine", "drop", "1", "--dry-run", "--read-only", "-o", "json")
    assert (planned.code, rows_of(planned.out)) == (0, [{"dropped": 1, "result": "planned"}]), planned.err
    assert "1 line would be dropped" in planned.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


LISTS_WITHOUT_YES = {"threads repair", "usage reconcile"}
"""Commands that only list what they would change if --yes is missing."""


def test_every_command_that_asks_for_confirmation_has_a_dry_run() -> None:
    options = {
        " ".join(words): {text for parameter in each.params for text in parameter.opts}
        for words, each, _ in COMMAND_LINE
    }
    asking = {name for name, given in options.items() if "--yes" in given}
    assert {"sessions delete", "threads delete", "agents delete", "db remove", "indexes apply"} <= asking
    assert {name for name in asking if "--dry-run" not in options[name]} == LISTS_WITHOUT_YES
