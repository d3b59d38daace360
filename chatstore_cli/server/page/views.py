"""The views of lists: each asks the route with the same content, and draws its answer.

So a view shows what the route answers to the same caller: the same rows, and the same limits of tenants.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from chatstore_cli.core.sessions.message_place import MessagePlace
from chatstore_cli.domain.message import ROLES
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.times import as_utc
from chatstore_cli.render.rows.search import snippet_pieces
from chatstore_cli.server.page.forms import Form, Text, one_of, shown_tenant
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.page.trail import Cursor, Trail, previous_page, trail_after
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes import agents, store, store_search
from chatstore_cli.server.services import Services

router = APIRouter(include_in_schema=False)

_ROWS = 50
_AGENTS = 20
_LONGEST_CONFIG = 20_000
"""Characters of a configuration that are drawn."""

_PAUSED = "paused"
_STATUSES = (*map(str, SessionStatus), _PAUSED)
"""The choices of a status. To be paused is a flag beside the status, for which /store/sessions has another parameter."""

_MOST_TAGS = 12
"""Tags of a session that a row of the list shows."""


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
    fields = {
        "layout": layout, "tenant": tenant, "user": user, "workflow": workflow, "status": status, "tag": tag,
        "title": title, "since": since, "until": until,
    }  # fmt: skip
    form = Form(fields)
    form.check(view.zone, {"status": _STATUSES})
    answer = None
    if not form.errors:
        chosen: dict[str, Any] = {**form.filters}
        if status == _PAUSED:
            chosen["status"], chosen["paused"] = None, True
        elif status:
            chosen["status"] = SessionStatus(status)
        with form.reports():
            answer = await store.sessions(
                services, access, **chosen, timezone=view.zone_name, limit=_ROWS, cursor=cursor or None
            )
    layouts = await _layouts(services)

    def values() -> dict[str, Any]:
        return {
            **_paged(None if answer is None else _content(answer), cursor, trail),
            "form": form,
            "layouts": layouts,
            "statuses": _STATUSES,
            "most_tags": _MOST_TAGS,
        }

    return await view.draw("sessions.html", values, form.status)


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
    tenants = one_of(access)
    fields = {
        "text": text, "layout": layout, "tenant": shown_tenant(tenants, tenant), "user": user, "role": role,
        "since": since, "until": until, "substring": "true" if substring else "",
    }  # fmt: skip
    form = Form(fields, always_shown=["text"], usual={"tenant": shown_tenant(tenants, "")}, main="text")
    form.check(view.zone, {})
    answer = None
    if text.strip() and not form.errors:
        chosen: dict[str, Any] = {**form.filters, "substring": substring}
        with form.reports():
            answer = await store_search.search(
                services, access, **chosen, timezone=view.zone_name, limit=_ROWS, cursor=cursor or None
            )
    layouts = await _layouts(services)

    def values() -> dict[str, Any]:
        found = None if answer is None else _content(answer)
        for hit in [] if found is None else found["items"]:
            hit["pieces"] = list(snippet_pieces(hit))
            hit["place"] = _place(hit).to_cursor()
        return {
            **_paged(found, cursor, trail),
            "form": form,
            "layouts": layouts,
            "roles": sorted(ROLES),
            "tenants": tenants,
        }

    return await view.draw("search.html", values, form.status)


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


async def _layouts(services: Services) -> list[str]:
    """The layouts that are used."""
    readers = await services.reading.run(lambda: services.stores.session_readers(None))
    return [each.layout for each in readers]
