"""Several documents with the id of one session, which a collection without the unique index can have."""

from __future__ import annotations

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
