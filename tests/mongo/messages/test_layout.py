"""Flat messages read as sessions: the order, the paging, and that an index alone answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.domain.errors import NotFound, Overdue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import COUNT_CAP, SessionStatus
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages import ordering as message_order
from chatstore_cli.mongo.messages import recent_sessions
from chatstore_cli.mongo.messages.layout import MessagesLayout, index_specs
from chatstore_cli.mongo.messages.rows import to_message

if TYPE_CHECKING:
    from pymongo.database import Database

Documents = list[dict[str, Any]]
START = datetime(2026, 3, 1, tzinfo=UTC)
EVERYTHING = SessionQuery()


def canonical(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def row(session: Any, created_at: Any, sequence: int | None = None, **more: Any) -> dict[str, Any]:
    document = {"_id": ObjectId(), "session_id": session, "role": "user", "text": "hello", "created_at": created_at}
    return document | ({} if sequence is None else {"sequence": sequence}) | more


def store(
    connection: Connection, documents: Documents, *, indexes: tuple[str, ...] = ("session_ts_idx", "recent_idx")
) -> MessagesLayout:
    collection = connection.collection("chat_messages")
    for spec in index_specs("chat_messages"):
        if spec.name in indexes:
            collection.create_index(list(spec.keys), name=spec.name)
    if documents:
        collection.insert_many(documents)
    return MessagesLayout(connection, Settings())


def ids(sessions: Iterator[Any]) -> list[str]:
    return [session.session_id for session in sessions]


def pages(layout: MessagesLayout, size: int, query: SessionQuery = EVERYTHING) -> list[str]:
    found: list[str] = []
    after: SessionKey | None = None
    while page := list(layout.newest_first(query, after, size)):
        found += ids(iter(page))
        after = SessionKey.of(page[-1])
    return found


def texts(messages: Iterator[Message]) -> list[Any]:
    return [message.content for message in messages]


# --- listing ---------------------------------------------------------------------------------------------------------


def test_sessions_stand_at_their_newest_message(any_connection: Connection) -> None:
    layout = store(any_connection, [row("a", canonical(1)), row("b", canonical(2)), row("a", canonical(3))])

    [first, second] = layout.newest_first(EVERYTHING, None, 10)

    assert (first.session_id, first.message_count, second.session_id) == ("a", 2, "b")
    assert (first.created_at, first.updated_at) == (START + timedelta(seconds=1), START + timedelta(seconds=3))
    assert first.status is SessionStatus.UNKNOWN


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_of_any_size_give_every_session_once_in_order(any_connection: Connection, size: int) -> None:
    """Sessions interleave, so that each has messages below the cursor of a page that has shown it."""
    documents = [row(f"s{index % 11}", canonical(index)) for index in range(60)]
    layout = store(any_connection, documents)

    assert pages(layout, size) == [f"s{(59 - place) % 11}" for place in range(11)]


def test_sessions_of_one_instant_are_paged_without_loss(any_connection: Connection) -> None:
    layout = store(any_connection, [row(name, canonical(5)) for name in "dabc"])

    assert pages(layout, 1) == ["d", "c", "b", "a"]


def test_a_session_that_grows_while_pages_are_read_is_not_shown_again(any_connection: Connection) -> None:
    layout = store(any_connection, [row(f"s{index}", canonical(index)) for index in range(6)])
    first = list(layout.newest_first(EVERYTHING, None, 3))
    any_connection.collection("chat_messages").insert_one(row("s4", canonical(100)))
    any_connection.collection("chat_messages").insert_one(row("new", canonical(101)))

    rest = list(layout.newest_first(EVERYTHING, SessionKey.of(first[-1]), 10))

    assert (ids(iter(first)), ids(iter(rest))) == (["s5", "s4", "s3"], ["s2", "s1", "s0"])


def test_text_and_dates_stand_in_one_order(any_connection: Connection) -> None:
    """BSON sorts every date behind every text; instants do not."""
    layout = store(
        any_connection,
        [
            row("text, old", canonical(1)),
            row("date, middle", START + timedelta(seconds=2)),
            row("text, new", canonical(3)),
            row("both", START + timedelta(seconds=1)),
            row("both", canonical(4)),
        ],
    )

    assert pages(layout, 1) == ["both", "text, new", "date, middle", "text, old"]


def test_utc_in_any_spelling_stands_in_one_order(any_connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text order differs from that of the instants inside one second, across the chunks of the walk too."""
    monkeypatch.setattr(recent_sessions, "CHUNK", 1)
    layout = store(
        any_connection,
        [
            row("zulu", "2026-03-01T00:00:05Z"),
            row("fraction", "2026-03-01T00:00:05.500Z"),
            row("offset", "2026-03-01T00:00:05.250000+00:00"),
            row("naive", "2026-03-01T00:00:05.750000"),
        ],
    )

    assert pages(layout, 1) == ["naive", "fraction", "offset", "zulu"]


