"""Several documents with the id of one session, which a collection without the unique index can have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.conftest import Chatstore

pytestmark = pytest.mark.real


def store(database: Database[dict[str, Any]], collection: str, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    """Store these documents, and return them with their `_id`s."""
    common = {"enterprise_id": "acme", "workflow_name": "orders", "messages": [], "status": 0, "last_sequence": 0}
    database[collection].insert_many([{**common, **each} for each in documents])
    return list(database[collection].find())


@pytest.mark.parametrize("way", [["d-1"], ["--user", "ann"], ["d-1", "d-2"]])
def test_a_deletion_does_not_choose_between_two_documents_with_one_id(
    chatstore: Chatstore, database: Database[dict[str, Any]], way: list[str]
) -> None:
    users = ({"chat_id": name, "user_id": user} for name, user in (("d-1", "ann"), ("d-1", "bob"), ("d-2", "ann")))
    stored = store(database, "chat_sessions", *users)
    result = chatstore("sessions", "delete", *way, "--yes")
    assert result.code == 8
    assert "several documents with the chat_id 'd-1'" in result.err
    assert all(str(each["_id"]) in result.err for each in stored[:2])
    assert list(database["chat_sessions"].find()) == stored
    assert database["chatstore_tombstones"].count_documents({}) == 0
    database["chat_sessions"].update_one({"_id": stored[1]["_id"]}, {"$set": {"chat_id": "d-3"}})
    assert chatstore("sessions", "delete", *way, "--yes").code == 0
    assert "d-1" not in database["chat_sessions"].distinct("chat_id")


def test_an_id_that_is_another_documents_internal_id_is_that_of_one_session(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    identity = ObjectId()
    store(database, "chat_sessions", {"_id": identity, "chat_id": "other"}, {"chat_id": str(identity)})
    assert chatstore("sessions", "delete", str(identity), "--yes").code == 0
    assert database["chat_sessions"].distinct("chat_id") == ["other"]


def test_a_document_without_chat_id_shares_its_id_with_one_that_has_it(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    identity = ObjectId()
    stored = store(database, "chat_sessions", {"_id": identity}, {"chat_id": str(identity)})
    result = chatstore("sessions", "delete", str(identity), "--yes")
    assert (result.code, list(database["chat_sessions"].find())) == (8, stored)


# --- what changes a session is rejected, and what reads one names the others -----------------------------------------


@pytest.fixture
def shared(database: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two workflow sessions of two users with one id, and one with an id of its own."""
    message = {"role": "user", "content": "hello " * 500, "sequence": 1}
    users = (("d-1", "ann"), ("d-1", "bob"), ("d-2", "ann"))
    return store(
        database,
        "chat_sessions",
        *({"chat_id": each, "user_id": user, "messages": [message] * 3} for each, user in users),
    )


CHANGES = (
    ("complete", "d-1"),
    ("fail", "d-1", "--reason", "lost"),
    ("pause", "d-1"),
    ("unpause", "d-1"),
    ("rename", "d-1", "Title"),
    ("tag", "d-1", "red"),
    ("untag", "d-1", "red"),
    ("split", "d-1", "--keep", "1kB", "--yes"),
    ("delete", "d-1", "--dry-run"),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[0])
def test_a_change_does_not_choose_between_them(
    chatstore: Chatstore, database: Database[dict[str, Any]], shared: list[dict[str, Any]], change: tuple[str, ...]
) -> None:
    result = chatstore("sessions", *change)
    assert (result.code, result.out) == (8, "")
    assert "several documents with the chat_id 'd-1'" in result.err
    assert all(str(each["_id"]) in result.err for each in shared[:2])
    assert list(database["chat_sessions"].find()) == shared
    assert database["chatstore_labels"].count_documents({}) == 0
    assert chatstore("sessions", *(word.replace("d-1", "d-2") for word in change)).code == 0


def test_tags_of_several_sessions_are_changed_only_if_each_id_has_one_document(
    chatstore: Chatstore, database: Database[dict[str, Any]], shared: list[dict[str, Any]]
) -> None:
    result = chatstore("sessions", "tag", "--stdin", "red", stdin="d-2\nd-1\n")
    assert result.code == 8
    assert "d-1" in result.err
    assert database["chatstore_labels"].count_documents({}) == 0


READS = (
    ("sessions", "show", "d-1"),
    ("sessions", "show", "d-1", "--full"),
    ("sessions", "transcript", "d-1"),
    ("history", "d-1"),
    ("resume", "d-1"),
)


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("read", READS, ids=" ".join)
def test_reading_names_the_one_that_is_shown_and_the_others_on_stderr(
    chatstore: Chatstore,
    database: Database[dict[str, Any]],
    shared: list[dict[str, Any]],
    read: tuple[str, ...],
    output: str,
) -> None:
    arguments = read if read[0] == "resume" and output == "table" else (*read, "-o", output)
    result = chatstore(*arguments)
    first, second = shared[0]["_id"], shared[1]["_id"]
    assert result.code == 0
    notices = [line for line in result.err.splitlines() if "has 2 documents with the chat_id 'd-1'" in line]
    assert [
        f"Only the one with the _id {first} is shown. All _ids: {first}, {second}." in line for line in notices
    ] == [True]
    database["chat_sessions"].delete_one({"_id": second})
    alone = chatstore(*arguments)
    assert alone.out == result.out
    assert "documents with the chat_id" not in alone.err


def test_a_session_of_a_python_agent_names_the_others_too(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    rows = [{"session_id": "p-1", "user_id": user, "agent_id": "a", "title": "t"} for user in ("ann", "bob")]
    database["sessions"].insert_many(rows)
    names = {"CHATSTORE_AGENTS__SESSIONS": "sessions", "CHATSTORE_AGENTS__MESSAGES": "messages"}
    result = chatstore("sessions", "show", "p-1", env=names)
    assert (result.code, "sessions has 2 documents with the session_id 'p-1'" in result.err) == (0, True), result.err


def test_a_look_up_of_an_id_of_one_document_sends_no_second_query(
    database: Database[dict[str, Any]], shared: list[dict[str, Any]], connection: Any
) -> None:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.mongo.workflow.layout import WorkflowLayout

    database.command("profile", 2)
    session = WorkflowLayout(connection, Settings()).find("d-2")
    database.command("profile", 0)
    assert session is not None and session.shared_id is None
    commands = [row["command"] for row in database["system.profile"].find({"ns": f"{database.name}.chat_sessions"})]
    assert len([each for each in commands if "aggregate" in each or "find" in each]) == 1


def test_verify_names_the_ids_that_prevent_the_unique_index(
    chatstore: Chatstore, database: Database[dict[str, Any]], shared: list[dict[str, Any]]
) -> None:
    def detail() -> str:
        checks = json.loads(chatstore("verify", "-o", "json").out)["items"]
        return str(next(each["detail"] for each in checks if each["name"] == "indexes"))

    assert "chat_sessions has duplicates of chat_id: 'd-1' is in 2 documents" in detail()
    database["chat_sessions"].delete_one({"_id": shared[1]["_id"]})
    assert "chat_sessions.chat_id_idx missing" in detail()
    assert "duplicates" not in detail()
