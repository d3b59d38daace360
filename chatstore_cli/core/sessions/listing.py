"""Listing the sessions of all layouts as one list, and showing one session."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from chatstore_cli.core.labels.labelled import MOST_TAGGED, labelled, tagged_sessions
from chatstore_cli.core.readers import (
    InvalidNumbers,
    find_session,
    foreign_of,
    remarks_of,
    split_by_answer,
    unaddressable_of,
)
from chatstore_cli.domain.artifacts import NO_ARTIFACTS, ArtifactReader, SessionArtifacts
from chatstore_cli.domain.errors import BadValue, NotAllowed
from chatstore_cli.domain.mixed_transcript import WORKFLOW_LAYOUT
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session_reader import ReaderWithExpiry, SessionReader

if TYPE_CHECKING:
    from chatstore_cli.domain.foreign import ForeignDocuments
    from chatstore_cli.domain.labels import LabelReader
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.session import Expiry, Session

LARGEST_PAGE = 1000


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of sessions, newest first. `next_cursor` is None at the end. `notes` are printed beside the result.

    `foreign` has the collections with documents that were left out, because they are not chatstore's own. `unaddressable`
    sessions were met and left out, because no text can be their id.
    """

    sessions: list[Session]
    next_cursor: str | None
    notes: list[str]
    foreign: list[ForeignDocuments]
    unaddressable: int = 0


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session with its first and last messages, none of them twice. `notes` are printed beside the result."""

    session: Session
    first_messages: list[Message]
    last_messages: list[Message]
    expiry: Expiry | None
    notes: list[str]
    artifacts: SessionArtifacts = NO_ARTIFACTS

    def changed(self, session: Callable[[Session], Session], message: Callable[[Message], Message]) -> SessionView:
        """The view with its session and each message as the functions return them."""
        first, last = ([message(each) for each in messages] for messages in (self.first_messages, self.last_messages))
        return replace(self, session=session(self.session), first_messages=first, last_messages=last)


def list_sessions(
    readers: Sequence[SessionReader],
    query: SessionQuery,
    *,
    cursor: str | None,
    limit: int,
    labels: LabelReader | None = None,
) -> SessionPage:
    """One page of the sessions that match, over all readers at once, in descending order of SessionKey.

    `labels` has the titles and tags of the page, and answers a query with a tag.

    The cursor is the key of the last session of a page, so additions and updates do not shift the following pages. Raises
    BadValue for a limit outside 1 to LARGEST_PAGE and for an invalid cursor.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise BadValue(name="--limit", value=limit, expected=f"a number from 1 to {LARGEST_PAGE}")
    after = SessionKey.from_cursor(cursor) if cursor is not None else None
    answering, notes = split_by_answer(readers, query)
    if query.tag is not None and labels is not None:
        tagged = tagged_sessions(answering, query, labels, most=MOST_TAGGED)
        below = (session for session in tagged if after is None or SessionKey.of(session) < after)
        sessions = heapq.nlargest(limit + 1, below, key=SessionKey.of)
    else:
        streams = (reader.newest_first(query, after, limit + 1) for reader in answering)
        sessions = list(islice(heapq.merge(*streams, key=SessionKey.of, reverse=True), limit + 1))
    page = list(labelled(sessions[:limit], labels))
    next_cursor = SessionKey.of(page[-1]).to_cursor() if len(sessions) > limit else None
    notes += [*remarks_of(answering), *InvalidNumbers(page).notes(), *(labels.remarks if labels is not None else ())]
    return SessionPage(page, next_cursor, notes, foreign_of(answering), unaddressable_of(answering))


def show_session(
    readers: Sequence[SessionReader],
    session_id: str,
    *,
    first: int,
    last: int,
    artifacts: Callable[[], ArtifactReader] | None = None,
    labels: LabelReader | None = None,
) -> SessionView:
    """The session's facts, its first and last messages, when they expire, and its artifacts. Raises NotFound, Conflict."""
    reader, session = find_session(readers, session_id)
    first_messages: list[Message] = []
    last_messages: list[Message] = []
    if session.message_count <= first + last and not session.message_count_capped:
        all_messages = list(islice(reader.messages(session_id, MessageSelection()), first + last + 1))
        first_messages = all_messages[:first]
        last_messages = all_messages[max(first, len(all_messages) - last) :] if last else []
    else:
        if first:
            first_messages = list(islice(reader.messages(session_id, MessageSelection()), first))
        if last:
            last_messages = list(reader.messages(session_id, MessageSelection(last=last)))
    expiry = reader.expiry(session_id) if isinstance(reader, ReaderWithExpiry) else None
    [session] = labelled([session], labels)
    notes = [*InvalidNumbers([session]).notes(), *(labels.remarks if labels is not None else ())]
    shown = NO_ARTIFACTS
    try:
        if artifacts is not None and session.layout == WORKFLOW_LAYOUT:
            shown = artifacts().of_session(session)
    except NotAllowed as error:  # the session can be shown without them
        notes.append(f"The artifacts of the session are not shown. {error.as_text()}")
    return SessionView(session, first_messages, last_messages, expiry, notes, shown)
