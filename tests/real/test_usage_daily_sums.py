"""Daily sums of usage on a real server: reports stay right while they are made, repeated, interrupted and replaced."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from bson import Regex

from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.usage_ledger import LedgerQuery
from chatstore_cli.mongo.usage import daily_sums as daily_sums_module
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from tests.support.usage_snapshots import START, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection


class Killed(BaseException):
    """Stands for SIGKILL: nothing in between catches it."""


class InterceptedCollection:
    """A collection whose methods may be replaced."""

    def __init__(self, collection: Any, **methods: Callable[..., Any]) -> None:
        self._collection = collection
        self.__dict__.update(methods)

    def with_options(self, **_: Any) -> InterceptedCollection:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


def by_day(sums: MongoUsageSums, *more_keys: str) -> dict[str | None, int]:
    days: dict[str | None, int] = {}
    for group in sums.groups(LedgerQuery(("day", *more_keys))):
        days[group.group[0]] = days.get(group.group[0], 0) + group.usage.total_tokens
    return days


def test_daily_sums_that_were_dropped_are_made_again_in_full(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums, database: Database[dict[str, Any]]
) -> None:
    recorder.record([snapshot(1, 30)])
    list(daily_sums.roll_up())
    database["usage_daily"].drop()
    recorder.record([snapshot(1, 12, chat_id="chat-2")])
    assert sum(step.rows for step in daily_sums.roll_up()) == 2
    assert sum(by_day(sums).values()) == 42


def test_late_reports_are_in_reports_at_once_and_in_daily_sums_after_the_next_rollup(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums, database: Database[dict[str, Any]]
) -> None:
    recorder.record([snapshot(1, 30), snapshot(5, 90), snapshot(1, 12, chat_id="chat-2")])
    assert [(step.rows, step.chats) for step in daily_sums.roll_up()] == [(3, 2)]
    recorder.record([snapshot(0, 20)])
    assert by_day(sums) == {"2026-03-01": 42, "2026-03-02": 60}
    assert [(step.rows, step.chats) for step in daily_sums.roll_up()] == [(1, 1)]
    assert list(daily_sums.roll_up()) == []
    database["usage_events"].rename("away")
    database["usage_events"].insert_one({"rolled_up": "usage_daily"})
    assert by_day(sums) == {"2026-03-01": 42, "2026-03-02": 60}


def test_stored_daily_sums_have_words_for_field_names(
    recorder: UsageRecorder, daily_sums: MongoDailySums, database: Database[dict[str, Any]]
) -> None:
    recorder.record([snapshot(0, 30), snapshot(1, 60, agent="Critic", cost=None), snapshot(2, 90)])
    database["usage_events"].insert_one({"_id": "odd", "chat_id": "chat-1"})
    list(daily_sums.roll_up())

    [document] = database["usage_daily"].find()
    assert {name: value for name, value in document.items() if name != "days"} == {
        "_id": "chat-1",
        "first_day": START.replace(hour=0),
        "last_day": START.replace(day=2, hour=0),
        "cost_unknown": True,
        "ledger_rows": 4,
        "uncountable": 1,
    }
    [first, second] = sorted(document["days"], key=lambda day: day["day"])
    assert (first["total_tokens"], first["cost_unknown"], second["total_tokens"]) == (90, True, 60)
    assert sorted((client["agent"], client["total_tokens"]) for client in first["clients"]) == [
        ("Critic", 60), ("Writer", 30)
    ]  # fmt: skip
    assert set(first["clients"][0]) == {
        "run", "tenant_id", "user_id", "workflow", "agent", "model", "turns", "prompt_tokens", "completion_tokens",
        "total_tokens", "cost", "cost_unknown", "cached_tokens", "reasoning_tokens", "cached_unknown",
    }  # fmt: skip


def older_daily_sums(database: Database[dict[str, Any]], collection: str) -> None:
    """What an older version stored: one-letter names, and rows marked with true."""
    facts = dict.fromkeys(("tenant_id", "user_id", "workflow", "agent", "model"))
    numbers = {"p": 20, "k": 10, "t": 30, "x": None, "u": True}
    for chat in database["usage_events"].distinct("chat_id"):
        day = {"day": START.replace(hour=0), **numbers}
        rows = [{**day, **facts, "run": 1}]
        span = {"first_day": day["day"], "last_day": day["day"]}
        document = {"_id": chat, "rows": rows, "days": [day], "u": True, "seen": 99, "uncountable": 0, **span}
        database[collection].insert_one(document)
    database["usage_events"].update_many({}, {"$set": {"rolled_up": True}})


@pytest.mark.parametrize("collection", ["usage_daily", "usage_rollups"], ids=["default", "configured as before"])
def test_rows_that_an_older_version_marked_count_at_once_and_after_the_next_rollup(
    recorder: UsageRecorder, connection: Connection, database: Database[dict[str, Any]], collection: str
) -> None:
    sums = MongoUsageSums(connection, "usage_events", collection)
    daily_sums = MongoDailySums(connection, "usage_events", collection)
    recorder.record([snapshot(1, 30), snapshot(3, 90), snapshot(3, 12, chat_id="chat-2")])
    older_daily_sums(database, "usage_rollups")
    expected = {"2026-03-01": 30, "2026-03-02": 72}
    assert by_day(sums) == by_day(sums, "agent") == expected
    recorder.record([snapshot(4, 95)])
    expected["2026-03-02"] += 5
    assert by_day(sums) == by_day(sums, "agent") == expected

    assert sum(step.rows for step in daily_sums.roll_up()) == 4
    assert by_day(sums) == by_day(sums, "agent") == expected
    database["usage_events"].update_one({"total_tokens": 95}, {"$set": {"rolled_up": True, "total_tokens": 100}})
    expected["2026-03-02"] += 5  # a process of the older version took in a row meanwhile
    assert by_day(sums) == by_day(sums, "agent") == expected
    assert sum(step.rows for step in daily_sums.roll_up()) == 1
    assert database["usage_events"].count_documents({"rolled_up": collection}) == 4
    assert by_day(sums) == by_day(sums, "agent") == expected


@pytest.mark.parametrize("chat", [None, ["a", "b"], [], Regex("^chat"), {"a": 1}, {"$a": 1}], ids=repr)
def test_a_row_whose_chat_can_have_no_daily_sums_counts_and_stops_no_rollup(
    recorder: UsageRecorder,
    sums: MongoUsageSums,
    daily_sums: MongoDailySums,
    database: Database[dict[str, Any]],
    chat: Any,
) -> None:
    recorder.record([snapshot(1, 30), snapshot(1, 5, chat_id="chat-2")])
    row = database["usage_events"].find_one({"chat_id": "chat-2"})
    assert row is not None
    database["usage_events"].insert_one({**row, "_id": "of another writer", "chat_id": chat})
    assert by_day(sums) == {"2026-03-01": 40}

    assert sum(step.rows for step in daily_sums.roll_up()) == 2
    assert list(daily_sums.roll_up()) == []
    assert by_day(sums) == by_day(sums, "agent") == {"2026-03-01": 40}


def test_daily_sums_that_were_read_earlier_do_not_replace_newer_ones(
    recorder: UsageRecorder, sums: MongoUsageSums, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    recorder.record([snapshot(1, 30)])
    newer, older = (MongoDailySums(connection, "usage_events", "usage_daily") for _ in range(2))
    rows = older._rows

    def stored_late(pipeline: list[dict[str, Any]], **options: Any) -> Any:
        if "$merge" not in pipeline[-1]:
            return rows.aggregate(pipeline, **options)
        rows.aggregate([*pipeline[:-1], {"$out": "read_earlier"}])
        recorder.record([snapshot(2, 90)])
        list(newer.roll_up())
        return database["read_earlier"].aggregate(pipeline[-1:])

    older._rows = InterceptedCollection(rows, aggregate=stored_late)
    next(older.roll_up())
    assert list(newer.roll_up()) == []
    assert database["usage_events"].count_documents({"rolled_up": "usage_daily"}) == 2
    assert sum(by_day(sums).values()) == 90


@pytest.mark.parametrize("step", ["find", "aggregate", "update_many"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_rollup_that_is_killed_between_two_steps_counts_nothing_twice(
    recorder: UsageRecorder, sums: MongoUsageSums, connection: Connection, step: str, after: bool
) -> None:
    recorder.record([snapshot(1, 30), snapshot(3, 90), snapshot(3, 12, chat_id="chat-2")])
    killed = MongoDailySums(connection, "usage_events", "usage_daily")
    rows = killed._rows
    list(killed.roll_up())
    recorder.record([snapshot(4, 95), snapshot(1, 7, chat_id="chat-3")])

    def method(*arguments: Any, **options: Any) -> Any:
        if step == "aggregate" and "$merge" not in arguments[0][-1]:
            return rows.aggregate(*arguments, **options)
        if after:
            getattr(rows, step)(*arguments, **options)
        raise Killed

    killed._rows = InterceptedCollection(rows, **{step: method})
    with pytest.raises(Killed):
        list(killed.roll_up())
    expected = {"2026-03-01": 37, "2026-03-02": 77}
    assert by_day(sums) == by_day(sums, "agent") == expected
    killed._rows = rows
    list(killed.roll_up())
    assert by_day(sums) == by_day(sums, "agent") == expected
    assert sums._daily.pending_chats() == []


def test_a_row_that_arrives_while_its_chat_is_added_up_stays_pending(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums
) -> None:
    recorder.record([snapshot(0, 3)])
    list(daily_sums.roll_up())
    recorder.record([snapshot(1, 30)])
    rows = daily_sums._rows

    def mark(*arguments: Any) -> Any:
        recorder.record([snapshot(2, 90)])
        return rows.update_many(*arguments)

    daily_sums._rows = InterceptedCollection(rows, update_many=mark)
    next(daily_sums.roll_up())
    assert sums._daily.pending_chats() == ["chat-1"]
    assert sum(by_day(sums).values()) == 90


def test_several_rollups_at_once_beside_agents_that_report_lose_nothing(
    recorder: UsageRecorder, sums: MongoUsageSums, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily_sums_module, "_BATCH", 10)
    is_reporting = threading.Event()
    is_reporting.set()
    failures: list[ChatstoreError] = []

    def roll_up() -> None:
        daily_sums = MongoDailySums(connection, "usage_events", "usage_daily")
        try:
            while is_reporting.is_set():
                list(daily_sums.roll_up())
        except ChatstoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=roll_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(60):
        recorder.record([snapshot(number, 10 * number, chat_id=f"chat-{number % 4}", agent=f"agent-{number % 3}")])
    is_reporting.clear()
    for thread in threads:
        thread.join()
    assert failures == []

    list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())
    assert sums._daily.pending_chats() == []
    in_rows = MongoUsageSums(connection, "usage_events", "no_daily_sums")
    assert by_day(sums) == by_day(sums, "agent") == by_day(in_rows)


def test_sessions_beyond_the_pending_rows_that_a_report_reads_are_in_it(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.record([snapshot(1, 10, chat_id="chat-0")])
    list(daily_sums.roll_up())
    monkeypatch.setattr(daily_sums_module, "_MOST_PENDING_ROWS", 3)
    for number in range(1, 5):
        recorder.record([snapshot(1, 10, chat_id=f"chat-{number}")])
    assert sum(by_day(sums).values()) == 50
