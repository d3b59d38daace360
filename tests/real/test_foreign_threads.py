"""Collections of threads: their indexes, and documents of another product in collections of the same names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.mongo.threads.test_repair import message, thread

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
SECRET = "s3cr3t-token"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def items(chatstore: Chatstore, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """The rows that a command prints as JSON."""
    outcome = chatstore(*arguments, "-o", "json")
    assert outcome.code == code, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)["items"]
    return rows


def states(chatstore: Chatstore, code: int) -> dict[str, str]:
    """The state of each index of threads."""
    rows = items(chatstore, "indexes", "check", "--layout", "threads", code=code)
    return {f"{row['collection']}.{row['name']}": row["state"] for row in rows}


def test_the_indexes_of_threads_are_checked_and_created(chatstore: Chatstore, database: Documents) -> None:
    database["chat_threads"].insert_one(thread("t"))
    database["chat_thread_messages"].insert_one(message("t", 1))
    # As an application without chatstore may have made it: it does not keep two messages apart.
    database["chat_thread_messages"].create_index([("chat_thread_id", 1), ("sequence", 1)], name="theirs")
    names = [f"chat_threads.{name}_idx" for name in ("updated", "org_updated", "user_updated")]
    assert states(chatstore, 6) == {**dict.fromkeys(names, "missing"), "chat_thread_messages.theirs": "drifted"}
    verified = {row["name"]: row for row in items(chatstore, "verify", "--only", "connection,indexes,threads", code=6)}
    assert verified["indexes"]["status"] == verified["threads"]["status"] == "fail"
    assert chatstore("indexes", "apply", "--layout", "threads", "--yes").code in (0, 6)
    found = states(chatstore, 0)
    assert {name: found[name] for name in names} == dict.fromkeys(names, "ok")
    assert "ok" in (found.get("chat_thread_messages.thread_sequence_idx"), found.get("chat_thread_messages.theirs"))


@pytest.fixture
def foreign(database: Documents) -> None:
    """Posts of a forum, and a product's own messages, under the names of the collections of threads."""
    posts = [{"_id": f"{SECRET}-{number}", "subject": SECRET, "updated_at": LONG_AGO} for number in range(5)]
    database["chat_threads"].insert_many(posts)
    rows = [{"chat_thread_id": SECRET, "sequence": number, "created_at": LONG_AGO} for number in range(5)]
    database["chat_thread_messages"].insert_many(rows)
    database["chat_thread_messages"].create_index([("chat_thread_id", 1), ("sequence", 1)], unique=True)


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("sessions list", 0), ("sessions watch --for 0", 0), ("threads list", 0), ("indexes check --layout threads", 6),
        ("verify --only connection,threads,documents,indexes", 6), ("indexes apply --layout threads --yes", 8),
        ("threads repair", 8), ("threads repair --yes", 8),
    ],
)  # fmt: skip
def test_documents_of_another_product_are_never_shown_and_never_touched(
    chatstore: Chatstore, database: Documents, command: str, code: int
) -> None:
    def everything() -> dict[str, Any]:
        names = sorted(database.list_collection_names())
        return {name: (list(database[name].find()), database[name].index_information()) for name in names}

    before = everything()
    outcome = chatstore(*command.split(), "-o", "json")
    assert outcome.code == code, outcome.err
    assert SECRET not in outcome.out + outcome.err
    assert everything() == before
    if "verify" in command:
        rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
        assert (rows["documents"]["status"], rows["threads"]["status"]) == ("fail", "skip")
        assert "chat_threads, chat_thread_messages not compared" in rows["threads"]["detail"]
    if code == 8:
        assert "chat_threads holds 5 documents that are not threads of layout threads" in outcome.err
