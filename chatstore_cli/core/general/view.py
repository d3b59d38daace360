"""Reads general chats for people who support users: a chat with its first and last messages, and pages of messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from chatstore_cli.core.readers import not_searched
from chatstore_cli.core.sessions.listing import SessionView, show_session
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.labels import NO_LABELS, SessionRef

if TYPE_CHECKING:
    from chatstore_cli.core.general.chats import GeneralChats
    from chatstore_cli.domain.labels import LabelReader
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader


@dataclass(frozen=True, slots=True)
class GeneralChatView:
    """One general chat with its first and last messages. `number` and `last_sequence` are None if it has no tenant."""

    view: SessionView
    number: int | None = None
    last_sequence: int | None = None


def view_general_chat(
    chats: GeneralChats,
    readers: Sequence[SessionReader],
    session_id: str,
    tenant: str | None,
    *,
    first: int,
    last: int,
    labels: LabelReader | None = None,
) -> GeneralChatView:
    """The chat and its messages at both ends. Raises NotFound, also for a chat of another tenant than `tenant`."""
    _, session = find_general_chat(readers, session_id, tenant)
    view = show_session(readers, session_id, first=first, last=last, labels=labels)
    if session.tenant_id is None:
        return GeneralChatView(view)
    facts = chats.fetch_general_chat_transcript(general_chat_id=session.session_id, app_id=session.tenant_id, limit=1)
    return GeneralChatView(view) if facts is None else GeneralChatView(view, facts["sequence"], facts["last_sequence"])


def with_titles(chats: Iterable[Mapping[str, Any]], labels: LabelReader) -> list[dict[str, Any]]:
    """The chats of a list, with the titles that people gave them as their labels."""
    listed = [dict(chat) for chat in chats]
    titles = labels.of(SessionRef("general", chat["chat_id"]) for chat in listed)
    for chat in listed:
        own = titles.get(SessionRef("general", chat["chat_id"]), NO_LABELS)
        chat["label"] = own.title or chat["label"]
    return listed


def find_general_chat(
    readers: Sequence[SessionReader], session_id: str, tenant: str | None
) -> tuple[SessionReader, Session]:
    """The chat, and the reader that has it. Raises NotFound, also for a chat of another tenant than `tenant`."""
    for reader in readers:
        session = reader.find(session_id)
        if session is not None and tenant in (None, session.tenant_id):
            return reader, session
    hint = "The whole id is required. To list ids, run: chatstore sessions list --layout general."
    raise NotFound(kind_of_thing="session", name=session_id, where=" in general", hint=hint + not_searched(readers))


@dataclass(frozen=True, slots=True)
class TranscriptPage:
    """The messages of one page. `next_after` is the sequence number after which the next page begins; None on the last."""

    messages: list[Message]
    next_after: int | None


def page_of(messages: Iterator[Message], limit: int) -> TranscriptPage:
    """The first `limit` messages. The page is longer if more messages have its last sequence number, or none."""
    page = list(islice(messages, limit))
    last = max((each.sequence for each in page if each.sequence is not None), default=None)
    for message in messages:
        if last is not None and message.sequence is not None and message.sequence > last:
            return TranscriptPage(page, last)
        page.append(message)
        last = message.sequence if last is None else last
    return TranscriptPage(page, None)
