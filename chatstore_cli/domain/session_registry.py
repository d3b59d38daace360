"""The session registry: which workflows a client session has, and which one of them is active.

A client session is what one client of one user has open, in any number of tabs. Its key comes from the client. A connection
(a WebSocket) is attached to a client session, so the state of a client session survives its connections.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from chatstore_cli.domain.times import utc_now

ACTIVE, PAUSED, COMPLETED = "active", "paused", "completed"
"""The statuses of a workflow in a client session. At most one workflow is active."""

KEPT_SWITCHES = 500
"""The number of switches of a client session that are kept."""

MOST_WORKFLOWS = 1_000
"""The highest number of workflows of a client session. A further workflow replaces a completed or paused one."""


@dataclass(frozen=True, slots=True)
class WorkflowContext:
    """One workflow in a client session. `status` is active, paused or completed."""

    chat_id: str
    workflow_name: str
    app_id: str
    user_id: str
    artifact_id: str | None = None
    status: str = ACTIVE
    created_at: datetime = field(default_factory=utc_now)
    last_active: datetime = field(default_factory=utc_now)

    def to_dict(self) -> dict[str, Any]:
        """The documented keys in their documented order. Times are ISO 8601."""
        return {
            "chat_id": self.chat_id,
            "workflow_name": self.workflow_name,
            "app_id": self.app_id,
            "user_id": self.user_id,
            "artifact_id": self.artifact_id,
            "status": self.status,
            "created_at": self.created_at.isoformat(),
            "last_active": self.last_active.isoformat(),
        }


class ClientSession(NamedTuple):
    """The identity of a client session: the tenant, the user, and the key that the client keeps."""

    app_id: str
    user_id: str
    session_key: str


class SwitchAction(StrEnum):
    """What a switch does. `add` registers a workflow, or another artifact of one, and does not activate it."""

    START = "start"
    ADD = "add"
    SWITCH = "switch"
    GENERAL = "general"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Switch:
    """One attempt to change a client session.

    `action` is one of SwitchAction, or another value that a later version stored. `connection` requested the switch.
    `from_chat_id` was active before. `to_chat_id` is the workflow that the attempt names, None for general mode. `refused`
    is the reason if nothing was changed. `version` is that of the entry afterwards, so every change has exactly one switch
    that was not refused.
    """

    action: str
    connection: str
    from_chat_id: str | None
    to_chat_id: str | None
    at: datetime
    version: int
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """The state of a client session. Every change raises `version` by 1.

    `general_mode` is True from entering general mode until a workflow becomes active. `stored` is what the store
    has read, for its own use, or None if nothing is stored yet.
    """

    session: ClientSession
    workflows: tuple[WorkflowContext, ...] = ()
    general_mode: bool = False
    version: int = 0
    updated_at: datetime | None = None
    stored: Any = field(default=None, compare=False, repr=False)

    @property
    def active(self) -> WorkflowContext | None:
        """The active workflow."""
        return next((each for each in self.workflows if each.status == ACTIVE), None)

    def workflow(self, chat_id: str) -> WorkflowContext | None:
        """The workflow with this session id."""
        return next((each for each in self.workflows if each.chat_id == chat_id), None)


class RegistryStore(Protocol):
    """Entries by client session, and their switches. Raises the errors of domain/errors.py."""

    def find(self, session: ClientSession) -> RegistryEntry | None:
        """The entry of a client session."""

    def change(self, before: RegistryEntry, after: RegistryEntry, switch: Switch) -> bool:
        """Store `after` and add the switch, both or neither. False if the entry has changed since `before` was read.

        If the switch was refused, `after` is `before`: only the switch is added, under the same condition.
        """

    def switches(self, session: ClientSession, limit: int) -> list[Switch]:
        """The newest switches, the newest first."""

    def newest(self, app_id: str, user_id: str, limit: int) -> list[RegistryEntry]:
        """The entries of a user that were changed last, the newest first."""


@dataclass(frozen=True, slots=True)
class WorkflowRequest:
    """The request that a prerequisites hook allows or refuses: a workflow to start or to switch to.

    `action` is `start` if the workflow is new in its client session, otherwise `switch`.
    """

    action: str
    app_id: str
    user_id: str
    session_key: str
    workflow_name: str
    chat_id: str
    artifact_id: str | None


PrerequisitesHook = Callable[[WorkflowRequest], object]
"""Returns True to allow the request, or a text with the reason to refuse it. Any other value refuses it too."""


class Prerequisites(Protocol):
    """Asks the hook of the application."""

    def refusal(self, request: WorkflowRequest) -> str | None:
        """The reason to refuse the request; None if it is allowed."""
