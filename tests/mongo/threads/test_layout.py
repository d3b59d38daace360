"""The layout of threads: the sums of usage, deletions, missing collections, and what is left out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.core.readers import find_session, split_by_answer
from chatstore_cli.core.sessions.listing import list_sessions
from chatstore_cli.core.sessions.removal import plan_removal
from chatstore_cli.core.usage.groupings import UsageGrouping
from chatstore_cli.core.usage.report import report_usage
from chatstore_cli.domain.errors import Conflict, NotAllowed, NotFound
from chatstore_cli.domain.queries import MessageSelection, SessionQuery
from chatstore_cli.domain.session import COUNT_CAP, SessionStatus
from chatstore_cli.mongo.collection_facts import CollectionKind, KnownCollections
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.layout import ThreadsLayout
from chatstore_cli.wiring.stores import Stores
from tests.support.bson_values import NUMBERS, OTHERS

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MOST = 10**12


def store_thread(connection: Connection, thread_id: Any, number: int = 0, **more: Any) -> None:
    thread = {"_id": thread_id, "user_id": f"u{number % 3}", "org_id": f"o{number % 2}", "name": f"Thread {number}"}
    times = {"created_at": NOON, "updated_at": NOON + timedelta(hours=8 * number), "last_sequence": 0}
    connection.database["chat_threads"].insert_one({**thread, **times, **more})


def store_message(connection: Connection, thread_id: Any, sequence: int, content: Any = "hello", **more: Any) -> None:
    message = {"chat_thread_id": thread_id, "sender_role": "user", "content": content, "sequence": sequence}
    connection.database["chat_thread_messages"].insert_one({**message, "created_at": NOON, **more})


def reader(connection: Connection) -> ThreadsLayout:
    return ThreadsLayout(connection, Settings())


# --- usage -----------------------------------------------------------------------------------------------------------

_COUNTS = (0, 5, 7, Int64(30), 12.0, Decimal128("40"), "6", " 8 ", "1e3")
_COSTS = (0, 0.1, 0.25, 1, Int64(2), Decimal128("0.5"), "0.125", 0.1 + 0.2)
_ODD = (*NUMBERS, *OTHERS, "", "many", "-1", "NaN", "0x10", "9" * 200, MOST, MOST + 1, 2.5)


def random_usage(choose: random.Random) -> Any:
    names = [("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",)]
    usage: dict[str, Any] = {}
    for alternatives in names:
        if choose.random() < 0.8:
            usage[choose.choice(alternatives)] = choose.choice(_COUNTS)
    if choose.random() < 0.7:
        usage[choose.choice(("cost", "total_cost"))] = choose.choice(_COSTS)
    if choose.random() < 0.3:
        fields = [name for alternatives in names for name in alternatives]
        usage[choose.choice([*fields, "cost", "total_cost"])] = choose.choice(_ODD)
    return usage


def number_in(value: Any) -> Decimal | None:
    """A number from 0 to MOST as a person reads it: written independently of the layout."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, float):
            number = Decimal(format(value, ".15g"))
        elif isinstance(value, Decimal128):
            number = value.to_decimal()
        elif type(value) in (int, Int64) or (type(value) is str and len(value) <= 100 and "_" not in value):
            number = Decimal(str(value).strip())
        else:
            return None
        if not number.is_finite() or not 0 <= number <= MOST or (number and number < Decimal("1e-60")):
            return None
    except ArithmeticError:
        return None
    return number


def add_by_hand(usages: list[Any]) -> tuple[int | None, int | None, int | None, Decimal | None]:
    prompt = completion = total = 0
    has_tokens, costs = False, []
    for usage in usages:

        def count(*names: str, usage: dict[str, Any] = usage) -> int | None:
            given = [usage[name] for name in names if usage.get(name) is not None]
            number = number_in(given[0]) if given else None
            return int(number) if number is not None and number == number.to_integral_value() else None

        parts = count("prompt_tokens", "input_tokens"), count("completion_tokens", "output_tokens")
        given_total = count("total_tokens")
        has_tokens |= any(each is not None for each in (*parts, given_total))
        prompt += parts[0] or 0
        completion += parts[1] or 0
        total += given_total or (parts[0] or 0) + (parts[1] or 0)
        known = [cost for name in ("total_cost", "cost") if (cost := number_in(usage.get(name))) is not None]
        costs += known[:1]
    cost = sum(costs, Decimal()) if costs else None
    return (prompt, completion, total, cost) if has_tokens else (None, None, None, cost)


