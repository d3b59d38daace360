"""Pages of messages on a real server: forwards, backwards and from any message, each one comes once and in order.

Times are equal, mixed, before 1970, or no times; sequences are equal, missing, restarted, huge, or no numbers; ids are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import Decimal128, Int64
from hypothesis import example, given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as some

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.sessions.message_page import message_page, page_around
from chatstore_cli.core.sessions.message_place import MessagePlace, PlaceGone
from chatstore_cli.core.sessions.page_before import page_before, start_of
from chatstore_cli.domain.errors import NotFound
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
    [
        None,
        -5,
        0,
        2.0,
        4.5,
        Int64(3),
        Decimal128("3"),
        "4",
        True,
        2**62,
        2**63 - 1,
        -(2**63),
        1e300,
        -1e30,
        Decimal128("1e30"),
    ]
)
sequences = some.one_of(some.integers(-3, 30), odd_sequences)
rows = some.lists(some.tuples(some.sampled_from(INSTANTS), sequences, some.booleans()), min_size=1, max_size=14)
limits = some.integers(1, 5)
deletions = some.tuples(some.integers(1, 13), some.sets(some.integers(0, 13), max_size=6))


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


def check_deletions(
    reader: SessionReader, limit: int, first: int, deleted: set[int], delete: Callable[[str], Any]
) -> None:
    """Delete messages between two pages: the other one has each remaining message once and in order, or its place is gone."""
    every = list(reader.messages("s", EVERYTHING))
    page, after = message_page(reader, "s", MessagePlace(), first)
    later, end = every[first % len(every) :], every[: first % len(every)]
    gone = {str(every[number % len(every)].content) for number in deleted}
    for text in gone:
        delete(text)
    # Messages with equal times and sequences cannot be distinguished if that of the place is deleted: they may repeat.
    with suppress(PlaceGone, NotFound):
        seen = [] if after is None else forwards(reader, after, limit)
        wanted = [each for each in texts(every[len(page) :]) if each not in gone]
        again = [each for each in page if (each.created_at, each.sequence) == (page[-1].created_at, page[-1].sequence)]
        assert [each for each in seen if each in wanted] == wanted
        assert set(seen) - set(wanted) <= set(texts(again))
        assert len(seen) == len(set(seen))
    with suppress(PlaceGone, NotFound):
        earlier, _ = page_before(reader, "s", place_again(start_of(later)), limit)
        seen = backwards(reader, earlier, limit)
        wanted = [each for each in texts(end) if each not in gone]
        again = [each for each in later if (each.created_at, each.sequence) == (later[0].created_at, later[0].sequence)]
        assert [each for each in seen if each in wanted] == wanted
        assert set(seen) - set(wanted) <= set(texts(again))
        assert len(seen) == len(set(seen))


def emptied(mongod: Mongod, layout: str) -> tuple[Connection, SessionReader]:
    connection = connect(mongod.uri, "test_message_pages", timeout_seconds=10)
    for name in connection.database.list_collection_names():
        connection.collection(name).delete_many({})
    return connection, LAYOUTS[layout](connection, Settings())


DAYS = [(AT + timedelta(days=number // 3), None, True) for number in range(9)]
LATEST = [(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), number, True) for number in range(4)]
HUGE = [(AT, number * 10**17, True) for number in range(9)]
MINUTES = [(AT + timedelta(minutes=number), None, True) for number in range(9)]
BEYOND = [(AT, each, True) for each in (1e300, 2e300, Decimal128("9e99"), 2.0**63, -1e30, 1, 2)]
AT_PLACE = (4, {1, 3, 4})
NAMELESS = [(AT, None, False) for _ in range(9)]


@of_hypothesis(max_examples=10)
@given(rows, forms, limits, deletions)
@example(DAYS, ["a day"], 2, AT_PLACE)
@example(LATEST, ["text"], 2, AT_PLACE)
@example(LATEST, ["a date"], 2, AT_PLACE)
@example(DAYS, ["24 o'clock"], 2, AT_PLACE)
@example(DAYS, ["basic"], 2, AT_PLACE)
@example(MINUTES, ["text"], 2, AT_PLACE)
@example(MINUTES, ["text", "a date"], 2, AT_PLACE)
@example(BEYOND, ["text"], 2, AT_PLACE)
def test_of_flat_sessions(
    mongod: Mongod, stored: list[Any], chosen: list[str], limit: int, deleted: tuple[int, set[int]]
) -> None:
    connection, reader = emptied(mongod, "messages")
    instants = times(stored, chosen)
    connection.collection("chat_messages").insert_many([
        {"_id": f"r{(7 * number) % 15}", "session_id": "s", "role": "user", "text": str(number), "metadata": {},
         "vector_ids": [], "expires_at": datetime(2099, 1, 1, tzinfo=UTC), "created_at": instants[number], "sequence": sequence,
         **({"message_id": f"m{number}"} if has_id else {})}
        for number, (_, sequence, has_id) in enumerate(stored)
    ])  # fmt: skip
    check_pages(reader, limit)
    check_deletions(
        reader, limit, *deleted, lambda text: connection.collection("chat_messages").delete_one({"text": text})
    )


@of_hypothesis(max_examples=8)
@given(rows, some.booleans(), limits, deletions)
def test_of_agent_sessions(
    mongod: Mongod, stored: list[Any], has_dates_only: bool, limit: int, deleted: tuple[int, set[int]]
) -> None:
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
    check_deletions(
        reader, limit, *deleted, lambda text: connection.collection("messages").delete_one({"content": text})
    )


@of_hypothesis(max_examples=10)
@given(
    rows, forms, some.lists(some.tuples(some.integers(0, 12), some.integers(100, 900)), max_size=3), limits, deletions
)
@example(HUGE, ["text"], [], 2, AT_PLACE)
@example(NAMELESS, ["text"], [], 2, AT_PLACE)
@example(NAMELESS, ["nothing"], [(2, 300)], 2, AT_PLACE)
@example(MINUTES, ["text"], [(2, 300)], 2, AT_PLACE)
def test_of_session_documents_with_and_without_segments(
    mongod: Mongod,
    stored: list[Any],
    chosen: list[str],
    moves: list[tuple[int, int]],
    limit: int,
    deleted: tuple[int, set[int]],
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

    def delete(text: str) -> None:
        for name in ("chat_sessions", "chat_session_segments"):
            connection.collection(name).update_many(
                {"messages": {"$type": "array"}}, {"$pull": {"messages": {"content": text}}}
            )

    check_deletions(reader, limit, *deleted, delete)


places = some.one_of(
    some.integers(-9, 30),
    some.integers(-(2**63), 2**63 - 1).map(Int64),
    some.floats(allow_nan=False),
    some.text("0123456789ab", max_size=3),
    some.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda at: at.replace(microsecond=0)),  # noqa: DTZ001 - hypothesis takes naive bounds
    some.booleans().map(lambda value: {"n": value}),
)
TEXTS = [*range(5), *map(str, range(9))]


@of_hypothesis(max_examples=15)
@given(some.lists(places, min_size=1, max_size=14, unique_by=repr), limits, deletions)
@example([str(number) for number in range(9)], 2, AT_PLACE)
@example(TEXTS, 2, AT_PLACE)
@example(TEXTS, 2, (9, {7, 8, 9}))
@example([number + 0.5 for number in range(4)] + list(range(6)), 2, AT_PLACE)
def test_of_threads(mongod: Mongod, numbers: list[Any], limit: int, deleted: tuple[int, set[int]]) -> None:
    connection, reader = emptied(mongod, "threads")
    facts = {"user_id": "ana", "org_id": "acme", "name": "plan", "created_at": AT, "updated_at": AT, "last_sequence": 5}
    connection.collection("chat_threads").insert_one({"_id": "s", **facts})
    stored = connection.collection("chat_thread_messages")
    stored.create_index([("chat_thread_id", 1), ("sequence", 1)])
    stored.insert_many([
        {"_id": f"m{number}", "chat_thread_id": "s", "sender_id": "ana", "sender_role": "user", "created_at": AT,
         "updated_at": AT, "content": {"type": "text", "text": str(number)}, "sequence": place}
        for number, place in enumerate(numbers)
    ])  # fmt: skip
    in_order = [each["content"]["text"] for each in stored.find().sort("sequence", 1)]
    assert forwards(reader, MessagePlace(), limit) == in_order
    check_pages(reader, limit)
    check_deletions(reader, limit, *deleted, lambda text: stored.delete_one({"content.text": text}))


def test_numbered_messages_before_a_deleted_one_are_found_and_no_text_is_left_out(mongod: Mongod) -> None:
    connection, reader = emptied(mongod, "threads")
    connection.collection("chat_threads").insert_one({"_id": "s", "user_id": "ana", "org_id": "acme", "name": "plan"})
    stored = connection.collection("chat_thread_messages")
    stored.insert_many([
        {"_id": f"m{number}", "chat_thread_id": "s", "sender_role": "user", "content": str(number), "sequence": place}
        for number, place in enumerate([*range(100), *map(str, range(10, 20))])
    ])  # fmt: skip
    selected = reader.messages("s", MessageSelection(after_sequence=97))
    assert texts(list(selected)) == ["98", "99", *map(str, range(100, 110))]
    start = start_of(list(reader.messages("s", MessageSelection(last=40))))
    stored.delete_many({"_id": {"$in": ["m68", "m69", "m70", "m71"]}})
    page, following = page_before(reader, "s", place_again(start), 5)
    assert texts(page) == ["63", "64", "65", "66", "67"]
    assert texts(message_page(reader, "s", following or MessagePlace(), 2)[0]) == ["72", "73"]