def test_local_time_with_one_offset_is_paged_as_instants(any_connection: Connection) -> None:
    zone = [f"2026-03-01T{hour:02}:00:00+05:30" for hour in range(8)]
    layout = store(any_connection, [row(f"s{index}", text) for index, text in enumerate(zone)])

    assert pages(layout, 2) == [f"s{index}" for index in reversed(range(8))]


def test_a_session_that_owns_all_the_newest_messages_hides_no_other(
    any_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk gives up and every session is sought in the index instead."""
    monkeypatch.setattr(recent_sessions, "CHUNK", 5)
    monkeypatch.setattr(recent_sessions, "SCAN_LIMIT", 10)
    quiet = [row(f"s{index}", canonical(index)) for index in range(9)]
    layout = store(any_connection, [*quiet, *(row("loud", canonical(1000 + index)) for index in range(100))])

    assert ids(layout.newest_first(EVERYTHING, None, 4)) == ["loud", "s8", "s7", "s6"]
    assert pages(layout, 4) == ["loud", *(f"s{index}" for index in reversed(range(9)))]


def test_since_is_inclusive_and_until_exclusive_on_the_newest_message(any_connection: Connection) -> None:
    documents = [row(f"s{index}", canonical(index)) for index in range(6)]
    layout = store(any_connection, [*documents, row("s1", canonical(9))])
    query = SessionQuery(since=START + timedelta(seconds=2), until=START + timedelta(seconds=5))

    assert pages(layout, 2, query) == ["s4", "s3", "s2"]


def test_filters_without_a_field_are_named(any_connection: Connection) -> None:
    layout = store(any_connection, [row("a", canonical(1))])
    query = SessionQuery(tenant_id="t", user_id="u", workflow="w", status=SessionStatus.FAILED)

    assert layout.unanswerable(query) == ["tenant", "user", "workflow", "status"]
    assert layout.unanswerable(SessionQuery(status=SessionStatus.UNKNOWN)) == []
    assert list(layout.newest_first(query, None, 5)) == []


def test_counts_stop_at_the_cap_in_a_list_and_go_on_for_one_session(connection: Connection) -> None:
    layout = store(connection, [row("a", canonical(index)) for index in range(COUNT_CAP + 7)])

    [listed] = layout.newest_first(EVERYTHING, None, 5)
    found = layout.find("a")

    assert (listed.message_count, listed.message_count_capped) == (COUNT_CAP, True)
    assert found is not None
    assert (found.message_count, found.message_count_capped) == (COUNT_CAP + 7, False)


def test_sessions_keyed_by_an_object_id_are_named_by_its_hex(any_connection: Connection) -> None:
    identity = ObjectId()
    layout = store(any_connection, [row(identity, canonical(1))])

    assert pages(layout, 5) == [str(identity)]
    assert texts(layout.messages(str(identity), MessageSelection())) == ["hello"]


@pytest.mark.parametrize("indexes", [(), ("session_ts_idx",), ("recent_idx",)])
def test_a_missing_index_costs_time_and_nothing_else(any_connection: Connection, indexes: tuple[str, ...]) -> None:
    layout = store(any_connection, [row(f"s{index % 4}", canonical(index)) for index in range(20)], indexes=indexes)

    assert pages(layout, 3) == ["s3", "s2", "s1", "s0"]
    assert [session.message_count for session in layout.newest_first(EVERYTHING, None, 4)] == [5, 5, 5, 5]
    assert bool(layout.remarks) is ("recent_idx" not in indexes)
    assert all("chatstore indexes apply" in remark for remark in layout.remarks)


def test_a_collection_that_does_not_exist_has_no_sessions_and_needs_no_index(any_connection: Connection) -> None:
    layout = MessagesLayout(any_connection, Settings())

    assert (list(layout.newest_first(EVERYTHING, None, 5)), list(layout.all_facts(EVERYTHING)), layout.remarks) == (
        [],
        [],
        [],
    )


def test_every_session_is_in_the_facts_with_its_newest_instant(any_connection: Connection) -> None:
    documents = [row("a", canonical(1)), row("a", START + timedelta(seconds=0)), row("b", canonical(2)), row("c", None)]
    layout = store(any_connection, [*documents, row("b", "yesterday")])

    assert {session.session_id: session.updated_at for session in layout.all_facts(EVERYTHING)} == {
        "a": START + timedelta(seconds=1),
        "b": START + timedelta(seconds=2),
        "c": None,
    }


# --- what the server does --------------------------------------------------------------------------------------------


def stages(plan: Any) -> set[str]:
    """The names of all stages of the plan that won."""
    plan = plan.get("queryPlanner", plan) if isinstance(plan, dict) else plan
    plan = plan.get("winningPlan", plan) if isinstance(plan, dict) else plan
    if isinstance(plan, dict):
        named = {plan["stage"]} if isinstance(plan.get("stage"), str) else set()
        return named.union(*(stages(part) for part in plan.values()))
    return set().union(*(stages(part) for part in plan)) if isinstance(plan, list) else set()


def explained(connection: Connection, command: dict[str, Any]) -> Any:
    plan = connection.database.command("explain", command, verbosity="queryPlanner")
    return plan["stages"][0]["$cursor"] if "stages" in plan else plan


class Recorder(CommandListener):
    """Keeps the reads that are sent, as commands that can be explained."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        if event.command_name in {"find", "aggregate", "count"}:
            passing = ("$", "lsid", "batchSize", "txnNumber")
            self.commands.append({key: value for key, value in event.command.items() if not key.startswith(passing)})

    def succeeded(self, event: Any) -> None:
        """Not of interest."""

    def failed(self, event: Any) -> None:
        """Not of interest."""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorded(recorder: Recorder, mongo_uri: str, database: Database[dict[str, Any]]) -> Iterator[Connection]:
    """A connection whose reads the recorder keeps."""
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri, tz_aware=True, event_listeners=[recorder])
    yield Connection(client, client[database.name], "the recorded one")
    client.close()


