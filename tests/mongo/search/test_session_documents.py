"""A search in sessions that are one document each finds with the server's filter what it finds without it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.search.models import SearchQuery, SearchStep, TextFilter
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.layout import GeneralLayout
from chatstore_cli.mongo.session_documents.search import _Reading
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from tests.support.searched_messages import QUERIES, assert_same_hits, found, message, with_invalid_text

pytestmark = pytest.mark.real

GENERAL_CHATS = replace(Settings().layouts.general, sessions="GeneralChatSessions")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def _variant(number: int, session_id: str, at: datetime) -> dict[str, Any]:
    """A session of one of the variants A to E, of chatstore's own, or one without a time."""
    return [
        {"_id": ObjectId(), "chat_id": session_id, "enterprise_id": "acme", "updated_at": at},
        {
            "_id": ObjectId(),
            "chat_id": session_id,
            "enterprise_id": ObjectId(),
            "last_updated": at,
            "is_complete": True,
        },
        {
            "_id": ObjectId(),
            "chat_id": session_id,
            "enterprise_id": "acme",
            "last_updated_at": at,
            "status": "completed",
        },
        {"_id": session_id, "enterprise_id": "acme", "status": 1, "last_updated_at": at},
        {"_id": session_id, "app_id": "acme", "status": 1, "last_updated_at": at.isoformat()},
        {"_id": session_id, "app_id": "other", "status": 2, "updated_at": at.replace(tzinfo=None)},
        {"_id": session_id, "app_id": "acme", "status": 0},
    ][number % 7]


@pytest.mark.parametrize(
    ("make_layout", "collation", "queries"),
    [(WorkflowLayout, None, QUERIES), (GeneralLayout, {"locale": "en", "strength": 2}, QUERIES[::4])],
    ids=["workflow", "general-collation"],
)
def test_the_filter_of_the_server_finds_what_the_matcher_finds_in_every_message(
    connection: Connection, database: Database[dict[str, Any]], make_layout: Any, collation: Any, queries: Any
) -> None:
    dice = random.Random(7)
    settings = Settings()
    settings = replace(settings, layouts=replace(settings.layouts, general=GENERAL_CHATS))
    layout = make_layout(connection, settings)
    names = layout.shape.sessions_of(settings), layout.shape.segments_of(settings)
    for name in names if collation else ():
        database.create_collection(name, collation=collation)
    sessions, segments = (database[name] for name in names)
    for number in range(70):
        at = NOON - timedelta(minutes=number)
        session_id = f"{'Chat' if number % 2 else 'chat'}-{number // 2}" if number % 7 < 3 else f"id-{number}"
        messages = [message(dice, each, at - timedelta(seconds=10 - each)) for each in range(10)]
        sessions.insert_one({**_variant(number, session_id, at), "user_id": "ada", "messages": messages})
        if number % 5 == 0:
            older = [message(dice, each, at - timedelta(hours=1)) for each in range(-5, 0)]
            segments.insert_one({"_id": f"{session_id}:1", "chat_id": session_id, "messages": older})
    facts = {"enterprise_id": "acme", "user_id": "ada", "updated_at": NOON, "status": 0}
    sessions.insert_one({**facts, "chat_id": "no list", "messages": "pizza"})
    sessions.insert_one({"name": "foreign", "updated_at": NOON, "text": "pizza"})
    invalid = {**facts, "chat_id": "invalid", "messages": [{"content": "(invalid) pizza oven 42"}]}
    sessions.insert_one(with_invalid_text(invalid))
    assert assert_same_hits(layout.message_searcher(), layout, queries) > 100
    ovens = found(layout.message_searcher(), SearchQuery("oven", tenant_id="acme"))
    assert "invalid" in {session for session, _ in ovens}


def _store(database: Database[dict[str, Any]], count: int, **special: dict[str, Any]) -> None:
    """Sessions s0, s1 and so on, the newest first, of one message each; `special` are other fields of some of them."""
    for number in range(count):
        at = NOON - timedelta(minutes=number)
        said = {"content": "hello", "role": "user", "event_id": "e", "sequence": 1, "timestamp": at}
        session = {"chat_id": f"s{number}", "enterprise_id": "acme", "status": 0, "updated_at": at, "messages": [said]}
        database["chat_sessions"].insert_one({**session, **special.get(f"s{number}", {})})


