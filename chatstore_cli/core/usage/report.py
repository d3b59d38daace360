"""Adding up tokens and money: from the usage ledger, and over sessions without one by their own counters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal
from enum import StrEnum
from itertools import islice

from chatstore_cli.core.readers import remarks_of, split_by_answer
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.usage import Usage, UsageRow
from chatstore_cli.domain.usage_ledger import LedgerQuery, UsageSums

LEDGER_LAYOUT = "workflow"
"""The layout whose sessions have a usage ledger."""

_EXACT = Context(prec=200)
"""Wide enough that no sum of costs is ever rounded: the default of 28 digits would round in silence."""

_LOOKED_UP_AT_ONCE = 1_000


class UsageGrouping(StrEnum):
    """What usage is added up by."""

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
    """What groups are sorted by: names from the first, numbers from the greatest."""

    NAME = "name"
    TOKENS = "tokens"
    PROMPT = "prompt"
    COMPLETION = "completion"
    COST = "cost"
    SESSIONS = "sessions"


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Rows in order, their totals, and what is to be told beside them. `left_out` groups are beyond the top ones."""

    rows: list[UsageRow]
    totals: UsageRow
    notes: list[str]
    left_out: int = 0
    ledger_used: bool = False


_Key = tuple[str | None, ...]


class _Sum:
    """A running sum."""

    __slots__ = ("completion", "cost", "counters", "names", "prompt", "sessions", "total", "unknown", "unknown_names")

    def __init__(self) -> None:
        self.sessions = self.prompt = self.completion = self.total = self.unknown = self.counters = 0
        self.cost: Decimal | None = None
        self.names: set[str | None] = set()
        self.unknown_names: set[str | None] = set()

    def add_session(self, usage: Usage) -> None:
        """A session with what its own counters say."""
        self.sessions += 1
        self.counters += 1
        known = usage.cost is not None and usage.cost.is_finite()
        self.add(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.cost if known else None)
        if not known and (usage.total_tokens or usage.prompt_tokens or usage.completion_tokens):
            self.unknown += 1

    def add(self, prompt: int, completion: int, total: int, cost: Decimal | None) -> None:
        """Tokens and money."""
        self.prompt += prompt
        self.completion += completion
        self.total += total
        if cost is not None:
            self.cost = cost if self.cost is None else _EXACT.add(self.cost, cost)

    def row(self, group: dict[str, str | None]) -> UsageRow:
        usage = Usage(self.prompt, self.completion, self.total, self.cost)
        sessions, unknown = self.sessions + len(self.names), self.unknown + len(self.unknown_names)
        return UsageRow(group, sessions, usage, unknown, self.counters)


_NAMES: dict[UsageGrouping, str] = {
    UsageGrouping.DAY: "day",
    UsageGrouping.WEEK: "week",
    UsageGrouping.MONTH: "month",
    UsageGrouping.TENANT: "tenant_id",
    UsageGrouping.USER: "user_id",
    UsageGrouping.WORKFLOW: "workflow",
    UsageGrouping.AGENT: "agent",
    UsageGrouping.MODEL: "model",
    UsageGrouping.SESSION: "session_id",
    UsageGrouping.STATUS: "status",
}
"""The row key of each grouping; sessions have their layout as well."""

_IN_TIME = {"day", "week", "month"}


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
    """Usage by one or several facts: what the ledger has, and of sessions without a ledger what their counters say.

    No session counts from both. Ledger rows count when they were reported, sessions without any when they were last
    updated, both in `zone`. Unsorted, days, weeks and months come in order and everything else by tokens, most first;
    `top` keeps the first so many groups of that order (of tokens for times). Tokens without a stored cost count as
    unknown, never as 0.
    """
    answering, notes = split_by_answer(readers, query)
    groupings = [by] if isinstance(by, UsageGrouping) else list(dict.fromkeys(by))
    names = [_NAMES[one] for one in groupings] + (["layout"] if UsageGrouping.SESSION in groupings else [])
    sums: dict[_Key, _Sum] = {}
    totals = _Sum()
    has_ledger = query.layout in (None, LEDGER_LAYOUT) and any(one.layout == LEDGER_LAYOUT for one in answering)
    used = ledger if ledger is not None and has_ledger and ledger.is_used() else None
    for reader in answering:
        in_ledger = used if reader.layout == LEDGER_LAYOUT else None
        for session in _without_ledger(reader, query, in_ledger):
            key = tuple(_FACTS[name](session, zone) for name in names)
            _sum_of(sums, key).add_session(session.usage)
            totals.add_session(session.usage)
    if used is not None:
        _add_ledger(
            used, next(one for one in answering if one.layout == LEDGER_LAYOUT), query, zone, names, sums, totals
        )
        if wrong := used.uncountable():
            rows = "1 row of the usage ledger is" if wrong == 1 else f"{wrong:,} rows of the usage ledger are"
            notes.append(f"{rows} not counted: a number or a time in them is none (chatstore usage explain).")
    keys = _sorted(sums, names, order, top)
    rows_made = [sums[key].row(dict(zip(names, key, strict=True))) for key in keys]
    made = totals.row(dict.fromkeys(names))
    is_in_time = query.since is not None or query.until is not None or not _IN_TIME.isdisjoint(names)
    notes = [*what_counts(made, zone, is_in_time=is_in_time), *notes, *remarks_of(answering)]
    return UsageReport(rows_made, made, notes, len(sums) - len(keys), used is not None)


