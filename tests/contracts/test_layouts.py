"""The contract of every layout's reader, in memory and on a real server.

A layout takes part with its line in the registry and with tests/samples/<layout>.json: documents in extended JSON, the
sessions that a reader must return (newest first), and the messages of each session. Only the keys that a sample names
are compared. A case that mongomock cannot run skips with the reason "mongomock cannot ..." on mongomock only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from bson import json_util

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.sessions import streams
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import NameTotal, ReaderOfIds, ReaderOfNames, SessionCounter, SessionReader
from chatstore_cli.domain.times import read_instant
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.sessions import message_row, session_row
from tests.support.in_memory import connection_in_memory
from tests.support.mongod import Mongod
from tests.support.paths import SAMPLES

EVERYTHING = SessionQuery()
HOSTILE_IDS = [
    '{"$gt": ""}', "$where", "a.b", "../../etc/passwd", "/", "", " ", "null", "\x00", "🦉", "a\nb", "\udcff", "x" * 3000,
    "ffffffffffffffffffffffff", "1", "chat-ours:0", "' || 1 == 1 || '",
]  # fmt: skip


@dataclass
class Sample:
    """A layout over its sample documents."""

    connection: Connection
    reader: SessionReader
    sessions: list[dict[str, Any]]
    messages: dict[str, list[dict[str, Any]]]
    reported: dict[str, dict[str, Any]]
    """The usage of sessions that only reports add up."""


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> str:
    """The name of each layout in the registry."""
    name: str = request.param
    return name


def load(connection: Connection, layout: str) -> Sample:
    """Store the sample documents of a layout. A real server has the layout's indexes too."""
    content = json.loads((SAMPLES / f"{layout}.json").read_text())
    for collection, documents in content["collections"].items():
        connection.collection(collection).insert_many([json_util.loads(json.dumps(each)) for each in documents])
    reader = LAYOUTS[layout](connection, Settings())
    for spec in () if connection.in_memory else reader.index_specs():
        options: dict[str, Any] = {"unique": True} if spec.unique else {}
        options |= {"partialFilterExpression": spec.partial_filter} if spec.partial_filter else {}
        connection.collection(spec.collection).create_index(list(spec.keys), name=spec.name, **options)
    return Sample(connection, reader, content["sessions"], content["messages"], content.get("usage", {}))


@pytest.fixture(scope="module")
def real_samples(mongod: Mongod) -> Iterator[Callable[[str], Sample]]:
    """The samples on the real server, stored once, because no test here writes."""
    loaded: dict[str, Sample] = {}

    def sample_of(layout: str) -> Sample:
        if layout not in loaded:
            loaded[layout] = load(connect(mongod.uri, f"samples_{uuid4().hex[:12]}", timeout_seconds=10), layout)
        return loaded[layout]

    yield sample_of
    for sample in loaded.values():
        sample.connection.client.drop_database(sample.connection.database.name)


@pytest.fixture(params=["mongomock", pytest.param("real", marks=pytest.mark.real)])
def sample(request: pytest.FixtureRequest, layout: str) -> Sample:
    """The sample of each layout: in memory, then on the real server."""
    if request.param == "real":
        sample_of: Callable[[str], Sample] = request.getfixturevalue("real_samples")
        return sample_of(layout)
    return load(connection_in_memory(), layout)


def session_rows(sessions: Iterator[Session] | list[Session]) -> list[dict[str, Any]]:
    return [json.loads(as_json(session_row(session))) for session in sessions]


