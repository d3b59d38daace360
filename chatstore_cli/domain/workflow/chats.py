"""Writing chats of the workflow layout: what is known of a stored chat, and the port that changes it.

Each change is one atomic update, guarded by what was known: where the chat has changed meanwhile nothing is written, and
it is looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.workflow.events import AgentTurn


@dataclass(frozen=True, slots=True)
class ExpectedEcho:
    """The message that AG2 is expected to emit once more, under a new uuid, as run `run` goes on from it.

    It does so in the name of `sender`, or of the group chat's `manager` where no agent of that name is in the chat.
    """

    run: int
    sender: str
    fingerprint: str
    manager: str


@dataclass(frozen=True, slots=True)
class ChatState:
    """What is known of a stored chat. `guard` is the store's own: what the next change takes for granted.

    `run_start` is the last sequence that there was when the current run began, None where nobody noted it.
    `addressed_to` is whom its first turn was said to: in a group chat its manager.
    """

    chat_id: str
    tenant_id: str | None
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

    @property
    def is_at_start(self) -> bool:
        """Whether nothing has been said in the current run."""
        return self.last_sequence == (self.run_start or 0)


@dataclass(frozen=True, slots=True)
class NewChat:
    """A chat that is to be created."""

    chat_id: str
    tenant_id: str
    user_id: str | None = None
    workflow: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """A message was stored: what is known of the chat now, and the message's size in bytes as it is stored."""

    state: ChatState
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The chat's document would pass what the server takes: this many bytes are needed."""

    needed_bytes: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """What becomes of a chat's status. None leaves a thing as it is."""

    status: SessionStatus | None = None
    paused: bool | None = None
    reason: str | None = None
    ends_run: str | None = None
    """The id of the event that ended the run, kept so that it does so once."""


class SavedAs(StrEnum):
    """What became of an event."""

    MESSAGE = "message"
    USAGE = "usage"
    STATUS = "status"
    DUPLICATE = "duplicate"
    ECHO = "echo"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SavedEvent:
    """What became of an event, and the sequence of the message where it is one that was stored now."""

    saved_as: SavedAs
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of status that was asked for: `changed` is False where the chat was there already."""

    chat_id: str
    status: SessionStatus
    paused: bool
    changed: bool

    @property
    def in_words(self) -> str:
        """The state as messages name it."""
        return state_in_words(self.status, self.paused)


def state_in_words(status: SessionStatus, paused: bool) -> str:
    """A chat's state as messages name it."""
    return f"{status} and paused" if paused else str(status)


@dataclass(frozen=True, slots=True)
class ResumedChat:
    """A chat that is about to go on.

    `messages` is what `GroupChatManager.resume` takes, without those of the general agent; `status` and `paused` are
    how the chat was found; `run` is the run that begins now; `notes` say what had to be changed in the history.
    """

    chat_id: str
    run: int
    status: SessionStatus
    paused: bool
    messages: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


class ChatWriter(Protocol):
    """Where chats are written. Methods that give None found the chat changed (or gone): load it again, and decide."""

    def load(self, chat_id: str) -> ChatState | None:
        """What is stored of a chat, whichever variant it is; None where there is none."""
        ...

    def is_deleted(self, chat_id: str) -> bool:
        """Whether the chat was deleted on purpose."""
        ...

    def create(self, chat: NewChat, at: datetime) -> ChatState | None:
        """Create a chat; None where another has created it, or it has been deleted on purpose meanwhile."""
        ...

    def claim(self, state: ChatState, chat: NewChat) -> ChatState | None:
        """Note the tenant, user and workflow of a chat whose document names none of these, as far as they are given.

        None where it names another tenant, or something unreadable.
        """
        ...

    def holds_event(self, state: ChatState, event_id: str) -> bool:
        """Whether a message with that event id, or an echo, is stored: in the chat's document or its segments."""
        ...

    def append(
        self, state: ChatState, turn: AgentTurn, event_id: str, at: datetime, *, still_awaited: bool = False
    ) -> Appended | NoRoom | None:
        """Store a turn as the message after the last one, and the chat as running; an awaited echo is no longer awaited.

        Unless it is `still_awaited`, as the turn is one of an earlier run that comes late. Raises DocumentRefused for what fits into no document, Conflict where the stored messages are no list.
        """
        ...

    def note_echo(self, state: ChatState, turn: AgentTurn, run: int, event_id: str, at: datetime) -> ChatState | None:
        """Remember the event as the awaited echo of a run, which has one at the most; the chat runs."""
        ...

    def open_run(self, state: ChatState, echo: ExpectedEcho | None, running: bool, at: datetime) -> ChatState | None:
        """Begin the next run, which may begin with an echo."""
        ...

    def change(self, state: ChatState, change: StatusChange, at: datetime) -> ChatState | None:
        """Change a chat's status; None also where the run was ended by that event before."""
        ...

    def has_ended(self, state: ChatState, event_id: str) -> bool:
        """Whether that event has ended a run of the chat before."""
        ...
