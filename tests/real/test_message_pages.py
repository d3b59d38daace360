"""Pages of messages on a real server: forwards, backwards and from any message, each one comes once and in order.

Times are equal, mixed, before 1970, or no times; sequences are equal, missing, restarted, huge, or no numbers; ids are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from bson import Decimal128, Int64
from hypothesis import example, given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as some

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.sessions.message_page import MessagePlace, message_page, page_around, page_before, start_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real

Document = dict[str, Any]
EVERYTHING = MessageSelection()
AT = datetime(2026, 3, 5, 10, tzinfo=UTC)
INSTANTS = [
    start + timedelta(seconds=seconds, milliseconds=more)
    for start in (AT, datetime(1960, 1, 1, tzinfo=UTC))
    for seconds in (0, 1, 5)
    for more in (0, 1, 999)
]
FORMS: dict[str, Callable[[datetime], Any]] = {
    "text": lambda at: at.isoformat(timespec="microseconds"),
    "Z": lambda at: at.isoformat().replace("+00:00", "Z"),
    "no zone, a space": lambda at: at.replace(tzinfo=None).isoformat(" "),
    "another offset": lambda at: at.astimezone(timezone(timedelta(hours=-3, minutes=-30))).isoformat(),
    "a date": lambda at: at,
    "seconds": lambda at: at.timestamp(),
    "milliseconds": lambda at: Int64(round(at.timestamp() * 1000)),
    "a day": lambda at: at.isoformat()[:10],
    "minutes": lambda at: at.isoformat()[:16],
    "basic": lambda at: at.strftime("%Y%m%dT%H%M%SZ"),
    "24 o'clock": lambda at: f"{at.isoformat()[:10]}T24:00:00",
    "no time": lambda _: "soon",
    "nothing": lambda _: None,
}
forms = some.one_of(
    some.sampled_from(list(FORMS)).map(lambda form: [form]), some.lists(some.sampled_from(list(FORMS)), min_size=2)
)
odd_sequences = some.sampled_from(
    [None, -5, 0, 2.0, 4.5, Int64(3), Decimal128("3"), "4", True, 2**62, 2**63 - 1, -(2**63)]
)
sequences = some.one_of(some.integers(-3, 30), odd_sequences)
rows = some.lists(some.tuples(some.sampled_from(INSTANTS), sequences, some.booleans()), min_size=1, max_size=14)
limits = some.integers(1, 5)


def times(stored: list[Any], chosen: list[str]) -> list[Any]:
    return [FORMS[chosen[number % len(chosen)]](at) for number, (at, *_) in enumerate(stored)]


def place_again(place: MessagePlace) -> MessagePlace:
    """The place as a client sends it back."""
    return MessagePlace.from_cursor(place.to_cursor())


def texts(messages: list[Message]) -> list[str]:
    return [str(each.content) for each in messages]


def forwards(reader: SessionReader, place: MessagePlace | None, limit: int) -> list[str]:
    seen: list[str] = []
    while place is not None:
        page, place = message_page(reader, "s", place_again(place), limit)
        assert page or place is None
        assert len(seen) < 1_000, "the pages do not end"
        seen += texts(page)
    return seen


def backwards(reader: SessionReader, page: list[Message], limit: int) -> list[str]:
    """The messages from the first one to the end of this page."""
    seen = texts(page)
    while page:
        page, following = page_before(reader, "s", place_again(start_of(page)), limit)
        assert len(seen) < 1_000, "the pages do not end"
        if page:
            assert following is not None
            assert texts(message_page(reader, "s", place_again(following), 1)[0]) == seen[:1]
        seen = texts(page) + seen
    return seen


def check_pages(reader: SessionReader, limit: int) -> None:
    every = list(reader.messages("s", EVERYTHING))
    whole = texts(every)
    assert forwards(reader, MessagePlace(), limit) == whole
    last = list(reader.messages("s", MessageSelection(last=limit)))
    assert backwards(reader, last, limit) == whole
    names = [(each.message_id, each.sequence, each.created_at) for each in every]
    is_named_once = Counter(names)
    for message, name in zip(every, names, strict=True):
        message_id, sequence, created_at = name
        hit = MessagePlace(created_at=created_at, sequence=sequence, message_id=message_id)
        page, following = page_around(reader, "s", place_again(hit), before=min(3, limit - 1), limit=limit)
        if is_named_once[name] == 1 and message_id is not None:
            assert message in page
        after = forwards(reader, following, limit)
        assert backwards(reader, page, limit) + after == whole


def emptied(mongod: Mongod, layout: str) -> tuple[Connection, SessionReader]:
    connection = connect(mongod.uri, "test_message_pages", timeout_seconds=10)
    for name in connection.database.list_collection_names():
        connection.collection(name).delete_many({})
    return connection, LAYOUTS[layout](connection, Settings())


DAYS = [(AT + timedelta(days=number // 3), None, True) for number in range(9)]
LATEST = [(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), number, True) for number in range(4)]
HUGE = [(AT, number * 10**17, True) for number in range(9)]
NAMELESS = [(AT, None, False) for _ in range(9)]


@of_hypothesis(max_examples=10)
@given(rows, forms, limits)
@example(DAYS, ["a day"], 2)
@example(LATEST, ["text"], 2)
@example(LATEST, ["a date"], 2)
@example(DAYS, ["24 o'clock"], 2)
@example(DAYS, ["basic"], 2)
def test_of_flat_sessions(mongod: Mongod, stored: list[Any], chosen: list[str], limit: int) -> None:
    connection, reader = emptied(mongod, "messages")
    instants = times(stored, chosen)
    connection.collection("chat_messages").insert_many([
        {"_id": f"r{(7 * number) % 15}", "session_id": "s", "role": "user", "text": str(number), "metadata": {},
         "vector_ids": [], "expires_at": datetime(2099, 1, 1, tzinfo=UTC), "created_at": instants[number], "sequence": sequence,
         **({"message_id": f"m{number}"} if has_id else {})}
        for number, (_, sequence, has_id) in enumerate(stored)
    ])  # fmt: skip
    check_pages(reader, limit)


@of_hypothesis(max_examples=8)
@given(rows, some.booleans(), limits)
def test_of_agent_sessions(mongod: Mongod, stored: list[Any], has_dates_only: bool, limit: int) -> None:
    connection, reader = emptied(mongod, "agent_sessions")
    session = {"session_id": "s", "user_id": "ana", "agent_id": "sales", "created_at": AT, "updated_at": AT}
    connection.collection("sessions").insert_one(session)
    instants = times(stored, ["a date"] if has_dates_only else ["a date", "text", "nothing"])
    connection.collection("messages").insert_many([
        {"_id": f"r{(7 * number) % 15}", "session_id": "s", "role": "user", "content": str(number),
         "created_at": instants[number], "sequence": sequence}
        for number, (_, sequence, _) in enumerate(stored)
    ])  # fmt: skip
    check_pages(reader, limit)


@of_hypothesis(max_examples=10)
@given(rows, forms, some.lists(some.tuples(some.integers(0, 12), some.integers(100, 900)), max_size=3), limits)
@example(HUGE, ["text"], [], 2)
@example(NAMELESS, ["text"], [], 2)
@example(NAMELESS, ["nothing"], [(2, 300)], 2)
def test_of_session_documents_with_and_without_segments(
    mongod: Mongod, stored: list[Any], chosen: list[str], moves: list[tuple[int, int]], limit: int
) -> None:
    connection, reader = emptied(mongod, "workflow")
    instants = times(stored, chosen)
    messages: list[Document] = [
        {"role": "user", "content": str(number), "timestamp": instants[number], "sequence": sequence,
         **({"event_id": f"e{number}"} if has_id else {})}
        for number, (_, sequence, has_id) in enumerate(stored)
    ]  # fmt: skip
    session = {"_id": "s", "enterprise_id": "acme", "workflow_name": "w", "status": 0, "messages": messages}
    connection.collection("chat_sessions").insert_one(session)
    check_pages(reader, limit)
    for keep, at_most in moves:
        MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("s", keep_messages=keep, at_most_bytes=at_most)
        check_pages(reader, limit)


@of_hypothesis(max_examples=10)
@given(
    some.sets(some.one_of(some.integers(-9, 30), some.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=14), limits
)
def test_of_threads(mongod: Mongod, numbers: set[int], limit: int) -> None:
    connection, reader = emptied(mongod, "threads")
    facts = {"user_id": "ana", "org_id": "acme", "name": "plan", "created_at": AT, "updated_at": AT, "last_sequence": 5}
    connection.collection("chat_threads").insert_one({"_id": "s", **facts})
    connection.collection("chat_thread_messages").insert_many([
        {"_id": f"m{number}", "chat_thread_id": "s", "sender_id": "ana", "sender_role": "user", "created_at": AT,
         "updated_at": AT, "content": {"type": "text", "text": str(number)}, "sequence": Int64(number)}
        for number in numbers
    ])  # fmt: skip
    check_pages(reader, limit)
    assert all(int(first) < int(second) for first, second in pairwise(forwards(reader, MessagePlace(), limit)))