def test_a_page_reads_indexes_and_one_message_of_each_session(recorded: Connection, recorder: Recorder) -> None:
    layout = store(recorded, [row(f"s{index % 30}", canonical(index)) for index in range(600)])
    recorder.commands.clear()

    first = list(layout.newest_first(EVERYTHING, None, 5))
    assert len(list(layout.newest_first(EVERYTHING, SessionKey.of(first[-1]), 5))) == 5

    assert len(recorder.commands) > 3
    for command in list(recorder.commands):
        plan = stages(explained(recorded, command))
        if "$nor" in str(command):  # the look for documents of other products: of a bounded number
            assert command["pipeline"][1] == {"$limit": 25}
            assert not plan & {"COLLSCAN", "SORT"}, (command, plan)
        elif "DISTINCT_SCAN" in plan:  # whether a session of the page has a message: one document for each
            assert not plan & {"COLLSCAN", "SORT"}, (command, plan)
        else:
            assert not plan & {"COLLSCAN", "FETCH", "SORT"}, (command, plan)


def test_when_the_walk_gives_up_each_session_costs_one_seek(
    recorded: Connection, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_sessions, "SCAN_LIMIT", 0)
    layout = store(recorded, [row(f"s{index % 30}", canonical(index)) for index in range(600)])
    recorder.commands.clear()

    assert len(list(layout.newest_first(EVERYTHING, None, 5))) == 5
    assert len(list(layout.all_facts(EVERYTHING))) == 30

    over_sessions = [command for command in recorder.commands if "$first" in str(command)]
    assert len(over_sessions) >= 3
    for command in over_sessions:
        assert "DISTINCT_SCAN" in stages(explained(recorded, command)), command


