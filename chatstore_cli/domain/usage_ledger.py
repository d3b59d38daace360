"""The usage ledger: what agents' clients reported, row by row, and the ports around it.

A client's summary is cumulative: it says what the client has used since its run began. So per (chat, run, agent, model)
the maximum of each number counts, and late, repeated or reordered reports change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

MOST_TOKENS = 10**12
"""One report of more tokens than this is a mistake of who reported it, as is a cost above it."""

OPENING_RUN = 0
"""The run of the row that carries over what a session's counters said before its first report. Real runs begin at 1."""

TIME_KEYS = ("day", "week", "month")
LEDGER_KEYS = (*TIME_KEYS, "tenant_id", "user_id", "workflow", "agent", "model", "session_id")


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """What one client had used of one model, since its run began, when it said so.

    Counts are tokens, from 0 to MOST_TOKENS; `cached_tokens` is a part of the prompt's, None where nobody said.
    `cost` is None where unknown, never negative. `event_id` is the id of the event that told it, None where it has
    none; the same event of the same chat is stored once per model, whatever else is said about it.
    """

    event_id: str | None
    chat_id: str
    run: int
    tenant_id: str | None
    user_id: str | None
    workflow: str | None
    agent: str | None
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    at: datetime
    cached_tokens: int | None = None
    cost: Decimal | None = None

    @property
    def counters(self) -> Counters:
        """Its numbers alone."""
        return Counters(self.prompt_tokens, self.completion_tokens, self.total_tokens, self.cost)


class Counters(NamedTuple):
    """What a session's counters say, or should say. `cost` is None where nothing is known of it."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: Decimal | None = None

    def plus(self, other: Counters) -> Counters:
        """Both together; a cost is what is known of it."""
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Counters(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
            sum(costs, Decimal()) if costs else None,
        )


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A stored snapshot; `applied` says whether the session's counters are known to include it.

    `problem` says why it cannot be counted, as it has a number or a time that is none; None where it can.
    """

    row_id: str
    snapshot: UsageSnapshot
    applied: bool
    problem: str | None = None


class CountingReason(StrEnum):
    """Why a row that can be counted is counted, or is not."""

    CARRIED_OVER = "counted: what the session's counters said before its first report"
    FIRST = "counted: the first report of this run, agent and model"
    BEYOND = "counted: by how much it goes beyond what was reported before"
    NOT_ABOVE = "skipped: not above what was reported before (reports are cumulative)"


class UsageLedger(Protocol):
    """Where snapshots are kept, and the counters of the sessions that they belong to."""

    def insert(self, snapshots: Mapping[str, UsageSnapshot]) -> set[str]:
        """Store rows by their ids; gives the ids that were not there yet."""
        ...

    def sums(self, chat_id: str) -> Counters:
        """The sum, over run, agent and model, of the maxima of a chat's rows."""
        ...

    def opening(self, chat_id: str) -> UsageSnapshot | None:
        """What a session's counters said before any report was counted in them, as a row of OPENING_RUN.

        None where that is nothing, or no more than was carried over already, and without a session.
        """
        ...

    def open(self, row_id: str, opening: UsageSnapshot) -> None:
        """Store that row; where it is there, its numbers become the higher ones of both."""
        ...

    def raise_counters(self, chat_id: str, sums: Counters) -> bool:
        """Make the session's counters at least `sums`; False without a session.

        Where they say more, before the first report, than was carried over, they keep it, and `opening` tells it
        afterwards. Done again, late or by several at once it changes nothing: a smaller sum never lowers them.
        """
        ...

    def discard(self, row_ids: Sequence[str]) -> None:
        """Take rows away again that were stored for a chat which is deleted."""
        ...

    def mark_applied(self, row_ids: Sequence[str]) -> None:
        """Note that the counters include these rows."""
        ...

    def rows(self, chat_id: str) -> Iterator[LedgerRow]:
        """A chat's rows by time, that of OPENING_RUN before one of the same instant."""
        ...

    def counters(self, chat_id: str) -> Counters | None:
        """The counters of a session; None where there is no such session."""
        ...

    def set_counters(self, chat_id: str, seen: Counters, wanted: Counters) -> bool:
        """Replace counters that are still as they were seen; False where they are not."""
        ...

    def has_reports(self, chat_id: str, run: int) -> bool:
        """Whether anything was reported of a run."""
        ...

    def chats(self) -> Iterator[tuple[str, Counters]]:
        """Every chat of the ledger with its sums."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """What to add up the ledger by, and which rows. None leaves a filter out.

    `keys` are of LEDGER_KEYS. Days, weeks and months are those of `zone`. What counts between `since` (inclusive) and
    `until` (exclusive) is by how much a report in that span went beyond all earlier ones of its client.
    """

    keys: tuple[str, ...]
    zone: tzinfo = UTC
    tenant_id: str | None = None
    user_id: str | None = None
    workflow: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def by_whole_days(self) -> bool:
        """Whether daily sums (UTC) can answer it."""
        if any(key in TIME_KEYS for key in self.keys) and self.zone is not UTC:
            return False
        return all(edge is None or edge == datetime.combine(edge, time(), UTC) for edge in (self.since, self.until))


class LedgerGroup(NamedTuple):
    """Sums of one group, in the order of the query's keys.

    A session that is in several groups is in `first_sessions` of one of them alone, so that these can be added up; so
    for `unknown`, the sessions that used tokens at no known cost.
    """

    group: tuple[str | None, ...]
    usage: Counters
    sessions: int
    first_sessions: int
    unknown: int
    first_unknown: int


class UsageSums(Protocol):
    """Sums over the whole ledger."""

    def is_used(self) -> bool:
        """Whether there is any usage in the ledger."""
        ...

    def groups(self, query: LedgerQuery) -> Iterator[LedgerGroup]:
        """The sums: from daily sums where they cover the query, else from the rows.

        They come in any order, and a group may come twice, each time of other sessions.
        """
        ...

    def chats_with_usage(self, chat_ids: Sequence[str]) -> set[str]:
        """Those of the chats that the ledger has rows of."""
        ...

    def uncountable(self) -> int:
        """How many rows have a number or a time that is none, and are in no sum."""
        ...


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What keeping daily sums came to: ledger rows taken in, and the chats that they are of."""

    rows: int
    chats: int