def what_counts(totals: UsageRow, zone: tzinfo, *, is_in_time: bool) -> list[str]:
    """In a sentence when usage counts, where the report is about a time; and what counts, where it has both sources."""
    own = totals.sessions_from_counters
    some, its, it = f"{own:,} sessions without any there count", "their", "they"
    if own == 1:
        some, its, it = "1 session without any there counts", "its", "it"
    reported = f"Usage in the ledger counts on the day it was reported ({zone})"
    sentences = {
        ("ledger", True): f"{reported}.",
        ("counters", True): f"A session counts on the day it was last updated ({zone}), with all it ever used.",
        ("both", True): f"{reported}; {some} on the day of {its} last update, with all {it} ever used.",
        ("both", False): f"Usage is what the ledger has; {some} with {its} own counters.",
    }
    found = sentences.get((totals.source or "", is_in_time))
    return [] if found is None else [found]


def _sum_of(sums: dict[_Key, _Sum], key: _Key) -> _Sum:
    known = sums.get(key)
    if known is None:
        known = sums[key] = _Sum()
    return known


def _without_ledger(reader: SessionReader, query: SessionQuery, ledger: UsageSums | None) -> Iterator[Session]:
    """The sessions that count from their own counters."""
    if ledger is None:
        yield from reader.all_facts(query)
        return
    found = reader.all_facts(replace(query, without_ledger=True))
    while some := list(islice(found, _LOOKED_UP_AT_ONCE)):
        counted = ledger.chats_with_usage([session.session_id for session in some])
        yield from (session for session in some if session.session_id not in counted)


def _add_ledger(
    ledger: UsageSums,
    reader: SessionReader,
    query: SessionQuery,
    zone: tzinfo,
    names: Sequence[str],
    sums: dict[_Key, _Sum],
    totals: _Sum,
) -> None:
    # The ledger knows no status: it is looked up session by session, where it is asked for.
    statuses: dict[str, SessionStatus] | None = None
    asked = [name for name in names if name not in ("status", "layout")]
    if query.status is not None or "status" in names:
        statuses = {one.session_id: one.status for one in reader.all_facts(SessionQuery(status=query.status))}
        asked = list(dict.fromkeys([*asked, "session_id"]))
    wanted = LedgerQuery(tuple(asked), zone, query.tenant_id, query.user_id, query.workflow, query.since, query.until)
    for group, usage, sessions, first_sessions, unknown, first_unknown in ledger.groups(wanted):
        facts = dict(zip(asked, group, strict=True))
        status = statuses.get(facts["session_id"] or "") if statuses is not None else None
        if query.status is not None and status is None:
            continue
        facts |= {"layout": LEDGER_LAYOUT, "status": None if status is None else status.value}
        key = tuple(facts[name] for name in names)
        for one, seen, without_cost in (
            (_sum_of(sums, key), sessions, unknown),
            (totals, first_sessions, first_unknown),
        ):
            one.add(*usage)
            if statuses is not None:
                one.names.add(facts["session_id"])
                one.unknown_names |= {facts["session_id"]} if unknown else set()
            else:
                one.sessions += seen
                one.unknown += without_cost


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


def _local(moment: datetime, zone: tzinfo) -> datetime:
    if zone is UTC:
        return moment
    try:
        return moment.astimezone(zone)
    except OverflowError:  # the first or the last day there is
        return moment


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


def _sorted(sums: dict[_Key, _Sum], names: Sequence[str], order: UsageOrder | None, top: int | None) -> list[_Key]:
    times = [place for place, name in enumerate(names) if name in _IN_TIME]

    def named(key: _Key) -> tuple[tuple[bool, str], ...]:
        return tuple((part is None, part or "") for part in key)

    def sessions(key: _Key) -> int:
        return sums[key].sessions + len(sums[key].names)

    def by_tokens(key: _Key) -> tuple[object, ...]:
        return (-sums[key].total, -sessions(key), tuple(part or "" for part in key))

    def in_time(key: _Key) -> tuple[object, ...]:
        return (*((key[place] is None, key[place] or "") for place in times), by_tokens(key))

    numbers: dict[UsageOrder, Callable[[_Key], Decimal | int]] = {
        UsageOrder.TOKENS: lambda key: sums[key].total,
        UsageOrder.PROMPT: lambda key: sums[key].prompt,
        UsageOrder.COMPLETION: lambda key: sums[key].completion,
        UsageOrder.COST: lambda key: Decimal(-1) if (cost := sums[key].cost) is None else cost,
        UsageOrder.SESSIONS: sessions,
    }
    usual = in_time if times else by_tokens
    if order is None:
        best = sorted(sums, key=by_tokens)[:top] if top is not None else list(sums)
        return sorted(best, key=usual)
    if order is UsageOrder.NAME:
        return sorted(sums, key=named)[:top]
    number = numbers[order]
    return sorted(sums, key=lambda key: (-number(key), usual(key)))[:top]
