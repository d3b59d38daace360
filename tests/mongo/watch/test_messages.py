"""Which updates of a workflow document are messages appended, and which have to be read."""

from __future__ import annotations

from typing import Any

import pytest
from bson import Timestamp

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.watch import MessageEvent, News
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.watch.messages import _Document

pytestmark = pytest.mark.real


@pytest.fixture
def document(connection: Connection) -> _Document:
    """One of three messages."""
    connection.collection("chat_sessions").insert_one({"_id": 1, "chat_id": "a", "messages": [{}, {}, {}]})
    return _Document(connection, Settings(), "a")


def events(document: _Document, *places: int, **more: Any) -> list[MessageEvent]:
    """What an update is told as that sets the elements at these places."""
    pushed = [{"k": f"messages.{place}", "v": {"content": place}} for place in places]
    update = {"pushed": pushed, "changed": [], "removed": [], "cut": [], "written": 0, **more}
    standing = {"operationType": "update", "documentKey": {"_id": 1}, "clusterTime": Timestamp(1, 1), "size": 0}
    return document.events({**standing, **update})


def appended(document: _Document, *places: int) -> list[Any]:
    found = events(document, *places)
    assert {each.news for each in found} <= {News.APPENDED}
    return [each.message.content for each in found if each.message is not None]


def is_rewritten(found: list[MessageEvent]) -> bool:
    return [each.news for each in found] == [News.REWRITTEN]


def test_elements_behind_what_was_there_are_appended(document: _Document) -> None:
    assert appended(document, 3) == [3]
    assert appended(document, 5, 4) == [4, 5]
    assert appended(document, 9) == [9]  # pushes between the first look and the feed's beginning are not told
    assert appended(document, 10) == [10]
    assert appended(document) == []


def test_elements_where_others_were_have_to_be_read_and_then_the_end_is_known(document: _Document) -> None:
    assert is_rewritten(events(document, 0, 1, 2, 3))
    assert is_rewritten(events(document, 4, 6))
    assert appended(document, 7) == [7]


def test_a_cut_or_an_array_written_whole_has_to_be_read_and_gives_the_new_size(document: _Document) -> None:
    assert is_rewritten(events(document, 0, cut=[{"field": "messages", "newSize": 1}]))
    assert appended(document, 1) == [1]
    assert is_rewritten(events(document, changed=["messages"], written=7))
    assert is_rewritten(events(document, 6))
    assert appended(document, 7) == [7]
    assert is_rewritten(events(document, removed=["messages"]))
    assert appended(document, 0) == [0]


def test_what_is_no_message_tells_nothing(document: _Document) -> None:
    assert events(document, cut=[{"field": "echoes", "newSize": 1}], removed=["expected_echo"]) == []
    assert is_rewritten(events(document, changed=["messages.1.content"]))
