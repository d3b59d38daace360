"""General chats: numbered sessions of a user with a general assistant, and the port that stores them.

Their messages are kept apart from those of workflows. Chats are numbered for each tenant and user, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.segments import DocumentFull

MISSING_STATUS = -1
"""The status of a chat whose document has none."""


@dataclass(frozen=True, slots=True)
class GeneralChat:
    """The facts of a general chat. `sequence` is its number, and `last_sequence` the number of its newest message.

    A field that an old document does not have is None, and 0 for numbers.
    """

    chat_id: str
    label: str
    sequence: int
    tenant_id: str | None
    user_id: str | None
    status: int
    created_at: datetime | None
    updated_at: datetime | None
    last_sequence: int


@dataclass(frozen=True, slots=True)
class GeneralMessage:
    """A message to append. `event_id` identifies it: a message whose event id is stored already is not stored again."""

    role: str
    content: str
    agent_name: str
    event_id: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GeneralChatState:
    """A stored chat as it was read. `guard` is the store's own: the state that the next append requires."""

    chat: GeneralChat
    guard: Any


@dataclass(frozen=True, slots=True)
class AppendedMessage:
    """A stored message as it is in the document, the chat's new state, and the size of the message in BSON bytes."""

    message: dict[str, Any]
    state: GeneralChatState
    size_bytes: int


class KeptMessage(NamedTuple):
    """A message as it is in the document. `is_new` is False if an earlier call stored it."""

    message: dict[str, Any]
    is_new: bool


@dataclass(frozen=True, slots=True)
class TranscriptPart:
    """A selection of messages of a chat: at most `limit` (None: all) after `after_sequence` (0: from the beginning).

    `newest` selects the newest of these messages, otherwise the oldest. The oldest ones continue until the sequence changes,
    so that the next part can begin after the last sequence of this part.
    """

    after_sequence: int
    limit: int | None
    newest: bool


class ChatNumberSource(Protocol):
    """Returns the numbers of new chats."""

    def next_number(self, tenant: str, user: str) -> int:
        """A number that no call has returned before for this tenant and user."""

    def raise_to(self, tenant: str, user: str, number: int) -> None:
        """Return only higher numbers from now on."""


class GeneralChatStore(Protocol):
    """Stores general chats. If a method on a state returns None, the chat was changed or deleted: read it again."""

    def create(self, chat: GeneralChat) -> bool:
        """Store a new chat without messages; False if its id is taken, or the chat was deleted on purpose."""

    def highest_deleted(self, tenant: str, user: str) -> int:
        """The highest number of a chat of this tenant and user that was deleted on purpose; 0 without a deletion."""

    def find(self, chat_id: str) -> GeneralChatState | None:
        """The state of a stored chat of any variant; None if there is no such chat."""

    def is_deleted(self, chat_id: str) -> bool:
        """Whether the chat was deleted on purpose."""

    def append(
        self, state: GeneralChatState, message: GeneralMessage, now: datetime
    ) -> AppendedMessage | DocumentFull | None:
        """Store a message after the last one, and the time of the change, in one update.

        Raises DocumentRefused for a message that is too large for any document, Conflict if `messages` is not an array.
        """

    def stored_message(self, state: GeneralChatState, event_id: str) -> dict[str, Any] | None:
        """The message with that event id, in the chat's document or its segments; None if it is not stored."""

    def newest(self, tenant: str, user: str, limit: int) -> list[GeneralChat]:
        """At most `limit` chats of a user, the newest by `created_at` first; at equal times the higher id first."""

    def messages(self, state: GeneralChatState, part: TranscriptPart) -> Iterator[dict[str, Any]]:
        """The selected messages in order of their sequence, each as its whole stored document, read as they are asked for."""
