"""What the server adds up, and what is added up row by row, are the same for rows with any values."""

from __future__ import annotations

import random
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from decimal import Context, Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.explain import explain_usage
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.usage import TokenDetails, Usage
from chatstore_cli.domain.usage_ledger import LEDGER_LAYOUTS, MOST_TOKENS, LedgerQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from tests.support.bson_values import NUMBERS, OTHERS, TEXTS
from tests.support.usage_snapshots import START

pytestmark = pytest.mark.real

ODD = (*NUMBERS, *OTHERS, *(text for text in TEXTS if len(text) < 100), MOST_TOKENS, MOST_TOKENS + 1, 2.5)
COUNTS = (5, 7, Int64(30), 12.0, Decimal128("40"), Decimal128("4.0E+1"))
COSTS = (None, 0.1 + 0.2, 0.25, 1, Decimal128("0.5"), Decimal128("0.50000000000000000000000000000001"))
FIELDS = (
    "run",
    "agent",
    "model",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost",
    "at",
    "turn_id",
    "layout",
    "cached_tokens",
    "reasoning_tokens",
)


def rows(chance: random.Random, chat: str) -> list[dict[str, Any]]:
    """Some rows of one chat; in about a third of them one field has an odd value."""
    made = []
    for number in range(5):
        row: dict[str, Any] = {
            "_id": f"{chat}-{number}", "chat_id": chat, "run": chance.choice((1, 1.0, 2)), "agent": chance.choice("AB"),
            "model": "m", "cost": chance.choice(COSTS), "at": START + timedelta(hours=9 * chance.randrange(9)),
            **{name: chance.choice(COUNTS) for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
        }  # fmt: skip
        if chance.random() < 0.3:
            row |= {"cached_tokens": chance.choice((None, *COUNTS)), "reasoning_tokens": chance.choice((None, *COUNTS))}
        if chance.random() < 0.4:  # turns, some of which have several rows, and of both layouts under one id
            row |= {"turn_id": chance.choice("tu"), "at": START}  # chatstore stores a turn once, so on one day
        if chance.random() < 0.4:
            row["layout"] = chance.choice(("general", "workflow"))
        if chance.random() < 0.4:
            row[chance.choice(FIELDS)] = chance.choice(ODD)
        if chance.random() < 0.1:
            row.pop(chance.choice(FIELDS), None)
        made.append(row)
    return made


def added(parts: list[Usage]) -> Usage:
    total = Usage()
    for part in parts:
        total = total.plus(part)
    return total


def rounded(usage: Usage) -> Usage:
    """A sum by the server has 34 digits, and one here 28."""
    return usage if usage.cost is None else usage._replace(cost=Context(prec=20).plus(usage.cost))


def test_the_server_and_the_explanation_agree_on_rows_with_any_values(
    connection: Connection, database: Database[dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--soak")
    chance = random.Random(None if is_long else 10)
    chats = [f"chat-{number}" for number in range(1_000 if is_long else 250)]
    database["usage_events"].insert_many([row for chat in chats for row in rows(chance, chat)])
    ledgers = [MongoUsageLedger(connection, Settings(), shape) for shape in (WORKFLOW, GENERAL)]
    sums = MongoUsageSums(connection, "usage_events", "usage_daily")
    explained = {}
    for ledger in ledgers:
        for chat in chats:
            total = Usage()
            with suppress(NotFound):
                total = explain_usage(ledger, chat).sums
            explained[ledger.layout, chat] = rounded(total)
    unknown: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    details: dict[tuple[str, ...], dict[Any, TokenDetails]] = {}
    for _ in range(2):
        for keys in ((), ("day",), ("agent", "model")):
            for layout in (None, *LEDGER_LAYOUTS):
                found: dict[tuple[str | None, ...], list[Usage]] = {session: [] for session in explained}
                for group in sums.groups(LedgerQuery(("layout", "session_id", *keys), layout=layout)):
                    found[group.group[:2]].append(group.usage)
                assert {session: rounded(added(parts)) for session, parts in found.items()} == {
                    session: usage if layout in (None, session[0]) else Usage() for session, usage in explained.items()
                }, (keys, layout)
        for keys in ((), ("day",)):  # from daily sums as many sessions have an unknown cost as from rows
            groups = sorted((*map(str, one.group), one.sessions, one.unknown) for one in sums.groups(LedgerQuery(keys)))
            assert unknown.setdefault(keys, groups) == groups
        for keys in ((), ("day",), ("model", "month")):  # per model and day the same usage is added up
            of_prices: dict[tuple[str | None, ...], list[Usage]] = {session: [] for session in explained}
            summed: defaultdict[Any, TokenDetails] = defaultdict(TokenDetails)
            for part in sums.to_price(LedgerQuery(("layout", "session_id", *keys))):
                of_prices[part.group[:2]].append(part.usage)
                summed[part.group] = summed[part.group].plus(part.details)
            assert {session: rounded(added(parts)) for session, parts in of_prices.items()} == explained, keys
            reported: defaultdict[Any, TokenDetails] = defaultdict(TokenDetails)
            for group in sums.groups(LedgerQuery(("layout", "session_id", *keys))):
                reported[group.group] = reported[group.group].plus(group.details)
            assert summed == reported
            assert details.setdefault(keys, reported) == reported  # from daily sums too
        for ledger in ledgers:
            assert {chat: rounded(usage) for chat, usage in ledger.chats() if any(usage)} == {
                chat: usage for (layout, chat), usage in explained.items() if layout == ledger.layout and any(usage)
            }
        problems = sum(row.problem is not None for ledger in ledgers for chat in chats for row in ledger.rows(chat))
        assert sums.uncountable() == problems
        list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())


@pytest.mark.parametrize("odd", ["1", float("inf"), 1e300, -1, {"a": 1}, True, "1e300000000"], ids=repr)
def test_an_invalid_cost_does_not_hide_the_valid_cost_of_the_same_day(
    connection: Connection, database: Database[dict[str, Any]], odd: Any
) -> None:
    chance = random.Random(1)
    for number, cost in enumerate((Decimal128("0.5"), odd)):
        row = rows(chance, "chat")[0] | {"_id": number, "run": 1, "agent": "A", "model": "m", "at": START, "cost": cost}
        row |= {"turn_id": None, "layout": None}
        database["usage_events"].insert_one(
            row | dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 5)
        )
    daily = MongoDailySums(connection, "usage_events", "usage_daily")
    for _ in range(2):
        [group] = MongoUsageSums(connection, "usage_events", "usage_daily").groups(LedgerQuery(("day",)))
        assert (group.usage.cost, group.unknown) == (Decimal("0.5"), 0)
        assert MongoUsageSums(connection, "usage_events", "usage_daily").with_invalid_cost() == 1
        list(daily.roll_up())
