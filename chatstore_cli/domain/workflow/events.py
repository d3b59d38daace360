"""What the events of an agent framework come to: turns to store, runs that end, usage, and what needs no storing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """What an agent said, which tools it called, or what they gave back: it becomes one stored message.

    `event_id` is the event's own, None where it has none. `content` is any JSON value. `tool_call_id` names the one
    call that is answered; `tool_responses` has the answers where one turn answers several, as AG2 keeps them itself.
    `recipient` is whom it was said to: in a group chat its manager, in a chat nested within a turn somebody else.
    `oddities` says what had to be changed so that it can be stored.
    """

    event_id: str | None
    event_type: str
    role: str
    name: str | None
    content: Any
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    tool_responses: list[Any] | None = None
    oddities: tuple[str, ...] = ()
    recipient: str | None = None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What an agent's client has used so far, a row a model as it was reported; the event does not say whose it is."""

    event_id: str | None
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class UsageOwner:
    """The agent whose usage the next report tells."""

    agent: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run came to its end; more may follow in another one. `between` are the two whose talk ended, where it is told."""

    event_id: str | None
    reason: str | None
    between: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run ended with an error."""

    event_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class NothingToStore:
    """An event that tells how a turn came about, and no more."""

    event_type: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a type that nobody here has heard of."""

    event_type: str


ChatEvent = AgentTurn | UsageReport | UsageOwner | RunEnded | RunFailed | NothingToStore | UnknownEvent
