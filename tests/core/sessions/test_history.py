"""A history from cache and database: each message once and in order, wherever it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.core.sessions.history import ChatHistory, HistoryMessage, chat_history, history_of
from chatstore_cli.domain.errors import BadValue, NotAllowed, Overdue, Unreachable, WrongUse
from chatstore_cli.domain.history import StoredMessage
from chatstore_cli.domain.identity import content_key, identity_by_content, identity_by_message_id, session_prefix
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import Content, StoredContent
from chatstore_cli.domain.tombstones import Tombstone
from chatstore_cli.files.journal_tail import read_tail
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.history import MongoHistory
from chatstore_cli.render.rows.sessions import message_row
from tests.support.in_memory import connection_in_memory
from tests.support.journals import COLLECTION, START, flush, record, write_journal

SESSION = "s1"
PREFIX = session_prefix(SESSION)


# --- a storage that returns no more than its port promises --------------------------------------------------------------


@dataclass
class Storage:
    rows: list[StoredMessage] = field(default_factory=list)
    deleted: Tombstone | None = None
    failure: Exception | None = None
    elsewhere: Mapping[str, Content] = field(default_factory=dict)

    def tombstone(self, session_id: str) -> Tombstone | None:
        if self.failure is not None:
            raise self.failure
        return self.deleted

    def tombstones(self, session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        deleted = self.deleted
        return {} if deleted is None else dict.fromkeys(session_ids, deleted)

    def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> list[StoredMessage]:
        rows = sorted(self.rows, key=row_place)
        ends = [milliseconds(rows[-limit].message.created_at)] if len(rows) >= limit else []
        ends += [milliseconds(since)] if since is not None else []
        return [row for row in rows if not ends or instant_of(row.message) >= max(ends)] or rows[-1:]

    def stored_contents(self, identities: Sequence[str]) -> dict[str, Content]:
        known = {row.identity: row.message for row in self.rows if row.identity}
        contents = {one: (row.role, instant_of(row).isoformat(), row.content) for one, row in known.items()}
        return {one: content for one, content in {**contents, **self.elsewhere}.items() if one in identities}


def instant_of(message: Message) -> datetime:
    assert message.created_at is not None
    return message.created_at


def milliseconds(instant: datetime | None) -> datetime:
    assert instant is not None
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def row_place(row: StoredMessage) -> tuple[datetime, int, int]:
    sequence = row.message.sequence
    return instant_of(row.message), int(sequence is not None), sequence or 0


# --- messages --------------------------------------------------------------------------------------------------------


def line(number: int, microseconds: int | None = None, **fields: Any) -> Message:
    """A journal line, that many microseconds after the start, or as many seconds as its number."""
    after = timedelta(seconds=number) if microseconds is None else timedelta(microseconds=microseconds)
    defaults = {"role": "user", "content": f"message {number}", "sequence": number, "created_at": START + after}
    return Message(SESSION, **(defaults | fields))


def key_of(message: Message, instant: datetime | None = None) -> bytes:
    text = (instant or instant_of(message)).isoformat(timespec="microseconds")
    return content_key(SESSION, message.role, text, str(message.content))


def own_row(message: Message, occurrence: int = 0) -> StoredMessage:
    """The row that flush-cache writes for a line."""
    key = key_of(message)
    if message.message_id is None:
        identity = identity_by_content(PREFIX, key, occurrence)
    else:
        identity = identity_by_message_id(PREFIX, SESSION, message.message_id)
    return StoredMessage(
        message._replace(message_id=message.message_id or identity), identity, StoredContent(key, False)
    )


def foreign_row(message: Message, *, date: bool = False) -> StoredMessage:
    """The row that the application itself writes for a message. A date has milliseconds."""
    instant = milliseconds(message.created_at) if date else instant_of(message)
    row = message._replace(message_id=str(ObjectId()), sequence=None, created_at=instant)
    return StoredMessage(row, None, StoredContent(key_of(message, instant), date))


def texts(history: ChatHistory) -> list[tuple[Any, str, bool | None]]:
    return [(shown.message.content, shown.source, shown.persisted) for shown in history.messages]


# --- against a plain model -------------------------------------------------------------------------------------------


@dataclass
class World:
    """All lines of a journal and all rows of the database. `limit` messages are requested."""

    lines: list[Message]
    rows: list[StoredMessage]
    limit: int


def distinct(lines: Sequence[Message]) -> list[tuple[Message, StoredMessage]]:
    """The distinct messages of a journal, with the rows that flush-cache would write."""
    found: dict[tuple[str | None, bytes], tuple[Message, StoredMessage]] = {}
    equals: Counter[bytes] = Counter()
    for message in lines:
        row = own_row(message, equals[key_of(message)])
        equals[key_of(message)] += message.message_id is None
        found.setdefault((row.identity, key_of(message)), (message, row))
    return list(found.values())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Equal instants, milliseconds and contents; some stored by chatstore, some by others, some not stored."""
    places = sorted(draw(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 231])), max_size=16)))
    lines: list[Message] = []
    for number, (millisecond, microsecond) in enumerate(places, 1):
        text = draw(st.sampled_from("aab"))
        message_id = draw(st.sampled_from([None, None, f"m{number}", "same"]))
        if message_id == "same":
            message_id = f"m-{millisecond}-{microsecond}-{text}"
        lines.append(line(number, 1_000 * millisecond + microsecond, content=text, message_id=message_id))
    rows = [row for _, row in distinct(lines) if draw(st.integers(0, 2)) == 0]
    taken = [message for message, row in distinct(lines) if row not in rows and draw(st.integers(0, 2)) == 0]
    strangers = [
        line(100, draw(st.integers(0, 4_300)), content=draw(st.sampled_from("abc")))
        for _ in range(draw(st.integers(0, 3)))
    ]
    rows += [foreign_row(message, date=draw(st.booleans())) for message in [*taken, *strangers]]
    pruned = [line(200 + n, draw(st.integers(0, 4_300)), content="pruned") for n in range(draw(st.integers(0, 4)))]
    rows += [own_row(message) for message in pruned]
    return World(lines, rows, draw(st.integers(1, 12)))