def _pizza(at: datetime, count: int = 1) -> dict[str, Any]:
    said = [
        {"content": f"pizza {each}", "event_id": f"e{each}", "sequence": each, "timestamp": at} for each in range(count)
    ]
    return {"messages": said}


def _texts(steps: Iterable[SearchStep]) -> list[tuple[str, str]]:
    return [(each.message.session_id, each.message.content) for step in steps for each in step.candidates]


PIZZA = TextFilter(("pizza",), ("pizza",))


def test_a_session_that_is_updated_during_the_search_is_found_once(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    old = NOON - timedelta(days=1)
    _store(database, 120, s0=_pizza(NOON), s110=_pizza(old))
    steps = WorkflowLayout(connection, Settings()).message_searcher().steps(SearchQuery("pizza"), PIZZA)
    first = next(steps)
    for name in ("s0", "s110"):  # one was read, the other one was not
        new = {"content": "pizza again", "event_id": "new", "sequence": 9, "timestamp": NOON + timedelta(hours=1)}
        change = {"$set": {"updated_at": NOON + timedelta(hours=1)}, "$push": {"messages": new}}
        database["chat_sessions"].update_one({"chat_id": name}, change)
    rest = list(steps)
    assert _texts([first, *rest]) == [("s0", "pizza 0"), ("s110", "pizza 0")]
    assert all(step.reached is not None and step.reached <= NOON for step in rest)


@pytest.mark.parametrize("moved", [2, 3], ids=["some", "all"])
def test_messages_that_move_into_a_segment_during_the_search_are_found_once(
    connection: Connection, database: Database[dict[str, Any]], moved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(database, 3, s1=_pizza(NOON, 3))
    select = _Reading.find

    def select_and_move(reading: _Reading, batch: Any) -> Any:
        selected = select(reading, batch)
        messages = _pizza(NOON, 3)["messages"]
        segment = {"_id": "s1:1", "chat_id": "s1", "move": "m1", "messages": messages[:moved]}
        database["chat_session_segments"].insert_one(segment)
        head = {"$set": {"messages": messages[moved:], "last_segment": 1, "last_move": "m1"}}
        database["chat_sessions"].update_one({"chat_id": "s1"}, head)
        return selected

    database.create_collection("chat_session_segments")
    monkeypatch.setattr(_Reading, "find", select_and_move)
    steps = WorkflowLayout(connection, Settings()).message_searcher().steps(SearchQuery("pizza"), PIZZA)
    assert sorted(_texts(steps)) == [("s1", f"pizza {each}") for each in range(3)]


def test_a_copy_whose_move_has_not_ended_is_not_searched(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    _store(database, 2, s1=_pizza(NOON, 3))
    copied = {"_id": "s1:1", "chat_id": "s1", "move": "m1", "messages": _pizza(NOON, 2)["messages"]}
    database["chat_session_segments"].insert_one(copied)
    steps = WorkflowLayout(connection, Settings()).message_searcher().steps(SearchQuery("pizza"), PIZZA)
    assert sorted(_texts(steps)) == [("s1", f"pizza {each}") for each in range(3)]


def test_with_since_older_sessions_are_not_read_but_those_without_a_time_are(
    connection: Connection, database: Database[dict[str, Any]]
) -> None:
    _store(database, 3, s1={"updated_at": None, **_pizza(NOON)}, s2=_pizza(NOON))
    query = SearchQuery("pizza", since=NOON - timedelta(seconds=90))
    layout = WorkflowLayout(connection, Settings())
    steps = list(layout.message_searcher().steps(query, PIZZA))
    assert _texts(steps) == [("s1", "pizza 0")]
    assert [step.reached for step in steps if step.candidates] == [None]


def test_a_batch_that_the_server_cannot_finish_in_time_is_divided(
    connection: Connection, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _store(database, 30, s7=_pizza(NOON), s29=_pizza(NOON))
    sizes: list[int] = []
    select = _Reading.find

    def slow(reading: _Reading, batch: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > 4:
            raise Overdue(what="too slow")
        return select(reading, batch)

    monkeypatch.setattr(_Reading, "find", slow)
    steps = WorkflowLayout(connection, Settings()).message_searcher().steps(SearchQuery("pizza"), PIZZA)
    assert [session for session, _ in _texts(steps)] == ["s7", "s29"]
    assert sizes[:3] == [20, 5, 1]
