"""`chatstore usage --by day` over 1,000,000 usage events, in process, against the bare aggregation on the same server.

The bare aggregation is what one would write by hand for the same sums. Events are cumulative, so it takes each client's
maximum of a day, subtracts the maximum of the days before, and adds up by day. Prints one line per figure with its bound,
and exits with status 1 if a bound is missed.

    python benchmarks/usage.py [--events 1000000]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from bson import Decimal128
from pymongo import MongoClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.core.usage.groupings import UsageGrouping
from chatstore_cli.core.usage.report import UsageReport, report_usage
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.mongo.usage.rows import usage_index_specs
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.usage import daily_sums, usage_sums
from tests.support.mongod import start_mongod

MOST_TO_READ_ROWS, MOST_TO_READ_DAILY_SUMS = 1.1, 0.05
"""Times the bare aggregation."""

MOST_SECONDS_OF_A_ROLLUP = 30.0
"""Of 1,000,000 events, none of which is in daily sums yet."""

RUNS = 3
START = datetime(2026, 1, 1, tzinfo=UTC)
REPORTS_OF_A_CLIENT = 25
AGENTS = ("Writer", "Critic")


def events(wanted: int) -> Iterator[dict[str, Any]]:
    """Chats of two agents over 90 days: each reports 25 times in a run, over some hours."""
    chance = random.Random(7)
    chat = 0
    while chat * REPORTS_OF_A_CLIENT * len(AGENTS) < wanted:
        began = START + timedelta(minutes=chance.randrange(90 * 24 * 60))
        for agent in AGENTS:
            used = 0
            for number in range(REPORTS_OF_A_CLIENT):
                used += chance.randrange(200, 2_000)
                yield {
                    "_id": f"{chat}-{agent}-{number}",
                    "event_id": f"{chat}-{agent}-{number}",
                    "chat_id": f"chat-{chat}",
                    "run": 1,
                    "tenant_id": f"tenant-{chat % 50}",
                    "user_id": f"user-{chat % 5_000}",
                    "workflow": f"workflow-{chat % 8}",
                    "agent": agent,
                    "model": "model-large" if chat % 3 else "model-small",
                    "prompt_tokens": used * 3 // 4,
                    "completion_tokens": used - used * 3 // 4,
                    "total_tokens": used,
                    "cost": Decimal128(f"{used}E-6"),
                    "at": began + timedelta(minutes=7 * number),
                    "applied": True,
                }
        chat += 1


def sessions(wanted: int) -> Iterator[dict[str, Any]]:
    """The sessions of these chats, as recording leaves them."""
    for chat in range(-(-wanted // REPORTS_OF_A_CLIENT // len(AGENTS))):
        tokens = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "total_cost": 0.1}
        yield {
            "chat_id": f"chat-{chat}",
            "status": 1,
            "updated_at": START,
            "real_time_tracking": {"tokens": tokens, "in_ledger": True},
            "messages": [],
        }


def bare(rows: Any) -> list[dict[str, Any]]:
    """The same sums, written by hand."""
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "cost")
    client = {"chat": "$_id.chat", "run": "$_id.run", "agent": "$_id.agent", "model": "$_id.model"}
    day = {"$dateTrunc": {"date": "$at", "unit": "day"}}
    identity = {"chat": "$chat_id", "run": "$run", "agent": "$agent", "model": "$model", "day": day}
    before = {f"{name}_before": {"$max": f"${name}", "window": {"documents": ["unbounded", -1]}} for name in names}
    beyond = {name: {"$subtract": [f"${name}", {"$ifNull": [f"${name}_before", 0]}]} for name in names}
    own = {"day": "$_id.day", "chat": "$_id.chat"}
    return list(
        rows.aggregate(
            [
                {"$group": {"_id": identity, **{name: {"$max": f"${name}"} for name in names}}},
                {"$setWindowFields": {"partitionBy": client, "sortBy": {"_id.day": 1}, "output": before}},
                {"$set": beyond},
                {"$group": {"_id": own, **{name: {"$sum": f"${name}"} for name in names}}},
                {"$group": {"_id": "$_id.day", "n": {"$sum": 1}, **{name: {"$sum": f"${name}"} for name in names}}},
                {"$sort": {"_id": 1}},
            ],
            allowDiskUse=True,
        )
    )


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes."""
    started = perf_counter()
    run()
    return perf_counter() - started


def insert(collection: Any, documents: Iterator[dict[str, Any]]) -> None:
    """Insert documents in batches."""
    while batch := list(islice(documents, 20_000)):
        collection.insert_many(batch, ordered=False)


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    wanted = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="cs-", dir="/tmp") as folder:
        server = start_mongod(Path(folder))
        try:
            client: MongoClient[dict[str, Any]] = MongoClient(server.uri)
            database = client["usage"]
            insert(database["usage_events"], events(wanted))
            insert(database["chat_sessions"], sessions(wanted))
            for spec in usage_index_specs("usage_events", "usage_daily"):
                options: dict[str, Any] = (
                    {} if spec.partial_filter is None else {"partialFilterExpression": dict(spec.partial_filter)}
                )
                database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)
            stores = Stores(Settings(mongo=MongoSettings(uri=server.uri, database="usage")), say=print)
            return measure(database, stores, wanted)
        finally:
            server.remove()


def measure(database: Any, stores: Stores, events_wanted: int) -> int:
    """Measure the reports and the bare aggregation in turns, the median of each. Returns the exit status."""
    sums = usage_sums(stores)

    def report() -> UsageReport:
        return report_usage(stores.session_readers(), SessionQuery(), UsageGrouping.DAY, ledger=sums)

    by_hand = {row["_id"].date().isoformat(): row["total_tokens"] for row in bare(database["usage_events"])}
    assert by_hand == {row.group["day"]: row.usage.total_tokens for row in report().rows}
    pairs = [(seconds(lambda: bare(database["usage_events"])), seconds(report)) for _ in range(RUNS)]
    plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    daily = daily_sums(stores)
    rollup = seconds(lambda: list(daily.roll_up()))
    assert by_hand == {row.group["day"]: row.usage.total_tokens for row in report().rows}
    rolled_up = statistics.median(seconds(report) for _ in range(RUNS))
    print(
        f"usage by day, {events_wanted:,} events: {ours:.2f} s, bare aggregation {plain:.2f} s, daily sums {rolled_up:.3f} s"
    )
    is_kept = [
        kept("usage by day / bare aggregation", ours / plain, MOST_TO_READ_ROWS),
        kept("usage by day with daily sums / bare aggregation", rolled_up / plain, MOST_TO_READ_DAILY_SUMS),
        kept("usage rollup from nothing, seconds", rollup, MOST_SECONDS_OF_A_ROLLUP * events_wanted / 1_000_000),
    ]
    return 0 if all(is_kept) else 1


def kept(name: str, figure: float, bound: float) -> bool:
    """Print a figure. Returns whether it is within its bound."""
    print(f"{name}: {figure:.3f} (bound {bound:g}){'' if figure <= bound else ' MISSED'}")
    return figure <= bound


if __name__ == "__main__":
    sys.exit(main())
