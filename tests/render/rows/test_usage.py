"""Usage reports on narrow terminals: groups remain readable, and less important figures are left out."""

from __future__ import annotations

import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from chatstore_cli.domain.usage import Usage, UsageRow
from chatstore_cli.domain.usage_ledger import CountingReason, LedgerRow
from chatstore_cli.render.formats import write
from chatstore_cli.render.listing import Listing, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.usage import usage_columns, usage_footer, usage_report_row
from chatstore_cli.render.rows.usage_ledger import EXPLAINED_COLUMNS, explained_footer, explained_row
from tests.support.usage_snapshots import START, snapshot


def table(listing: Listing, width: int) -> list[str]:
    stream = io.StringIO()
    write(listing, OutputFormat.TABLE, stream, Terminal(True, width, False))
    return stream.getvalue().splitlines()


def report(**group: str) -> Listing:
    usage = Usage(1_193_740, 205_707, 1_399_447, Decimal("1.824852"))
    row = UsageRow(dict(group), 12, usage, 1, 3)
    columns = usage_columns(row, with_source=True)
    return Listing(columns, [usage_report_row(row)], footer=usage_footer(row))


def explanation() -> Listing:
    def row(number: int, reason: str, **facts: Any) -> dict[str, Any]:
        usage_snapshot = snapshot(number, 1_500, at=START + timedelta(hours=number), **facts)
        return explained_row(
            LedgerRow(f"row-{number}", usage_snapshot, True, ()), True, usage_snapshot.counters, reason
        )

    rows = [
        row(0, CountingReason.CARRIED_OVER, run=0, agent=None, model=None),
        row(1, CountingReason.FIRST, agent="PlannerAgent", model="gpt-4o-mini"),
        row(2, CountingReason.BEYOND, agent="PlannerAgent", model="gpt-4o-mini"),
        row(3, CountingReason.NOT_ABOVE, agent="PlannerAgent", model="gpt-4o-mini"),
    ]
    return Listing(EXPLAINED_COLUMNS, rows, footer=explained_footer(Usage(4_000, 2_000, 6_000, Decimal(6)), rows))


def test_the_groups_of_a_report_stay_readable_at_60_columns() -> None:
    lines = table(report(month="2026-11", model="gpt-4o-mini", tenant_id="harbor-books"), 60)

    assert [word in lines[1] for word in ("2026-11", "gpt-4o-mini", "harbor-books", "1.824852")] == [True] * 4
    assert "COST UNKNOWN" not in lines[0]
    assert max(map(len, lines)) <= 60


def test_a_session_s_id_and_its_cost_are_whole_at_60_columns() -> None:
    lines = table(report(session_id="0f9d1c07-e293-4b8f-91aa-5d1c07e293b8", layout="workflow"), 60)

    assert "0f9d1c07-e293-4b8f-91aa-5d1c07e293b8" in lines[1]
    assert "1.824852 + unknown" in lines[1]


def test_a_wide_terminal_shows_every_figure() -> None:
    header = table(report(tenant_id="harbor-books"), 140)[0].split("  ")

    assert [title.strip() for title in header if title] == [
        "TENANT", "SESSIONS", "PROMPT", "COMPLETION", "TOKENS", "COST", "COST UNKNOWN", "FROM COUNTERS", "SOURCE"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "total"), [(True, "0.5"), (False, "0.5 + unknown")], ids=["later report has the cost", "other turn"]
)
def test_an_explanation_shows_an_unknown_cost_as_unknown(known: bool, total: str) -> None:
    rows = []
    for number, cost in enumerate((None, Decimal("0.5"))):
        turn = None if known else f"turn-{number}"
        reported = snapshot(number, 100, cost=cost, turn_id=turn)
        ledger_row = LedgerRow(f"row-{number}", reported, True, ())
        rows.append(explained_row(ledger_row, True, reported.counters, CountingReason.TURN))
    lines = table(
        Listing(EXPLAINED_COLUMNS, rows, footer=explained_footer(Usage(120, 80, 200, Decimal("0.5")), rows)), 160
    )

    assert lines[1].count("unknown") == 2
    assert total in [cell.strip() for cell in lines[3].split("  ")]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_an_explanation_has_one_line_per_row_with_agent_and_model(width: int) -> None:
    lines = table(explanation(), width)

    assert len(lines) == 1 + 4 + 1
    assert [title in lines[0] for title in ("AGENT", "MODEL", "ADDED")] == [True] * 3
    assert "PlannerA" in lines[2]
    assert "gpt-4o-m" in lines[2]
    assert max(map(len, lines)) <= width


def test_an_explanation_says_why_at_80_columns() -> None:
    lines = table(explanation(), 80)

    assert [line.rstrip().endswith(why) for line, why in zip(
        lines[1:], ("counters before", "first report", "above earlier", "not above earlier"), strict=False
    )] == [True] * 4  # fmt: skip
