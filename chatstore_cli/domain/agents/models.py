"""Saved agents, their versions, and pages of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

from chatstore_cli.domain.errors import BadValue

_OBJECT_ID_DIGITS = 24


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""An argument that was not given, where None is a value."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A saved agent. `config` is its active configuration, which may contain secrets; it is empty if it was not read.

    `version_id` names the present state, also of an agent without stored versions; it is empty if the version was not read.
    `names_in_config`: the document has its name only in `config.agent_name`, and its description in
    `config.agent_description`. `key` is the id that lyzr-agent gave to the agent; None for all others.
    """

    agent_id: str
    name: str | None
    description: str | None
    config: Mapping[str, Any] = field(repr=False)
    created_at: datetime | None
    updated_at: datetime | None
    deleted_at: datetime | None = None
    version_id: str = ""
    tenant_id: str | None = None
    user_id: str | None = None
    names_in_config: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """One state of an agent: its configuration, and since when it is valid.

    `name` and `description` are None in a version of an agent that has them in its configuration. `archived`: the version is
    no longer in the agent's own document.
    """

    version_id: str
    config: Mapping[str, Any] = field(repr=False)
    active: bool
    created_at: datetime | None
    name: str | None = None
    description: str | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class NewAgent:
    """An agent to store. A tenant's agent has a `tenant_id`."""

    name: str | None
    description: str | None
    config: Mapping[str, Any] = field(repr=False)
    tenant_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class AgentContent:
    """What a version keeps of an agent, and an update changes."""

    name: str | None
    description: str | None
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgentCursor:
    """An agent's position in the list: newest change first, then descending id.

    `updated_ms` are milliseconds since 1970; None for an agent without the time of its last change.
    """

    updated_ms: int | None
    agent_id: str

    def to_text(self) -> str:
        """The position as an opaque text for URLs and shell words."""
        packed = json.dumps([self.updated_ms, self.agent_id], separators=(",", ":"))
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> AgentCursor:
        """The position of such a text. Raises BadValue."""
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            updated_ms, agent_id = json.loads(packed)
            if updated_ms is not None and (type(updated_ms) is not int or abs(updated_ms) >= 2**63):
                raise ValueError("not a time")
            if len(bytes.fromhex(agent_id)) * 2 != _OBJECT_ID_DIGITS:
                raise ValueError("not an id")
        except (binascii.Error, ValueError, TypeError, RecursionError) as error:
            raise BadValue(name="--cursor", value=text, expected="the next_cursor of an earlier page") from error
        return cls(updated_ms, agent_id)


@dataclass(frozen=True, slots=True)
class AgentPage:
    """Agents in descending order of their last change. `next_cursor` is None at the end."""

    agents: tuple[Agent, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AgentQuery:
    """Which agents are listed. None is no condition; `tenant_id` None is the operator, who sees the agents of all tenants.

    `deleted`: only deleted agents, otherwise only the others. `with_config` False leaves out what is in the configuration
    beside the name and the description.
    """

    tenant_id: str | None = None
    user_id: str | None = None
    deleted: bool = False
    with_config: bool = True


@dataclass(frozen=True, slots=True)
class AgentPurge:
    """The documents of deleted agents that a purge deletes for good, or has deleted: agents, and archived versions."""

    collection: str
    agents: int
    versions_collection: str
    versions: int


@dataclass(frozen=True, slots=True)
class VersionSample:
    """How many agents were looked at, and those whose stored versions have not exactly one active one.

    `faults` has the id and the number of active versions of each.
    """

    looked_at: int
    faults: tuple[tuple[str, int], ...] = ()
