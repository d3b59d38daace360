"""chatstore's own routes: sessions of every layout, and their messages. Keys are those of `-o json`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.responses import Response

from chatstore_cli.core.labels.checks import checked_tag
from chatstore_cli.core.readers import remarks_of
from chatstore_cli.core.sessions.listing import LARGEST_PAGE, SessionPage, SessionView, list_sessions, show_session
from chatstore_cli.core.sessions.message_page import LARGEST_PAGE as MOST_MESSAGES
from chatstore_cli.core.sessions.message_page import message_page
from chatstore_cli.core.sessions.message_place import MessagePlace
from chatstore_cli.core.sessions.sorting import SORT_FIELDS, SessionOrder
from chatstore_cli.core.sessions.totals import session_total
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.periods import read_period
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.times import utc_now
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.artifacts import artifact_values
from chatstore_cli.render.rows.sessions import foreign_row, message_row, session_row, session_view_row
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.page_text import PageText, json_response
from chatstore_cli.server.routes.store_answers import MessageList, SessionList, ShownSession
from chatstore_cli.server.routes.store_query import (
    Cursor,
    Layout,
    Since,
    StoredJson,
    Tag,
    Tenant,
    Until,
    User,
    Workflow,
    Zone,
    notes_of_session,
    readable_session,
    shown_notes,
    store_router,
    wanted_tenants,
    zone_of,
)
from chatstore_cli.wiring.artifacts import artifact_reader
from chatstore_cli.wiring.labels import label_store, shown_labels
from chatstore_cli.wiring.readable import readable_sessions

router = store_router()

SessionId = Annotated[str, Path(description="The exact id of the session.", examples=["chat-5d1c07e2"])]
QueriedId = Annotated[
    str, Query(alias="id", min_length=1, max_length=10_000, description="The exact id.", examples=["a/messages"])
]
Count = Annotated[int, Query(ge=0, le=MOST_MESSAGES)]
AfterSequence = Annotated[int | None, Query(ge=-(2**63), lt=2**63, description="Only messages with a higher sequence.")]
Last = Annotated[int | None, Query(ge=0, le=MOST_MESSAGES, description="Only the newest ones, without a cursor.")]
Limit = Annotated[int, Query(ge=1, le=MOST_MESSAGES)]


@router.get("/sessions", response_class=StoredJson, responses={200: {"model": SessionList}})
async def sessions(
    services: Served,
    access: Reader,
    layout: Layout = None,
    tenant: Tenant = None,
    user: User = None,
    workflow: Workflow = None,
    status: SessionStatus | None = None,
    paused: Annotated[bool, Query(description="Only paused sessions.")] = False,
    tag: Tag = None,
    since: Since = None,
    until: Until = None,
    timezone: Zone = None,
    title: Annotated[
        str | None, Query(min_length=1, max_length=1_000, description="Only titles with this text, in any case.")
    ] = None,
    model: Annotated[
        str | None,
        Query(min_length=1, max_length=1_000, description="Only sessions whose stored usage names this model."),
    ] = None,
    min_messages: Annotated[int | None, Query(ge=1)] = None,
    min_tokens: Annotated[int | None, Query(ge=0)] = None,
    min_cost: Annotated[Decimal | None, Query(ge=0, examples=["0.50"])] = None,
    sort: Annotated[
        str | None,
        Query(description=f"One of {', '.join(SORT_FIELDS)}; with :asc or :desc if needed. Such a list has one page."),
    ] = None,
    count: Annotated[bool, Query(description="Also count the sessions that match, if that is quick.")] = False,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
    cursor: Cursor = None,
) -> Response:
    """List sessions of all layouts, the most recently updated first, as `chatstore sessions list -o json`.

    No index has `title`, `model`, the `min_` filters and the orders of `sort`: such a list reads sessions one by one, at
    most 10,000 for at most 5 seconds. `notes` has what the command prints on stderr. With `count`, `total` is the number
    of sessions that match, or null if it is not known soon; if `total_is_exact` is false, there are more.
    """
    period = read_period(since, until, utc_now(), zone_of(services, timezone))
    query = SessionQuery(
        layout, None, user, workflow, status, period.since, period.until,
        paused=paused, tag=None if tag is None else checked_tag(tag),
        title=title, model=model, min_messages=min_messages, min_tokens=min_tokens, min_cost=min_cost,
    )  # fmt: skip
    order = None if sort is None else SessionOrder.parse(sort)

    def read() -> bytes:
        stores = services.stores
        readers, left_out = readable_sessions(stores, layout)
        labels = shown_labels(stores, layout) if tag is None else label_store(stores)
        pages: list[SessionPage] = []
        totals: list[tuple[int, bool] | None] = []
        for each in wanted_tenants(access, tenant):
            of_tenant = replace(query, tenant_id=each)
            page = list_sessions(readers, of_tenant, cursor=cursor, limit=limit, labels=labels, order=order)
            pages.append(page)
            if count:
                totals.append(session_total(page, readers, of_tenant))
        text = PageText()
        next_cursor = _add_merged(text, pages, order, limit)
        sees_all = access.tenants is None
        answer: dict[str, Any] = {
            "next_cursor": next_cursor,
            "foreign_documents": [foreign_row(each) for page in pages for each in page.foreign] if sees_all else [],
            "unaddressable_sessions": sum(page.unaddressable for page in pages) if sees_all else 0,
            "notes": shown_notes(
                access,
                remarks_of(readers),
                [*left_out, *(note for page in pages for note in page.notes)],
            ),
        }
        if count:
            known = [each for each in totals if each is not None]
            is_known = len(known) == len(totals)
            answer["total"] = sum(number for number, _ in known) if is_known else None
            answer["total_is_exact"] = is_known and all(is_exact for _, is_exact in known)
        return text.body("items", after=answer)

    return json_response(await services.reading.run(read))


def _add_merged(text: PageText, pages: list[SessionPage], order: SessionOrder | None, limit: int) -> str | None:
    """Add one page of the pages of several tenants, and return its cursor."""
    every = [session for page in pages for session in page.sessions]
    every = sorted(every, key=SessionKey.of, reverse=True) if order is None else order.sorted(every)
    for each in every[:limit]:
        row = as_json(session_row(each), indented=False)
        if order is not None:
            text.add_or_refuse(row, "A list with `sort` has one page: use limit={rows}.")
        elif not text.add(row):
            break
    found = every[: len(text)]
    has_more = any(page.is_truncated for page in pages) or len(every) > len(found)
    return SessionKey.of(found[-1]).to_cursor() if has_more and found and order is None else None


@router.get("/sessions/{session_id:path}/messages", response_class=StoredJson, responses={200: {"model": MessageList}})
async def messages(
    session_id: SessionId,
    services: Served,
    access: Reader,
    layout: Layout = None,
    after_sequence: AfterSequence = None,
    last: Last = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """List the messages of a session in their order. With `cursor`, the page after the one that has this next_cursor.

    A page ends before `limit` if its messages have more than 16 MiB. The newest messages (`last`) then get 413.
    """
    given = {"after_sequence": after_sequence, "last": last, "cursor": cursor}
    if len(names := [name for name, value in given.items() if value is not None]) > 1:
        raise WrongUse(what=f"{names[0]} and {names[1]} cannot be combined.", hint="Remove one of them.")
    place = MessagePlace(after_sequence) if cursor is None else MessagePlace.from_cursor(cursor)

    page = PageText()

    def read() -> tuple[Session, bytes]:
        reader, found = readable_session(services.stores, layout, session_id, access, count_to=0)
        following = None
        if last is None:
            _, following = message_page(reader, found.session_id, place, limit, lambda each: page.add(_text(each)))
        else:
            for each in islice(reader.messages(found.session_id, MessageSelection(last=last)), last):
                page.add_or_refuse(_text(each), "Use a smaller `last`, or pages with `cursor`.")
        next_cursor = None if following is None else following.to_cursor()
        return found, page.body("items", after={"next_cursor": next_cursor})

    found, body = await services.reading.run(read)
    if page:
        await note_reading(services, access, [(found.layout, found.session_id)])
    return json_response(body)


@router.get("/sessions/{session_id:path}", response_class=StoredJson, responses={200: {"model": ShownSession}})
async def session(
    session_id: SessionId,
    services: Served,
    access: Reader,
    layout: Layout = None,
    first: Count = 3,
    last: Count = 3,
) -> StoredJson:
    """Show a session with its first and last messages, as `chatstore sessions show -o json`."""

    text = PageText()

    def read() -> SessionView:
        stores = services.stores
        reader, _ = readable_session(stores, layout, session_id, access, count_to=0)
        return show_session(
            [reader],
            session_id,
            first=first,
            last=last,
            artifacts=lambda: artifact_reader(stores),
            labels=shown_labels(stores, layout),
            on_message=lambda each: text.add_or_refuse(_text(each), "Use a smaller `first` and `last`."),
        )

    view = await services.reading.run(read)
    if view.first_messages or view.last_messages:
        await note_reading(services, access, [(view.session.layout, view.session.session_id)])
    row = session_view_row(view.session, view.first_messages, view.last_messages, view.expiry)
    notes = notes_of_session(access, view.session, view.notes)
    return StoredJson({**row, **artifact_values(view.artifacts), "notes": notes})


@router.get("/session/messages", response_class=StoredJson, responses={200: {"model": MessageList}})
async def messages_by_query(
    session_id: QueriedId,
    services: Served,
    access: Reader,
    layout: Layout = None,
    after_sequence: AfterSequence = None,
    last: Last = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """As `/store/sessions/{session_id}/messages`, for any id: see `/store/session`."""
    return await messages(session_id, services, access, layout, after_sequence, last, limit, cursor)


@router.get("/session", response_class=StoredJson, responses={200: {"model": ShownSession}})
async def session_by_query(
    session_id: QueriedId, services: Served, access: Reader, layout: Layout = None, first: Count = 3, last: Count = 3
) -> StoredJson:
    """As `/store/sessions/{session_id}`, for any id.

    A path cannot have every id: one that ends in `/messages` is taken for the messages of another session, and clients
    resolve `.` and `..` themselves.
    """
    return await session(session_id, services, access, layout, first, last)


def _text(message: Message) -> str:
    return as_json(message_row(message), indented=False)
