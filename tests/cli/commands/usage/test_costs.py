"""`chatstore usage` as finance uses it: a month, calculated costs, rounding, bars and budgets; and `usage prices`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.metrics import SessionMetrics
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.render.output_format import OutputFormat
from tests.support.golden import TABLE_AND_JSON, check_golden

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore
    from tests.support.mongod import Mongod

    Documents = Database[dict[str, Any]]

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
PRICES = """\
currency: EUR
prices:
  - {models: m-1, input: 1, output: 2, cached: 0.1, until: 2026-10-19}
  - {models: "m-*", input: 10, output: 20, cached: 1}
"""
IN_EUROS = {"CHATSTORE_USAGE__CURRENCY": "EUR", "CHATSTORE_USAGE__PRICES_FILE": "prices.yaml"}
CALCULATE = ("usage", "--month", "2026-10", "--by", "model", "--cost", "calculate")


@pytest.fixture(scope="module")
def reader(mongod: Mongod, module_database: Documents, module_chatstore: Chatstore) -> Chatstore:
    """The command over turns of three tenants around the edges of October, and one session with stored totals only."""
    chats = {"a": "acme", "b": "beta", "c": "gamma"}
    module_database["chat_sessions"].insert_many(
        {"chat_id": chat, "enterprise_id": tenant, "user_id": f"user-{chat}", "updated_at": OCTOBER, "messages": []}
        for chat, tenant in chats.items()
    )
    tokens = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "total_cost": 0.005}
    module_database["chat_sessions"].insert_one(
        {"chat_id": "old", "enterprise_id": "acme", "updated_at": OCTOBER, "real_time_tracking": {"tokens": tokens}}
    )
    connection = connect(mongod.uri, module_database.name, timeout_seconds=10)
    metrics = SessionMetrics(lambda _: MongoUsageLedger(connection, Settings()), clock=lambda: OCTOBER)

    def turn(chat: str, at: datetime, model: str | None, cost: str | float | None, **details: Any) -> None:
        metrics.update_session_metrics(
            chat, None, None, 1_000_000, 500_000, cost, event_ts=at, model_name=model, turn_id=at.isoformat(), **details
        )

    turn("a", OCTOBER - timedelta(milliseconds=1), "m-1", 100)
    turn("a", OCTOBER, "m-1", 1.925, cached_tokens=400_000, reasoning_tokens=9)
    turn("a", OCTOBER + timedelta(days=19), "m-1", None, cached_tokens=0)
    turn("b", OCTOBER + timedelta(days=30, hours=23, minutes=30), "m-2", 0.015)
    turn("c", OCTOBER + timedelta(days=31), "m-2", 100)
    turn("b", OCTOBER + timedelta(days=2), "in-house", 3)
    (module_chatstore.folder / "prices.yaml").write_text(PRICES)
    return module_chatstore


@pytest.fixture(scope="module")
def in_euros(reader: Chatstore) -> Chatstore:
    """The command with a file of prices in euros, so that nothing depends on the version of genai-prices."""
    return replace(reader, environment={**reader.environment, **IN_EUROS})


def reported(chatstore: Chatstore, *arguments: str, code: int = 0) -> dict[str, Any]:
    outcome = chatstore("usage", "-o", "json", *arguments)
    assert outcome.code == code, outcome.err
    report: dict[str, Any] = json.loads(outcome.out)
    return report


@pytest.mark.parametrize("output", TABLE_AND_JSON)
@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("usage-calculated", CALCULATE, 0),
        ("usage-auto", ("usage", "--month", "2026-10", "--cost", "auto", "--round", "2"), 0),
        ("usage-budget", ("usage", "--month", "2026-10", "--budget", "1.90", "--per", "tenant"), 6),
        ("usage-prices", ("usage", "prices", "show"), 0),
        ("usage-prices-check", ("usage", "prices", "check"), 6),
    ],
)
def test_output_is_byte_for_byte_what_it_was(
    in_euros: Chatstore, name: str, arguments: tuple[str, ...], code: int, output: OutputFormat
) -> None:
    check_golden(in_euros, name, arguments, output, code=code)


@pytest.mark.parametrize(
    ("zone", "tenants", "period"),
    [
        ("UTC", {"acme": "1.93", "beta": "3.015"}, "2026-10-01 00:00 to 2026-11-01 00:00 (UTC)"),
        ("Europe/Berlin", {"acme": "101.93", "beta": "3"}, "2026-10-01 00:00 to 2026-11-01 00:00 (Europe/Berlin)"),
    ],
)
def test_a_month_is_that_of_the_zone_of_the_report(
    reader: Chatstore, zone: str, tenants: dict[str, str], period: str
) -> None:
    """A last millisecond before October in UTC is October in Berlin, and 23:30 on the last day is November there."""
    report = reported(reader, "--month", "2026-10", "--timezone", zone)
    assert {row["tenant_id"]: row["usage"]["cost"] for row in report["items"]} == tenants
    assert report["period"]["timezone"] == zone
    outcome = reader("usage", "--month", "2026-10", "--timezone", zone, "-o", "csv")
    assert outcome.err.splitlines()[0] == f"Period: {period}, currency: USD"
    assert "Period" not in outcome.out


def test_named_periods_end_where_the_next_ones_begin(reader: Chatstore) -> None:
    for last, this in (("--last-month", "--this-month"), ("--last-week", "--this-week")):
        for _ in range(2):  # the second time if the week or the month ended in between
            before, now = (reported(reader, option)["period"] for option in (last, this))
            since, until = (datetime.fromisoformat(now[edge]) for edge in ("since", "until"))
            if since <= datetime.now(UTC) < until and before["until"] == now["since"]:
                break
        assert before["until"] == now["since"]
        assert since <= datetime.now(UTC) < until


def test_a_period_without_usage_is_an_empty_report_that_names_the_period(reader: Chatstore) -> None:
    report = reported(reader, "--month", "2020-02", "--cost", "calculate")
    assert (report["items"], report["period"]["until"]) == ([], "2020-03-01T00:00:00Z")
    assert report["totals"]["cost_complete"] is True
    assert reader("usage", "--month", "2020-02", "--budget", "0").code == 0


def test_costs_are_the_same_from_rows_and_from_daily_sums(in_euros: Chatstore, module_database: Documents) -> None:
    commands = [
        ("--cost", mode, "--by", by, *more)
        for mode in ("auto", "calculate")
        for by in ("day", "week,model", "status")
        for more in ((), ("--month", "2026-10"))
    ]
    before = [reported(in_euros, *command) for command in commands]
    assert in_euros("usage", "rollup").code == 0
    assert module_database["usage_daily"].count_documents({}) == 3
    assert [reported(in_euros, *command) for command in commands] == before
    assert before[0]["totals"]["usage"]["cost"] == "224.945"
    assert {report["totals"]["usage"]["cost"] for report in before[1::2]} == {"24.945", "41.64"}


def test_the_price_is_that_of_the_day_in_utc_whatever_the_zone_of_the_report(in_euros: Chatstore) -> None:
    days = ("--cost", "calculate", "--by", "day", "--tenant", "acme")
    utc = reported(in_euros, *days)
    auckland = reported(in_euros, *days, "--timezone", "Pacific/Auckland")
    assert [row["day"] for row in utc["items"]] == ["2026-09-30", "2026-10-01", "2026-10-20"]
    assert [row["day"] for row in auckland["items"]] == ["2026-10-01", "2026-10-20"]
    assert utc["totals"] == auckland["totals"]


def test_totals_are_rounded_from_the_exact_sum(reader: Chatstore) -> None:
    report = reported(reader, "--month", "2026-10", "--round", "2")
    assert [row["usage"]["cost"] for row in report["items"]] == ["1.93", "3.02"]
    assert report["totals"]["usage"]["cost"] == "4.94"  # 4.945: half to even
    assert report["rounded"] == {"digits": 2, "half": "even"}
    assert reported(reader, "--month", "2026-10", "--round", "0")["totals"]["usage"]["cost"] == "5"
    assert "Totals are rounded from the exact sum" in reader("usage", "--round", "2").err


def test_a_budget_names_who_is_over_it_by_how_much_and_what_is_not_known(reader: Chatstore) -> None:
    outcome = reader("usage", "--month", "2026-10", "--budget", "1.90", "--top", "1")
    assert outcome.code == 6
    assert outcome.err.splitlines()[-2:] == [
        "Over the budget of 1.9 USD: tenant beta, by 1.115 USD (3.015 USD).",
        "Over the budget of 1.9 USD: tenant acme, by at least 0.03 USD (1.93 USD).",
    ]
    within = reader("usage", "--month", "2026-10", "--budget", "1e2", "--per", "user")
    assert within.code == 0
    assert within.err.splitlines()[-2:] == [
        "No known cost is over the budget of 100 USD.",
        "Part of the cost is unknown, so these may be over the budget too: user user-a.",
    ]
    assert reported(reader, "--budget", "1", "--per", "model", code=6)["budget"]["over"][0]["model"] == "m-1"
    assert reader("usage", "--budget", "1", "--per", "workflow").code == 6


def test_bars_are_in_tables_only(reader: Chatstore) -> None:
    lines = reader("usage", "--month", "2026-10", "--bars").out.splitlines()
    assert [line.split()[-1] for line in lines] == ["BAR", "#" * 13 + "+", "#" * 20, "both"]
    tokens = reader("usage", "--month", "2026-10", "--bars", "--sort", "tokens", "-o", "md").out
    assert "TOKENS BAR" in tokens
    assert [line.count("#") for line in tokens.splitlines()[2:4]] == [20, 20]


def test_prices_of_the_package_are_used_in_dollars_without_a_file(reader: Chatstore) -> None:
    shown = json.loads(reader("usage", "prices", "show", "gpt-4o", "-o", "json").out)["items"]
    assert [(row["input"], row["output"], row["cached"]) for row in shown] == [("2.5", "10", "1.25")]
    missing = reader("usage", "prices", "show", "our-7b")
    assert (missing.code, "No price of model 'our-7b' in genai-prices" in missing.err) == (3, True)
    report = reader(*CALCULATE)
    assert (
        "No cost was calculated for 1,500,000 tokens of model in-house: no price is known on the days of this usage."
        in report.err
    )
    assert "Prices: genai-prices" in report.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--month", "2026-13"), "'2026-13' is not a month such as 2026-10"),
        (("--month", "2026-10", "--last-week"), "--month and --last-week cannot be combined"),
        (("--last-month", "--this-month"), "--last-month and --this-month cannot be combined"),
        (("--this-week", "--until", "today"), "--this-week and --until cannot be combined"),
        (("--per", "user"), "--per has an effect only with --budget"),
        (("--budget", "5", "--by", "day"), "--by day cannot be combined with --budget"),
        (("--budget", "-1"), "--budget: '-1' is not an amount"),
        (("--budget", "nan"), "--budget: 'nan' is not an amount"),
        (("--budget", "1e400000000"), "is not an amount"),
        (("--round", "13"), "--round"),
        (("--cost", "guess"), "--cost"),
        (("--bars", "-o", "json"), "--bars and -o json cannot be combined"),
        (("--after", "start", "--month", "2026-10"), "--month cannot be combined with --after"),
        (("--after", "start", "--cost", "auto"), "--cost cannot be combined with --after"),
        (("--after", "start", "--bars"), "--bars cannot be combined with --after"),
        (("--budget", "5", "explain", "a"), "--budget is an option of chatstore usage, not of chatstore usage explain"),
        (("--last-month", "rollup"), "--last-month is an option of chatstore usage, not of chatstore usage rollup"),
        (("--cost", "auto", "prices", "check"), "--cost is an option of chatstore usage, not of"),
    ],
)
def test_wrong_use_exits_with_2_and_names_the_options(
    reader: Chatstore, arguments: tuple[str, ...], message: str
) -> None:
    outcome = reader("usage", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_currencies_are_not_mixed(in_euros: Chatstore) -> None:
    in_pounds = replace(in_euros, environment={**in_euros.environment, "CHATSTORE_USAGE__CURRENCY": "GBP"})
    for command in (CALCULATE, ("usage", "prices", "check"), ("usage", "prices", "show", "m-1")):
        outcome = in_pounds(*command)
        assert outcome.code == 2
        assert "prices.yaml, line 1: the currency is EUR, but chatstore.usage.currency is GBP" in outcome.err
    assert in_pounds("usage").code == 0  # stored costs need no prices
    wrong = in_euros("usage", env={"CHATSTORE_USAGE__CURRENCY": "euro"})
    assert "is not a currency: three capital letters" in wrong.err
