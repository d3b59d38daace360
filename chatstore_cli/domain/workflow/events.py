"""The meanings of an agent framework's events: turns to store, ends of runs, usage, and events that are not stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """A turn of an agent, which is stored as one message: text, tool calls, or the results of tools.

    `event_id` is the event's own id, or None. `content` is any JSON value. `tool_call_id` is the call that a result
    answers; if one turn answers several calls, `tool_responses` has the results, in AG2's own shape. `recipient` is the
    agent that was addressed: in a group chat its manager, in a chat nested within a turn another agent. `alterations`
    are the kinds of changes that were needed to store the turn. `source` is how the turn arrived, such as `ws`.
    """

    event_id: str | None
    event_type: str
    role: str
    name: str | None
    content: Any
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    tool_responses: list[Any] | None = None
    alterations: tuple[str, ...] = ()
    recipient: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """What an agent's client has used so far, one row per model as reported; the event does not name the agent."""

    event_id: str | None
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class UsageOwner:
    """The agent whose usage the next report contains."""

    agent: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended; another one may follow. `speakers` are the two agents whose chat ended, if the event names them."""

    event_id: str | None
    reason: str | None
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run ended with an error."""

    event_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class NothingToStore:
    """An event that only describes how a turn came about."""

    event_type: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a type that chatstore does not know."""

    event_type: str


ChatEvent = AgentTurn | UsageReport | UsageOwner | RunEnded | RunFailed | NothingToStore | UnknownEvent
