"""The usage ledger on a real server: for any reports in any order, the sums are those of the model."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from bson import Decimal128, Int64, MinKey
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.explain import differing_counters, explain_usage, repair_counters
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import OPENING_RUN, LedgerQuery, UsageSnapshot
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from chatstore_cli.mongo.usage.zones import offsets
from tests.support.usage_snapshots import START, modelled, snapshot

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

FEW = settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def ledger(connection: Connection) -> MongoUsageLedger:
    return MongoUsageLedger(connection, Settings())


def with_session(database: Database[dict[str, Any]], chat_id: str = "chat-1", **tokens: Any) -> None:
    counted = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "total_cost": 0.0} | tokens
    database["chat_sessions"].insert_one({"chat_id": chat_id, "real_time_tracking": {"tokens": counted}})


def tokens_of(database: Database[dict[str, Any]], chat_id: str = "chat-1") -> dict[str, Any]:
    found = database["chat_sessions"].find_one({"chat_id": chat_id})
    assert found is not None
    tokens: dict[str, Any] = found["real_time_tracking"]["tokens"]
    return tokens


def added_up(sums: MongoUsageSums, *keys: str, **query: Any) -> dict[Any, Usage]:
    found: dict[Any, Usage] = {}
    for one in sums.groups(LedgerQuery(keys, **query)):
        found[one.group[0]] = found.get(one.group[0], Usage()).plus(one.usage)
    return found


REPORTS = st.lists(
    st.builds(
        lambda number, total, run, agent, model, cost: replace(
            snapshot(number, total, run=run, agent=agent, model=model),
            cost=None if cost is None else Decimal(cost) / 1000,
            event_id=f"{number}-{total}-{run}-{agent}-{model}-{cost}",
        ),
        st.integers(0, 60),
        st.integers(0, 500),
        st.integers(1, 2),
        st.sampled_from(["Writer", "Critic", None]),
        st.sampled_from(["m-1", "m-2"]),
        st.none() | st.integers(0, 900),
    ),
    max_size=12,
)


@FEW
@given(reports=REPORTS, data=st.data())
def test_reports_in_any_order_and_repeated_have_the_sums_of_the_model(
    ledger: MongoUsageLedger,
    sums: MongoUsageSums,
    daily_sums: MongoDailySums,
    database: Database[dict[str, Any]],
    reports: Any,
    data: Any,
) -> None:
    for name in ("usage_events", "usage_daily", "chat_sessions"):
        database[name].delete_many({})
    with_session(database, prompt_tokens=7, total_tokens=7, total_cost=0.5)
    database["chat_sessions"].update_one({}, {"$set": {"updated_at": START - timedelta(days=3)}})
    recorder = UsageRecorder(ledger)
    delivered = data.draw(st.permutations([*reports, *reports[::2]]))
    half = len(delivered) // 2
    recorder.record(delivered[:half])
    list(daily_sums.roll_up())
    recorder.record(delivered[half:])

    if reports:
        counters = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7, "cost": Decimal("0.5")}
        before = {"run": 0, "agent": None, "model": None, "at": START - timedelta(days=3), **counters}
        reports = [snapshot(0, 0, **before), *reports]
    expected = modelled(reports).get(None, Usage(7, 0, 7, Decimal("0.5")))
    tokens = tokens_of(database)
    assert tokens["total_tokens"] == expected.total_tokens
    assert tokens["prompt_tokens"] == expected.prompt_tokens
    assert tokens["total_cost"] == float(expected.cost or 0)
    if not reports:
        return
    assert explain_usage(ledger, "chat-1").sums[:3] == expected[:3]
    for _ in range(2):  # from rows, or daily sums and the rows that came since; then from daily sums alone
        for zone in (UTC, BERLIN):
            by_day = added_up(sums, "day", zone=zone)
            days = modelled(reports, lambda one, zone=zone: one.at.astimezone(zone).date().isoformat())
            assert {day: usage for day, usage in by_day.items() if any(usage)} == days
        assert {one: usage for one, usage in added_up(sums, "agent").items() if any(usage)} == modelled(
            reports, lambda one: one.agent
        )
        list(daily_sums.roll_up())
    since = START + timedelta(days=1, hours=2)
    assert sum(usage.total_tokens for usage in added_up(sums, "model", since=since).values()) == sum(
        usage.total_tokens for late, usage in modelled(reports, lambda one: one.at >= since).items() if late
    )


def test_eight_threads_that_record_the_same_reports_count_them_once(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    with_session(database)
    reports = [snapshot(number, 10 * number, agent=f"agent-{number % 3}") for number in range(1, 16)]
    failures: list[BaseException] = []

    def deliver(turn: int) -> None:
        try:
            for place in range(len(reports)):
                UsageRecorder(ledger).record([reports[(place * (turn + 1) + turn) % len(reports)]])
            UsageRecorder(ledger).record(reports)
        except ChatstoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(turn,)) for turn in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert database["usage_events"].count_documents({}) == 15
    assert tokens_of(database)["total_tokens"] == modelled(reports)[None].total_tokens == 130 + 140 + 150
    assert list(differing_counters(ledger)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": -1},
        {"total_tokens": 2**63},
        {"total_tokens": None},
        {"completion_tokens": float("nan")},
        {"total_tokens": "12"},
        {"cost": Decimal("NaN")},
        {"cost": Decimal(-1)},
        {"cost": float("inf")},
    ],
)
def test_invalid_numbers_are_rejected_with_one_warning(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    with_session(database)
    warnings: list[str] = []
    recorder = UsageRecorder(ledger, warnings.append)
    for _ in range(3):
        recorded = recorder.record([snapshot(1, 30), replace(snapshot(2, 60), **wrong)])

    assert recorded.rejected == 1
    assert len(warnings) == 1
    assert "is not counted" in warnings[0]
    assert tokens_of(database)["total_tokens"] == 30
    assert database["usage_events"].count_documents({}) == 1


ODD = st.one_of(
    st.none(), st.text(max_size=3), st.integers(-(2**40), 2**62), st.floats(), st.booleans(), st.just([1]), st.just({})
)


@FEW
@given(odd=st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens", "cost", "at", "run", "agent"]), ODD))
def test_a_stored_row_of_any_shape_makes_no_wrong_sum(
    ledger: MongoUsageLedger,
    sums: MongoUsageSums,
    daily_sums: MongoDailySums,
    database: Database[dict[str, Any]],
    odd: dict[str, Any],
) -> None:
    for name in ("usage_events", "usage_daily", "chat_sessions"):
        database[name].delete_many({})
    with_session(database)
    UsageRecorder(ledger).record([snapshot(1, 30, chat_id="good"), snapshot(1, 30)])
    row = database["usage_events"].find_one({"chat_id": "good"})
    assert row is not None
    database["usage_events"].insert_one({**row, "chat_id": "odd", "_id": "odd", **odd})

    for _ in range(2):
        by_chat = added_up(sums, "session_id", "day")
        assert by_chat["good"] == Usage(20, 10, 30, Decimal("0.03"))
        counts = [odd.get(name, 0) for name in ("prompt_tokens", "total_tokens")]
        sound = (
            all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= 10**12 for one in counts)
            and "at" not in odd
        )
        assert ("odd" in by_chat) == sound
        assert sums.uncountable() == (0 if sound else 1)
        list(daily_sums.roll_up())
    assert [one.row.problem is None for one in explain_usage(ledger, "odd").rows] == [sound]
    list(differing_counters(ledger))


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt_tokens": -1},
        {"completion_tokens": None},
        {"total_tokens": "7"},
        {"total_tokens": [7]},
        {"prompt_tokens": float("nan")},
        {"prompt_tokens": MinKey()},
        {"total_tokens": 10**12 + 1},
        {"total_tokens": True},
        {"at": None},
        {"at": "2026-03-01"},
        {"at": [START]},
        {"at": DatetimeMS(-(2**63))},
        {"at": DatetimeMS(2**63 - 1)},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_counted_is_noticed_beside_a_valid_row_of_its_client_and_day(
    ledger: MongoUsageLedger, sums: MongoUsageSums, database: Database[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    with_session(database)
    UsageRecorder(ledger).record([snapshot(1, 30), snapshot(0, 9, chat_id="other")])
    row = database["usage_events"].find_one({"chat_id": "chat-1"})
    assert row is not None
    # Its other numbers are above those of the valid row, so they would count if the row did.
    above = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 500)
    database["usage_events"].insert_one({**row, **above, "_id": "wrong", **wrong})

    for key in ("day", "week", "month", "agent"):
        assert sum(one.total_tokens for one in added_up(sums, key).values()) == 39
    by_day = added_up(sums, "day", zone=BERLIN)  # they reported at 23 and at 24 o'clock there
    assert {day: one.total_tokens for day, one in by_day.items()} == {"2026-03-01": 9, "2026-03-02": 30}
    assert [one.row.problem is None for one in explain_usage(ledger, "chat-1").rows].count(False) == 1
    assert sums.uncountable() == 1


@pytest.mark.parametrize(
    ("stored", "before"),
    [
        ({"real_time_tracking": {"tokens": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}}}, 5),
        ({"real_time_tracking": "running"}, 0),
        ({"real_time_tracking": {"tokens": [1, 2]}}, 0),
        ({"real_time_tracking": {"tokens": {"total_tokens": "many", "prompt_tokens": None}}}, 0),
        ({"real_time_tracking": {"tokens": {"total_tokens": float("nan"), "total_cost": float("nan")}}}, 0),
        ({"real_time_tracking": {"tokens": {"total_tokens": -5, "prompt_tokens": -5}}}, 0),
        ({"usage_prompt_tokens_final": 3, "usage_total_tokens_final": 3, "usage_total_cost_final": 0.25}, 3),
        ({"token_usage": {"total_tokens": 9}}, 9),
        ({}, 0),
    ],
)
def test_counters_of_every_variant_keep_their_value_before_the_first_report(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], stored: dict[str, Any], before: int
) -> None:
    database["chat_sessions"].insert_one({"_id": "chat-1", "workflow_name": "Trips", **stored})
    for _ in range(2):
        UsageRecorder(ledger).record([snapshot(1, 30)])
    document = database["chat_sessions"].find_one({"_id": "chat-1"})
    assert document is not None
    tokens = document["real_time_tracking"]["tokens"]
    assert tokens["total_tokens"] == 30 + before
    assert {type(tokens[name]) for name in ("prompt_tokens", "completion_tokens", "total_tokens")} <= {int, Int64}
    assert isinstance(tokens["total_cost"], float)
    assert document.get("token_usage") == stored.get("token_usage")
    if "usage_total_tokens_final" in stored:  # readers of that variant read these
        assert (document["usage_total_tokens_final"], document["usage_total_cost_final"]) == (33, 0.28)
    else:
        assert not any(name.endswith("_final") for name in document)


def test_counters_stored_as_text_are_raised_and_never_lowered(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    with_session(database, total_tokens="500", prompt_tokens="1e300000000", total_cost="0.25")
    UsageRecorder(ledger).record([snapshot(1, 30)])
    tokens = tokens_of(database)
    assert (tokens["total_tokens"], tokens["prompt_tokens"], tokens["total_cost"]) == (530, 20, 0.28)


def test_a_decimal_cost_stays_a_decimal(ledger: MongoUsageLedger, database: Database[dict[str, Any]]) -> None:
    with_session(database, total_cost=Decimal128("1.10"))
    UsageRecorder(ledger).record([snapshot(1, 30)])
    assert tokens_of(database)["total_cost"] == Decimal128("1.13")


def test_an_event_recorded_again_with_another_run_or_agent_is_the_same(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    with_session(database)
    UsageRecorder(ledger).record([snapshot(1, 30)])
    again = UsageRecorder(ledger).record([snapshot(1, 30, run=2, agent=None)])
    assert (again.stored, again.already_stored) == (0, 1)
    assert tokens_of(database)["total_tokens"] == 30


def test_usage_of_a_chat_without_a_session_is_stored_and_counted_once_there_is_one(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    assert UsageRecorder(ledger).record([snapshot(1, 30)]).without_session == ("chat-1",)
    with_session(database)
    UsageRecorder(ledger).record([snapshot(1, 30)])
    assert tokens_of(database)["total_tokens"] == 30


@pytest.mark.parametrize("counted", [0, 5, 12_345])
def test_counters_that_differ_are_found_and_repaired(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], counted: int
) -> None:
    with_session(database, total_tokens=11)
    UsageRecorder(ledger).record([snapshot(1, 30)])
    changed = {"$set": {"real_time_tracking.tokens.total_tokens": counted, "real_time_tracking.tokens.total_cost": 9.0}}
    database["chat_sessions"].update_one({}, changed)

    [finding] = differing_counters(ledger)
    assert (finding.counters.total_tokens, finding.expected.total_tokens) == (counted, 41)
    database["chat_sessions"].update_one({}, {"$set": {"real_time_tracking.tokens.total_tokens": 3}})
    assert repair_counters(ledger, finding) is False
    [finding] = differing_counters(ledger)
    assert repair_counters(ledger, finding) is True
    assert list(differing_counters(ledger)) == []
    assert tokens_of(database) == {
        "prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 41, "total_cost": 0.03
    }  # fmt: skip


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-28", 24)], ids=["spring", "autumn", "usual"]
)
def test_a_day_has_as_many_hours_as_in_its_time_zone(
    ledger: MongoUsageLedger, sums: MongoUsageSums, day: str, hours: int
) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    reports: list[UsageSnapshot] = [
        snapshot(number, 1, agent=f"a-{number}", at=first + timedelta(minutes=30 + 60 * number)) for number in range(72)
    ]
    UsageRecorder(ledger).record(reports)

    by_day = added_up(sums, "day", zone=BERLIN)
    assert by_day[day].total_tokens == hours
    week = datetime.fromisoformat(day).strftime("%G-W%V")
    assert week in added_up(sums, "week", zone=BERLIN)


def test_the_offsets_of_a_zone_change_at_the_instant_of_the_change() -> None:
    span = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert offsets(BERLIN, *span) == [
        (span[0], 3_600_000),
        (datetime(2026, 3, 29, 1, tzinfo=UTC), 7_200_000),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), 3_600_000),
    ]
    assert offsets(ZoneInfo("Asia/Kathmandu"), *span) == [(span[0], 20_700_000)]


@pytest.mark.parametrize(
    "keys", [("day",), ("month",), ("week",), ("agent",), ("month", "model"), ("week", "month"), ("day", "agent")]
)
def test_a_cost_known_in_the_end_is_the_cost_of_all_earlier_reports(
    ledger: MongoUsageLedger, sums: MongoUsageSums, daily_sums: MongoDailySums, keys: tuple[str, ...]
) -> None:
    UsageRecorder(ledger).record(
        [
            snapshot(1, 30, cost=None),
            snapshot(30, 60),
            snapshot(1, 10, chat_id="chat-2", cost=None),
            snapshot(2, 10, chat_id="chat-2", run=2),
        ]
    )

    def unknown() -> tuple[dict[Any, int], int]:
        found = list(sums.groups(LedgerQuery(keys)))
        return {one.group: one.unknown for one in found}, sum(one.first_unknown for one in found)

    from_rows = unknown()
    # Chat 1 has a Sunday without a cost, and in the end it is known; of chat 2 the first run has none.
    assert from_rows[1] == (2 if "day" in keys or "week" in keys else 1)
    list(daily_sums.roll_up())
    assert unknown() == from_rows


@pytest.mark.parametrize("keys", [("month",), ("agent",), ("day", "agent")])
def test_a_cost_of_zero_is_known(
    ledger: MongoUsageLedger, sums: MongoUsageSums, daily_sums: MongoDailySums, keys: tuple[str, ...]
) -> None:
    UsageRecorder(ledger).record([snapshot(1, 30, cost=None), snapshot(30, 60, cost=Decimal(0))])

    def costs() -> list[Any]:
        return sorted(((one.group, one.usage.cost, one.unknown) for one in sums.groups(LedgerQuery(keys))), key=str)

    from_rows = costs()
    assert sum(unknown for _, _, unknown in from_rows) == (1 if "day" in keys else 0)
    list(daily_sums.roll_up())
    assert costs() == from_rows


def test_of_several_costs_of_one_event_and_model_the_highest_counts(ledger: MongoUsageLedger) -> None:
    UsageRecorder(ledger).record([snapshot(1, 30, cost=Decimal(cost)) for cost in ("0.5", "0.7", "0.6")])
    assert ledger.sums("chat-1").cost == Decimal("0.7")


def test_usage_that_was_not_acknowledged_is_not_reported_as_stored(ledger: MongoUsageLedger, fail_point: Any) -> None:
    unconfirmed = {"code": 64, "errmsg": "waiting for replication timed out"}
    with fail_point(["insert"], times=1, writeConcernError=unconfirmed), pytest.raises(ChatstoreError):
        UsageRecorder(ledger).record([snapshot(1, 30)])


def test_explain_lists_the_counters_before_the_first_report_before_a_report_of_the_same_instant(
    ledger: MongoUsageLedger,
) -> None:
    ledger.insert({"a": snapshot(1, 30), "b": snapshot(1, 31, run=OPENING_RUN), "c": snapshot(0, 9)})
    assert [row.row.row_id for row in explain_usage(ledger, "chat-1").rows] == ["c", "b", "a"]
