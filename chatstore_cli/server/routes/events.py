"""Changes of sessions as server-sent events: what `chatstore sessions watch -o jsonl` prints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.watch import SessionChange
from chatstore_cli.render.rows.watch import change_row
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.services import Services

router = APIRouter(prefix="/store", tags=["Stored sessions"])

_SECONDS_BETWEEN_SIGNS = 15.0
"""A comment is sent after this time without a change. Proxies then keep the connection, and the server notices a lost client."""


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
) -> StreamingResponse:
    """Changes of sessions from now on. An event is named after the change: new, changed or deleted.

    If the client reads too slowly, the event `missed` is sent and the stream ends: list the sessions again, and reconnect.
    """
    query = SessionQuery(layout=layout, tenant_id=tenant, user_id=user, workflow=workflow, status=status)

    def wants(change: SessionChange) -> bool:
        return access.sees(change.session.tenant_id) and query.matches(change.session)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(services, access, wants), media_type="text/event-stream", headers=headers)


async def _stream(services: Services, access: Access, wants: Callable[[SessionChange], bool]) -> AsyncIterator[str]:
    stopping = asyncio.create_task(services.connections.stopping.wait())
    try:
        with services.live.subscribe(wants) as subscription:
            yield ": watching\n\n"
            while not stopping.done() and services.still_grants(access):
                waiting = asyncio.create_task(subscription.next(_SECONDS_BETWEEN_SIGNS))
                await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                if subscription.overflowed:
                    yield "event: missed\ndata: {}\n\n"
                    return
                change = waiting.result()
                yield ": no change\n\n" if change is None else _event(change)
    finally:
        stopping.cancel()


def _event(change: SessionChange) -> str:
    return f"event: {change.change.value}\ndata: {json.dumps(change_row(change), ensure_ascii=False)}\n\n"
