"""The keys that usage can be grouped by, the facts of a session under these keys, and the orders of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum

from chatstore_cli.core.choices import require_one_of
from chatstore_cli.core.usage.running_sum import GroupKey, RunningSum
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.usage_ledger import TIME_KEYS


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


_ID_NAMES = {UsageGrouping.TENANT: "tenant_id", UsageGrouping.USER: "user_id", UsageGrouping.SESSION: "session_id"}
"""The row keys of groupings by an id. Any other grouping is its own row key. Rows of sessions have `layout` too."""


def groupings_named(name: str, text: str) -> list[UsageGrouping]:
    """The groupings of a text such as `day,model`, each once. Raises BadValue with this name of the option."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        require_one_of(name, word, tuple(UsageGrouping))
    return list(dict.fromkeys(map(UsageGrouping, words)))


def row_keys(groupings: Sequence[UsageGrouping]) -> list[str]:
    """The keys of rows that are grouped like this."""
    names = [_ID_NAMES.get(grouping, grouping.value) for grouping in dict.fromkeys(groupings)]
    return [*names, "layout"] if UsageGrouping.SESSION in groupings else names


# --- the facts of a session ------------------------------------------------------------------------------------------


def session_key(session: Session, names: Sequence[str], zone: tzinfo) -> GroupKey:
    """The group of a session whose stored totals count. Days, weeks and months are those of its last update."""
    return tuple(_FACTS[name](session, zone) for name in names)


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


def in_order(
    sums: Mapping[GroupKey, RunningSum], names: Sequence[str], order: UsageOrder | None, top: int | None
) -> list[GroupKey]:
    """The groups in an order, with `top` only the first ones; without an order, only those with the most tokens."""
    times = [index for index, name in enumerate(names) if name in TIME_KEYS]

    def by_name(key: GroupKey) -> tuple[tuple[bool, str], ...]:
        return tuple((part is None, part or "") for part in key)

    def by_tokens(key: GroupKey) -> tuple[object, ...]:
        return (-sums[key].total, -sums[key].all_sessions, tuple(part or "" for part in key))

    def by_time(key: GroupKey) -> tuple[object, ...]:
        return (*((key[index] is None, key[index] or "") for index in times), by_tokens(key))

    numbers: dict[UsageOrder, Callable[[RunningSum], Decimal | int]] = {
        UsageOrder.TOKENS: lambda group: group.total,
        UsageOrder.PROMPT: lambda group: group.prompt,
        UsageOrder.COMPLETION: lambda group: group.completion,
        UsageOrder.COST: lambda group: Decimal(-1) if group.reported_cost is None else group.reported_cost,
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
