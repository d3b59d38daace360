"""Usage reports: adds up the usage ledger, and the stored totals of sessions without ledger entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal
from enum import StrEnum
from itertools import islice

from chatstore_cli.core.readers import InvalidNumbers, remarks_of, split_by_answer
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.usage import KnownUsage, UsageRow
from chatstore_cli.domain.usage_ledger import LEDGER_LAYOUTS, MOST_TOKENS, TIME_KEYS, LedgerQuery, UsageSums

_EXACT = Context(prec=200)
"""No sum of costs is rounded: the default precision of 28 digits would round without notice."""

_SESSIONS_PER_LOOKUP = 1_000


class UsageGrouping(StrEnum):
    """The keys that usage can be grouped by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TENANT = "tenant"
    USER = "user"
    WORKFLOW = "workflow"
    AGENT = "agent"
    MODEL = "model"
    SESSION = "session"
    STATUS = "status"


class UsageOrder(StrEnum):
    """The orders of groups: names ascending, numbers descending."""

    NAME = "name"
    TOKENS = "tokens"
    PROMPT = "prompt"
    COMPLETION = "completion"
    COST = "cost"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Rows in order, totals of all groups, and notes about them. `left_out` is the number of groups below the top ones."""

    rows: list[UsageRow]
    totals: UsageRow
    notes: list[str]
    left_out: int = 0
    ledger_used: bool = False


_Key = tuple[str | None, ...]


class _RunningSum:
    """The sum of a group. `names` are the sessions of the ledger, if they are known one by one."""

    __slots__ = (
        "completion",
        "cost",
        "counters",
        "has_tokens",
        "names",
        "prompt",
        "sessions",
        "total",
        "unknown",
        "unknown_names",
    )

    def __init__(self) -> None:
        self.sessions = self.prompt = self.completion = self.total = self.unknown = self.counters = 0
        self.cost: Decimal | None = None
        self.has_tokens = False
        self.names: set[_Key] = set()
        self.unknown_names: set[_Key] = set()

    def add_session(self, usage: KnownUsage | None) -> None:
        """Add a session with its stored totals; None if its layout has none."""
        self.sessions += 1
        self.counters += 1
        if usage is None:
            return
        if usage.has_tokens:
            self.add(*usage.known)
        elif usage.cost is not None:
            self.add_cost(usage.cost)
        # Of tokens that are known to be 0 no cost is missing.
        if usage.cost is None and (not usage.has_tokens or any(usage[:3])):
            self.unknown += 1

    def add(self, prompt: int, completion: int, total: int, cost: Decimal | None) -> None:
        """Add tokens and cost. An unknown cost adds nothing."""
        self.has_tokens = True
        self.prompt += prompt
        self.completion += completion
        self.total += total
        if cost is not None:
            self.add_cost(cost)

    def add_cost(self, cost: Decimal) -> None:
        """Add a known cost."""
        self.cost = cost if self.cost is None else _EXACT.add(self.cost, cost)

    @property
    def all_sessions(self) -> int:
        """The number of sessions, from both sources."""
        return self.sessions + len(self.names)

    def row(self, group: dict[str, str | None]) -> UsageRow:
        """The sum as a row of a report."""
        usage = KnownUsage(self.prompt, self.completion, self.total, self.cost)
        if self.all_sessions and not self.has_tokens:
            usage = KnownUsage(cost=self.cost)
        unknown = self.unknown + len(self.unknown_names)
        return UsageRow(group, self.all_sessions, usage, unknown, self.counters)


_ID_NAMES = {UsageGrouping.TENANT: "tenant_id", UsageGrouping.USER: "user_id", UsageGrouping.SESSION: "session_id"}
"""The row keys of groupings by an id. Any other grouping is its own row key. Rows of sessions have `layout` too."""


def report_usage(
    readers: Sequence[SessionReader],
    query: SessionQuery,
    by: UsageGrouping | Sequence[UsageGrouping],
    *,
    ledger: UsageSums | None = None,
    zone: tzinfo = UTC,
    order: UsageOrder | None = None,
    top: int | None = None,
) -> UsageReport:
    """Usage by one or several keys: from the ledger, and from the stored totals of sessions without ledger entries.

    No session counts from both. Ledger rows count at the time they were reported, other sessions at their last update,
    both in `zone`. Without an `order`, days, weeks and months come in ascending order and other groups by tokens in
    descending order. `top` keeps the first groups of the order, and without an order those with the most tokens. Tokens
    without a stored cost have an unknown cost, not a cost of 0.
    """
    answering, notes = split_by_answer(readers, query)
    groupings = [by] if isinstance(by, UsageGrouping) else list(dict.fromkeys(by))
    names = [_ID_NAMES.get(grouping, grouping.value) for grouping in groupings] + (
        ["layout"] if UsageGrouping.SESSION in groupings else []
    )
    sums: defaultdict[_Key, _RunningSum] = defaultdict(_RunningSum)
    totals = _RunningSum()
    with_ledger = [reader for reader in answering if reader.layout in LEDGER_LAYOUTS]
    used = ledger if ledger is not None and with_ledger and ledger.is_used() else None
    invalid = InvalidNumbers()
    for reader in answering:
        for session in _without_ledger(reader, query, used if reader in with_ledger else None):
            invalid.note(session)
            key = tuple(_FACTS[name](session, zone) for name in names)
            sums[key].add_session(session.usage)
            totals.add_session(session.usage)
    if used is not None:
        _add_ledger(used, with_ledger, query, zone, names, sums, totals)
        if uncountable := used.uncountable():
            rows = "1 row" if uncountable == 1 else f"{uncountable:,} rows"
            notes.append(
                f"{rows} of the usage ledger cannot be counted: an invalid number or time. "
                "To see the reason, run chatstore usage explain SESSION_ID."
            )
        if invalid_costs := used.with_invalid_cost():
            rows = "1 row" if invalid_costs == 1 else f"{invalid_costs:,} rows"
            notes.append(
                f"{rows} of the usage ledger: the cost is not a number from 0 to {MOST_TOKENS:,} and is unknown."
            )
    keys = _sorted(sums, names, order, top)
    report_rows = [sums[key].row(dict(zip(names, key, strict=True))) for key in keys]
    total_row = totals.row(dict.fromkeys(names))
    is_in_time = query.since is not None or query.until is not None or not set(TIME_KEYS).isdisjoint(names)
    notes = [*source_notes(total_row, zone, is_in_time=is_in_time), *notes, *remarks_of(answering), *invalid.notes()]
    return UsageReport(report_rows, total_row, notes, len(sums) - len(keys), used is not None)


def source_notes(totals: UsageRow, zone: tzinfo, *, is_in_time: bool) -> list[str]:
    """The day on which usage counts, for reports about a time, and how many sessions count with their stored totals."""
    from_counters = totals.sessions_from_counters
    verb, its = ("has", "its") if from_counters == 1 else ("have", "their")
    some = f"{from_counters:,} of {totals.sessions:,} sessions {verb} no ledger entries; {its} stored totals"
    sentences = {
        ("ledger", True): f"Usage counts on the day it was reported ({zone}).",
        ("counters", True): f"The stored totals of a session count on the day of its last update ({zone}).",
        (
            "both",
            True,
        ): f"Usage counts on the day it was reported ({zone}). {some} count on the day of {its} last update.",
        ("both", False): f"{some} are used instead.",
    }
    sentence = sentences.get((totals.source or "", is_in_time))
    return [] if sentence is None else [sentence]


def _without_ledger(reader: SessionReader, query: SessionQuery, ledger: UsageSums | None) -> Iterator[Session]:
    """The sessions without ledger entries; all sessions if there is no ledger."""
    if ledger is None:
        yield from reader.all_facts(query)
        return
    sessions = reader.all_facts(replace(query, without_ledger=True))
    while batch := list(islice(sessions, _SESSIONS_PER_LOOKUP)):
        in_ledger = ledger.chats_with_usage([session.session_id for session in batch], reader.layout)
        yield from (session for session in batch if session.session_id not in in_ledger)


def _add_ledger(
    ledger: UsageSums,
    readers: Sequence[SessionReader],
    query: SessionQuery,
    zone: tzinfo,
    names: Sequence[str],
    sums: defaultdict[_Key, _RunningSum],
    totals: _RunningSum,
) -> None:
    """Add the groups of the ledger. It has no status, so a report with statuses reads them from the sessions."""
    statuses: dict[_Key, SessionStatus] | None = None
    keys = [name for name in names if name != "status"]
    if query.status is not None or "status" in names:
        statuses = {
            (session.layout, session.session_id): session.status
            for reader in readers
            for session in reader.all_facts(SessionQuery(status=query.status))
        }
        keys = list(dict.fromkeys([*keys, "session_id", "layout"]))
    layout = None if len(readers) == len(LEDGER_LAYOUTS) else readers[0].layout
    ledger_query = LedgerQuery(
        tuple(keys), zone, query.tenant_id, query.user_id, query.workflow, query.since, query.until, layout
    )
    for group in ledger.groups(ledger_query):
        facts = dict(zip(keys, group.group, strict=True))
        session = (facts.get("layout"), facts.get("session_id"))
        status = statuses.get(session) if statuses is not None else None
        if query.status is not None and status is None:
            continue
        facts["status"] = None if status is None else status.value
        own = sums[tuple(facts[name] for name in names)]
        for running, sessions, unknown in (
            (own, group.sessions, group.unknown),
            (totals, group.first_sessions, group.first_unknown),
        ):
            running.add(*group.usage)
            if statuses is not None:
                running.names.add(session)
                running.unknown_names |= {session} if unknown else set()
            else:
                running.sessions += sessions
                running.unknown += unknown


# --- the facts of a session ------------------------------------------------------------------------------------------


def _day(session: Session, zone: tzinfo) -> str | None:
    return None if session.updated_at is None else _local(session.updated_at, zone).date().isoformat()


def _week(session: Session, zone: tzinfo) -> str | None:
    if session.updated_at is None:
        return None
    year, week, _ = _local(session.updated_at, zone).isocalendar()
    return f"{year:04}-W{week:02}"


def _month(session: Session, zone: tzinfo) -> str | None:
    day = _day(session, zone)
    return None if day is None else day[:7]


def _local(instant: datetime, zone: tzinfo) -> datetime:
    if zone is UTC:
        return instant
    try:
        return instant.astimezone(zone)
    except OverflowError:  # on the first or the last day that a date can have
        return instant


_FACTS: dict[str, Callable[[Session, tzinfo], str | None]] = {
    "day": _day,
    "week": _week,
    "month": _month,
    "tenant_id": lambda session, _: session.tenant_id,
    "user_id": lambda session, _: session.user_id,
    "workflow": lambda session, _: session.workflow,
    "agent": lambda *_: None,
    "model": lambda *_: None,
    "session_id": lambda session, _: session.session_id,
    "layout": lambda session, _: session.layout,
    "status": lambda session, _: session.status.value,
}


# --- order -----------------------------------------------------------------------------------------------------------


def _sorted(
    sums: dict[_Key, _RunningSum], names: Sequence[str], order: UsageOrder | None, top: int | None
) -> list[_Key]:
    times = [index for index, name in enumerate(names) if name in TIME_KEYS]

    def by_name(key: _Key) -> tuple[tuple[bool, str], ...]:
        return tuple((part is None, part or "") for part in key)

    def by_tokens(key: _Key) -> tuple[object, ...]:
        return (-sums[key].total, -sums[key].all_sessions, tuple(part or "" for part in key))

    def by_time(key: _Key) -> tuple[object, ...]:
        return (*((key[index] is None, key[index] or "") for index in times), by_tokens(key))

    numbers: dict[UsageOrder, Callable[[_RunningSum], Decimal | int]] = {
        UsageOrder.TOKENS: lambda group: group.total,
        UsageOrder.PROMPT: lambda group: group.prompt,
        UsageOrder.COMPLETION: lambda group: group.completion,
        UsageOrder.COST: lambda group: Decimal(-1) if group.cost is None else group.cost,
        UsageOrder.SESSIONS: lambda group: group.all_sessions,
    }
    usual = by_time if times else by_tokens
    if order is None:
        chosen = sorted(sums, key=by_tokens)[:top] if top is not None else list(sums)
        return sorted(chosen, key=usual)
    if order is UsageOrder.NAME:
        return sorted(sums, key=by_name)[:top]
    number = numbers[order]
    return sorted(sums, key=lambda key: (-number(sums[key]), usual(key)))[:top]