def test_a_listing_that_takes_too_long_is_given_up(connection: Connection, fail_point: Any) -> None:
    store(connection, [row("a", canonical(1))])
    hasty = MessagesLayout(connection, Settings(mongo=MongoSettings(timeout_seconds=0.05)))

    with fail_point(["find"], errorCode=50), pytest.raises(Overdue, match="listing the sessions of chat_messages"):
        list(hasty.newest_first(EVERYTHING, None, 5))


# --- messages --------------------------------------------------------------------------------------------------------


def test_messages_come_in_order_of_instant_then_sequence(any_connection: Connection) -> None:
    layout = store(
        any_connection,
        [
            row("a", canonical(2), 3, text="third"),
            row("a", canonical(2), 2, text="second"),
            row("a", canonical(1), 9, text="first"),
            row("a", canonical(3), 1, text="fourth"),
            row("b", canonical(1), 1, text="of another"),
        ],
    )

    assert texts(layout.messages("a", MessageSelection())) == ["first", "second", "third", "fourth"]


def test_mixed_forms_of_time_are_put_in_their_real_order(any_connection: Connection) -> None:
    layout = store(
        any_connection,
        [
            row("a", "2026-03-01T14:00:00+02:00", text="noon"),
            row("a", "2026-03-01T12:30:00Z", text="half past"),
            row("a", datetime(2026, 3, 1, 12, 15, tzinfo=UTC), text="quarter past"),
            row("a", "2026-03-01 12:45:00", text="quarter to"),
            row("a", None, text="never"),
        ],
    )

    everything = ["never", "noon", "quarter past", "half past", "quarter to"]
    assert texts(layout.messages("a", MessageSelection())) == everything
    assert texts(layout.messages("a", MessageSelection(last=2))) == everything[-2:]


@pytest.mark.parametrize("last", [None, 7])
def test_a_session_too_large_to_sort_at_once_merges_its_dates_with_its_texts(
    any_connection: Connection, monkeypatch: pytest.MonkeyPatch, last: int | None
) -> None:
    monkeypatch.setattr(message_order, "SMALL_SESSION", 10)
    documents = [
        row("a", canonical(index) if index % 3 else START + timedelta(seconds=index), text=index) for index in range(40)
    ]
    layout = store(any_connection, documents[::-1])

    assert texts(layout.messages("a", MessageSelection(last=last))) == list(range(40))[-(last or 40) :]


@pytest.mark.parametrize("last", [None, 25])
def test_more_messages_of_one_second_than_memory_should_hold_are_sorted_by_the_server(
    any_connection: Connection, monkeypatch: pytest.MonkeyPatch, last: int | None
) -> None:
    monkeypatch.setattr(message_order, "SMALL_SESSION", 5)
    monkeypatch.setattr(message_order, "LARGE_SECOND", 10)
    same = [row("a", canonical(5), index, text=index) for index in range(1, 31)]
    layout = store(
        any_connection, [row("a", canonical(9), 31, text=31), *same[::-1], row("a", canonical(1), 0, text=0)]
    )

    assert texts(layout.messages("a", MessageSelection(last=last))) == list(range(32))[-(last or 32) :]


