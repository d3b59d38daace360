"""What all formats of a conversation say alike: the facts of the session, days, times and speakers."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from chatstore_cli.domain.conversation import Block, BlockKind
from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.rows.sessions import SESSION_FIELDS, session_row, status_in_words
from chatstore_cli.render.times import TimeDisplay

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EMPTY = "(empty)"
NO_TIME = "no time"


class Fact(NamedTuple):
    """A fact of the session: its title, and its text, which is not sanitized."""

    title: str
    text: str


def facts_of(session: Session, times: TimeDisplay) -> list[Fact]:
    """The facts that are known. The status has the words of a list of sessions, so `paused` is not a fact of its own."""
    row = {**session_row(session), "reason": session.reason}
    row["status"] = status_in_words(row)
    columns = (each.in_times(times) for each in SESSION_FIELDS if each.in_table and each.key != "paused")
    return [Fact(column.title, text) for column in columns if (text := column.cell(row)) not in ("", "-")]


def title_of(session: Session) -> str:
    """The title of the conversation: its own, or the id of the session."""
    return session.title or f"Session {session.session_id}"


def speaker_of(message: Message) -> str:
    """The name of the speaker, if it is more than the role; else empty."""
    name = message.name or ""
    if not name and message.from_general_agent:
        name = GENERAL_AGENT
    return "" if name.lower() == message.role.lower() else name


class Calendar:
    """The days and times of a conversation, in the order of its messages."""

    def __init__(self, times: TimeDisplay) -> None:
        self._times = times
        self._day: date | None = None

    def new_day(self, message: Message) -> str | None:
        """The heading of the day on which the message begins another day than the one before; else None."""
        if message.created_at is None:
            return None
        day = self._times.local(message.created_at).date()
        if day == self._day:
            return None
        self._day = day
        return f"{_WEEKDAYS[day.weekday()]}, {day.isoformat()} ({self._times.zone})"

    def time(self, message: Message) -> str:
        """The time of day of the message, or how long ago it was."""
        if message.created_at is None:
            return NO_TIME
        if self._times.now is not None:
            return self._times.text(rfc3339(message.created_at))
        return self._times.local(message.created_at).strftime("%H:%M:%S")


def label_of(block: Block) -> str:
    """What a block is, in words, before the name of its tool."""
    return {BlockKind.CALL: "Tool call", BlockKind.RESULT: "Tool result", BlockKind.THINKING: "Thinking"}[block.kind]


def lines_of(text: str) -> str:
    """The text with the line ends of this system."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