def expected_history(world: World) -> list[HistoryMessage]:
    """The whole history by the rule of a flush, line by line, then one sort."""
    left = list(world.rows)
    shown: list[tuple[tuple[datetime, int, int, int], HistoryMessage]] = []
    missing: list[Message] = []

    def show(message: Message, source: Any, *, persisted: bool) -> None:
        place = (instant_of(message), int(message.sequence is not None), message.sequence or 0, int(source == "cache"))
        shown.append((place, HistoryMessage(message, source, persisted)))

    for message, row in distinct(world.lines):
        found = next((other for other in left if other.identity == row.identity), None)
        if found is None:
            missing.append(message)
        else:
            left.remove(found)
            show(message, "cache", persisted=True)
    for message in sorted(missing, key=lambda message: message.message_id is not None):
        exact = [row for row in left if row.identity is None and row.content == StoredContent(key_of(message), False)]
        coarse = StoredContent(key_of(message, milliseconds(message.created_at)), True)
        matching_rows = (exact + [row for row in left if row.content == coarse])[:1]
        for row in matching_rows:
            left.remove(row)
        show(message, "cache", persisted=bool(matching_rows))
    for row in left:
        show(row.message, "mongo", persisted=True)
    shown.sort(key=lambda item: item[0])
    return [message for _, message in shown]


def without_ids(shown: Sequence[HistoryMessage]) -> list[HistoryMessage]:
    """Rows of one instant without a sequence have any order, and random ids."""
    plain = [one._replace(message=one.message._replace(message_id=None)) for one in shown]
    return sorted(plain, key=lambda one: (instant_of(one.message), one.message.sequence or 0, str(one.message.content)))


def newest_of(world: World) -> list[Message]:
    """The fewest messages that a reader of the journal's end may return: the newest `limit` and their milliseconds."""
    instants = sorted(instant_of(message) for message, _ in distinct(world.lines))
    if len(instants) < world.limit:
        return world.lines
    return [message for message in world.lines if instant_of(message) >= milliseconds(instants[-world.limit])]


