"""`usage --tag` reports exactly the sessions with a tag, in every layout, however many these are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from bson import Decimal128, ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage import report as reports
from chatstore_cli.core.usage.groupings import UsageGrouping
from chatstore_cli.core.usage.pricing import CostMode, Pricing
from chatstore_cli.core.usage.report import UsageReport, report_usage
from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.prices import Price, PriceTable
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.mongo.labels.store import MongoLabels
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from tests.support.samples import store_sample

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from tests.conftest import Chatstore

pytestmark = pytest.mark.real

START = datetime(2026, 2, 1, 20, tzinfo=UTC)
TAGS = ("vip", "Vip", "late")
NUMBERED = ObjectId("65e0c0ffee65e0c0ffee0001")


class _OnePrice(PriceTable):
    """A price for every model."""

    def prices(self, model: str) -> list[Price]:
        return [Price(Decimal(3), Decimal(5), None, "USD", "list", model)]

    def describe(self) -> str:
        return "made up"


@pytest.fixture
def tagged(database: Database[dict[str, Any]], connection: Connection) -> dict[SessionRef, set[str]]:
    """Sessions of every layout, some with rows in the ledger, and the tags of some of them."""
    store_sample(database, *LAYOUTS)
    database["chat_sessions"].insert_one({"chat_id": NUMBERED, "enterprise_id": "acme", "messages": [], "status": 1})
    settings = Settings()
    refs = [
        SessionRef(layout, each.session_id)
        for layout, reader_class in LAYOUTS.items()
        for each in reader_class(connection, settings).all_facts(SessionQuery())
    ]
    in_ledger = [each for each in refs if each.layout in ("workflow", "general") and each.session_id != str(NUMBERED)]
    with_rows = in_ledger[::2]
    # Of a session that was deleted by hand, of a session of the same id in the other layout, and one id in a list.
    first = with_rows[0].session_id
    chats: list[tuple[str, Any]] = [
        *with_rows, SessionRef("workflow", "gone"), SessionRef("general", first), ("workflow", NUMBERED),
        ("workflow", [first]),
    ]  # fmt: skip
    rows = []
    for number, (layout, chat) in enumerate(chats):
        for step in range(4):
            row = {
                "_id": f"r-{number}-{step}",
                "chat_id": chat,
                "run": 1 + step // 3,
                "agent": "A",
                "model": f"m{step % 2}",
            }
            row |= {"tenant_id": ("acme", "globex")[number % 2], "user_id": "u", "workflow": None, "applied": True}
            row |= dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 10 * number + step)
            row |= {"at": START + timedelta(hours=3 * step), "cost": None if step % 2 else Decimal128(f"0.{number}1")}
            rows.append(row | ({"layout": "general"} if layout == "general" else {}))
    database["usage_events"].insert_many(rows)
    labels = MongoLabels(connection, settings)
    tags: dict[SessionRef, set[str]] = {}
    for number, ref in enumerate([*refs, SessionRef("workflow", "gone"), SessionRef("workflow", "never")]):
        own = {tag for place, tag in enumerate(TAGS) if number % (place + 2) == 0}
        if own:
            labels.add_tags(ref, sorted(own))
            tags[ref] = own
    return tags


def reported(
    connection: Connection, query: SessionQuery, by: list[UsageGrouping], *, with_prices: bool = False
) -> UsageReport:
    settings = Settings()
    return report_usage(
        [each(connection, settings) for each in LAYOUTS.values()],
        query,
        by,
        ledger=MongoUsageSums(connection, "usage_events", "usage_daily"),
        labels=MongoLabels(connection, settings),
        pricing=Pricing(CostMode.CALCULATE, _OnePrice()) if with_prices else None,
    )


def figures(row: UsageRow) -> tuple[Any, ...]:
    return (*row.usage[:3], row.usage.cost, row.sessions, row.cost_unknown_sessions, row.sessions_from_counters)


PERIODS = [{}, {"since": START + timedelta(hours=3), "until": START + timedelta(hours=9)}, {"until": START}]
FILTERS = [*PERIODS, {"tenant_id": "acme"}, {"status": SessionStatus.COMPLETED}, {"user_id": "u", "since": START}]


@pytest.mark.parametrize("at_once", [2, 1_000])
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_selects_the_rows_that_the_report_by_session_has_of_its_sessions(
    connection: Connection, tagged: dict[SessionRef, set[str]], tag: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_SESSIONS_PER_LOOKUP", at_once)
    session = UsageGrouping.SESSION
    for filters, more in itertools.product(FILTERS, ([], [UsageGrouping.DAY], [UsageGrouping.MODEL])):
        every = reported(connection, SessionQuery(**filters), [session, *more]).rows
        expected = {
            tuple(row.group.values()): figures(row)
            for row in every
            if tag in tagged.get(SessionRef(row.group["layout"] or "", row.group["session_id"] or ""), ())
        }
        found = reported(connection, SessionQuery(**filters, tag=tag), [session, *more]).rows
        assert {tuple(row.group.values()): figures(row) for row in found} == expected
    assert any(tag in own for own in tagged.values())


@pytest.mark.parametrize(
    "by", [[UsageGrouping.TENANT], [UsageGrouping.DAY], [UsageGrouping.STATUS, UsageGrouping.MODEL]]
)
def test_the_groups_of_a_tag_add_up_to_its_sessions(
    connection: Connection, tagged: dict[SessionRef, set[str]], by: list[UsageGrouping], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts of a report are added up: sessions in several groups count once in the totals."""
    for at_once, with_prices in ((1_000, False), (3, False), (3, True)):
        monkeypatch.setattr(reports, "_SESSIONS_PER_LOOKUP", at_once)
        one = reported(connection, SessionQuery(tag="vip"), [UsageGrouping.SESSION], with_prices=with_prices)
        other = reported(connection, SessionQuery(tag="vip"), by, with_prices=with_prices)
        assert figures(one.totals) == figures(other.totals)
        assert one.totals.sessions == len(one.rows)
        assert one.totals.usage.total_tokens == sum(row.usage.total_tokens or 0 for row in other.rows)


