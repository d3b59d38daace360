"""Reports over HTTP: usage in the words of `chatstore usage -o json`, and what the server itself does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response

from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.core.readers import remarks_of
from chatstore_cli.core.usage.groupings import UsageGrouping, UsageOrder, groupings_named
from chatstore_cli.core.usage.pricing import CostMode, Pricing
from chatstore_cli.core.usage.report import report_usage
from chatstore_cli.domain.periods import chosen_period
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.usage import usage_report_row
from chatstore_cli.render.rows.usage_costs import beside_usage, prices_row
from chatstore_cli.server.requests import COMMON_FIGURES, Reader, Served, of_all_tenants
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.server.routes.store_answers import ServerStatus, UsageReport
from chatstore_cli.server.routes.store_query import (
    Layout,
    Since,
    StoredJson,
    Tag,
    Tenant,
    Until,
    User,
    Workflow,
    Zone,
    shown_notes,
    store_router,
    wanted_tenant,
    zone_of,
)
from chatstore_cli.wiring.labels import label_store
from chatstore_cli.wiring.prices import price_table
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.usage import usage_sums

router = store_router()

_GROUPINGS = ", ".join(UsageGrouping)


@router.get("/usage", response_class=StoredJson, responses={200: {"model": UsageReport}})
async def usage(
    services: Served,
    access: Reader,
    by: Annotated[
        str, Query(description=f"Keys with commas: {_GROUPINGS}.", examples=["day,model"], max_length=200)
    ] = "tenant",
    month: Annotated[str | None, Query(description="This month.", examples=["2026-10"], max_length=20)] = None,
    last_month: bool = False,
    this_month: bool = False,
    last_week: bool = False,
    this_week: bool = False,
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    cost: Annotated[
        CostMode, Query(description="Stored costs, calculated ones, or (auto) calculated where none is stored.")
    ] = CostMode.STORED,
    digits: Annotated[
        int | None, Query(alias="round", ge=0, le=12, description="Round costs to this many digits.")
    ] = None,
    sort: Annotated[UsageOrder | None, Query(description="By name, or by this number, the highest first.")] = None,
    top: Annotated[int | None, Query(ge=1, lt=2**31, description="Only the first groups. Totals have all.")] = None,
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    workflow: Workflow = None,
    status: SessionStatus | None = None,
    tag: Tag = None,
) -> Response:
    """Report tokens and cost by one or several keys, as `chatstore usage -o json`."""
    groupings = groupings_named("by", by)
    named = {
        "--month": month, "--last-month": last_month, "--this-month": this_month,
        "--last-week": last_week, "--this-week": this_week,
    }  # fmt: skip
    period = chosen_period(named, since, until, utc_now(), zone_of(services, timezone))
    tenants = wanted_tenant(access, tenant)
    query = SessionQuery(
        layout, tenants[0] if tenants else None, user, workflow, status, since=period.since, until=period.until,
        tag=None if tag is None else checked_tag(tag),
    )  # fmt: skip

    def read() -> bytes:
        stores, settings = services.stores, services.settings.chatstore.usage
        pricing = None if cost is CostMode.STORED else Pricing(cost, price_table(settings))
        readers, left_out = readable_sessions(stores, layout)
        ledger = usage_sums(stores) if tenants and stores.uses_mongo(layout) else None
        report = report_usage(
            readers if tenants else [], query, groupings,
            ledger=ledger, zone=period.zone, order=sort, top=top, pricing=pricing,
            labels=None if tag is None else label_store(stores),
        )  # fmt: skip
        text = PageText()
        for row in report.rows:
            text.add_or_refuse(as_json(usage_report_row(row, digits), indented=False), "Use top={rows}, or a filter.")
        answer: dict[str, Any] = {
            "next_cursor": None,
            **beside_usage(report.totals, period, settings.currency, digits),
        }
        if pricing is not None:
            missing, notes = pricing.missing_prices(), pricing.model_notes
            answer["prices"] = prices_row(pricing.mode.value, pricing.table.describe(), missing, notes)
        shown = shown_notes(access, remarks_of(readers), [*left_out, *report.notes])
        return text.body("items", after={**answer, "notes": shown})

    return json_response(await services.reading.run(read))


@router.get("/status")
async def status(services: Served, access: Reader) -> ServerStatus:
    """Report what the server records and stores, of all tenants together: the queue, the worker's counters, and open sockets."""
    of_all_tenants(access, COMMON_FIGURES)
    worker = services.worker
    stats = None if worker is None else worker.stats()
    figures = ("queue_depth", "flushed", "skipped", "quarantined", "lost", "flush_latency_p50", "flush_latency_p99")
    return ServerStatus.model_validate(
        {
            "uptime": round(services.uptime, 3),
            "sockets": services.sockets.open,
            "worker": None if stats is None else {name: getattr(stats, name) for name in figures},
        }
    )
