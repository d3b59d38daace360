"""The view of usage: tokens and cost, with exactly the figures of `chatstore usage`."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from chatstore_cli.core.usage.groupings import UsageGrouping, row_keys
from chatstore_cli.render.rows.usage import key_words
from chatstore_cli.server.page import words
from chatstore_cli.server.page.forms import Form, Text, one_of, shown_tenant
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes import store_reports

router = APIRouter(include_in_schema=False)

_MOST_GROUPS = 1_000
_SINCE = "30d"
"""The period of usage if none is chosen."""

_WITHOUT = {
    UsageGrouping.DAY: "sessions without a time",
    UsageGrouping.WEEK: "sessions without a time",
    UsageGrouping.MONTH: "sessions without a time",
    UsageGrouping.TENANT: "sessions without a tenant",
    UsageGrouping.USER: "sessions without a user",
    UsageGrouping.WORKFLOW: "sessions without a workflow",
    UsageGrouping.AGENT: "usage stored without an agent",
    UsageGrouping.MODEL: "usage stored without a model",
}
"""What the row `(none)` counts. Every session has an id and a status."""


class NamedPeriod(StrEnum):
    """A period of the calendar. /store/usage has a parameter with this name for each."""

    THIS_WEEK = "this_week"
    LAST_WEEK = "last_week"
    THIS_MONTH = "this_month"
    LAST_MONTH = "last_month"


@router.get("/page/usage")
async def usage(
    view: RequestedView,
    services: Served,
    access: Reader,
    by: Text = UsageGrouping.DAY.value,
    tenant: Text = "",
    user: Text = "",
    workflow: Text = "",
    tag: Text = "",
    period: NamedPeriod | None = None,
    since: Annotated[str | None, Query()] = None,
    until: Text = "",
) -> HTMLResponse:
    """Tokens and cost. `since` and `until` replace a named period."""
    if since or until:
        period = None
    elif since is None and period is None:
        since = _SINCE
    tenants = one_of(access)
    fields = {
        "by": by, "tenant": shown_tenant(tenants, tenant), "user": user, "workflow": workflow, "tag": tag,
        "since": since or "", "until": until,
    }  # fmt: skip
    usual = {"tenant": shown_tenant(tenants, ""), "since": _SINCE if period is None else ""}
    form = Form(fields, always_shown=["by"], usual=usual)
    form.check(view.zone, {"by": UsageGrouping})
    answer = None
    if not form.errors:
        chosen: dict[str, Any] = {**form.filters}
        if period is not None:
            chosen[period.value] = True
        with form.reports():
            answer = await store_reports.usage(services, access, **chosen, timezone=view.zone_name, top=_MOST_GROUPS)

    def values() -> dict[str, Any]:
        content = None if answer is None else json.loads(bytes(answer.body))
        return {
            "report": None if content is None else _report(content, UsageGrouping(by)),
            "form": form,
            "period": period,
            "groupings": list(UsageGrouping),
            "periods": list(NamedPeriod),
            "tenants": tenants,
        }

    return await view.draw("usage.html", values, form.status)


def _report(report: dict[str, Any], by: UsageGrouping) -> dict[str, Any]:
    """What the route answers, as the template draws it."""
    notes = list(report["notes"])
    if len(report["items"]) == _MOST_GROUPS:
        notes.append(f"The {_MOST_GROUPS:,} rows with the most tokens are shown. The totals include all others.")
    return {**report, "notes": notes, "totals": _flat(report["totals"]), "rows": _rows_with_bars(report, by)}


def _rows_with_bars(report: dict[str, Any], by: UsageGrouping) -> list[dict[str, Any]]:
    name = row_keys([by])[0]
    rows = []
    for row in report["items"]:
        meaning = _WITHOUT.get(by) if row[name] is None else None
        rows.append(_flat(row) | {"key": key_words(row[name]), "meaning": meaning})
    # The bars compare one thing, as those of `chatstore usage --bars`: costs, or tokens if no cost is known.
    measure = "cost" if any(row["cost"] for row in rows) else "total_tokens"
    numbers = [Decimal(str(row[measure] or 0)) for row in rows]
    most = max(numbers, default=Decimal(0))
    for row, number in zip(rows, numbers, strict=True):
        row["share"] = 0 if most == 0 else round(number * 100 / most, 1)
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a group of usage beside each other."""
    used = row["usage"]
    return {**used, "sessions": row["sessions"], "shown_cost": words.cost(used["cost"], row["cost_complete"])}
