"""The view of one session: its messages in pages, and all of them as text to copy."""

from __future__ import annotations

import io
import json
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from chatstore_cli.core.labels.labelled import labelled
from chatstore_cli.core.redaction import Redactor
from chatstore_cli.core.sessions.message_page import MessagePlace, message_page
from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.conversation import Block, BlockKind, ToolDisplay, turn_of
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.conversation.heading import facts_of, label_of, speaker_of
from chatstore_cli.render.conversation.markdown import write_markdown
from chatstore_cli.render.listing import Terminal
from chatstore_cli.render.rows.sessions import message_row
from chatstore_cli.render.safe import sanitize_text
from chatstore_cli.render.times import TimeDisplay
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.page.shell import draw
from chatstore_cli.server.requests import Reader, Served
from chatstore_cli.server.routes.store_query import visible_session
from chatstore_cli.server.services import Services
from chatstore_cli.wiring.labels import shown_labels

router = APIRouter(include_in_schema=False)

_ROWS = 50
_BEFORE_A_HIT = 3
"""Messages that are shown above the one that a search found."""
_MOST_COPIED = 5_000
_LONGEST_BLOCK = 20_000
"""Characters of a tool call or result in the view. The copy has all of them."""

_Id = Annotated[str, Query(alias="id", min_length=1, max_length=10_000)]
_Layout = Annotated[str, Query(max_length=1_000)]


class CopyForm(StrEnum):
    """The form of the copied text."""

    MARKDOWN = "markdown"
    JSON = "json"


@router.get("/page/session")
async def session(
    request: Request,
    services: Served,
    access: Reader,
    session_id: _Id,
    layout: _Layout = "",
    after: Annotated[str, Query(max_length=20_000)] = "",
    at: Annotated[str, Query(pattern=r"^(end|\d{1,18})?$")] = "",
) -> HTMLResponse:
    """A page of messages: the first ones, those after a place, those around a sequence, or (`at=end`) the last ones."""

    def read() -> tuple[Session, list[Message], MessagePlace | None]:
        stores = services.stores
        reader, found = visible_session(stores.session_readers(layout or None), session_id, access)
        (found,) = labelled([found], shown_labels(stores, found.layout))
        if at == "end":
            newest = reader.messages(session_id, MessageSelection(last=_ROWS))
            return found, list(islice(newest, _ROWS)), None
        before_hit = MessagePlace(max(0, int(at) - _BEFORE_A_HIT)) if at else MessagePlace()
        place = MessagePlace.from_cursor(after) if after else before_hit
        return found, *message_page(reader, session_id, place, _ROWS)

    found, messages, following = await services.reading.run(read)
    await _note(services, access, found, messages)
    return draw(
        request,
        "session.html",
        session=found,
        facts=facts_of(found, TimeDisplay()),
        can_delete=access.right.includes(Right.ADMIN),
        turns=[_turn(message) for message in messages],
        labels={kind: label_of(Block(kind, "")) for kind in (BlockKind.CALL, BlockKind.RESULT, BlockKind.THINKING)},
        has_earlier=bool(after or at),
        marked=int(at) if at.isdecimal() else None,
        next_cursor=None if following is None else following.to_cursor(),
    )


@router.get("/page/session/copy")
async def copy(
    services: Served, access: Reader, session_id: _Id, form: CopyForm, layout: _Layout = "", redact: bool = False
) -> PlainTextResponse:
    """The session as text: Markdown, or the messages as JSON. At most 5,000 messages; a note says if there are more.

    With `redact`, personal data is replaced as by the option --redact, and the note says what was found.
    """

    def read() -> tuple[Session, list[Message]]:
        reader, found = visible_session(services.stores.session_readers(layout or None), session_id, access)
        return found, list(islice(reader.messages(session_id, MessageSelection()), _MOST_COPIED + 1))

    found, messages = await services.reading.run(read)
    await _note(services, access, found, messages)
    kept = messages[:_MOST_COPIED]
    notes = [f"Only the first {_MOST_COPIED:,} messages."] if len(messages) > len(kept) else []
    if redact:
        redactor = Redactor()
        found, kept = redactor.session(found), [redactor.message(each) for each in kept]
        notes.append(redactor.notice())
    if form is CopyForm.JSON:
        text = json.dumps([message_row(each) for each in kept], ensure_ascii=False, indent=2, default=str)
    else:
        stream = io.StringIO()
        write_markdown(found, map(turn_of, kept), ToolDisplay.FULL, stream, Terminal())
        text = stream.getvalue()
    headers = {"Cache-Control": "no-store"} | ({"X-Chatstore-Note": " ".join(notes)} if notes else {})
    return PlainTextResponse(text, headers=headers)


async def _note(services: Services, access: Access, found: Session, messages: list[Message]) -> None:
    if messages:
        await note_reading(services, access, [(found.layout, found.session_id)])


def _turn(message: Message) -> dict[str, Any]:
    """A message as the template draws it."""
    return {
        "sequence": message.sequence,
        "role": message.role,
        "role_class": message.role if message.role in ROLES else "other",
        "name": speaker_of(message),
        "created_at": rfc3339(message.created_at),
        "blocks": [_block(block) for block in turn_of(message).blocks],
    }


def _block(block: Block) -> Block:
    if block.kind is BlockKind.TEXT:
        return block
    text = sanitize_text(block.text[:_LONGEST_BLOCK])
    missing = len(block.text) - _LONGEST_BLOCK
    return block._replace(text=f"{text}\n… {missing:,} more characters" if missing > 0 else text)
