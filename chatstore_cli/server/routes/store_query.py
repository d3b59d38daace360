"""The parameters of chatstore's own routes, and what a caller of them sees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from chatstore_cli.config.time_zones import time_zone
from chatstore_cli.core.readers import find_session
from chatstore_cli.core.similar import did_you_mean
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import BadValue, NotFound, WrongUse
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.render.json_text import as_json
from chatstore_cli.server.entrance.tenants import tenants_of
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.stores import Stores

_LONGEST = 1_000
_LONGEST_CURSOR = 20_000
_LONGEST_NAME = 60

Layout = Annotated[str | None, Query(description="Only this layout.", examples=["workflow"], max_length=_LONGEST)]
Tenant = Annotated[
    str | None, Query(description="Only sessions of this tenant.", examples=["acme"], max_length=_LONGEST)
]
User = Annotated[str | None, Query(description="Only sessions of this user.", examples=["ana"], max_length=_LONGEST)]
Workflow = Annotated[str | None, Query(description="Only sessions of this workflow.", max_length=_LONGEST)]
Tag = Annotated[str | None, Query(description="Only sessions with this tag.", max_length=_LONGEST)]
Since = Annotated[
    str | None, Query(description="7d, today, or ISO 8601; inclusive.", examples=["7d"], max_length=_LONGEST)
]
Until = Annotated[
    str | None, Query(description="As `since`, exclusive. A date includes that day.", max_length=_LONGEST)
]
Zone = Annotated[
    str | None,
    Query(
        description="The time zone of days, and of times without an offset (default: chatstore.timezone).",
        examples=["Europe/Berlin"],
        max_length=100,
    ),
]
Cursor = Annotated[str | None, Query(description="The next_cursor of a page.", max_length=_LONGEST_CURSOR)]


_OF_THE_GATE = frozenset({"access_token"})
"""Parameters that no route has, and the gate may read."""


def store_router() -> APIRouter:
    """A router of chatstore's own routes. They reject unknown parameters.

    A filter with a mistyped name would otherwise be ignored, and the answer would have every session.
    """
    return APIRouter(prefix="/store", tags=["Stored sessions"], dependencies=[Depends(_only_known_parameters)])


async def _only_known_parameters(request: Request) -> None:
    known = [each.alias for each in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known and name not in _OF_THE_GATE:
            listed = f"Parameters are {', '.join(known)}." if known else "This route has no parameters."
            what = f"The parameter {name[:_LONGEST_NAME]!r} is unknown."
            raise WrongUse(what=what, hint=did_you_mean(name[:_LONGEST_NAME], known) or listed)


class StoredJson(JSONResponse):
    """JSON of stored values, which may be of any type, in the words of `-o json`."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return as_json(content, indented=False).encode("utf-8", "replace")


def zone_of(services: Services, name: str | None) -> tzinfo:
    """The time zone of a request. Raises BadValue."""
    try:
        return time_zone(name or services.settings.chatstore.timezone)
    except ValueError as error:
        raise BadValue(name="timezone", value=name, expected="the name of a time zone", hint=str(error)) from error


def wanted_tenants(access: Access, tenant: str | None) -> list[str | None]:
    """The tenants to ask for. A tenant that the caller does not see has no sessions, like one that does not exist."""
    if tenant is None:
        return tenants_of(access)
    return [tenant] if access.sees(tenant) else []


def wanted_tenant(access: Access, tenant: str | None) -> list[str | None]:
    """As `wanted_tenants`, but at most one. Raises Refusal for a key of several tenants if none of them is chosen."""
    tenants = wanted_tenants(access, tenant)
    if len(tenants) > 1:
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "The key is for several tenants: choose one with `tenant`.", kind="tenant"
        )
    return tenants


def shown_notes(access: Access, of_collections: Sequence[str], notes: Sequence[str]) -> list[str]:
    """The notices about an answer, each once. A key for some tenants gets none about what else is in a collection.

    It is told which layouts are left out, because its own totals lack them.
    """
    hidden = set() if access.tenants is None else set(of_collections)
    return [note for note in dict.fromkeys(notes) if note not in hidden]


def notes_of_session(access: Access, session: Session, notes: Sequence[str]) -> list[str]:
    """The notices about one session. Other documents with its id may be other tenants'."""
    shared = [] if session.shared_id is None else [session.shared_id.note()]
    return shown_notes(access, shared, notes)


def readable_session(
    stores: Stores, layout: str | None, session_id: str, access: Access, count_to: int | None = None
) -> tuple[SessionReader, Session]:
    """As `visible_session`, in the layouts that the database's user may read: for everything that does not change it."""
    return visible_session(readable_sessions(stores, layout).readers, session_id, access, count_to)


def visible_session(
    readers: Sequence[SessionReader], session_id: str, access: Access, count_to: int | None = None
) -> tuple[SessionReader, Session]:
    """The session, if the caller sees its tenant. For a caller of some tenants the sessions of others do not exist.

    So errors must not name similar ids, or other layouts that have this id: these may be other tenants'.
    """
    if access.tenants is None:
        return find_session(readers, session_id, count_to)
    found = [(each, stored) for each in readers if (stored := each.find(session_id, count_to)) is not None]
    visible = [(each, stored) for each, stored in found if access.sees(stored.tenant_id)]
    if not visible:
        raise NotFound(kind_of_thing="session", name=session_id, where="")
    return find_session([each for each, _ in visible], session_id, count_to)
