"""What the state of a multi-agent platform has to be: sessions, their usage and client sessions, in plain Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from chatstore_cli.domain.mixed_transcript import TranscriptSource

ACTIVE, PAUSED, COMPLETED = "active", "paused", "completed"
DONE, REFUSED, BLOCKED, NOTHING = "done", "refused", "blocked by prerequisites", "nothing to do"
"""The outcomes of a switch. REFUSED and BLOCKED change nothing but the history, NOTHING not even that."""


class Owner(NamedTuple):
    """A tenant and a user of it."""

    app_id: str
    user_id: str


OWNERS = (Owner("a-b", "c"), Owner("a", "b-c"), Owner("a", "c"), Owner("a-b", "ann@x.y"))
"""Two tenants and three users. The plain ids of the first two collide, and two tenants have a user of the same name."""

WORKFLOWS = ("Generator", "Investor", "Portal")


class Turn(NamedTuple):
    """The usage of one turn. A cost of None is unknown."""

    prompt: int
    completion: int
    cost: Decimal | None


class Usage(NamedTuple):
    """The sum of turns: the known costs, and whether there is a turn with tokens whose cost is unknown."""

    prompt: int
    completion: int
    cost: Decimal
    has_unknown_cost: bool


@dataclass
class SessionModel:
    """A workflow session or a general chat. `number` is that of the general chat."""

    source: TranscriptSource
    owner: Owner
    number: int | None = None
    contents: list[str] = field(default_factory=list)
    event_ids: dict[str, str] = field(default_factory=dict)
    """By content, of the messages that have one."""
    turns: list[Turn] = field(default_factory=list)
    counters_are_current: bool = True
    """False from an interrupted count without a turn id until the next count: only the ledger has that turn."""

    @property
    def usage(self) -> Usage:
        """The sum of all turns."""
        turns = self.turns
        return Usage(
            sum(turn.prompt for turn in turns),
            sum(turn.completion for turn in turns),
            sum((turn.cost for turn in turns if turn.cost is not None), Decimal()),
            any(turn.cost is None and turn.prompt + turn.completion > 0 for turn in turns),
        )


@dataclass
class ClientState:
    """A client session. `switches` has each attempt: the session that it names, and whether it was refused."""

    statuses: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str | None] = field(default_factory=dict)
    general_mode: bool = False
    switches: list[tuple[str | None, bool]] = field(default_factory=list)

    @property
    def active(self) -> str | None:
        """The active workflow session."""
        return next((chat for chat, status in self.statuses.items() if status == ACTIVE), None)

    def start(self, chat: str, artifact: str | None, *, activate: bool, is_blocked: bool) -> str:
        """Register a workflow and activate it, or only register it."""
        if self.statuses.get(chat) == COMPLETED:
            return self._noted(chat, REFUSED)
        if is_blocked and (activate or chat not in self.statuses):
            return self._noted(chat, BLOCKED)
        self.statuses.setdefault(chat, PAUSED)
        self.artifacts[chat] = artifact or self.artifacts.get(chat)
        if activate:
            self._activate(chat)
        return self._noted(chat, DONE)

    def switch(self, chat: str, *, is_blocked: bool) -> str:
        """Activate a registered workflow."""
        if self.statuses.get(chat, COMPLETED) == COMPLETED:
            return self._noted(chat, REFUSED)
        if is_blocked:
            return self._noted(chat, BLOCKED)
        self._activate(chat)
        return self._noted(chat, DONE)

    def enter_general_mode(self) -> str:
        """Pause all workflows."""
        if self.general_mode:
            return NOTHING
        self._pause_all()
        self.general_mode = True
        return self._noted(None, DONE)

    def complete(self, chat: str) -> str:
        """Complete a workflow. The mode stays."""
        if chat not in self.statuses:
            return self._noted(chat, REFUSED)
        if self.statuses[chat] == COMPLETED:
            return NOTHING
        self.statuses[chat] = COMPLETED
        return self._noted(chat, DONE)

    def _activate(self, chat: str) -> None:
        self._pause_all()
        self.statuses[chat] = ACTIVE
        self.general_mode = False

    def _pause_all(self) -> None:
        for chat, status in self.statuses.items():
            self.statuses[chat] = PAUSED if status == ACTIVE else status

    def _noted(self, chat: str | None, outcome: str) -> str:
        self.switches.append((chat, outcome != DONE))
        return outcome


@dataclass
class Client:
    """What a client has received of each session, counted. `by_index` is how it names its position."""

    by_index: bool
    received: dict[TranscriptSource, int] = field(default_factory=dict)


@dataclass
class Model:
    """The whole platform. `connections` has the client session to which each connection is attached."""

    sessions: dict[TranscriptSource, SessionModel] = field(default_factory=dict)
    deleted: dict[TranscriptSource, SessionModel] = field(default_factory=dict)
    states: dict[tuple[Owner, str], ClientState] = field(default_factory=dict)
    connections: dict[str, tuple[Owner, str]] = field(default_factory=dict)
    clients: dict[Owner, list[Client]] = field(
        default_factory=lambda: {owner: [Client(by_index=True), Client(by_index=False)] for owner in OWNERS}
    )
    blocked: set[str] = field(default_factory=set)
    """The workflows whose prerequisites are not met."""

    def of(self, owner: Owner) -> dict[TranscriptSource, SessionModel]:
        """The sessions of an owner."""
        return {source: session for source, session in self.sessions.items() if session.owner == owner}

    def highest_number(self, owner: Owner) -> int:
        """The highest number of a chat that the owner ever had."""
        known = [*self.sessions.values(), *self.deleted.values()]
        return max((each.number or 0 for each in known if each.owner == owner), default=0)

    def delete(self, source: TranscriptSource) -> None:
        """Delete a session. Clients drop what they have of it."""
        session = self.deleted[source] = self.sessions.pop(source)
        for client in self.clients[session.owner]:
            client.received.pop(source, None)

    def state(self, connection: str) -> ClientState | None:
        """The client session of a connection; None if it is not attached."""
        attached = self.connections.get(connection)
        return None if attached is None else self.states.setdefault(attached, ClientState())


def session_of(owner: Owner, workflow: str) -> TranscriptSource:
    """The session of a workflow. Every owner has one of each."""
    return TranscriptSource("workflow", f"{workflow}:{owner.app_id}:{owner.user_id}")


def workflow_of(chat_id: str) -> str:
    """The workflow of that session."""
    return chat_id.partition(":")[0]


def merged(times: Mapping[TranscriptSource, list[datetime]]) -> Iterator[TranscriptSource]:
    """The order of a transcript, as the sources of its turns: of the next turns of all sources the earliest comes first."""
    left = {source: list(each) for source, each in times.items() if each}
    while left:
        source = min(left, key=lambda each: (left[each][0], each))
        del left[source][0]
        if not left[source]:
            del left[source]
        yield source
