"""Adding up tokens and money over sessions, by one of their facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum

from chatstore_cli.core.sessions import remarks_of, split_by_answer
from chatstore_cli.domain.ports import SessionReader
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.usage import Usage, UsageRow

COUNTED_ON = "A session counts on the day it was last updated (UTC)."

_EXACT = Context(prec=200)
"""Wide enough that no sum of costs is ever rounded: the default of 28 digits would round in silence."""


class UsageGrouping(StrEnum):
    """What usage is added up by."""

    TENANT = "tenant"
    USER = "user"
    WORKFLOW = "workflow"
    STATUS = "status"
    DAY = "day"
    MONTH = "month"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Rows in order, their totals, and what is to be told beside them."""

    rows: list[UsageRow]
    totals: UsageRow
    notes: list[str]


class _Sum:
    """A running sum of sessions."""

    __slots__ = ("completion", "cost", "prompt", "sessions", "total", "unknown")

    def __init__(self) -> None:
        self.sessions = self.prompt = self.completion = self.total = self.unknown = 0
        self.cost: Decimal | None = None

    def add(self, usage: Usage) -> None:
        self.sessions += 1
        self.prompt += usage.prompt_tokens
        self.completion += usage.completion_tokens
        self.total += usage.total_tokens
        if usage.cost is not None and usage.cost.is_finite():
            self.cost = usage.cost if self.cost is None else _EXACT.add(self.cost, usage.cost)
        elif usage.total_tokens or usage.prompt_tokens or usage.completion_tokens:
            self.unknown += 1

    def row(self, group: dict[str, str | None]) -> UsageRow:
        return UsageRow(group, self.sessions, Usage(self.prompt, self.completion, self.total, self.cost), self.unknown)


_Key = tuple[str | None, ...]


def _day(session: Session) -> _Key:
    return (None if session.updated_at is None else session.updated_at.date().isoformat(),)


def _month(session: Session) -> _Key:
    return (None if session.updated_at is None else session.updated_at.date().isoformat()[:7],)


_KEYS: dict[UsageGrouping, tuple[tuple[str, ...], Callable[[Session], _Key]]] = {
    UsageGrouping.TENANT: (("tenant_id",), lambda session: (session.tenant_id,)),
    UsageGrouping.USER: (("user_id",), lambda session: (session.user_id,)),
    UsageGrouping.WORKFLOW: (("workflow",), lambda session: (session.workflow,)),
    UsageGrouping.STATUS: (("status",), lambda session: (session.status.value,)),
    UsageGrouping.DAY: (("day",), _day),
    UsageGrouping.MONTH: (("month",), _month),
    UsageGrouping.SESSION: (("session_id", "layout"), lambda session: (session.session_id, session.layout)),
}
"""The row keys that each grouping gives, and how a session yields them."""

_IN_TIME = {UsageGrouping.DAY, UsageGrouping.MONTH}


def report_usage(readers: Sequence[SessionReader], query: SessionQuery, by: UsageGrouping) -> UsageReport:
    """Usage of the sessions that match, from the counters they carry.

    Days and months come in order, everything else by tokens, most first. A session with tokens and no stored cost
    counts as unknown, never as 0; one that carries no usage at all (flat messages) is neither.
    """
    answering, notes = split_by_answer(readers, query)
    names, key_of = _KEYS[by]
    sums: dict[_Key, _Sum] = {}
    totals = _Sum()
    for reader in answering:
        for session in reader.all_facts(query):
            key = key_of(session)
            if (known := sums.get(key)) is None:
                known = sums[key] = _Sum()
            known.add(session.usage)
            totals.add(session.usage)
    if by in _IN_TIME:
        keys = sorted(sums, key=lambda key: (key[0] is None, key[0] or ""))
    else:
        keys = sorted(sums, key=lambda key: (-sums[key].total, -sums[key].sessions, tuple(part or "" for part in key)))
    rows = [sums[key].row(dict(zip(names, key, strict=True))) for key in keys]
    return UsageReport(rows, totals.row(dict.fromkeys(names)), notes + remarks_of(answering))
