"""Sessions in memory for tests of the mixed transcript, and what a client that received turns has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.mixed_transcript import ClientPosition, MixedTurn, ReplayBoundary, TranscriptSource
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session, SessionStatus

START = datetime(2026, 3, 2, 11, tzinfo=UTC)
WORKFLOW = TranscriptSource("workflow", "chat-1")
GENERAL = TranscriptSource("general", "generalchat-acme-ana-0001")


def at(second: float) -> datetime:
    """An instant so many seconds after the start."""
    return START + timedelta(seconds=second)


def turn(session_id: str, number: int, second: float | None, sequence: int | None, **more: Any) -> Message:
    """A message with its number as content."""
    instant = None if second is None else at(second)
    return Message(session_id, "user", number, sequence=sequence, created_at=instant, **more)


@dataclass
class SessionsInMemory:
    """The sessions of one layout. It returns no more than the port promises, and counts what it read."""

    layout: str
    sessions: dict[str, list[Message]] = field(default_factory=dict)
    tenant_id: str | None = "acme"
    user_id: str | None = "ana"
    read: int = 0

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """The facts of a session. `name-of-<id>` is another name of it."""
        session_id = session_id.removeprefix("name-of-")
        if session_id not in self.sessions:
            return None
        count = len(self.sessions[session_id])
        owner = {"tenant_id": self.tenant_id, "user_id": self.user_id}
        return Session(session_id, self.layout, **owner, status=SessionStatus.RUNNING, message_count=count)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """The messages in order; one without a sequence counts as its predecessor."""
        if session_id not in self.sessions:
            raise NotFound(kind_of_thing="session", name=session_id, where="")
        return self._selected(list(self.sessions[session_id]), selection)

    def _selected(self, messages: list[Message], selection: MessageSelection) -> Iterator[Message]:
        key = -(2**63)
        chosen: list[Message] = []
        for message in messages:
            key = key if message.sequence is None else message.sequence
            if selection.after_sequence is None or key > selection.after_sequence:
                chosen.append(message)
        for message in chosen[-selection.last :] if selection.last else chosen:
            self.read += 1
            yield message


def turns_of(records: Iterable[MixedTurn | ReplayBoundary]) -> tuple[list[MixedTurn], ReplayBoundary]:
    """The turns of a replay and its boundary, which is the last record and the only one."""
    *turns, boundary = records
    assert isinstance(boundary, ReplayBoundary)
    given = [record for record in turns if isinstance(record, MixedTurn)]
    assert len(given) == len(turns)
    return given, boundary


def received(turns: Iterable[MixedTurn], *, by_index: bool) -> dict[TranscriptSource, ClientPosition]:
    """What a client has that received these turns from the beginning, as it counts or by their sequences."""
    positions: dict[TranscriptSource, ClientPosition] = {}
    for source, message, *_ in turns:
        before = positions.get(source, ClientPosition(index=-1))
        if by_index or message.sequence is None:
            positions[source] = ClientPosition(index=(before.index or 0) + 1 if before.index is not None else 0)
        else:
            positions[source] = ClientPosition(sequence=message.sequence)
    return positions
