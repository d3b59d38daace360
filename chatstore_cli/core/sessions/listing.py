"""Listing the sessions of all layouts as one list, and showing one session."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING

from chatstore_cli.core.labels.labelled import MOST_TAGGED, labelled, tagged_sessions
from chatstore_cli.core.readers import (
    InvalidNumbers,
    find_session,
    foreign_of,
    notes_on,
    remarks_of,
    split_by_answer,
    unaddressable_of,
)
from chatstore_cli.core.sessions.bounded_list import SecondsClock, bounded_sessions, is_bounded
from chatstore_cli.core.sessions.streams import stream_sessions
from chatstore_cli.domain.artifacts import NO_ARTIFACTS, ArtifactReader, SessionArtifacts
from chatstore_cli.domain.errors import BadValue, NotAllowed, WrongUse
from chatstore_cli.domain.mixed_transcript import WORKFLOW_LAYOUT
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session_reader import ReaderWithExpiry, SessionReader

if TYPE_CHECKING:
    from chatstore_cli.core.sessions.sorting import SessionOrder
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
    is_truncated: bool = False
    """Whether more sessions match."""
    total: int | None = None
    """How many sessions match, if that is known without counting them."""


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
    order: SessionOrder | None = None,
    seconds: SecondsClock = monotonic,
) -> SessionPage:
    """One page of the sessions that match, over all readers at once, in descending order of SessionKey, or in `order`.

    `labels` has the titles and tags of the page, and answers a query with a tag.

    The cursor is the key of the last session of a page, so additions and updates do not shift the following pages. Raises
    BadValue for a limit outside 1 to LARGEST_PAGE and for an invalid cursor, and WrongUse for a cursor with an order, and
    if no index serves the list and too many sessions would be read.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise BadValue(name="--limit", value=limit, expected=f"a number from 1 to {LARGEST_PAGE}")
    after = _key_of(cursor, order)
    answering, notes = split_by_answer(readers, query)
    total = None
    if is_bounded(query, order):
        newest_first = _newest_first(answering, query, after, labels)
        sessions = bounded_sessions(newest_first, answering, query, order, limit=limit + 1, seconds=seconds)
        total = len(sessions) if order is not None and not order.is_usual else None
    elif query.tag is not None and labels is not None:
        sessions = list(islice(_newest_first(answering, query, after, labels), limit + 1))
    else:
        streams = (reader.newest_first(query, after, limit + 1) for reader in answering)
        sessions = list(islice(heapq.merge(*streams, key=SessionKey.of, reverse=True), limit + 1))
        sessions[:limit] = labelled(sessions[:limit], labels)
    page, is_truncated = sessions[:limit], len(sessions) > limit
    next_cursor = SessionKey.of(page[-1]).to_cursor() if is_truncated and order is None else None
    notes += [*remarks_of(answering), *InvalidNumbers(page).notes(), *(labels.remarks if labels is not None else ())]
    return SessionPage(
        page, next_cursor, notes, foreign_of(answering), unaddressable_of(answering), is_truncated, total
    )


class AllSessions:
    """Every session that matches, as a stream in little memory, or sorted within the bounds of bounded_list.py.

    Its notes are complete when all sessions were read.
    """

    def __init__(
        self,
        readers: Sequence[SessionReader],
        query: SessionQuery,
        *,
        cursor: str | None = None,
        labels: LabelReader | None = None,
        order: SessionOrder | None = None,
        seconds: SecondsClock = monotonic,
    ) -> None:
        """Raises what `list_sessions` raises."""
        after = _key_of(cursor, order)
        self._answering, self._left_out = split_by_answer(readers, query)
        self._labels = labels
        self._invalid = InvalidNumbers()
        self._sessions = _newest_first(self._answering, query, after, labels)
        if is_bounded(query, order):
            found = bounded_sessions(self._sessions, self._answering, query, order, limit=None, seconds=seconds)
            self._sessions = iter(found)

    def __iter__(self) -> Iterator[Session]:
        for session in self._sessions:
            self._invalid.note(session)
            yield session

    @property
    def foreign(self) -> list[ForeignDocuments]:
        """The collections with documents that were left out."""
        return foreign_of(self._answering)

    @property
    def unaddressable(self) -> int:
        """How many sessions were left out because no text can be their id."""
        return unaddressable_of(self._answering)

    def notes(self) -> list[str]:
        """What is printed beside the result."""
        of_labels = self._labels.remarks if self._labels is not None else ()
        return [*self._left_out, *remarks_of(self._answering), *self._invalid.notes(), *of_labels]


def _newest_first(
    readers: Sequence[SessionReader], query: SessionQuery, after: SessionKey | None, labels: LabelReader | None
) -> Iterator[Session]:
    """The sessions with their labels that pass the tag and the indexed filters of the query, as a stream."""
    if query.tag is None or labels is None:
        return labelled(stream_sessions(readers, query.indexed, after), labels)
    tagged = tagged_sessions(readers, query.indexed, labels, most=MOST_TAGGED)
    below = (session for session in tagged if after is None or SessionKey.of(session) < after)
    return labelled(sorted(below, key=SessionKey.of, reverse=True), labels)


def _key_of(cursor: str | None, order: SessionOrder | None) -> SessionKey | None:
    if cursor is None:
        return None
    if order is not None:
        raise WrongUse(
            what="--cursor cannot be combined with --sort.", hint="A sorted list has one page. Raise --limit."
        )
    return SessionKey.from_cursor(cursor)


def show_session(
    readers: Sequence[SessionReader],
    session_id: str,
    *,
    first: int,
    last: int,
    artifacts: Callable[[], ArtifactReader] | None = None,
    labels: LabelReader | None = None,
    on_message: Callable[[Message], object] = lambda _: None,
) -> SessionView:
    """The session's facts, its first and last messages, when they expire, and its artifacts. Raises NotFound, Conflict.

    `on_message` is called with each message as soon as it is read. A caller that bounds the answer raises an error in it.
    """
    reader, session = find_session(readers, session_id)

    def read(selection: MessageSelection, most: int) -> list[Message]:
        found = []
        for message in islice(reader.messages(session_id, selection), most):
            on_message(message)
            found.append(message)
        return found

    first_messages: list[Message] = []
    last_messages: list[Message] = []
    if session.message_count <= first + last and not session.message_count_capped:
        all_messages = read(MessageSelection(), first + last + 1)
        first_messages = all_messages[:first]
        last_messages = all_messages[max(first, len(all_messages) - last) :] if last else []
    else:
        if first:
            first_messages = read(MessageSelection(), first)
        if last:
            last_messages = read(MessageSelection(last=last), last)
    expiry = reader.expiry(session_id) if isinstance(reader, ReaderWithExpiry) else None
    [session] = labelled([session], labels)
    notes = [*notes_on(session), *(labels.remarks if labels is not None else ())]
    shown = NO_ARTIFACTS
    try:
        if artifacts is not None and session.layout == WORKFLOW_LAYOUT:
            shown = artifacts().of_session(session)
    except NotAllowed as error:  # the session can be shown without them
        notes.append(f"The artifacts of the session are not shown. {error.as_text()}")
    return SessionView(session, first_messages, last_messages, expiry, notes, shown)
