"""The application that `chatstore verify --api-url` checks: its requests, and the traces that messages leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol


class Response(NamedTuple):
    """An HTTP response. `location` is the target of a redirect without credentials, else None."""

    status: int
    body: bytes
    location: str | None = None


class WebSocketConnection(Protocol):
    """An open WebSocket connection."""

    def send(self, text: str, seconds: float) -> None:
        """Send a text frame. Raises ChatstoreError if that takes longer or fails."""

    def receive(self, seconds: float) -> str | bytes | None:
        """The next frame, or None after that time. Raises ChatstoreError once the connection is closed."""


class Application(Protocol):
    """An HTTP server. Paths begin with `/` and are relative to its URL. Responses are bounded in size.

    Raises Unreachable if no connection can be made, Overdue if a response takes too long, and ChatstoreError for any
    other failure.
    """

    @property
    def url(self) -> str:
        """Its URL without credentials."""

    def request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> Response:
        """The response to one request with the payload as JSON. Redirects are not followed."""

    def open_websocket(self, path: str, seconds: float) -> AbstractContextManager[WebSocketConnection | Response]:
        """A WebSocket connection, or the response of a server that does not open one."""

    def without_secrets(self, text: str) -> str:
        """The text with header values and URL credentials replaced by `***`."""


@dataclass(frozen=True)
class ApplicationSettings:
    """The paths, keys and time limit of the application that `chatstore verify --api-url` checks.

    The session's id replaces `{session_id}` in a path. A request must be answered, and a message stored, within
    `deadline_seconds`.
    """

    chat_path: str = "/api/chat"
    status_path: str = "/api/storage/status"
    history_path: str = "/api/chat/history"
    ws_path: str = "/ws/chat?session_id={session_id}"
    message_key: str = "message"
    session_key: str = "session_id"
    deadline_seconds: float = 10.0


class FoundMessage(NamedTuple):
    """One message in a journal or in MongoDB. `created_at` is None if there is no readable time."""

    role: str
    text: str
    created_at: datetime | None = None
    message_id: str | None = None


class JournalledMessages(NamedTuple):
    """The content of a session's journals. `unreadable` counts complete lines that are not messages."""

    files: int
    messages: list[FoundMessage]
    unreadable: int


class SessionDocuments(Protocol):
    """The stored messages of single sessions."""

    @property
    def collection(self) -> str:
        """The name of their collection."""

    def read(self, session_id: str) -> list[FoundMessage]:
        """The stored messages of a session."""

    def remove(self, session_ids: Sequence[str]) -> int:
        """Delete the messages of these sessions without a tombstone. Returns how many documents."""


class SessionJournals(Protocol):
    """The journals of single sessions in the configured folder."""

    @property
    def folder(self) -> str:
        """The folder's path."""

    @property
    def exists(self) -> bool:
        """Whether the folder is on this machine."""

    def read(self, session_id: str) -> JournalledMessages:
        """The messages in a session's journals, without an incomplete last line."""

    def remove(self, session_id: str) -> int:
        """Delete the journals of a session, each under its writers' lock. Returns how many."""


class NewLogLines(Protocol):
    """The lines written to log files since the run began."""

    @property
    def name(self) -> str:
        """The names of the files."""

    def read(self, words: Sequence[str]) -> Sequence[str]:
        """The lines since the last call that contain one of the words."""
