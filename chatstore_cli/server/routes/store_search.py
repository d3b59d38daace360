"""Search over HTTP: the messages that have a text, in the words of `chatstore search -o json`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from chatstore_cli.core.choices import require_known_role
from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.core.labels.labelled import refs_with_tag
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.periods import read_period
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from chatstore_cli.domain.times import rfc3339, utc_now
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.search import hit_row
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.server.routes.store_answers import HitList
from chatstore_cli.server.routes.store_query import (
    Cursor,
    Layout,
    Since,
    StoredJson,
    Tag,
    Tenant,
    Until,
    User,
    Zone,
    readable_session,
    shown_notes,
    store_router,
    wanted_tenant,
    zone_of,
)
from chatstore_cli.wiring.labels import label_store
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.search import message_searchers

router = store_router()

_LARGEST_PAGE = 200
_TIME_OF_A_PAGE = 0.5
"""The share of `read_seconds` after which a search ends its page. The rest of the time is for the step that is read then."""


@router.get("/search", response_class=StoredJson, responses={200: {"model": HitList}})
async def search(
    services: Served,
    access: Reader,
    text: Annotated[str, Query(min_length=1, max_length=1_000, examples=["refund"])],
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    session: Annotated[str | None, Query(description="Only this session.", max_length=1_000)] = None,
    role: Annotated[str | None, Query(description="Only messages of this role.", max_length=1_000)] = None,
    tag: Tag = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    substring: Annotated[bool, Query(description="Find the text inside words too. No index is used.")] = False,
    case: Annotated[bool, Query(description="Distinguish capital and small letters.")] = False,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = 20,
    cursor: Cursor = None,
) -> Response:
    """Find the messages that have all words of a text, the newest first, as `chatstore search -o json`.

    If a page takes long, it ends early, perhaps without a message. Then a note reports how far back the search has come,
    and `next_cursor` continues there.

    Regular expressions are available on the command line only: a single one could occupy a thread of the server for minutes.
    """
    period = read_period(since, until, utc_now(), zone_of(services, timezone))
    mode = SearchMode.SUBSTRING if substring else SearchMode.WORDS
    tenants = wanted_tenant(access, tenant)
    filters = (layout, tenants[0] if tenants else None, user, session, role, period.since, period.until)
    query = SearchQuery(text, mode, case, *filters)
    shown: list[tuple[str, str]] = []
    word = None if tag is None else checked_tag(tag)
    seconds = services.settings.chatstore.server.read_seconds * _TIME_OF_A_PAGE

    def read() -> bytes:
        is_time_over = over_after(seconds)
        readers, left_out = readable_sessions(services.stores, layout)
        searchers = message_searchers(readers)
        asked = query
        if word is not None:
            tagged = refs_with_tag(readers, label_store(services.stores), word, query.tenant_id)
            asked = replace(query, among=tagged)
        page = PageText()
        found = MessageSearch(
            searchers,
            asked,
            limit=limit,
            cursor=cursor,
            fits=lambda hit: page.add(as_json(hit_row(hit), indented=False)),
            is_time_over=is_time_over,
        )
        if session is not None:
            _require(session)
        for hit in found.hits() if tenants else ():
            shown.append((hit.layout, hit.message.session_id))
        if found.failure is not None:
            raise found.failure
        if not shown and cursor is None and found.next_cursor is None:
            require_known_role(role)
        notes = shown_notes(access, found.collection_notes, [*left_out, *found.notes])
        if (back_to := found.searched_back_to) is not None:
            notes.append(f"Messages were searched back to {rfc3339(back_to)} so far. The next page continues there.")
        return page.body("items", after={"next_cursor": found.next_cursor, "notes": notes})

    def _require(session_id: str) -> None:
        try:
            readable_session(services.stores, layout, session_id, access)
        except Conflict:  # it is searched in each of the layouts that have it
            return

    body = await services.reading.run(read)
    await note_reading(services, access, shown)
    return json_response(body)


def over_after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds are over, from now on."""
    ends_at = time.monotonic() + seconds
    return lambda: time.monotonic() >= ends_at
