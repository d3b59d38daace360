"""Deleting a session from its view: first the plan, then the deletion, as `chatstore sessions delete` does it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from chatstore_cli.core.sessions.removal import Removal, plan_removal
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.render.rows.sessions import removal_row
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.requests import Administrator, Served
from chatstore_cli.server.routes.store_query import visible_session
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.labels import shown_labels

router = APIRouter(include_in_schema=False)

_Id = Annotated[str, Query(alias="id", min_length=1, max_length=10_000)]
_Layout = Annotated[str, Query(min_length=1, max_length=1_000)]


class SessionToDelete(BaseModel):
    """The session whose plan was shown."""

    layout: Annotated[str, Field(min_length=1, max_length=1_000)]
    id: Annotated[str, Field(min_length=1, max_length=10_000)]


@router.get("/page/session/delete")
async def plan(
    view: RequestedView, services: Served, access: Administrator, session_id: _Id, layout: _Layout
) -> HTMLResponse:
    """What would be deleted."""
    removal = await services.reading.run(lambda: _removal(services, access, layout, session_id))
    return await view.draw("deletion.html", lambda: {"plan": removal.plan, "layout": layout, "session_id": session_id})


@router.post("/page/session/delete")
async def delete(services: Served, access: Administrator, named: SessionToDelete) -> dict[str, object]:
    """Delete the session, and return what was deleted, as rows and as text. A later flush of an old journal does not restore it."""

    def carry_out() -> dict[str, object]:
        removal = _removal(services, access, named.layout, named.id)
        removed = removal.carry_out(services.stores.clock_of(removal.layout))
        rows = [removal_row(part) for part in removed if part.documents]
        return {"deleted": rows, "message": removal.report(removed)}

    return await services.reading.run(carry_out)


def _removal(services: Services, access: Access, layout: str, session_id: str) -> Removal:
    readers = services.stores.session_readers(layout)
    reader, found = visible_session(readers, session_id, access)
    if found.shared_id is not None and access.tenants is not None:  # the other documents may be another tenant's
        hint = "A user with a key for all tenants can see which documents they are."
        raise Conflict(what=f"Several documents have the id {found.session_id!r}.", hint=hint)
    return plan_removal([reader], found.session_id, labels=shown_labels(services.stores, layout))
