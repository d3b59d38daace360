"""The application whose path from a message to the database is checked: what it is asked, and where its traces are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """What a server answered. `location` is where it sends the asker to, without credentials; None where nowhere."""

    status: int
    body: bytes
    location: str | None = None


class Conversation(Protocol):
    """An open WebSocket connection."""

    def send(self, text: str, seconds: float) -> None:
        """Send a text frame. Raises ChatstoreError where that cannot be done within the time."""
        ...

    def receive(self, seconds: float) -> str | bytes | None:
        """The next frame; None where none comes within the time. Raises ChatstoreError once the connection is closed."""
        ...


class Application(Protocol):
    """A server to be asked. Paths begin with `/` and stand below its URL. What is read of it is bounded.

    Raises Unreachable where there is no way to it, Overdue where it does not answer within the time, and ChatstoreError
    for every other way of not answering.
    """

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        payload: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with the payload as JSON. Redirects are not followed."""
        ...

    def converse(self, path: str, seconds: float) -> AbstractContextManager[Conversation | Answer]:
        """A WebSocket connection; the answer of a server that does not open one."""
        ...

    def without_secrets(self, text: str) -> str:
        """Any text with what authorises the requests (headers, credentials of the URL) replaced by `***`."""
        ...


@dataclass(frozen=True)
class ApplicationSettings:
    """The paths, keys and time limit of the application that `chatstore verify --api-url` checks.

    The session's id replaces `{session_id}` in a path. A request must be answered, and a message stored, within
    `deadline_seconds`.
    """

    chat_path: str = "/api/chat"
    status_path: str = "/api/storage/status"
    history_path: str = "/api/chat/history"
    ws_path: str = "/ws"
    message_key: str = "message"
    session_key: str = "session_id"
    deadline_seconds: float = 10.0


class Turn(NamedTuple):
    """One message as it was found. `created_at` is None where there is no time that can be read."""

    role: str
    text: str
    created_at: datetime | None = None
    message_id: str | None = None


class JournalledTurns(NamedTuple):
    """What the journals of a session hold; `unreadable` counts whole lines that are no message."""

    files: int
    turns: list[Turn]
    unreadable: int


class SessionDocuments(Protocol):
    """The stored messages of single sessions."""

    @property
    def where(self) -> str:
        """Their collection."""
        ...

    def read(self, session_id: str) -> list[Turn]:
        """What is stored of a session."""
        ...

    def remove(self, session_ids: Sequence[str]) -> int:
        """Delete what is stored of these sessions, without remembering that; gives how many documents."""
        ...


class SessionJournals(Protocol):
    """The journals of single sessions, in the folder where the configuration has them."""

    @property
    def folder(self) -> str:
        """The folder."""
        ...

    @property
    def is_there(self) -> bool:
        """Whether the folder is on this machine."""
        ...

    def read(self, session_id: str) -> JournalledTurns:
        """What stands in the journals of a session; a last line that is still being written is left out."""
        ...

    def remove(self, session_id: str) -> int:
        """Remove the journals of a session, no writer of them in between; gives how many."""
        ...


class NewLogLines(Protocol):
    """What has been written to log files since the run began."""

    @property
    def name(self) -> str:
        """The file, or the files."""
        ...

    def read(self, words: Sequence[str]) -> Sequence[str]:
        """Those of the lines that came since the last call which hold one of the words."""
        ...
