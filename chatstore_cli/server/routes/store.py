"""chatstore's own routes: sessions of every layout, their messages, search, usage and status. Keys are those of `-o json`."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query

from chatstore_cli.core.readers import find_session
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.sessions.listing import LARGEST_PAGE, SessionView, list_sessions, show_session
from chatstore_cli.core.usage.groupings import UsageGrouping
from chatstore_cli.core.usage.report import report_usage
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import BadValue, NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.periods import Period, read_period
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.search.models import SearchHit, SearchMode, SearchQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.rows.search import hit_row
from chatstore_cli.render.rows.sessions import message_row, session_row, session_view_row
from chatstore_cli.server.auditing import note_reading
from chatstore_cli.server.error_bodies import Refusal
from chatstore_cli.server.requests import Reader, Served, of_all_tenants
from chatstore_cli.server.tenants import tenants_of

router = APIRouter(prefix="/store", tags=["Stored sessions"])

_LARGEST_SEARCH = 200
_LARGEST_MESSAGES = 1_000

Layout = Annotated[str | None, Query(description="Only this layout.", examples=["workflow"])]
Tenant = Annotated[str | None, Query(description="Only sessions of this tenant.")]
User = Annotated[str | None, Query(description="Only sessions of this user.")]
Since = Annotated[str | None, Query(description="7d, today, or ISO 8601; inclusive.", examples=["7d"])]
Until = Annotated[str | None, Query(description="As `since`; a date includes that day.")]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Cursor = Annotated[str | None, Query(description="The next_cursor of a page.")]


@router.get("/sessions")
async def sessions(
    services: Served,
    access: Reader,
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    workflow: str | None = None,
    status: SessionStatus | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Sessions of all layouts, the most recently updated first, as `chatstore sessions list -o json`."""
    period = read_period(since, until, utc_now())
    query = SessionQuery(
        layout=layout, user_id=user, workflow=workflow, status=status, since=period.since, until=period.until
    )
    wanted = _tenants(access, tenant)

    def read() -> dict[str, Any]:
        pages = [
            list_sessions(services.stores.session_readers(layout), _of_tenant(query, each), cursor=cursor, limit=limit)
            for each in wanted
        ]
        merged = heapq.merge(*(page.sessions for page in pages), key=SessionKey.of, reverse=True)
        found = list(islice(merged, limit))
        has_more = any(page.next_cursor for page in pages) or sum(len(page.sessions) for page in pages) > limit
        next_cursor = SessionKey.of(found[-1]).to_cursor() if has_more and found else None
        notes = list(dict.fromkeys(note for page in pages for note in page.notes))
        return {"items": [session_row(each) for each in found], "next_cursor": next_cursor, "notes": notes}

    return await services.reading.run(read)


@router.get("/sessions/{session_id}")
async def session(
    session_id: str, services: Served, access: Reader, layout: Layout = None, first: int = 3, last: int = 3
) -> dict[str, Any]:
    """One session with its first and last messages, as `chatstore sessions show -o json`."""
    first, last = (max(0, min(each, _LARGEST_MESSAGES)) for each in (first, last))

    def read() -> SessionView:
        reader, _ = _visible(services.stores.session_readers(layout), session_id, access)
        return show_session([reader], session_id, first=first, last=last)

    view = await services.reading.run(read)
    if view.first_messages or view.last_messages:
        await note_reading(services, access, [(view.session.layout, view.session.session_id)])
    return session_view_row(view.session, view.first_messages, view.last_messages, view.expiry)


@router.get("/sessions/{session_id}/messages")
async def messages(
    session_id: str,
    services: Served,
    access: Reader,
    layout: Layout = None,
    after_sequence: int | None = None,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_MESSAGES)] = 100,
) -> dict[str, Any]:
    """A session's messages in their order, after a sequence. `next_cursor` is the sequence to continue after."""

    def read() -> tuple[Session, list[Message]]:
        reader, found = _visible(services.stores.session_readers(layout), session_id, access)
        selection = MessageSelection(after_sequence=after_sequence)
        return found, list(islice(reader.messages(found.session_id, selection), limit + 1))

    found, page = await services.reading.run(read)
    if page:
        await note_reading(services, access, [(found.layout, found.session_id)])
    more = str(page[limit - 1].sequence) if len(page) > limit else None
    return {"items": [message_row(each) for each in page[:limit]], "next_cursor": more}


