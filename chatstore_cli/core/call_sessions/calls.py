"""The calls of a voice application: which session is in which room. The rules over any CallSessionStore."""

from __future__ import annotations

from uuid import uuid4

from chatstore_cli.core.agents.checks import LARGEST_PAGE, checked_agent_id
from chatstore_cli.domain.calls import CALLS, DIRECTIONS, CallPage, CallSession, CallSessionStore
from chatstore_cli.domain.errors import BadValue, Conflict, InvalidCall, NotFound
from chatstore_cli.domain.phone_numbers import checked_number
from chatstore_cli.domain.queries import SessionKey
from chatstore_cli.domain.session import Session

LONGEST_TEXT = 500
"""Characters of an id, a room, a user or a reason."""


class CallSessions:
    """Starts, ends and finds calls. They are stored, so they survive a restart of the application.

    A room has at most one open call. `tenant_id` is the tenant of the caller, who sees its own calls only; None is the
    operator. Methods raise InvalidCall for a wrong value before anything is looked up.
    """

    def __init__(self, store: CallSessionStore) -> None:
        self._store = store

    def start(
        self,
        room: str,
        *,
        session_id: str | None = None,
        tenant_id: str | None = None,
        user_identity: str | None = None,
        agent_id: str | None = None,
        number: str | None = None,
        direction: str | None = None,
        replaces_own: bool = False,
    ) -> CallSession:
        """Store that a call begins in a room. Without a `session_id` it gets a new one.

        Call it before the agent is dispatched, so that no call is without its session. If the same call is started again
        with the same `session_id`, nothing changes. Raises Conflict if the room has an open call: it is not taken over.
        With `replaces_own`, an open call of the same tenant and user is ended, and this one begins: the user has come back
        after a page was closed or a process was killed.
        """
        call = CallSession(
            session_id=str(uuid4()) if session_id is None else _checked(session_id, "session_id"),
            room=_checked(room, "room"),
            tenant_id=_optional(tenant_id, "tenant_id"),
            user_identity=_optional(user_identity, "user_identity"),
            agent_id=None if agent_id is None else checked_agent_id(agent_id),
            number=None if number is None else checked_number(number),
            direction=direction,
            started_at=None,
        )
        if direction is not None and direction not in DIRECTIONS:
            raise InvalidCall(what=f"direction: {direction!r} is not {' or '.join(DIRECTIONS)}")
        try:
            return self._store.start(call)
        except Conflict:
            former = self._store.open_in(call.room, call.tenant_id) if replaces_own else None
            if former is None or (former.tenant_id, former.user_identity) != (call.tenant_id, call.user_identity):
                raise
        self._store.end(former.session_id, None, call.tenant_id, "replaced")
        return self._store.start(call)

    def end(
        self,
        *,
        session_id: str | None = None,
        room: str | None = None,
        close_reason: str | None = None,
        tenant_id: str | None = None,
    ) -> CallSession:
        """End a call, by its id or by its room, and return it. An ended call does not change.

        `room` ends the call that is open in the room now, which may be a later one than the caller knows: prefer the
        id. Raises NotFound if there was no such call.
        """
        if (session_id is None) == (room is None):
            raise InvalidCall(what="Either session_id or room is required, and not both")
        chosen, in_room = _optional(session_id, "session_id"), _optional(room, "room")
        call = self._store.end(
            chosen, in_room, _optional(tenant_id, "tenant_id"), _optional(close_reason, "close_reason")
        )
        if call is None:
            where = f" in {self._store.collection}"
            kind = "call session" if chosen is not None else "call session in the room"
            raise NotFound(kind_of_thing=kind, name=chosen or in_room or "", where=where)
        return call

    def find(self, session_id: str, *, tenant_id: str | None = None) -> CallSession | None:
        """The call with the id, open or ended. None if the call does not exist."""
        return self._store.find(_checked(session_id, "session_id"), _optional(tenant_id, "tenant_id"))

    def find_by_room(self, room: str, *, tenant_id: str | None = None) -> CallSession | None:
        """The open call in a room. None if the room has no open call."""
        return self._store.open_in(_checked(room, "room"), _optional(tenant_id, "tenant_id"))

    def list_open(self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None) -> CallPage:
        """A page of at most `limit` open calls (1 to 200), the newest first. `cursor` is the `next_cursor` of a page."""
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
            raise BadValue(name="limit", value=limit, expected=f"from 1 to {LARGEST_PAGE}")
        after = None if cursor is None else SessionKey.from_cursor(cursor)
        found = self._store.open_calls(_optional(tenant_id, "tenant_id"), after, limit + 1)
        page = found[:limit]
        return CallPage(tuple(page), _key(page[-1]).to_cursor() if len(found) > limit else None)


def _key(call: CallSession) -> SessionKey:
    return SessionKey.of(Session(call.session_id, CALLS, updated_at=call.started_at))


def _optional(value: object, field: str) -> str | None:
    return None if value is None else _checked(value, field)


def _checked(value: object, field: str) -> str:
    """A text that can be stored. An empty one is rejected, because it is most likely an unset variable."""
    if not isinstance(value, str) or not value:
        raise InvalidCall(what=f"{field}: a text is required")
    if len(value) > LONGEST_TEXT:
        raise InvalidCall(what=f"{field}: {len(value):,} characters, and at most {LONGEST_TEXT} are allowed")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise InvalidCall(what=f"{field}: NUL and lone surrogates cannot be stored")
    return str(value)
