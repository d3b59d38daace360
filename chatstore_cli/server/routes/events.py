"""Changes of sessions as server-sent events: what `chatstore sessions watch -o jsonl` prints."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import Header
from fastapi.responses import StreamingResponse

from chatstore_cli.core.labels.labelled import labelled_change
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.watch import SessionChange
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.watch import change_row
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.live import Published
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.store_query import store_router
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.labels import shown_labels
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.stores import Stores

router = store_router()

_SECONDS_BETWEEN_SIGNS = 15.0
"""A comment is sent after this time without a change. Proxies then keep the connection, and the server notices a lost client."""
_SECONDS_FOR_RIGHTS = 1.0
_MISSED = "event: missed\ndata: {}\n\n"

_EXAMPLE = {
    "schema": {"type": "string"},
    "example": 'event: changed\ndata: {"session_id": "chat-5d1c07e2", "layout": "workflow", "change": "changed"}\n\n',
}


@router.get("/events", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": _EXAMPLE}}})
async def events(
    services: Served,
    access: Reader,
    layout: str | None = None,
    tenant: str | None = None,
    user: str | None = None,
    workflow: str | None = None,
    status: SessionStatus | None = None,
    last_event_id: Annotated[str | None, Header(description="Resume after the event with this id.")] = None,
) -> StreamingResponse:
    """Changes of sessions from now on. An event is named after the change: new, changed or deleted.

    The comment `watching` comes as soon as every later change is reported. Comments before it name the layouts that are left
    out because the database's user may not read them. Until then the comment `waiting for the database`
    comes every 15 seconds.

    With `Last-Event-ID` the stream resumes after that event: the process keeps its last 1,000 changes. If it does not have
    them all, the event `missed` comes first: list the sessions again. If the client reads too slowly, `missed` is sent and
    the stream ends. It also ends when the server stops.
    """
    query = SessionQuery(layout=layout, tenant_id=tenant, user_id=user, workflow=workflow, status=status)

    # Without a database, and for a layout that is unknown or may not be read, no event would ever come.
    if not services.settings.mongo.enabled:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The database is disabled, so there are no events.")
    notes = await services.reading.run(lambda: _left_out(services.stores, layout))
    if notes is not None:
        services.live.require_notes(notes)

    def wants(change: SessionChange) -> bool:
        return access.sees(change.session.tenant_id) and query.matches(change.session)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        _stream(services, access, wants, last_event_id, layout), media_type="text/event-stream", headers=headers
    )


def _left_out(stores: Stores, layout: str | None) -> list[str] | None:
    """A note for each layout that the user may not read; None if the database does not answer soon: the stream waits for it.

    Raises NotAllowed if the user may not read the named layout, or none.
    """
    stores.session_readers(layout)
    with suppress(Unreachable), stores.within(_SECONDS_FOR_RIGHTS):
        readable_sessions(stores, layout)
        return readable_sessions(stores, None).notes
    return None


async def _stream(
    services: Services,
    access: Access,
    wants: Callable[[SessionChange], bool],
    last_event_id: str | None,
    layout: str | None = None,
) -> AsyncIterator[str]:
    stopping = asyncio.create_task(services.connections.stopping.wait())
    try:
        with services.live.subscribe(wants) as subscription:
            earlier = [] if last_event_id is None else services.live.after(last_event_id)
            is_announced = False
            while not stopping.done() and services.still_grants(access):
                if services.live.is_watching and not is_announced:
                    is_announced = True
                    for note in services.live.notes if layout is None else ():
                        yield f": {note}\n\n"
                    yield ": watching\n\n"
                    if earlier is None:
                        yield _MISSED
                    for published in earlier or ():
                        if wants(published.change):
                            yield await _event(services, published)
                waiting = asyncio.create_task(subscription.next(_SECONDS_BETWEEN_SIGNS))
                await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                if not services.still_grants(access):  # the key was revoked while this waited for the change
                    return
                if subscription.overflowed:
                    yield _MISSED
                    return
                if (found := waiting.result()) is not None:
                    yield await _event(services, found)
                elif is_announced:
                    yield ": no change\n\n"
                elif not services.live.is_watching:
                    yield ": waiting for the database\n\n"
    finally:
        stopping.cancel()


async def _event(services: Services, published: Published) -> str:
    """The event with the present title and tags of its session; without them if the database does not answer."""
    event_id, change = published
    with suppress(Unreachable):
        change = await services.reading.run(lambda: labelled_change(published.change, shown_labels(services.stores)))
    return f"id: {event_id}\nevent: {change.change.value}\ndata: {as_json(change_row(change), indented=False)}\n\n"
