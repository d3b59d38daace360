"""Writing sessions of the workflow layout: the state of a stored session, and the port that changes it.

Each change is one atomic update that requires the state that was read. If the session has changed meanwhile, nothing is
written, and the caller reads it again. The stored field is called `chat_id`, as AG2 calls a session, so these names say
chat.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.shared_ids import SharedId
from chatstore_cli.domain.workflow.events import AgentTurn


@dataclass(frozen=True, slots=True)
class ExpectedEcho:
    """The message that AG2 emits once more, with a new uuid, when run `run` continues after it.

    Its sender is `sender`, or the group chat's `manager` if no agent of that name is in the chat.
    """

    run: int
    sender: str
    fingerprint: str
    manager: str


@dataclass(frozen=True, slots=True)
class ChatState:
    """The state of a stored session. `guard` belongs to the store: what the next change requires.

    `has_unreadable_tenant`: the document names a tenant by a value that is not an id, so no caller's tenant is its own.
    `run_start` is the last sequence before the current run, None if it was not stored. `addressed_to` is the recipient
    of the run's first turn: in a group chat its manager.
    """

    chat_id: str
    tenant_id: str | None
    has_unreadable_tenant: bool
    user_id: str | None
    workflow: str | None
    status: SessionStatus
    paused: bool
    run: int
    run_start: int | None
    last_sequence: int
    last_segment: int
    expected_echo: ExpectedEcho | None
    addressed_to: str | None
    guard: Any
    shared_id: SharedId | None = None
    """If several documents have the id: known after `load`."""

    @property
    def is_at_start(self) -> bool:
        """Whether the current run has no message yet."""
        return self.last_sequence == (self.run_start or 0)


@dataclass(frozen=True, slots=True)
class NewChat:
    """A session to create. `client_request_id` is the id of the request that creates it, if its client has given one."""

    chat_id: str
    tenant_id: str
    user_id: str | None = None
    workflow: str | None = None
    client_request_id: str | None = None


class CreatedChat(NamedTuple):
    """A stored session, and the id of the request that created it."""

    session: Session
    client_request_id: str | None


@dataclass(frozen=True, slots=True)
class Appended:
    """A stored message: the session's new state, and the size of the message in BSON bytes."""

    state: ChatState
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A change of a session's status. A field that is None stays as it is."""

    status: SessionStatus | None = None
    paused: bool | None = None
    reason: str | None = None
    ends_run: str | None = None
    """The id of the event that ended the run, stored so that it ends a run only once."""


class SavedAs(StrEnum):
    """How an event was stored, or why it was not."""

    MESSAGE = "message"
    USAGE = "usage"
    STATUS = "status"
    DUPLICATE = "duplicate"
    ECHO = "echo"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SavedEvent:
    """How an event was stored, and the sequence of its message if that was newly stored."""

    saved_as: SavedAs
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of a requested change of status: `changed` is False if the session already had it."""

    chat_id: str
    status: SessionStatus
    paused: bool
    changed: bool

    @property
    def in_words(self) -> str:
        """The state in words, for messages."""
        return state_in_words(self.status, self.paused)


def state_in_words(status: SessionStatus, paused: bool) -> str:
    """A session's state in words, for messages."""
    return f"{status} and paused" if paused else str(status)


@dataclass(frozen=True, slots=True)
class ResumedChat:
    """A session that is resumed.

    `messages` are for `GroupChatManager.resume`, without those of the general agent. `status` and `paused` are the state
    before; `run` is the run that begins now. `notes` list what had to be changed in the history.
    """

    chat_id: str
    run: int
    status: SessionStatus
    paused: bool
    messages: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredChat:
    """A session as it is stored. `messages` are in order, the newest last, with those of the general agent."""

    chat_id: str
    user_id: str | None
    workflow_name: str | None
    run: int
    status: SessionStatus
    paused: bool
    messages: list[Message]

    def to_dict(self) -> dict[str, Any]:
        """The session as one JSON object of plain values."""
        return {
            "session_id": self.chat_id,
            "user_id": self.user_id,
            "workflow": self.workflow_name,
            "run": self.run,
            "status": str(self.status),
            "paused": self.paused,
            "items": [message.to_dict() for message in self.messages],
        }


class CreatedChats(Protocol):
    """Lists sessions by the time of their creation, as `created_at` has it."""

    def newest(self, query: SessionQuery, limit: int) -> list[CreatedChat]:
        """The sessions that match, the one created last first, at most `limit`."""


class ChatWriter(Protocol):
    """Where sessions are written. A method that returns None found the session changed or deleted: load it again."""

    def load(self, chat_id: str) -> ChatState | None:
        """The state of a stored session of any variant; None if there is no such session."""

    def is_deleted(self, chat_id: str) -> bool:
        """Whether the session was deleted on purpose."""

    def create(self, chat: NewChat, now: datetime) -> ChatState | None:
        """Create a session; None if another writer has created it, or it was deleted on purpose meanwhile."""

    def claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        """Store the given tenant, user and workflow in a session whose document has none of these.

        None if it has another tenant, or an unreadable one.
        """

    def holds_event(self, state: ChatState, event_id: str) -> bool:
        """Whether a message or an echo with that event id is stored, in the session's document or its segments."""

    def append(
        self, state: ChatState, turn: AgentTurn, event_id: str, now: datetime, *, still_awaited: bool = False
    ) -> Appended | DocumentFull | None:
        """Store a turn as the message after the last one, and set the session to running.

        An expected echo is no longer expected, unless it is `still_awaited` because the turn belongs to an earlier run.
        Raises DocumentRefused for a message that is too large for any document, Conflict if `messages` is not an array.
        """

    def note_echo(self, state: ChatState, turn: AgentTurn, run: int, event_id: str, now: datetime) -> ChatState | None:
        """Store the event as the expected echo of a run, which has at most one, and set the session to running."""

    def open_run(self, state: ChatState, echo: ExpectedEcho | None, running: bool, now: datetime) -> ChatState | None:
        """Begin the next run, which may begin with an echo; `running` sets the session to running."""

    def change(self, state: ChatState, change: StatusChange, now: datetime) -> ChatState | None:
        """Change a session's status; None also if that event has ended the run before."""

    def has_ended(self, state: ChatState, event_id: str) -> bool:
        """Whether that event has ended a run of the session before."""