def message_rows(messages: Iterator[Message], expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [json.loads(as_json(message_row(message))) for message in messages]
    assert len(rows) == len(expected)
    return [{key: row[key] for key in like} for row, like in zip(rows, expected, strict=True)]


def is_left_out(sample: Sample, row: dict[str, Any]) -> bool:
    """Whether a selection without the general agent leaves the message out. In its own chats, nothing is."""
    is_general = GENERAL_AGENT in (row.get("source"), row.get("metadata", {}).get("source"))
    return is_general and sample.reader.layout != "general"


def test_sessions_are_listed_newest_first_with_all_fields(sample: Sample) -> None:
    assert sample.sessions == session_rows(sample.reader.newest_first(EVERYTHING, None, 1000))


def test_the_list_is_sorted_by_the_key_and_no_key_occurs_twice(sample: Sample) -> None:
    keys = [SessionKey.of(session) for session in sample.reader.newest_first(EVERYTHING, None, 1000)]
    assert sorted(keys, reverse=True) == keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_pages_together_are_the_whole_list(sample: Sample, size: int) -> None:
    listed: list[Session] = []
    after = None
    while page := list(sample.reader.newest_first(EVERYTHING, after, size)):
        assert len(page) <= size
        listed += page
        after = SessionKey.from_cursor(SessionKey.of(page[-1]).to_cursor())
    assert sample.sessions == session_rows(listed)


@pytest.mark.parametrize("key", ["tenant_id", "user_id", "workflow", "status"])
def test_a_filter_returns_exactly_the_sessions_with_its_value(sample: Sample, key: str) -> None:
    for value in {row[key] for row in sample.sessions if row[key] is not None} | {"failed" if key == "status" else "x"}:
        query = SessionQuery(**{key: SessionStatus(value) if key == "status" else value})
        if sample.reader.unanswerable(query):
            continue
        expected = [row for row in sample.sessions if row[key] == value]
        assert expected == session_rows(sample.reader.newest_first(query, None, 1000))
        assert expected[:2] == session_rows(sample.reader.newest_first(query, None, 2))
        facts = {session.session_id for session in sample.reader.all_facts(query)}
        assert {row["session_id"] for row in expected} == facts


def test_filters_can_be_combined(sample: Sample) -> None:
    for row in sample.sessions:
        query = SessionQuery(tenant_id=row["tenant_id"], workflow=row["workflow"], status=SessionStatus(row["status"]))
        if not sample.reader.unanswerable(query):
            found = list(sample.reader.newest_first(query, None, 1000))
            assert row["session_id"] in {session.session_id for session in found}
            assert all(query.matches(session) for session in found)


def test_since_is_inclusive_and_until_is_exclusive(sample: Sample) -> None:
    for text in {row["updated_at"] for row in sample.sessions if row["updated_at"]}:
        moment = read_instant(text)
        since = session_rows(sample.reader.newest_first(SessionQuery(since=moment), None, 1000))
        until = session_rows(sample.reader.newest_first(SessionQuery(until=moment), None, 1000))
        timed = [row for row in sample.sessions if row["updated_at"]]
        assert timed == since + until
        assert text in {row["updated_at"] for row in since}


def test_reports_read_every_session_once_with_its_usage(sample: Sample) -> None:
    by_id = {session.session_id: session for session in sample.reader.all_facts(EVERYTHING)}
    assert {row["session_id"] for row in sample.sessions} == set(by_id)
    for row in sample.sessions:
        reported = session_rows([by_id[row["session_id"]]])[0]
        assert reported["usage"] == sample.reported.get(row["session_id"], row["usage"])
        facts = ("status", "tenant_id", "user_id", "workflow", "updated_at")
        assert {fact: row[fact] for fact in facts} == {fact: reported[fact] for fact in facts}


def test_a_report_about_some_sessions_reads_exactly_these(sample: Sample) -> None:
    every = sorted(sample.reader.all_facts(EVERYTHING), key=lambda each: each.session_id)
    ids = [each.session_id for each in every]
    for some in ([], ids[:1], ids[1:3], ids, [*ids[:2], *HOSTILE_IDS], HOSTILE_IDS):
        found = sample.reader.all_facts(SessionQuery(among=frozenset(some)))
        assert sorted(found, key=lambda each: each.session_id) == [each for each in every if each.session_id in some]


def test_a_report_about_a_period_reads_every_session_of_it(sample: Sample) -> None:
    moments = {read_instant(row["updated_at"]) for row in sample.sessions if row["updated_at"]}
    moments |= {datetime(year, 1, 1, tzinfo=UTC) for year in (1, 1900, 2200, 9999)}
    every = list(sample.reader.all_facts(EVERYTHING))
    for moment, around in product(moments, (-1, 0, 1)):
        with suppress(OverflowError):
            bound = moment + timedelta(milliseconds=around)
            for query in (
                SessionQuery(since=bound),
                SessionQuery(until=bound),
                SessionQuery(since=bound, until=moment),
            ):
                found = [session.session_id for session in sample.reader.all_facts(query)]
                assert Counter(found) == Counter(each.session_id for each in every if query.matches(each)), query


def queries_of(sample: Sample) -> Iterator[SessionQuery]:
    """Each filter with each of its values and with one that no session has, and all sessions."""
    yield EVERYTHING
    for key in ("tenant_id", "user_id", "workflow", "status"):
        for value in {row[key] for row in sample.sessions if row[key] is not None} | {"unknown", "failed"}:
            yield SessionQuery(**{key: SessionStatus(value) if key == "status" else value})
    for text in {row["updated_at"] for row in sample.sessions if row["updated_at"]}:
        yield SessionQuery(since=read_instant(text))
        yield SessionQuery(until=read_instant(text))
    yield SessionQuery(paused=True)


def test_a_count_is_the_length_of_the_list_and_stops_at_its_limit(sample: Sample) -> None:
    if not isinstance(sample.reader, SessionCounter):
        return  # the list itself is counted
    for query in queries_of(sample):
        if not sample.reader.unanswerable(query):
            listed = len(list(sample.reader.newest_first(query, None, 1000)))
            # Sessions that no text addresses are counted, but not listed.
            extra = sample.reader.count(query, 1000) - listed
            assert 0 <= extra <= getattr(sample.reader, "unaddressable", 0), query
            assert sample.reader.count(query, 1) == min(1, listed + extra)


@pytest.mark.parametrize("by", ["tenant", "user"])
def test_tenants_and_users_have_the_sessions_of_the_list(sample: Sample, by: Any) -> None:
    key = f"{by}_id"
    if not isinstance(sample.reader, ReaderOfNames) or sample.reader.unanswerable(SessionQuery(**{key: "x"})):
        return
    tenants = {row["tenant_id"] for row in sample.sessions if row["tenant_id"] is not None} if by == "user" else set()
    for tenant in (None, *tenants):
        totals = NamedTotals(sample.reader.totals_by(by, tenant))
        rows = [row for row in sample.sessions if tenant in (None, row["tenant_id"])]
        assert {name: count for name, count in totals.items() if name is not None} == Counter(
            row[key] for row in rows if row[key] is not None
        )


class NamedTotals(Counter[Any]):
    """The sessions of each name: a reader may return a name several times."""

    def __init__(self, totals: Iterator[NameTotal]) -> None:
        super().__init__()
        for total in totals:
            self[total.name] += total.sessions


def test_the_beginning_of_an_id_finds_it(sample: Sample) -> None:
    assert isinstance(sample.reader, ReaderOfIds)
    for row in sample.sessions:
        if not re.fullmatch(r"[0-9a-f-]*|[0-9.]*", row["session_id"]):  # texts alone: no index has others as texts
            found = sample.reader.ids_beginning_with(row["session_id"][:-1], 1000)
            assert row["session_id"] in found
            assert all(each.startswith(row["session_id"][:-1]) for each in found)
    for hostile in HOSTILE_IDS[:7]:
        assert sample.reader.ids_beginning_with(hostile, 3) in ([], sample.reader.ids_beginning_with("", 3))


def test_a_stream_of_pages_is_the_whole_list(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_FIRST_PAGE", 1)
    assert sample.sessions == session_rows(streams.stream_sessions([sample.reader], EVERYTHING))


def test_a_query_for_another_layout_returns_nothing(sample: Sample) -> None:
    query = SessionQuery(layout="another")
    assert list(sample.reader.newest_first(query, None, 10)) == []
    assert list(sample.reader.all_facts(query)) == []


def test_every_session_is_found_by_its_id(sample: Sample) -> None:
    for row in sample.sessions:
        found = sample.reader.find(row["session_id"])
        assert found is not None
        assert [row] == session_rows([found])


@pytest.mark.parametrize("hostile", HOSTILE_IDS)
def test_an_id_is_a_value_and_never_an_operator(sample: Sample, hostile: str) -> None:
    assert sample.reader.find(hostile) is None
    with pytest.raises(NotFound):
        list(sample.reader.messages(hostile, MessageSelection()))
    for key in ("tenant_id", "user_id", "workflow"):
        query = SessionQuery(**{key: hostile})
        assert list(sample.reader.newest_first(query, None, 10)) == []
        assert list(sample.reader.all_facts(query)) == []


def test_messages_are_in_the_order_of_the_conversation(sample: Sample) -> None:
    for session_id, expected in sample.messages.items():
        assert expected == message_rows(sample.reader.messages(session_id, MessageSelection()), expected)


@pytest.mark.parametrize("last", [1, 2, 3, 1000])
def test_last_returns_the_end_of_the_conversation(sample: Sample, last: int) -> None:
    for session_id, messages in sample.messages.items():
        expected = messages[-last:]
        assert expected == message_rows(sample.reader.messages(session_id, MessageSelection(last=last)), expected)


def test_first_returns_the_beginning_of_a_selection(sample: Sample) -> None:
    ends = [(None, None), (3, None), (None, 1)]
    for session_id in sample.messages:
        for (last, after), include_general in product(ends, (True, False)):
            whole = list(sample.reader.messages(session_id, MessageSelection(last, after, include_general)))
            for first in (1, 3):
                some = sample.reader.messages(session_id, MessageSelection(last, after, include_general, first))
                assert repr(list(some)) == repr(whole[:first])  # a sample has NaN, which equals nothing


def test_a_found_session_counts_its_messages_up_to_a_limit(sample: Sample) -> None:
    for row in sample.sessions:
        found = sample.reader.find(row["session_id"], 1)
        assert found is not None
        exact = row["message_count"]
        if sample.reader.layout in ("messages", "threads", "agent_sessions"):
            assert (found.message_count, found.message_count_capped) == (min(exact, 1), exact > 1)
        else:
            assert (found.message_count, found.message_count_capped) == (exact, False)
        assert [row["session_id"], row["tenant_id"]] == [found.session_id, found.tenant_id]


def test_after_sequence_returns_the_messages_with_a_higher_one(sample: Sample) -> None:
    for session_id, messages in sample.messages.items():
        if any("sequence" not in row for row in messages):
            continue
        for bound in range(max((row["sequence"] for row in messages), default=0) + 2):
            expected = [row for row in messages if row["sequence"] > bound]
            selection = MessageSelection(after_sequence=bound)
            assert expected == message_rows(sample.reader.messages(session_id, selection), expected)


def test_without_the_general_agent_last_counts_only_the_other_messages(sample: Sample) -> None:
    for session_id, messages in sample.messages.items():
        for last in (None, 1, 2, 3):
            others = [row for row in messages if not is_left_out(sample, row)]
            expected = others if last is None else others[-last:]
            selection = MessageSelection(last=last, include_general=False)
            assert expected == message_rows(sample.reader.messages(session_id, selection), expected)


def test_a_message_has_the_session_id_of_the_request(sample: Sample) -> None:
    for session_id in sample.messages:
        read = sample.reader.messages(session_id, MessageSelection())
        assert all(message.session_id == session_id for message in read)


def test_an_empty_database_has_no_sessions_and_a_missing_session_is_an_error(
    any_connection: Connection, layout: str
) -> None:
    reader = LAYOUTS[layout](any_connection, Settings())
    assert list(reader.newest_first(EVERYTHING, None, 10)) == []
    assert list(reader.all_facts(EVERYTHING)) == []
    assert reader.find("chat") is None
    with pytest.raises(NotFound):
        list(reader.messages("chat", MessageSelection()))


def test_reading_changes_nothing(sample: Sample) -> None:
    def contents() -> dict[str, str]:
        database = sample.connection.database
        return {name: json_util.dumps(database[name].find()) for name in sorted(database.list_collection_names())}

    before = contents()
    list(sample.reader.newest_first(EVERYTHING, None, 10))
    for session_id in sample.messages:
        list(sample.reader.messages(session_id, MessageSelection(last=1)))
    assert before == contents()


def test_every_layout_is_named_as_in_the_registry(any_connection: Connection, layout: str) -> None:
    assert LAYOUTS[layout](any_connection, Settings()).layout == layout