def rounded(cost: Decimal | None) -> Decimal | None:
    """The server adds with 34 digits, Python with 28."""
    return None if cost is None else Context(prec=20).plus(cost)


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_the_server_are_those_of_a_sum_by_hand(any_connection: Connection, seed: int) -> None:
    choose = random.Random(seed)
    by_thread: dict[str, list[Any]] = {}
    for number in range(25):
        name = f"thread-{number}"
        store_thread(any_connection, name, number)
        usages = [random_usage(choose) for _ in range(choose.randrange(6))]
        by_thread[name] = [usage for usage in usages if usage]
        for sequence, usage in enumerate(usages):
            store_message(any_connection, name, 2 * sequence, {"text": "x", "metadata": {"usage": usage}})
            store_message(any_connection, name, 2 * sequence + 1, {"text": "x", "metadata": {}})

    sessions = {each.session_id: each for each in reader(any_connection).all_facts(SessionQuery())}

    assert sessions.keys() == by_thread.keys()
    expected = {name: add_by_hand(usages) for name, usages in by_thread.items()}
    for name, sums in expected.items():
        usage = sessions[name].usage
        found = (None, None, None, None) if usage is None else tuple(usage)
        assert (*found[:3], rounded(found[3])) == (*sums[:3], rounded(sums[3])), (name, by_thread[name])
    for grouping, fact in ((UsageGrouping.TENANT, "tenant_id"), (UsageGrouping.USER, "user_id")):
        report = report_usage([reader(any_connection)], SessionQuery(), grouping)
        tokens: Counter[str | None] = Counter()
        for name, session in sessions.items():
            tokens[getattr(session, fact)] += expected[name][2] or 0
        assert {row.group[fact]: row.usage.total_tokens or 0 for row in report.rows} == tokens
        assert report.totals.usage.total_tokens == sum(tokens.values())
    days = report_usage([reader(any_connection)], SessionQuery(since=NOON + timedelta(days=1)), UsageGrouping.DAY)
    assert sum(row.sessions for row in days.rows) == 25 - 3
    assert [row.group["day"] for row in days.rows] == sorted({row.group["day"] or "" for row in days.rows})


