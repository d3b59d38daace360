"""The usage ledger: the reports of agents' clients, row by row, and the ports around it.

A report is cumulative: it has what a client has used since its run began. So per session, run, agent and model the maximum
of each number counts, and late, repeated or reordered reports change nothing. A growth is stored on top of that maximum.
A row with a `turn_id` reports one turn. It counts as a client of its own, so turns add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from chatstore_cli.domain.prices import UsageToPrice
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.usage import UNKNOWN_DETAILS, TokenDetails, Usage

MOST_TOKENS = 10**12
"""A report of more tokens than this, or of a cost above it, is an error of the reporter."""

OPENING_RUN = 0
"""The run of the opening balance: the row with a session's counters before its first report. Real runs begin at 1."""

LEDGER_LAYOUTS = ("workflow", "general")
"""The layouts whose sessions have rows in the usage ledger. A row belongs to the first layout unless it names another."""

ClientName = tuple[str | None, str | None]
"""The names of an agent and of a model, None if unknown."""

TIME_KEYS = ("day", "week", "month")
LEDGER_KEYS = (*TIME_KEYS, "tenant_id", "user_id", "workflow", "agent", "model", "session_id", "layout")


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """What one client had used of one model at the time `at`, since its run began.

    Counts are tokens, from 0 to MOST_TOKENS. `cached_tokens` is a part of the prompt's tokens, and `reasoning_tokens` of
    the completion's; None if not reported.
    `cost` is None if unknown, never negative. `event_id` is the id of the event that reported it, or None. An event of a
    session is stored once per model, whatever its other fields are. With a `turn_id` it is what that turn alone has used,
    and `seconds` is how long the turn took, None if unknown.
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
    turn_id: str | None = None
    seconds: float | None = None
    reasoning_tokens: int | None = None

    @property
    def counters(self) -> Usage:
        """The numbers that add up."""
        return Usage(self.prompt_tokens, self.completion_tokens, self.total_tokens, self.cost)


@dataclass(frozen=True, slots=True)
class UsageGrowth:
    """By how much the usage of a session's agents has grown, per agent and model: a report that is not cumulative.

    It is stored on top of what the session's run has. `growth_id` recognises it if it is stored again.
    """

    growth_id: str
    amounts: Mapping[ClientName, Usage]


class ClientRows(NamedTuple):
    """The rows of a run's agent and model: their maximum, and the id of an own row if there is one."""

    highest: Usage = Usage()
    own_row: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A stored snapshot. `applied` is true if the session's counters are known to include it.

    `problem` is the reason why the row cannot be counted (an invalid number or time), None if it can. `client` is equal
    for two rows if the database takes their run, agent and model for equal: texts would not tell 1 from "1".
    """

    row_id: str
    snapshot: UsageSnapshot
    applied: bool
    client: tuple[str, ...]
    problem: str | None = None


class CountingReason(StrEnum):
    """Why a valid row is counted, or is skipped."""

    CARRIED_OVER = "counted: the session's counters before its first report"
    FIRST = "counted: the first report of this run, agent and model"
    TURN = "counted: one turn, which is added to all others"
    BEYOND = "counted: the part above what was reported before"
    NOT_ABOVE = "skipped: not above what was reported before (reports are cumulative)"


class UsageLedger(Protocol):
    """Stores snapshots of one layout's sessions, and the counters of these sessions."""

    layout: str

    def session(self, chat_id: str) -> Session | None:
        """The facts of a session, None if there is no such session."""

    def row(self, row_id: str) -> UsageSnapshot | None:
        """A stored row of the layout, None if there is no such row."""

    def insert(self, snapshots: Mapping[str, UsageSnapshot]) -> set[str]:
        """Store rows by their ids. Returns the ids that are newly stored."""

    def sums(self, chat_id: str) -> Usage:
        """The sum of a session's maxima per run, agent and model."""

    def opening_balance(self, chat_id: str) -> UsageSnapshot | None:
        """A session's counters before any report was counted in them, as a row of OPENING_RUN.

        None if they are 0, if the stored opening balance has as much already, or if there is no session.
        """

    def store_opening_balance(self, row_id: str, balance: UsageSnapshot) -> None:
        """Store that row. If it is stored already, its numbers become the higher ones of both."""

    def raise_counters(self, chat_id: str, sums: Usage) -> bool:
        """Raise the session's counters to at least `sums`. Returns False if there is no session.

        If they were above the stored opening balance before the first report, they keep the difference, and
        `opening_balance` returns it afterwards. A smaller sum never lowers them, so repeated, late and concurrent calls
        change nothing.
        """

    def unapplied(self, chat_id: str) -> list[str]:
        """The ids of a session's rows that are not marked as included in the counters."""

    def discard(self, row_ids: Sequence[str]) -> None:
        """Delete rows that were stored for a session after it was deleted."""

    def mark_applied(self, row_ids: Sequence[str]) -> None:
        """Mark these rows as included in the counters."""

    def rows(self, chat_id: str) -> Iterator[LedgerRow]:
        """A session's rows by time, the opening balance before other rows of the same instant."""

    def counters(self, chat_id: str) -> Usage | None:
        """The counters of a session, None if there is no such session."""

    def counters_from_ledger(self, chat_id: str) -> Usage | None:
        """The counters of a session, None unless a report was counted in them and all are valid numbers."""

    def set_counters(self, chat_id: str, expected: Usage, new: Usage) -> bool:
        """Replace counters. Returns False, and changes nothing, if they are not the expected ones."""

    def has_reports(self, chat_id: str, run: int) -> bool:
        """Whether there is any report of a run. Turns belong to no run."""

    def clients(self, chat_id: str, run: int, event_id: str) -> dict[ClientName, ClientRows]:
        """The reports of a run that can be counted, per agent and model. `event_id` has reported the own rows."""

    def chats(self) -> Iterator[tuple[str, Usage]]:
        """The session ids in the ledger, each with its sums."""


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """The keys to group the ledger by, and filters of its rows. A filter of None is not applied.

    `keys` are of LEDGER_KEYS. Days, weeks and months are those of `zone`. Between `since` (inclusive) and `until`
    (exclusive) a client's usage is by how much its reports exceed all its earlier ones. With `details`, cached and reasoning
    tokens are added up too, which takes longer. `sessions` are the ids of sessions of `layout`, at most some thousand.
    """

    keys: tuple[str, ...]
    zone: tzinfo = UTC
    tenant_id: str | None = None
    user_id: str | None = None
    workflow: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    layout: str | None = None
    details: bool = False
    sessions: frozenset[str] | None = None

    @property
    def by_whole_days(self) -> bool:
        """Whether daily sums (UTC) can answer the query."""
        if any(key in TIME_KEYS for key in self.keys) and self.zone is not UTC:
            return False
        return all(edge is None or edge == datetime.combine(edge, time(), UTC) for edge in (self.since, self.until))


