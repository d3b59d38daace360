"""The views of lists and reports: each asks the route with the same content, and draws its answer.

So a view shows what the route answers to the same caller: the same rows, the same limits of tenants, and the same figures
as the command.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from chatstore_cli.core.sessions.message_place import MessagePlace
from chatstore_cli.core.usage.groupings import UsageGrouping, row_keys
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import as_utc
from chatstore_cli.render.rows.search import snippet_pieces
from chatstore_cli.render.rows.usage import key_words
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.page import words
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.page.trail import Cursor, Trail, previous_page, trail_after
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes import agents, store, store_reports, store_search
from chatstore_cli.server.services import Services

router = APIRouter(include_in_schema=False)

_ROWS = 50
_AGENTS = 20
_LONGEST_CONFIG = 20_000
"""Characters of a configuration that are drawn."""

_MOST_TAGS = 12
"""Tags of a session that a row of the list shows."""
Text = Annotated[str, Query(max_length=1_000)]
"""A filter; empty means none, as forms send it."""


_MOST_GROUPS = 1_000
_SINCE = "30d"
"""The period of usage if none is chosen."""


class NamedPeriod(StrEnum):
    """A period of the calendar. /store/usage has a parameter with this name for each."""

    THIS_WEEK = "this_week"
    LAST_WEEK = "last_week"
    THIS_MONTH = "this_month"
    LAST_MONTH = "last_month"


@router.get("/page/sessions")
async def sessions(
    view: RequestedView,
    services: Served,
    access: Reader,
    layout: Text = "",
    tenant: Text = "",
    user: Text = "",
    workflow: Text = "",
    status: Text = "",
    tag: Text = "",
    title: Text = "",
    since: Text = "",
    until: Text = "",
    cursor: Cursor = "",
    trail: Trail = "",
) -> HTMLResponse:
    """The sessions, the newest update first."""
    filters = {
        "layout": layout, "tenant": tenant, "user": user, "workflow": workflow, "status": status, "tag": tag,
        "title": title, "since": since, "until": until,
    }  # fmt: skip
    chosen: dict[str, Any] = {name: value for name, value in filters.items() if value}
    if status:
        chosen["status"] = _status(status)
    answer = await store.sessions(
        services, access, **chosen, timezone=view.zone_name, limit=_ROWS, cursor=cursor or None
    )
    layouts = await _layouts(services)

    def values() -> dict[str, Any]:
        return {
            **_paged(_content(answer), cursor, trail),
            "filters": filters,
            "filtered": bool(chosen),
            "layouts": layouts,
            "statuses": list(SessionStatus),
            "most_tags": _MOST_TAGS,
        }

    return await view.draw("sessions.html", values)


@router.get("/page/search")
async def search(
    view: RequestedView,
    services: Served,
    access: Reader,
    text: Text = "",
    layout: Text = "",
    tenant: Text = "",
    user: Text = "",
    role: Text = "",
    since: Text = "",
    until: Text = "",
    substring: bool = False,
    cursor: Cursor = "",
    trail: Trail = "",
) -> HTMLResponse:
    """The messages that have all words of a text, the newest first."""
    tenants = _one_of(access)
    filters = {
        "layout": layout, "tenant": _shown(tenants, tenant), "user": user, "role": role, "since": since, "until": until,
    }  # fmt: skip
    answer = None
    if text.strip():
        chosen: dict[str, Any] = {name: value for name, value in filters.items() if value}
        answer = await store_search.search(
            services,
            access,
            text,
            **chosen,
            timezone=view.zone_name,
            substring=substring,
            limit=_ROWS,
            cursor=cursor or None,
        )
    layouts = await _layouts(services)

    def values() -> dict[str, Any]:
        found = None if answer is None else _content(answer)
        for hit in [] if found is None else found["items"]:
            hit["pieces"] = list(snippet_pieces(hit))
            hit["place"] = _place(hit).to_cursor()
        return {
            **_paged(found, cursor, trail),
            "filters": {**filters, "text": text, "substring": substring},
            "layouts": layouts,
            "roles": sorted(ROLES),
            "tenants": tenants,
        }

    return await view.draw("search.html", values)


@router.get("/page/usage")
async def usage(
    view: RequestedView,
    services: Served,
    access: Reader,
    by: UsageGrouping = UsageGrouping.DAY,
    tenant: Text = "",
    user: Text = "",
    workflow: Text = "",
    tag: Text = "",
    period: NamedPeriod | None = None,
    since: Annotated[str | None, Query(max_length=1_000)] = None,
    until: Text = "",
) -> HTMLResponse:
    """Tokens and cost, with exactly the figures of `chatstore usage`. `since` and `until` replace a named period."""
    if since or until:
        period = None
    elif since is None and period is None:
        since = _SINCE
    tenants = _one_of(access)
    filters = {
        "tenant": _shown(tenants, tenant), "user": user, "workflow": workflow, "tag": tag, "since": since, "until": until,
    }  # fmt: skip
    chosen: dict[str, Any] = {name: value for name, value in filters.items() if value}
    if period is not None:
        chosen[period.value] = True
    answer = await store_reports.usage(
        services, access, by=by.value, **chosen, timezone=view.zone_name, top=_MOST_GROUPS
    )

    def values() -> dict[str, Any]:
        report = _content(answer)
        if len(report["items"]) == _MOST_GROUPS:
            note = f"The {_MOST_GROUPS:,} rows with the most tokens are shown. The totals include all others."
            report["notes"].append(note)
        return {
            "report": {**report, "totals": _flat(report["totals"])},
            "rows": _rows_with_bars(report, by),
            "filters": {**filters, "by": by.value, "period": period},
            "groupings": list(UsageGrouping),
            "periods": list(NamedPeriod),
            "tenants": tenants,
        }

    return await view.draw("usage.html", values)


def _rows_with_bars(report: dict[str, Any], by: UsageGrouping) -> list[dict[str, Any]]:
    rows = [_flat(row) | {"key": key_words(row[row_keys([by])[0]])} for row in report["items"]]
    # The bars compare one thing, as those of `chatstore usage --bars`: costs, or tokens if no cost is known.
    measure = "cost" if any(row["cost"] for row in rows) else "total_tokens"
    numbers = [Decimal(str(row[measure] or 0)) for row in rows]
    most = max(numbers, default=Decimal(0))
    for row, number in zip(rows, numbers, strict=True):
        row["share"] = 0 if most == 0 else round(number * 100 / most, 1)
    return rows


@router.get("/page/agents")
async def saved_agents(
    view: RequestedView,
    services: Served,
    access: Reader,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
) -> HTMLResponse:
    """The saved agents with their configurations, in which secrets are masked."""
    answer = await agents.list_agents(services, access, limit=str(_AGENTS + 1), offset=str(offset))

    def values() -> dict[str, Any]:
        found = _content(answer)["agents"]
        for agent in found:
            text = json.dumps(agent["config"], indent=2, ensure_ascii=False)
            agent["config_text"], agent["missing"] = text[:_LONGEST_CONFIG], max(0, len(text) - _LONGEST_CONFIG)
        return {
            "items": found[:_AGENTS],
            "previous": max(0, offset - _AGENTS) if offset else None,
            "next": offset + _AGENTS if len(found) > _AGENTS else None,
        }

    return await view.draw("agents.html", values)


def _paged(page: dict[str, Any] | None, cursor: str, trail: str) -> dict[str, Any]:
    """A page of a list, and what its links to the other pages need."""
    following = None if page is None else page["next_cursor"]
    return {
        "page": page,
        "is_first": not cursor,
        "newer": previous_page(trail),
        "older": None if following is None else (following, trail_after(trail, cursor)),
    }


def _content(answer: Response) -> dict[str, Any]:
    """What a route answers, as the objects that its JSON describes."""
    content: dict[str, Any] = json.loads(bytes(answer.body))
    return content


def _place(hit: dict[str, Any]) -> MessagePlace:
    """The place of a found message in its session."""
    moment = hit["created_at"]
    created_at = None if moment is None else as_utc(datetime.fromisoformat(moment))
    return MessagePlace(created_at=created_at, sequence=hit["sequence"], message_id=hit["message_id"])


def _one_of(access: Access) -> list[str]:
    """The tenants of a key for several, of which search and usage show one at a time; empty for other callers."""
    tenants = sorted(access.tenants or ())
    return tenants if len(tenants) > 1 else []


def _shown(tenants: list[str], tenant: str) -> str:
    """The tenant of a view: the first of the key, unless the address names one of them."""
    return tenant if not tenants or tenant in tenants else tenants[0]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a group of usage beside each other."""
    used = row["usage"]
    return {**used, "sessions": row["sessions"], "shown_cost": words.cost(used["cost"], row["cost_complete"])}


def _status(text: str) -> SessionStatus:
    """The status of a filter. Raises Refusal for an unknown one: without the filter, the list would show other sessions."""
    try:
        return SessionStatus(text)
    except ValueError as error:
        hint = f"Choose one of: {', '.join(SessionStatus)}."
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such status.", kind="invalid", hint=hint) from error


async def _layouts(services: Services) -> list[str]:
    """The layouts that are used."""
    readers = await services.reading.run(lambda: services.stores.session_readers(None))
    return [each.layout for each in readers]