def test_an_invalid_number_is_left_out_of_the_sum_and_named(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    for sequence, usage in enumerate(
        [{"prompt_tokens": 1, "output_tokens": 2}, {"prompt_tokens": -5, "completion_tokens": 4, "cost": "free"}, []]
    ):
        store_message(any_connection, "t", sequence, {"text": "x", "metadata": {"usage": usage}})

    [session] = reader(any_connection).all_facts(SessionQuery())
    report = report_usage([reader(any_connection)], SessionQuery(), UsageGrouping.SESSION)

    assert session.usage == (1, 6, 7, None)
    assert [name.rpartition(".")[2] for name in session.invalid_numbers] == ["prompt_tokens"]
    assert "content.metadata.usage.prompt_tokens of session 't'" in " ".join(report.notes)


@pytest.mark.parametrize(
    ("usage", "named"),
    [
        ({"input_tokens": "many"}, "input_tokens"),
        ({"output_tokens": -1, "prompt_tokens": 1}, "output_tokens"),
        ({"total_tokens": 2.5}, "total_tokens"),
        ({"total_cost": "free", "cost": 1}, "total_cost"),
        ({"cost": -1}, "cost"),
        ({"total_cost": 1, "cost": -1}, None),
        ({"prompt_tokens": None, "input_tokens": 1}, None),
    ],
)
def test_the_field_with_an_invalid_number_is_named(any_connection: Connection, usage: Any, named: str | None) -> None:
    store_thread(any_connection, "t")
    store_message(any_connection, "t", 1, {"text": "x", "metadata": {"usage": usage}})
    [session] = reader(any_connection).all_facts(SessionQuery())
    assert session.invalid_numbers == (() if named is None else (f"content.metadata.usage.{named}",))


def test_a_sum_beyond_the_bounds_is_unknown(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    for sequence in range(2):
        store_message(any_connection, "t", sequence, {"text": "x", "metadata": {"usage": {"total_tokens": MOST}}})

    [session] = reader(any_connection).all_facts(SessionQuery())

    assert session.usage == (None, None, None, None)
    assert session.invalid_numbers == ("content.metadata.usage.*",)


def test_lists_and_facts_of_one_thread_do_not_read_usage(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    store_message(any_connection, "t", 1, {"text": "x", "metadata": {"usage": {"total_tokens": 5}}})
    found = reader(any_connection).find("t")
    [listed] = reader(any_connection).newest_first(SessionQuery(), None, 10)
    assert found == listed
    assert listed.usage is None


# --- facts -----------------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_a_list_counts_up_to_the_cap_and_one_thread_exactly(connection: Connection) -> None:
    store_thread(connection, "long", 1)
    store_thread(connection, "short")
    message = {"chat_thread_id": "long", "sender_role": "user", "content": {"text": "x"}}
    connection.database["chat_thread_messages"].insert_many(
        {**message, "sequence": place} for place in range(COUNT_CAP + 2)
    )
    store_message(connection, "short", 1)
    connection.database["chat_thread_messages"].create_index([("chat_thread_id", 1), ("sequence", 1)])

    long, short = reader(connection).newest_first(SessionQuery(), None, 10)
    found = reader(connection).find("long")

    assert (long.message_count, long.message_count_capped) == (COUNT_CAP, True)
    assert (short.message_count, short.message_count_capped) == (1, False)
    assert found is not None
    assert (found.message_count, found.message_count_capped) == (COUNT_CAP + 2, False)


def test_messages_are_in_order_of_sequence_and_those_without_one_come_first(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    for sequence, text in ((3, "c"), (None, "a"), (1, "b"), (None, "a2")):
        store_message(any_connection, "t", sequence, text, created_at=NOON)

    def texts(**selection: Any) -> list[Any]:
        return [message.content for message in reader(any_connection).messages("t", MessageSelection(**selection))]

    assert texts() == ["a", "a2", "b", "c"]
    assert texts(last=2) == ["b", "c"]
    assert texts(after_sequence=0) == ["b", "c"]
    assert texts(last=0) == []


def test_filters_that_threads_cannot_answer_are_named(any_connection: Connection) -> None:
    query = SessionQuery(workflow="w", status=SessionStatus.RUNNING, paused=True, tenant_id="o", user_id="u")
    assert split_by_answer([reader(any_connection)], query) == ([], [])
    assert len(split_by_answer([reader(any_connection)], query, may_appear=True)[1]) == 1
    store_thread(any_connection, "t")
    answering, notes = split_by_answer([reader(any_connection)], query)
    assert answering == []
    assert notes == [
        "The layout threads has no workflow and no status and no pause, so its sessions are left out.",
    ]
    assert reader(any_connection).unanswerable(SessionQuery(status=SessionStatus.UNKNOWN, tenant_id="o")) == []


def test_a_session_id_of_two_layouts_is_a_conflict(any_connection: Connection) -> None:
    store_thread(any_connection, "both")
    any_connection.database["chat_sessions"].insert_one({"chat_id": "both", "messages": [{"content": "x"}]})
    readers = [Stores(Settings(), say=print)]
    readers[0].__dict__["connection"] = any_connection
    with pytest.raises(Conflict, match="in the layouts workflow and threads"):
        find_session(readers[0].session_readers(), "both")
    [only] = readers[0].session_readers("threads")
    assert find_session([only], "both")[1].layout == "threads"


def test_documents_that_are_not_threads_are_left_out_and_reported(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    any_connection.database["chat_threads"].insert_one({"_id": "other", "title": "of a forum"})
    page = list_sessions([reader(any_connection)], SessionQuery(), cursor=None, limit=10)
    assert [session.session_id for session in page.sessions] == ["t"]
    assert "chat_threads holds 1 document that is not a thread of layout threads" in " ".join(page.notes)
    assert reader(any_connection).find("other") is None


# --- deletion --------------------------------------------------------------------------------------------------------


def parts(connection: Connection, thread_id: str) -> dict[str, int]:
    return {part.collection: part.documents for part in reader(connection).parts(thread_id)}


def test_a_deletion_removes_the_thread_and_its_messages_and_nothing_else(any_connection: Connection) -> None:
    for name in ("t", "u"):
        store_thread(any_connection, name)
        for sequence in range(3):
            store_message(any_connection, name, sequence, copied_at=NOON)
    removal = plan_removal([reader(any_connection)], "t")
    assert "3 documents of chat_thread_messages and 1 document of chat_threads would be deleted" in removal.plan

    removed = removal.carry_out(lambda: NOON + timedelta(hours=1))

    assert {part.collection: part.documents for part in removed} == {"chat_thread_messages": 3, "chat_threads": 1}
    assert parts(any_connection, "u") == {"chat_thread_messages": 3, "chat_threads": 1}
    assert reader(any_connection).find("t") is None
    assert "chatstore_tombstones" not in any_connection.database.list_collection_names()
    with pytest.raises(NotFound):
        plan_removal([reader(any_connection)], "t")


def test_an_interrupted_deletion_is_completed_but_messages_of_a_running_copy_stay(any_connection: Connection) -> None:
    now = datetime.now(UTC)
    store_message(any_connection, "left", 1)
    store_message(any_connection, "left", 2, copied_at=now - timedelta(hours=2))
    store_message(any_connection, "copying", 1, copied_at=now - timedelta(minutes=5))

    assert parts(any_connection, "left") == {"chat_thread_messages": 2, "chat_threads": 0}
    removal = plan_removal([reader(any_connection)], "left")
    assert sum(part.documents for part in removal.carry_out(lambda: now)) == 2
    with pytest.raises(NotFound):
        plan_removal([reader(any_connection)], "copying")
    reader(any_connection).remove("copying", now)
    assert any_connection.database["chat_thread_messages"].count_documents({}) == 1


def test_an_import_of_the_same_id_during_a_deletion_keeps_its_messages(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    store_message(any_connection, "t", 1)
    store_message(any_connection, "t", 2, copied_at=NOON + timedelta(seconds=1))
    reader(any_connection).remove("t", NOON)
    assert [each["sequence"] for each in any_connection.database["chat_thread_messages"].find()] == [2]


def test_usage_in_messages_cannot_be_kept_without_them(any_connection: Connection) -> None:
    store_thread(any_connection, "t")
    with pytest.raises(NotAllowed, match="stored in its messages"):
        reader(any_connection).parts("t", keep_usage=True)
    assert reader(any_connection).find("t") is not None
    assert not any(part.documents for part in reader(any_connection).parts("unknown", keep_usage=True))


# --- collections that do not exist -----------------------------------------------------------------------------------


class Commands(CommandListener):
    """Keeps what was sent: the command and its collection."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name not in ("hello", "ping"):
            self.sent.append((event.command_name, next(iter(event.command.values()))))

    def succeeded(self, event: Any) -> None:
        """Nothing to keep."""

    def failed(self, event: Any) -> None:
        """Nothing to keep."""


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def stores(mongo_uri: str, database: Database[Any], commands: Commands) -> Iterator[Stores]:
    """Stores over an empty database, whose commands are kept. Their clock stands still."""
    opened = Stores(Settings(mongo=MongoSettings(uri=mongo_uri, database=database.name)), say=print)
    known = KnownCollections(opened.settings.collections, clock=lambda: 0.0)
    connection = connect(mongo_uri, database.name, timeout_seconds=10, listener=commands, known_collections=known)
    opened.__dict__["connection"] = connection
    yield opened
    opened.close()


def page_of(stores: Stores) -> list[str]:
    found = list_sessions(stores.session_readers(), SessionQuery(), cursor=None, limit=20)
    return [session.session_id for session in found.sessions]


@pytest.mark.real
def test_a_layout_whose_collection_does_not_exist_costs_no_query(stores: Stores, commands: Commands) -> None:
    assert page_of(stores) == []
    with pytest.raises(NotFound):
        find_session(stores.session_readers(), "nobody")
    report_usage(stores.session_readers(), SessionQuery(), UsageGrouping.DAY)
    assert commands.sent == [("listCollections", 1)] * 3  # once for the readers of each command


@pytest.mark.real
def test_one_list_of_collections_answers_for_all_layouts(stores: Stores, commands: Commands) -> None:
    database = stores.connection.database
    store_thread(stores.connection, "t")
    store_message(stores.connection, "t", 1)
    database["chat_sessions"].insert_one({"chat_id": "w", "updated_at": NOON, "messages": [{"content": "x"}]})
    commands.sent.clear()

    assert page_of(stores) == ["w", "t"]

    names = [name for name, _ in commands.sent]
    assert names.count("listCollections") == 1
    asked = {collection for name, collection in commands.sent if name != "listCollections"}
    assert asked == {"chat_sessions", "chat_session_segments", "chat_threads", "chat_thread_messages"}
    on_threads = [name for name, collection in commands.sent if "thread" in str(collection)]
    assert len(on_threads) <= 5, on_threads
    commands.sent.clear()
    assert page_of(stores) == ["w", "t"]
    assert [name for name, _ in commands.sent].count("listCollections") == 1  # chat_messages may exist now
    database["chat_messages"].insert_one({"session_id": "m", "role": "user", "text": "x", "created_at": NOON})
    assert page_of(stores) == ["w", "t", "m"]


@pytest.mark.real
def test_a_collection_that_appears_is_seen_at_once_by_writers_and_soon_by_readers(
    mongo_uri: str, database: Database[Any], commands: Commands
) -> None:
    time = 100.0
    known = KnownCollections(["a", "b", "c"], clock=lambda: time)
    connection = connect(mongo_uri, database.name, timeout_seconds=10, listener=commands, known_collections=known)
    of_command = connection.for_one_command()
    assert not collection_facts(of_command, "a").exists
    assert not collection_facts(of_command, "b").exists
    assert commands.sent == [("listCollections", 1)]
    database.create_collection("a", collation={"locale": "en", "strength": 2})
    assert not collection_facts(of_command, "a").exists
    assert collection_facts(connection, "a").collation is not None
    assert collection_facts(of_command, "a").exists  # what one of them has read, the others know
    database.create_collection("b", capped=True, size=4096)
    time = 104.9
    assert not collection_facts(of_command, "b").exists
    time = 105.1
    assert collection_facts(of_command, "b").kind is CollectionKind.CAPPED
    assert not connection.for_one_command().known_collections.facts(connection.database, "c").exists
