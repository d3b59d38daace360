"""The sessions of a mixed transcript: found, checked, and read from a client's position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from chatstore_cli.domain.errors import BadValue, NotFound, PositionAhead
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.mixed_transcript import NOTHING, ClientPosition, MixedTurn, TranscriptSource
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader

_BEFORE_ALL = -(2**63)
"""A turn without a sequence is after this one only if a turn before it has a sequence."""

Readers = Mapping[str, SessionReader]
"""The readers of the layouts whose sessions can be sources, by layout."""


class OpenSource:
    """One session of the transcript. `position`, `replayed` and `last_speaker` describe the turns yielded so far."""

    def __init__(self, reader: SessionReader, session: Session, position: ClientPosition) -> None:
        """Fetch the first turns after `position`. Raises PositionAhead if fewer turns are stored."""
        self.source = TranscriptSource(session.layout, session.session_id)
        self.session = session
        self.start = 0 if position.is_nothing else None if position.index is None else position.index + 1
        self.replayed = 0
        self.last_speaker: str | None = None
        self._reader = reader
        self._position = position
        self._sequence = position.sequence
        self._every_turn_has_a_sequence = True
        self._messages = self._after(position)

    @property
    def position(self) -> ClientPosition:
        """The position of a client that has received every turn yielded so far.

        Turns without a sequence can only be counted. So after such a turn `sequence` is None, if the count is known.
        """
        index = None if self.start is None else self.start + self.replayed - 1
        by_sequence = self._every_turn_has_a_sequence or index is None
        return ClientPosition(self._sequence if by_sequence else None, index)

    def turns(self) -> Iterator[MixedTurn]:
        """The turns after the position, in the order of the session."""
        source, start = self.source, self.start
        for message in self._messages:
            index = None if start is None else start + self.replayed
            self.replayed += 1
            if message.sequence is None:
                self._every_turn_has_a_sequence = False
            elif self._sequence is None or message.sequence > self._sequence:
                self._sequence = message.sequence
            self.last_speaker = message.name or message.role
            yield MixedTurn(source, message, index, self.position)

    def _after(self, position: ClientPosition) -> Iterator[Message]:
        session_id = self.source.session_id
        if position.is_nothing:
            return self._reader.messages(session_id, MessageSelection())
        if position.sequence is None:
            count = self.start or 0
            messages = self._reader.messages(session_id, MessageSelection())
            stored = sum(1 for _ in islice(messages, count))
            if stored < count:
                raise PositionAhead(session_id=session_id, kind="index", number=count - 1, stored=stored - 1)
            return messages
        if position.sequence == 0:
            return _after_zero(self._reader.messages(session_id, MessageSelection()))
        messages = self._reader.messages(session_id, MessageSelection(after_sequence=position.sequence))
        first = next(messages, None)
        if first is not None:
            return chain((first,), messages)
        self._require_stored(position.sequence)
        return iter(())

    def _require_stored(self, sequence: int) -> None:
        """Raise PositionAhead if the newest stored turn has a lower sequence, or if no turn has any."""
        newest = self._first(MessageSelection(last=1))
        stored = 0 if newest is None else newest.sequence
        if stored is None:  # the newest turn counts as the one before it, which may have a sequence
            stored = 0 if self._first(MessageSelection(after_sequence=_BEFORE_ALL)) is None else sequence
        if stored < sequence:
            session_id = self.source.session_id
            raise PositionAhead(session_id=session_id, kind="sequence", number=sequence, stored=stored)

    def _first(self, selection: MessageSelection) -> Message | None:
        return next(self._reader.messages(self.source.session_id, selection), None)


def _after_zero(messages: Iterator[Message]) -> Iterator[Message]:
    """The turns after sequence 0: all, except those that are numbered 0 or less and those without a number behind them.

    First turns without a number are among them. A selection by sequence leaves these out, as it does for any other number.
    """
    is_after = True
    for message in messages:
        if message.sequence is not None:
            is_after = message.sequence > 0
        if is_after:
            yield message


def open_sources(
    readers: Readers,
    sources: Iterable[TranscriptSource],
    *,
    tenant_id: str | None = None,
    user_id: str | None = None,
    positions: Mapping[TranscriptSource, ClientPosition] | None = None,
) -> list[OpenSource]:
    """The sessions in the caller's order. For a session without a position, the client has nothing.

    Raises NotFound for a session that does not exist or has another owner than the tenant and the user that are given,
    BadValue for a session that is named twice and for a position of a session that is not named, and PositionAhead.
    """
    named = list(sources)
    known = positions or {}
    unknown = next((source for source in known if source not in named), None)
    if unknown is not None:
        raise BadValue(name="positions", value=str(unknown), expected="a session of the transcript")
    wrong = next((each for each in known.values() if not isinstance(each, ClientPosition)), None)
    if wrong is not None:
        raise BadValue(name="positions", value=f"<{type(wrong).__name__}>", expected="a ClientPosition")
    found = [find_source(readers, source, tenant_id, user_id) for source in named]
    _require_different(found)
    return [
        OpenSource(reader, session, known.get(source, NOTHING))
        for source, (reader, session) in zip(named, found, strict=True)
    ]


def find_source(
    readers: Readers, source: TranscriptSource, tenant_id: str | None = None, user_id: str | None = None
) -> tuple[SessionReader, Session]:
    """A session of this owner, and its reader. Raises NotFound, and BadValue for a layout that has no transcript."""
    if not isinstance(source, TranscriptSource) or not isinstance(source.session_id, str):
        raise BadValue(name="sources", value=f"<{type(source).__name__}>", expected="a TranscriptSource with an id")
    reader = readers.get(source.layout)
    if reader is None:
        raise BadValue(name="layout", value=source.layout, expected=f"a layout of a transcript: {', '.join(readers)}")
    session = reader.find(source.session_id)
    is_owned = session is not None and tenant_id in (None, session.tenant_id) and user_id in (None, session.user_id)
    if session is None or not is_owned:
        raise NotFound(kind_of_thing="session", name=source.session_id, where=f" in {source.layout}")
    return reader, session


def _require_different(found: Sequence[tuple[SessionReader, Session]]) -> None:
    """Raise BadValue if two names are of one session, for example its chat_id and its `_id`."""
    seen: set[TranscriptSource] = set()
    for _, session in found:
        source = TranscriptSource(session.layout, session.session_id)
        if source in seen:
            raise BadValue(name="sources", value=str(source), expected="named once")
        seen.add(source)