def test_daily_sums_change_nothing(connection: Connection, tagged: dict[SessionRef, set[str]]) -> None:
    query = SessionQuery(tag="late")
    before = reported(connection, query, [UsageGrouping.DAY, UsageGrouping.TENANT])
    for _ in MongoDailySums(connection, "usage_events", "usage_daily").roll_up():
        pass
    after = reported(connection, query, [UsageGrouping.DAY, UsageGrouping.TENANT])
    assert [(row.group, figures(row)) for row in after.rows] == [(row.group, figures(row)) for row in before.rows]
    assert before.rows


def outcomes(chatstore: Chatstore, *arguments: str) -> Iterator[dict[str, Any]]:
    done = chatstore("usage", "-o", "json", *arguments)
    assert done.code == 0, done.err
    yield from json.loads(done.out)["items"]


@pytest.mark.usefixtures("tagged")
def test_the_command_takes_a_tag(chatstore: Chatstore) -> None:
    all_rows = list(outcomes(chatstore, "--by", "session"))
    vip = list(outcomes(chatstore, "--by", "session", "--tag", "vip"))
    assert 0 < len(vip) < len(all_rows)
    assert all(row in all_rows for row in vip)
    assert list(outcomes(chatstore, "--tag", "nobody")) == []
    for wrong in ("", "a\nb", "x" * 65):
        assert chatstore("usage", "--tag", wrong).code == 2
    over = chatstore("usage", "--tag", "vip", "--budget", "0", "--per", "model")
    assert over.code == 6
    assert chatstore("usage", "--tag", "vip", "--after", "start").code == 2


def test_a_tag_without_mongodb_is_an_error(chatstore: Chatstore) -> None:
    done = chatstore("usage", "--tag", "vip", env={"CHATSTORE_MONGO__ENABLED": "false"})
    assert (done.code, done.out) == (5, "")