@router.get("/search")
async def search(
    services: Served,
    access: Reader,
    text: Annotated[str, Query(min_length=1, max_length=1_000, examples=["refund"])],
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    session: str | None = None,
    role: str | None = None,
    since: Since = None,
    until: Until = None,
    substring: bool = False,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_SEARCH)] = 20,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Messages that have all words of a text, the newest first, as `chatstore search -o json`.

    Regular expressions are available on the command line only: a single one could occupy a thread of the server for minutes.
    """
    from chatstore_cli.wiring.search import message_searchers

    period = read_period(since, until, utc_now())
    mode = SearchMode.SUBSTRING if substring else SearchMode.WORDS

    def read() -> tuple[list[SearchHit], str | None, list[str]]:
        found: list[SearchHit] = []
        next_cursor: str | None = None
        notes: list[str] = []
        for each in _tenants(access, tenant):
            query = SearchQuery(text, mode, False, layout, each, user, session, role, period.since, period.until)
            page = MessageSearch(message_searchers(services.stores, layout), query, limit=limit, cursor=cursor)
            found += page.hits()
            if page.failure is not None:
                raise page.failure
            next_cursor, notes = page.next_cursor or next_cursor, [*notes, *page.notes]
        return found, next_cursor, list(dict.fromkeys(notes))

    if access.tenants is not None and tenant is None and len(access.tenants) > 1:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "The key is for several tenants: choose one with `tenant`.", kind="tenant"
        )
    hits, next_cursor, notes = await services.reading.run(read)
    await note_reading(services, access, [(hit.layout, hit.message.session_id) for hit in hits])
    return {"items": [hit_row(hit) for hit in hits], "next_cursor": next_cursor, "notes": notes}


@router.get("/usage")
async def usage(
    services: Served,
    access: Reader,
    by: Annotated[str, Query(description="Keys with commas.", examples=["day,model"])] = "tenant",
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    workflow: str | None = None,
    since: Since = None,
    until: Until = None,
) -> dict[str, Any]:
    """Tokens and cost by one or several keys, as `chatstore usage -o json`."""
    from chatstore_cli.wiring.usage import usage_sums

    groupings = _groupings(by)
    period = read_period(since, until, utc_now())
    tenants = _tenants(access, tenant)
    if len(tenants) != 1:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "The key is for several tenants: choose one with `tenant`.", kind="tenant"
        )
    query = SessionQuery(
        layout=layout, tenant_id=tenants[0], user_id=user, workflow=workflow, since=period.since, until=period.until
    )

    def read() -> dict[str, Any]:
        stores = services.stores
        ledger = usage_sums(stores) if stores.uses_mongo(layout) else None
        report = report_usage(stores.session_readers(layout), query, groupings, ledger=ledger)
        return usage_answer(report, period, services.settings.chatstore.usage.currency)

    return await services.reading.run(read)


def usage_answer(report: Any, period: Period, currency: str) -> dict[str, Any]:
    """A report as the command prints it."""
    from chatstore_cli.render.rows.usage import usage_report_row, usage_sources_row, usage_totals_row

    return {
        "items": [usage_report_row(row) for row in report.rows],
        "next_cursor": None,
        "period": period.to_dict(),
        "currency": currency,
        "totals": usage_totals_row(report.totals),
        "sources": usage_sources_row(report.totals),
        "notes": report.notes,
    }


@router.get("/status")
async def status(services: Served, access: Reader) -> dict[str, Any]:
    """What the server records and stores, of all tenants together: the queue, the worker's counters, and open sockets."""
    of_all_tenants(access)
    worker = services.worker
    stats = None if worker is None else worker.stats()
    figures = ("queue_depth", "flushed", "skipped", "quarantined", "lost", "flush_latency_p50", "flush_latency_p99")
    return {
        "uptime": round(services.uptime, 3),
        "sockets": services.sockets.open,
        "worker": None if stats is None else {name: getattr(stats, name) for name in figures},
    }


def _tenants(access: Access, tenant: str | None) -> list[str | None]:
    """The tenants to ask for. A tenant that the caller does not see has no sessions, like one that does not exist."""
    if tenant is None:
        return tenants_of(access)
    return [tenant] if access.sees(tenant) else []


def _of_tenant(query: SessionQuery, tenant: str | None) -> SessionQuery:
    from dataclasses import replace

    return replace(query, tenant_id=tenant)


def _visible(readers: Sequence[SessionReader], session_id: str, access: Access) -> tuple[SessionReader, Session]:
    """The session, if the caller sees its tenant. For a caller of some tenants the sessions of others do not exist.

    So errors must not name similar ids, or other layouts that have this id: these may be other tenants'.
    """
    if access.tenants is None:
        return find_session(readers, session_id)
    found = [(each, stored) for each in readers if (stored := each.find(session_id)) is not None]
    visible = [(each, stored) for each, stored in found if access.sees(stored.tenant_id)]
    if not visible:
        raise NotFound(kind_of_thing="session", name=session_id, where="")
    return find_session([each for each, _ in visible], session_id)


def _groupings(by: str) -> list[UsageGrouping]:
    try:
        return [UsageGrouping(word.strip()) for word in by.split(",")]
    except ValueError as error:
        raise BadValue(name="by", value=by[:60], expected=f"one of {', '.join(UsageGrouping)}") from error