@given(worlds())
def test_a_history_has_the_newest_messages_each_once(world: World):
    history = chat_history(newest_of(world), Storage(world.rows), SESSION, world.limit)
    expected = expected_history(world)[-world.limit :]
    assert [(one.source, one.persisted) for one in without_ids(history.messages)] == [
        (one.source, one.persisted) for one in without_ids(expected)
    ]
    assert without_ids(history.messages) == without_ids(expected)


@given(worlds())
def test_messages_are_in_order_and_those_of_the_journal_in_its_order(world: World):
    shown = [one.message for one in chat_history(newest_of(world), Storage(world.rows), SESSION, 500).messages]
    assert shown == sorted(shown, key=lambda message: (instant_of(message), message.sequence is not None))
    assert shown == sorted(shown, key=lambda message: (instant_of(message), message.sequence or 0))


@given(worlds())
def test_counts_are_of_the_shown_messages_and_the_newest_persisted_is_of_all(world: World):
    whole = expected_history(world)
    history = chat_history(newest_of(world), Storage(world.rows), SESSION, world.limit)
    persisted = [instant_of(one.message) for one in whole if one.persisted]
    # A date of another writer has lost its microseconds; they are known where the cache's copy was read.
    newest = history.last_persisted_at
    assert (newest and milliseconds(newest)) == (milliseconds(max(persisted)) if persisted else None)
    assert all(newest and instant_of(one.message) <= newest for one in history.messages if one.persisted)
    shown = Counter(one.source for one in history.messages)
    assert history.counts == {"cache": shown["cache"], "mongo": shown["mongo"]}
    assert history.not_persisted == sum(one.persisted is False for one in whole[-world.limit :])


@given(worlds(), st.integers(0, 15))
def test_lines_with_ids_are_recognised_however_many_the_cache_remembers(world: World, kept: int):
    named = [message._replace(message_id=f"m{number}") for number, message in enumerate(world.lines)]
    rows = [own_row(message) for message in named[::2]]
    history = chat_history(named[len(named) - kept :] if kept < len(named) else named, Storage(rows), SESSION, 500)
    ids = Counter(one.message.message_id for one in history.messages)
    assert set(ids.values()) <= {1}
    stored = {row.message.message_id for row in rows}
    assert all(one.persisted == (one.message.message_id in stored) for one in history.messages)


@given(worlds())
def test_without_a_database_the_cache_is_shown_and_its_figures_are_none(world: World):
    history = chat_history(newest_of(world), None, SESSION, world.limit)
    expected = expected_history(World(world.lines, [], world.limit))[-world.limit :]
    assert [one.message.content for one in history.messages] == [one.message.content for one in expected]
    assert {one.persisted for one in history.messages} <= {None}
    assert (history.counts["mongo"], history.not_persisted, history.last_persisted_at) == (None, None, None)
    assert history.failure is None


# --- against flush-cache itself --------------------------------------------------------------------------------------


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for second, microsecond in sorted(draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=14))):
        text = draw(st.sampled_from(["a", "b\0"]))
        message_id = draw(st.sampled_from([None, None, "m"]))
        instant = datetime(2026, 3, 2, 11, 41, second, 195_000 + microsecond, tzinfo=UTC)
        made.append(
            record(
                text=text,
                created_at=instant.isoformat(timespec="microseconds"),
                message_id=message_id and f"m-{second}-{microsecond}-{text}",
            )
        )
    return made