class LedgerGroup(NamedTuple):
    """Sums of one group, in the order of the query's keys.

    `unknown` counts the sessions that used tokens without a known cost. A session may be in several groups, but only one
    of them counts it in `first_sessions` and `first_unknown`, so these can be added up.
    """

    group: tuple[str | None, ...]
    usage: Usage
    sessions: int
    first_sessions: int
    unknown: int
    first_unknown: int
    details: TokenDetails = UNKNOWN_DETAILS


class UsageSums(Protocol):
    """Adds up the whole ledger."""

    def is_used(self) -> bool:
        """Whether there is any usage in the ledger."""

    def groups(self, query: LedgerQuery) -> Iterator[LedgerGroup]:
        """The sums: from daily sums if these cover the query, else from the rows.

        They come in any order. A group may come twice, with different sessions.
        """

    def to_price(self, query: LedgerQuery) -> Iterator[UsageToPrice]:
        """The same sums per model and day (UTC), and apart from each other those with and without a stored cost."""

    def chats_with_usage(self, chat_ids: Sequence[str], layout: str) -> set[str]:
        """Those of a layout's session ids that have rows in the ledger."""

    def uncountable(self) -> int:
        """How many rows are in no sum, because a number or the time in them is invalid."""

    def with_invalid_cost(self) -> int:
        """How many rows have a cost that is not an amount, which counts as unknown. A large ledger is not checked."""


@dataclass(frozen=True, slots=True)
class RolledUp:
    """One step of a rollup: how many ledger rows were added to daily sums, and of how many sessions."""

    rows: int
    chats: int
