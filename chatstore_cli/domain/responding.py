"""The port of the responder, which answers a user's message in place of an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.usage import Usage


class Mode(StrEnum):
    """The kind of session that a message was sent in."""

    CHAT = "chat"
    """A session of flat messages."""
    WORKFLOW = "workflow"
    GENERAL = "general"


@dataclass(frozen=True, slots=True)
class Question:
    """A user's message, and what a responder may need to answer it. `history` ends with the message itself.

    `workflows` are the workflows of the client session as dictionaries, `artifacts` those that its sessions work on.
    `context` is what the client sent about its user interface.
    """

    mode: Mode
    session_id: str
    text: str
    history: Sequence[Message] = ()
    tenant_id: str | None = None
    user_id: str | None = None
    workflow: str | None = None
    workflows: Sequence[Mapping[str, Any]] = ()
    artifacts: Sequence[Mapping[str, Any]] = ()
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """The tokens and the cost of one answer. `turn_id` is the same if the answer is reported again."""

    usage: Usage
    turn_id: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Anything else that a responder reports, such as a tool call. Sockets pass it on as it is."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)


Part = str | TurnUsage | Event
"""A part of an answer: a piece of its text, what it used, or an event."""


class Responder(Protocol):
    """Answers users' messages."""

    def respond(self, question: Question) -> AsyncIterator[Part]:
        """The parts of the answer. An error that it raises is reported to the user as a failed turn, without its text."""


@runtime_checkable
class ResponderWithConnections(Protocol):
    """A responder that keeps connections. The server closes it when it stops."""

    async def close(self) -> None:
        """Close the connections."""
