"""The view of one session: its messages in pages."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from chatstore_cli.core.labels.labelled import labelled
from chatstore_cli.core.readers import notes_on
from chatstore_cli.core.sessions.message_page import message_page, page_around
from chatstore_cli.core.sessions.message_place import MessagePlace, PlaceGone, is_at
from chatstore_cli.core.sessions.page_before import page_before, start_of
from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.conversation import Block, BlockKind
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.removal import SessionRemover
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import ReaderByTime, SessionReader
from chatstore_cli.render.conversation.heading import facts_of, label_of
from chatstore_cli.render.times import TimeDisplay
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.page.shell import RequestedView
from chatstore_cli.server.page.turns import turns_of
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.store_query import notes_of_session, readable_session
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.labels import shown_labels

router = APIRouter(include_in_schema=False)

_ROWS = 50
COUNTED = 1_000
"""Messages are counted up to this many, so that a long session opens as quickly as a short one."""
_FOLDED = (BlockKind.CALL, BlockKind.RESULT, BlockKind.THINKING)
_DELETED_PLACE = "The message at which the last page began or ended was deleted. These are the first messages."
_DELETED_HIT = "The session does not have this message, or it was deleted. These are its first messages."
_BEFORE_A_HIT = 3
"""Messages that are shown above the one that a search found."""

SessionId = Annotated[str, Query(alias="id", min_length=1, max_length=10_000)]
LayoutName = Annotated[str, Query(max_length=1_000)]
MessageCursor = Annotated[str, Query(max_length=20_000)]
"""The place of a message, as a cursor; empty means none, as forms send it."""


class _Page(NamedTuple):
    """The messages that are shown, the place after them, and whether there are messages before them."""

    messages: list[Message]
    following: MessagePlace | None
    has_previous: bool
    note: str = ""


def _ending(messages: list[Message], following: MessagePlace | None) -> _Page:
    """The last messages of these as a page. One more than it has shows whether there are messages before it."""
    return _Page(messages[-_ROWS:], following, has_previous=len(messages) > _ROWS)


def _has_all(found: Session, messages: list[Message]) -> bool:
    """Whether these are all messages of the session."""
    return not found.message_count_capped and len(messages) >= found.message_count


def _around(reader: SessionReader, found: Session, wanted: MessagePlace) -> _Page:
    """The page with a message, or the first page if the session does not have it.

    The number of the first message does not show whether others are before it, because these may have expired. So one
    more message is read. If that does not decide, the message before the page is looked up. In the order of times, a page
    often begins with the message itself. There, a number above 1 is enough if the session has more messages than are
    counted: a look-up costs half a view, and at worst a link leads to the same messages.
    """
    session_id = found.session_id
    more = 0 if isinstance(reader, ReaderByTime) else 1
    messages, following = page_around(reader, session_id, wanted, _BEFORE_A_HIT + more, _ROWS + more)
    index = next((index for index, message in enumerate(messages) if is_at(message, wanted)), None)
    if index is None:
        return _Page(*message_page(reader, session_id, MessagePlace(), _ROWS), has_previous=False, note=_DELETED_HIT)
    if index == _BEFORE_A_HIT + 1:
        return _Page(messages[1:], following, has_previous=True)
    if len(messages) > _ROWS:
        messages, following = page_around(reader, session_id, wanted, _BEFORE_A_HIT, _ROWS)
    if found.message_count_capped and not more and (messages[0].sequence or 0) > 1:
        return _Page(messages, following, has_previous=True)
    is_preceded = not _has_all(found, messages) and page_before(reader, session_id, start_of(messages), 1)[0] != []
    return _Page(messages, following, is_preceded)


def _newest(reader: SessionReader, session_id: str) -> _Page:
    """The last page."""
    newest = reader.messages(session_id, MessageSelection(last=_ROWS + 1))
    return _ending(list(islice(newest, _ROWS + 1)), None)


@router.get("/page/session")
async def session(
    view: RequestedView,
    services: Served,
    access: Reader,
    session_id: SessionId,
    layout: LayoutName = "",
    after: MessageCursor = "",
    before: MessageCursor = "",
    hit: MessageCursor = "",
    at: Annotated[str, Query(pattern=r"^(end|\d{1,18})?$")] = "",
) -> HTMLResponse:
    """A page of messages: the first ones, those after or before a place, those around one, or (`at=end`) the last ones."""
    wanted = MessagePlace.from_cursor(hit) if hit else MessagePlace(sequence=int(at)) if at.isdecimal() else None

    def wanted_page(reader: SessionReader, found: Session) -> _Page:
        if at == "end":
            return _newest(reader, session_id)
        if before and (earlier := page_before(reader, session_id, MessagePlace.from_cursor(before), _ROWS + 1))[0]:
            return _ending(*earlier)
        if wanted is not None:
            return _around(reader, found, wanted)
        if not after:
            return _Page(*message_page(reader, session_id, MessagePlace(), _ROWS), has_previous=False)
        messages, following = message_page(reader, session_id, MessagePlace.from_cursor(after), _ROWS)
        if not messages:  # what followed was deleted
            return _newest(reader, session_id)
        return _Page(messages, following, has_previous=not _has_all(found, messages))

    def page_of(reader: SessionReader, found: Session) -> _Page:
        try:
            return wanted_page(reader, found)
        except PlaceGone:
            first = message_page(reader, session_id, MessagePlace(), _ROWS)
            return _Page(*first, has_previous=False, note=_DELETED_PLACE)

    def read() -> tuple[Session, _Page, bool]:
        stores = services.stores
        reader, found = readable_session(stores, layout or None, session_id, access, COUNTED)
        (found,) = labelled([found], shown_labels(stores, found.layout))
        return found, page_of(reader, found), isinstance(reader, SessionRemover) and access.right.includes(Right.ADMIN)

    found, page, can_delete = await services.reading.run(read)
    await note_shown(services, access, found, page.messages)

    def values() -> dict[str, Any]:
        return {
            "session": found,
            "notes": [*([page.note] if page.note else []), *notes_of_session(access, found, notes_on(found))],
            "facts": facts_of(found, TimeDisplay(view.zone)),
            "can_delete": can_delete,
            "turns": turns_of(page.messages, wanted),
            "labels": {kind: label_of(Block(kind, "")) for kind in _FOLDED},
            "previous_cursor": start_of(page.messages).to_cursor() if page.has_previous and page.messages else None,
            "next_cursor": None if page.following is None else page.following.to_cursor(),
        }

    return await view.draw("session.html", values)


async def note_shown(services: Services, access: Access, found: Session, messages: list[Message]) -> None:
    """Record that the caller reads these messages of the session."""
    if messages:
        await note_reading(services, access, [(found.layout, found.session_id)])
