"""Which updates of a workflow document append messages, and which have to be read."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Timestamp

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.watch import MessageEvent, MessageEventKind
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.session_documents.feed import DocumentMessageChanges
from chatstore_cli.mongo.workflow.shape import WORKFLOW

pytestmark = pytest.mark.real


@pytest.fixture
def document(connection: Connection) -> DocumentMessageChanges:
    """A document with three messages."""
    connection.collection("chat_sessions").insert_one({"_id": 1, "chat_id": "a", "messages": [{}, {}, {}]})
    return DocumentMessageChanges(WORKFLOW, connection, Settings(), "a")


def events(document: DocumentMessageChanges, *indexes: int, **more: Any) -> list[MessageEvent]:
    """The events of an update that sets the elements at these indexes."""
    pushed = [{"k": f"messages.{index}", "v": {"content": index}} for index in indexes]
    update = {"pushed": pushed, "changed": [], "removed": [], "cut": [], "written": 0, **more}
    change = {"operationType": "update", "documentKey": {"_id": 1}, "clusterTime": Timestamp(1, 1), "size": 0}
    return document.events({**change, **update})


def appended(document: DocumentMessageChanges, *indexes: int) -> list[Any]:
    found = events(document, *indexes)
    assert {each.kind for each in found} <= {MessageEventKind.APPENDED}
    return [each.message.content for each in found if each.message is not None]


def is_rewritten(found: list[MessageEvent]) -> bool:
    return [each.kind for each in found] == [MessageEventKind.REWRITTEN]


def test_elements_after_the_existing_ones_are_appended(document: DocumentMessageChanges) -> None:
    assert appended(document, 3) == [3]
    assert appended(document, 5, 4) == [4, 5]
    assert appended(document, 9) == [9]  # pushes between the first read and the start of the feed are not in it
    assert appended(document, 10) == [10]
    assert appended(document) == []


def test_elements_that_replace_others_have_to_be_read_and_give_the_new_size(document: DocumentMessageChanges) -> None:
    assert is_rewritten(events(document, 0, 1, 2, 3))
    assert is_rewritten(events(document, 4, 6))
    assert appended(document, 7) == [7]


def test_a_truncated_or_replaced_array_has_to_be_read_and_gives_the_new_size(document: DocumentMessageChanges) -> None:
    assert is_rewritten(events(document, 0, cut=[{"field": "messages", "newSize": 1}]))
    assert appended(document, 1) == [1]
    assert is_rewritten(events(document, changed=["messages"], written=7))
    assert is_rewritten(events(document, 6))
    assert appended(document, 7) == [7]
    assert is_rewritten(events(document, removed=["messages"]))
    assert appended(document, 0) == [0]


def test_changes_of_other_fields_give_no_event(document: DocumentMessageChanges) -> None:
    assert events(document, cut=[{"field": "echoes", "newSize": 1}], removed=["expected_echo"]) == []
    assert is_rewritten(events(document, changed=["messages.1.content"]))