def test_the_newest_are_chosen_by_sequence_where_instants_are_equal(any_connection: Connection) -> None:
    layout = store(any_connection, [row("a", canonical(1), index, text=index) for index in (2, 0, 3, 1)])

    assert texts(layout.messages("a", MessageSelection(last=2))) == [2, 3]


def test_after_a_sequence_come_only_rows_that_have_a_greater_one(any_connection: Connection) -> None:
    documents = [row("a", canonical(index), index, text=index) for index in range(4)]
    layout = store(any_connection, [*documents, row("a", canonical(9), text="of the application")])

    assert texts(layout.messages("a", MessageSelection(after_sequence=1))) == [2, 3]


def test_the_general_agent_is_left_out_on_request(any_connection: Connection) -> None:
    general = row("a", canonical(2), text="general", metadata={"source": "general_agent"})
    layout = store(any_connection, [row("a", canonical(1), text="plain", metadata={"source": "web"}), general])

    assert texts(layout.messages("a", MessageSelection(include_general=False))) == ["plain"]
    assert texts(layout.messages("a", MessageSelection())) == ["plain", "general"]


def test_messages_of_no_session_raise_at_once(any_connection: Connection) -> None:
    layout = store(any_connection, [row("a", canonical(1))])

    with pytest.raises(NotFound, match="'b' in chat_messages"):
        layout.messages("b", MessageSelection())


def test_a_session_id_is_a_value_and_never_an_operator(any_connection: Connection) -> None:
    layout = store(any_connection, [row("a", canonical(1)), row("$ne", canonical(2))])

    assert texts(layout.messages("$ne", MessageSelection())) == ["hello"]
    assert layout.find('{"$ne": null}') is None
    assert layout.find("\ud800") is None


def test_expiry_is_that_of_the_oldest_and_the_newest_message_and_text_never_expires(any_connection: Connection) -> None:
    layout = store(
        any_connection,
        [
            row("a", canonical(1), expires_at=START + timedelta(days=1)),
            row("a", canonical(2), expires_at="2026-04-01T00:00:00Z"),
        ],
    )

    expiry = layout.expiry("a")

    assert (expiry.oldest, expiry.newest) == (START + timedelta(days=1), None)


def test_a_row_becomes_a_message_with_its_own_id_and_its_extra_fields() -> None:
    document = row(
        "a", "2026-03-01T00:00:01Z", 4, message_id="m1", name="Ada", tool_call_id="c1", tool_calls=[{"id": 1}]
    )

    message = to_message(document)

    assert (message.message_id, message.sequence, message.name, message.tool_call_id) == ("m1", 4, "Ada", "c1")
    assert (message.tool_calls, message.created_at, message.metadata) == ([{"id": 1}], START + timedelta(seconds=1), {})
    assert to_message({**document, "message_id": None}).message_id == str(document["_id"])


@pytest.mark.parametrize("last", [None, 2])
def test_after_a_sequence_come_later_messages_also_where_their_journal_began_at_1_again(
    any_connection: Connection, last: int | None
) -> None:
    """A journal that was pruned or rotated numbers its lines from 1; what came before it keeps its numbers."""
    documents = [row("a", canonical(number), number) for number in range(1, 9)]
    documents += [row("a", canonical(100 + number), number) for number in range(1, 4)]
    documents.append(row("a", canonical(102.5), 1, source="general_agent") | {"metadata": {"source": "general_agent"}})
    layout = store(any_connection, documents)

    def after(sequence: int, *, general: bool = True) -> list[int | None]:
        chosen = MessageSelection(after_sequence=sequence, last=last, include_general=general)
        return [message.sequence for message in layout.messages("a", chosen)]

    def newest(numbers: list[int]) -> list[int]:
        return numbers if last is None else numbers[-last:]

    assert after(8) == newest([1, 2, 1, 3])
    assert after(6) == newest([7, 8, 1, 2, 1, 3])
    assert after(8, general=False) == newest([1, 2, 3])
    assert after(2) == newest([1, 3])
    assert after(3) == []
    assert after(99) == []