@st.composite
def rows_of_others(draw: st.DrawFn, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = draw(st.lists(st.sampled_from(lines), max_size=5)) if lines else []
    rows = []
    for fields in taken:
        instant = datetime.fromisoformat(fields["created_at"])
        forms: list[Any] = [fields["created_at"], fields["created_at"].replace("+00:00", "Z"), instant]
        forms.append(instant.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds"))
        rows.append({**fields, "created_at": draw(st.sampled_from(forms)), "_id": ObjectId()})
    return rows


@given(st.data())
def test_messages_not_persisted_are_those_that_a_flush_stores_without_a_change_of_order(data: st.DataObject):
    lines = data.draw(records())
    others = data.draw(rows_of_others(lines))
    split = data.draw(st.integers(0, len(lines)))
    connection = connection_in_memory()
    with TemporaryDirectory() as name:
        folder = Path(name)
        journal = write_journal(folder / f"{SESSION}.jsonl", lines[:split])
        flush(connection, folder)
        write_journal(journal, lines)
        for row in others:
            connection.database[COLLECTION].insert_one(row)

        before = history_from(folder, connection)
        stored = flush(connection, folder, ignore_ledger=True).stored
        after = history_from(folder, connection)

    assert before.not_persisted == stored
    assert after.not_persisted == 0
    assert after.counts == before.counts
    assert [one.message for one in after.messages] == [one.message for one in before.messages]


def history_from(folder: Path, connection: Connection, limit: int = 500) -> ChatHistory:
    tail = read_tail(folder, SESSION, limit)
    return history_of(tail.journals, lambda: MongoHistory(connection, COLLECTION), SESSION, limit)


# --- single cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_limit_out_of_bounds_is_wrong_use(limit: int):
    with pytest.raises(BadValue, match="limit"):
        chat_history([], Storage(), SESSION, limit)


def test_an_empty_session_id_is_wrong_use():
    with pytest.raises(WrongUse, match="session_id"):
        chat_history([], Storage(), "")


def test_an_unknown_session_is_an_empty_history():
    assert chat_history([], Storage(), SESSION).to_dict() == {
        "items": [],
        "next_cursor": None,
        "session_id": "s1",
        "counts": {"cache": 0, "mongo": 0},
        "last_persisted_at": None,
        "not_persisted": 0,
    }


def test_the_keys_of_an_item_are_those_of_a_message_and_whether_it_is_persisted():
    (item,) = chat_history([line(1)], Storage(), SESSION).to_dict()["items"]
    assert list(item) == [*message_row(line(1)), "persisted"]
    assert (item["source"], item["persisted"], item["content"]) == ("cache", False, "message 1")


def test_values_that_json_does_not_have_become_text():
    given = line(1, metadata={"id": ObjectId("65e1a0b2c3d4e5f601234567"), "at": START, "n": float("nan")})
    (item,) = chat_history([], Storage([foreign_row(given)]), SESSION).to_dict()["items"]
    assert item["metadata"] == {"id": "65e1a0b2c3d4e5f601234567", "at": "2026-03-02T11:41:00.195769Z", "n": None}


def test_two_equal_lines_at_two_places_are_two_messages():
    twins = [line(1, 0, content="yes"), line(2, 0, content="yes")]
    history = chat_history(twins, Storage([own_row(twins[0], 0)]), SESSION)
    assert texts(history) == [("yes", "cache", True), ("yes", "cache", False)]
    assert len({one.message.message_id for one in history.messages}) == 2


def test_one_row_of_another_writer_matches_one_of_two_equal_lines():
    twins = [line(1, 0, content="yes"), line(2, 0, content="yes")]
    history = chat_history(twins, Storage([foreign_row(twins[0], date=True)]), SESSION)
    assert texts(history) == [("yes", "cache", True), ("yes", "cache", False)]


def test_a_copy_of_a_journal_adds_nothing():
    journal = [line(1, 0, content="yes"), line(2, 0, content="yes"), line(3, message_id="m3")]
    history = history_of([journal, journal], Storage, SESSION, 50)
    assert [one.message.sequence for one in history.messages] == [1, 2, 3]


def test_a_message_id_that_is_stored_with_other_content_is_not_that_message():
    stored = line(1, content="this", message_id="m1")
    history = chat_history([line(1, content="that", message_id="m1")], Storage([own_row(stored)]), SESSION)
    assert sorted(texts(history)) == [("that", "cache", False), ("this", "mongo", True)]


def test_a_row_of_another_writer_does_not_match_a_line_that_a_flush_quarantines():
    taken = own_row(line(1, content="this", message_id="m1"))
    history = chat_history(
        [line(1, content="that", message_id="m1")], Storage([taken, foreign_row(line(1, content="that"))]), SESSION
    )
    assert sorted(texts(history)) == [("that", "cache", False), ("that", "mongo", True), ("this", "mongo", True)]


@pytest.mark.parametrize("text", ["message 1", "other"])
def test_a_row_of_the_same_id_with_another_time_is_compared_by_content(text: str):
    given = line(1, message_id="m1")
    identity = identity_by_message_id(PREFIX, SESSION, "m1")
    elsewhere: Content = ("user", instant_of(given).isoformat(), text)
    history = chat_history([given], Storage(elsewhere={identity: elsewhere}), SESSION)
    assert texts(history) == [("message 1", "cache", text == "message 1")]


def test_a_line_without_a_number_follows_the_rows_of_its_instant_and_the_line_before_it():
    row = own_row(line(7, 0, content="pruned"))
    unnumbered = [line(n, 0, sequence=None) for n in (8, 9)]
    history = chat_history(unnumbered, Storage([row]), SESSION)
    assert [one.message.content for one in history.messages] == ["pruned", "message 8", "message 9"]


def test_a_number_that_only_the_database_knows_orders_the_lines_beside_it():
    numbered, beside = line(8, 0), line(9, 0)
    rows = [own_row(numbered), own_row(line(7, 0, content="before")), own_row(line(12, 0, content="after"))]
    history = chat_history([each._replace(sequence=None) for each in (numbered, beside)], Storage(rows), SESSION)
    assert [one.message.content for one in history.messages] == ["before", "message 8", "message 9", "after"]
    assert [one.message.sequence for one in history.messages] == [7, 8, None, 12]


def test_a_line_without_an_id_shows_the_id_of_its_row():
    kept = foreign_row(line(1))
    history = chat_history([line(1), line(2)], Storage([kept]), SESSION)
    assert [one.message.message_id for one in history.messages] == [kept.message.message_id, own_row(line(2)).identity]


def test_a_row_without_a_time_comes_first():
    timeless = foreign_row(line(9))._replace(content=None)
    timeless = timeless._replace(message=timeless.message._replace(created_at=None))

    class Timeless(Storage):
        def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> list[StoredMessage]:
            return [timeless]

    history = chat_history([line(1)], Timeless(), SESSION)
    assert texts(history) == [("message 9", "mongo", True), ("message 1", "cache", False)]
    assert history.last_persisted_at is None


@pytest.mark.parametrize("failure", [Unreachable(what="away"), Overdue(what="too slow"), NotAllowed(what="no")])
def test_if_the_database_fails_the_cache_is_shown_and_the_error_is_kept(failure: Exception):
    history = chat_history([line(1), line(2)], Storage([own_row(line(1))], failure=failure), SESSION)
    assert texts(history) == [("message 1", "cache", None), ("message 2", "cache", None)]
    assert history.failure is failure
    assert history.to_dict()["counts"] == {"cache": 2, "mongo": None}


def test_a_wrong_setting_is_not_an_outage():
    with pytest.raises(BadValue):
        chat_history([line(1)], Storage(failure=BadValue(name="x", value="y", expected="z")), SESSION)


def test_messages_that_were_deleted_with_their_session_are_left_out():
    """Those that are recorded later are shown, however many covered ones are dated after them."""
    ahead = [line(1_000 + number) for number in range(5)]
    row_ids = frozenset(str(own_row(message).identity) for message in ahead)
    storage = Storage([foreign_row(line(12))], deleted=Tombstone(instant_of(line(10)), row_ids))
    history = chat_history([line(9), line(10), *ahead, line(11)], storage, SESSION, 3)
    assert texts(history) == [("message 11", "cache", False), ("message 12", "mongo", True)]
    assert (history.deleted, history.covered) == (True, 7)
