"""A session as text to copy, and one whole message as text."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from chatstore_cli.core.redaction import Redactor
from chatstore_cli.core.sessions.message_page import page_around
from chatstore_cli.core.sessions.message_place import MessagePlace, is_at
from chatstore_cli.domain.conversation import ToolDisplay, turn_of
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.render.conversation.markdown import write_markdown
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.rows.sessions import message_row
from chatstore_cli.render.times import TimeDisplay
from chatstore_cli.server.page.session import LayoutName, SessionId, note_shown
from chatstore_cli.server.page.shell import HEADERS, RequestedView
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.store_query import readable_session

router = APIRouter(include_in_schema=False)

_MOST_MESSAGES = 5_000
_MOST_CHARACTERS = 20_000_000
"""Of the messages as JSON. The first message is copied whatever its length."""


class CopyForm(StrEnum):
    """The form of the copied text."""

    MARKDOWN = "markdown"
    JSON = "json"


@router.get("/page/session/copy")
async def copy(
    services: Served,
    access: Reader,
    session_id: SessionId,
    form: CopyForm,
    view: RequestedView,
    layout: LayoutName = "",
    redact: bool = False,
) -> PlainTextResponse:
    """The session as text: Markdown, or the messages as JSON. If messages are missing, the text ends with a note.

    With `redact`, personal data is replaced as by the option --redact, and a header says what was found.
    """
    redactor = Redactor() if redact else None

    def read() -> tuple[Session, list[Message], str]:
        reader, found = readable_session(services.stores, layout or None, session_id, access)
        stored = iter(reader.messages(session_id, MessageSelection()))
        messages = stored if redactor is None else map(redactor.message, stored)
        rows: list[str] = []
        kept = list(_within_limits(messages, rows))
        note = "" if next(stored, None) is None else _note(len(kept))
        if form is CopyForm.JSON:
            rows += [json.dumps({"note": note})] if note else []
            return found, kept[:1], f"[{','.join(f'{chr(10)}  {row}' for row in rows)}\n]\n"
        stream = io.StringIO()
        named = found if redactor is None else redactor.session(found)
        write_markdown(named, map(turn_of, kept), ToolDisplay.FULL, stream, Terminal(times=TimeDisplay(view.zone)))
        return found, kept[:1], stream.getvalue() + (f"\n> {note}\n" if note else "")

    found, shown, text = await services.reading.run(read)
    await note_shown(services, access, found, shown)
    answer = _plain(text)
    if redactor is not None:
        answer.headers["X-Chatstore-Note"] = redactor.notice()
    return answer


@router.get("/page/session/message")
async def message(
    services: Served,
    access: Reader,
    session_id: SessionId,
    hit: Annotated[str, Query(min_length=1, max_length=20_000)],
    layout: LayoutName = "",
) -> PlainTextResponse:
    """A whole message as text, which may be too long for the view."""
    place = MessagePlace.from_cursor(hit)

    def read() -> tuple[Session, list[Message], str]:
        reader, found = readable_session(services.stores, layout or None, session_id, access, count_to=0)
        page, _ = page_around(reader, session_id, place, 0, 1)
        if not page or not is_at(page[0], place):
            raise NotFound(
                kind_of_thing="message", name=place.message_id or str(place.sequence), where=" in the session"
            )
        return found, page, "\n\n".join(block.text for block in turn_of(page[0]).blocks)

    found, shown, text = await services.reading.run(read)
    await note_shown(services, access, found, shown)
    return _plain(text)


def _within_limits(messages: Iterable[Message], rows: list[str]) -> Iterator[Message]:
    """The first messages, whose JSON is added to the rows."""
    characters = 0
    for each in messages:
        rows.append(json.dumps(message_row(each), ensure_ascii=False, default=str))
        characters += len(rows[-1])
        yield each
        if len(rows) >= _MOST_MESSAGES or characters >= _MOST_CHARACTERS:
            return


def _note(count: int) -> str:
    return (
        f"Only the first {count:,} messages are here, because the session is long. "
        "The view of the session, and GET /store/sessions/SESSION_ID/messages, have all of them in pages."
    )


def _plain(text: str) -> PlainTextResponse:
    return PlainTextResponse(text.encode("utf-8", "replace"), headers=dict(HEADERS))
