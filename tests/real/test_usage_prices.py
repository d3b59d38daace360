"""The usage per model and day from which costs are calculated, on a real server: from rows and from daily sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.domain.prices import CostIsStored
from chatstore_cli.domain.usage import TokenDetails
from chatstore_cli.domain.usage_ledger import LedgerQuery
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums, has_details
from chatstore_cli.mongo.usage.rows import usage_index_specs
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from tests.support.usage_snapshots import START, snapshot

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

    Documents = Database[dict[str, Any]]

pytestmark = pytest.mark.real

YES, NO, PARTLY = CostIsStored.YES, CostIsStored.NO, CostIsStored.PARTLY
FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)  # START is 22:00 on the first day, and a report follows every hour


def create_indexes(database: Documents) -> None:
    for spec in usage_index_specs("usage_events", "usage_daily"):
        options = {} if spec.partial_filter is None else {"partialFilterExpression": dict(spec.partial_filter)}
        database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)


def rolled_up(daily_sums: MongoDailySums) -> Iterator[str]:
    """The two places that a report reads: rows, then daily sums."""
    yield "rows"
    assert sum(step.rows for step in daily_sums.roll_up())
    yield "daily sums"


def parts(sums: MongoUsageSums, *keys: str, **query: Any) -> dict[Any, Any]:
    """Tokens and stored cost by group, model, day, and whether the cost is stored."""
    found: defaultdict[Any, list[Any]] = defaultdict(lambda: [0, None])
    for part in sums.to_price(LedgerQuery(keys, **query)):
        own = found[*part.group, part.model, part.day, part.stored]
        own[0] += part.usage.total_tokens
        if part.usage.cost is not None:
            own[1] = (own[1] or 0) + part.usage.cost
    return {key: tuple(value) for key, value in found.items()}


def test_a_cost_that_is_known_in_the_end_is_stored_for_all_days_of_its_client(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums
) -> None:
    """Otherwise `auto` would calculate the first day, although the cost of the second day includes it."""
    recorder.record(
        [
            snapshot(0, 30, cost=None), snapshot(2, 90),
            snapshot(0, 60, agent="Critic", cost=None, event_id="c"), snapshot(2, 80, agent="Critic", cost=None, event_id="d"),
        ]
    )  # fmt: skip
    for place in rolled_up(daily_sums):
        assert parts(sums) == {
            ("m-1", FIRST, YES): (30, None), ("m-1", SECOND, YES): (60, Decimal("0.09")),
            ("m-1", FIRST, NO): (60, None), ("m-1", SECOND, NO): (20, None),
        }, place  # fmt: skip


def test_turns_with_a_cost_are_apart_from_others_on_the_same_day(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums, database: Documents
) -> None:
    turns = [snapshot(0, 30, turn_id=f"{number}", cost=Decimal(number) if number else None) for number in range(3)]
    recorder.record(turns)
    for place in rolled_up(daily_sums):
        assert parts(sums) == {("m-1", FIRST, NO): (30, None), ("m-1", FIRST, YES): (60, Decimal(3))}, place
    # As an earlier version stored them.
    [document] = database["usage_daily"].find()
    [day] = document["days"]
    mixed = {**day["clients"][0], "total_tokens": 90, "cost": 3, "cost_unknown": True}
    database["usage_daily"].update_one({"_id": document["_id"]}, {"$set": {"days": [{**day, "clients": [mixed]}]}})
    assert parts(sums) == {("m-1", FIRST, PARTLY): (90, Decimal(3))}


def test_the_day_of_the_price_is_in_utc_and_the_keys_are_in_the_zone(
    recorder: UsageRecorder, sums: MongoUsageSums
) -> None:
    """22:00 and 23:00 in UTC, and midnight: all three are one day in Auckland, and two in UTC."""
    recorder.record([snapshot(number, 30 * (number + 1)) for number in range(3)])
    auckland = ZoneInfo("Pacific/Auckland")
    assert {key: tokens for key, (tokens, _) in parts(sums, "day", zone=auckland).items()} == {
        ("2026-03-02", "m-1", FIRST, YES): 60, ("2026-03-02", "m-1", SECOND, YES): 30,
    }  # fmt: skip
    since = {"since": datetime(2026, 3, 2, tzinfo=UTC)}
    assert {key: tokens for key, (tokens, _) in parts(sums, "tenant_id", **since).items()} == {
        ("acme", "m-1", SECOND, YES): 30
    }


def test_cached_and_reasoning_tokens_are_added_up_and_stay_unknown_where_nobody_reported_them(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums
) -> None:
    recorder.record(
        [
            snapshot(0, 30, cached_tokens=5, reasoning_tokens=1),
            snapshot(2, 90, cached_tokens=25),
            snapshot(0, 30, turn_id="a", cached_tokens=2),
            snapshot(0, 30, turn_id="b"),
            snapshot(0, 30, agent="Critic", event_id="c", tenant_id="other"),
        ]
    )
    for place in rolled_up(daily_sums):
        by_tenant = {group.group: group.details for group in sums.groups(LedgerQuery(("tenant_id",)))}
        assert by_tenant == {("acme",): TokenDetails(27, 1), ("other",): TokenDetails()}, place
        by_day = {group.group: group.details for group in sums.groups(LedgerQuery(("day",)))}
        assert by_day == {("2026-03-01",): TokenDetails(7, 1), ("2026-03-02",): TokenDetails(20)}, place
        unknown = {
            (part.group, part.day): part.cached_is_unknown for part in sums.to_price(LedgerQuery(("tenant_id",)))
        }
        assert unknown == {(("acme",), FIRST): True, (("acme",), SECOND): False, (("other",), FIRST): True}, place


@pytest.mark.parametrize("indexed", [True, False])
def test_details_are_read_if_any_row_has_them_and_cost_nothing_otherwise(
    recorder: UsageRecorder, sums: MongoUsageSums, database: Documents, connection: Connection, indexed: bool
) -> None:
    if indexed:
        create_indexes(database)
    rows = connection.collection("usage_events")
    recorder.record([snapshot(0, 30)])
    assert has_details(rows) is not indexed  # without the index it would have to read all rows
    [group] = sums.groups(LedgerQuery(("tenant_id",)))
    assert group.details == TokenDetails()
    recorder.record([snapshot(1, 60, reasoning_tokens=4)])
    assert has_details(rows)
    [group] = sums.groups(LedgerQuery(("tenant_id",)))
    assert group.details == TokenDetails(None, 4)
    if indexed:
        plan = database.command(
            "explain",
            {"find": "usage_events", "filter": {"cached_tokens": {"$exists": True}}, "hint": "token_details_idx"},
        )
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


def test_rows_with_details_that_are_not_numbers_count_without_them(
    recorder: UsageRecorder, sums: MongoUsageSums, daily_sums: MongoDailySums, database: Documents
) -> None:
    recorder.record([snapshot(0, 30, cached_tokens=5)])
    template = database["usage_events"].find_one() or {}
    for number, odd in enumerate(("9", -1, 2.5, [3], float("inf"), 10**13, {"a": 1}, True)):
        database["usage_events"].insert_one(
            {**template, "_id": f"odd-{number}", "cached_tokens": odd, "agent": f"a-{number}"}
        )
    for place in rolled_up(daily_sums):
        [group] = sums.groups(LedgerQuery(("tenant_id",)))
        assert (group.usage.total_tokens, group.details) == (30 * 9, TokenDetails(5)), place


def test_usage_of_very_early_and_late_years_has_its_day(
    sums: MongoUsageSums, database: Documents, recorder: UsageRecorder
) -> None:
    recorder.record(
        [snapshot(0, 30, at=datetime(1, 1, 2, tzinfo=UTC)), snapshot(1, 60, at=START + timedelta(days=2_000_000))]
    )
    assert {(part.day.year if part.day else None): part.usage.total_tokens for part in sums.to_price(LedgerQuery(()))} == {
        1: 30, 7501: 30
    }  # fmt: skip
