"""Recording usage: each report into the ledger, and from there into its session's counters, once in effect.

What the counters of a session say before its first report is carried over as a row of its own. Then: ledger row first,
the counters are raised to what the ledger says, the rows are marked. Raising is a maximum, and the ledger's sums only
grow: killed between any two steps, repeated, reordered and done by several at once it ends in the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.usage_ledger import MOST_TOKENS, UsageLedger, UsageSnapshot

_MOST_TOLD = 1_000
_MOST_OPEN = 10_000
_LONGEST_NAME = 300


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """What became of reports: rows stored now, rows that were there already, rows refused for their numbers.

    `without_session` names chats whose session is not there: their rows count in reports, and no counter was raised.
    """

    stored: int
    already_stored: int
    refused: int
    without_session: tuple[str, ...] = ()


class UsageRecorder:
    """Writes usage into a ledger. `warn` is told what is odd, each thing once."""

    def __init__(self, ledger: UsageLedger, warn: Callable[[str], None] = lambda _: None) -> None:
        self._ledger = ledger
        self._warn = warn
        self._told: set[str] = set()
        self._open: LruMap[str, bool] = LruMap(_MOST_OPEN)

    def record(self, reports: Sequence[UsageSnapshot]) -> RecordedUsage:
        """Store snapshots and raise their sessions' counters. Doing so again changes nothing."""
        by_chat: dict[str, dict[str, UsageSnapshot]] = {}
        refused = 0
        for report in reports:
            wrong = what_is_wrong(report)
            if wrong:
                refused += 1
                self.tell(f"Usage of chat {report.chat_id!r}, model {report.model!r} is not counted: {wrong}.")
            else:
                rows = by_chat.setdefault(report.chat_id, {})
                key = row_id(report)
                rows[key] = _greatest(rows[key], report) if key in rows else report
        stored = 0
        without_session = []
        for chat_id, rows in by_chat.items():
            first = min(row.at for row in rows.values())
            opened = [] if self._open.get(chat_id) else [enter_opening(self._ledger, chat_id, not_after=first)]
            stored += len(self._ledger.insert(rows))
            if self._ledger.raise_counters(chat_id, self._ledger.sums(chat_id)):
                if opened:  # with what an application has added to the counters meanwhile
                    enter_opening(self._ledger, chat_id, not_after=first)
                self._ledger.mark_applied([*opened, *rows])
                self._open.put(chat_id, True)
            else:
                without_session.append(chat_id)
        already = sum(map(len, by_chat.values())) - stored
        return RecordedUsage(stored, already, refused, tuple(without_session))

    def discard(self, reports: Sequence[UsageSnapshot]) -> None:
        """Take snapshots of a chat that is deleted away again."""
        self._ledger.discard([row_id(report) for report in reports])

    def has_reports(self, chat_id: str, run: int) -> bool:
        """Whether anything was reported of a run."""
        return self._ledger.has_reports(chat_id, run)

    def tell(self, what: str) -> None:
        """Pass a word on, the first time only."""
        if what not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(what)
            self._warn(what)


def enter_opening(ledger: UsageLedger, chat_id: str, *, not_after: datetime | None = None) -> str:
    """Carry over what the session's counters said before its first report; gives the id that such a row has.

    It has to come before any row: once rows are counted in them, the counters do not say it any more. It counts when the
    session was last updated, or at `not_after`.
    """
    key = _digest([chat_id, "before the first report", None])
    opening = ledger.opening(chat_id)
    if opening is not None:
        at = opening.at if not_after is None else min(opening.at, not_after)
        ledger.open(key, replace(opening, at=at))
    return key


def snapshots_of(
    usages: Sequence[Mapping[str, Any]],
    *,
    event_id: str | None,
    chat_id: str,
    run: int,
    tenant_id: str | None,
    user_id: str | None,
    workflow: str | None,
    agent: str | None,
    at: datetime,
) -> tuple[list[UsageSnapshot], list[str]]:
    """The rows of a usage event as snapshots, and in words what could not be taken as it was.

    A row with a token count that is none (negative, absurd, NaN, text) is left out as a whole: half of it would be a
    wrong sum. A missing count is 0, a missing total the sum of both. A cost that is none is unknown.
    """
    snapshots, odd = [], []
    for usage in usages:
        model = _name(usage.get("model"))
        where = f"Usage of chat {chat_id!r}, model {model!r}"
        try:
            prompt, completion, total = (
                count_of(usage.get(key)) for key in ("prompt_tokens", "completion_tokens", "total_tokens")
            )
        except ValueError as error:
            odd.append(f"{where} is not counted: {error}.")
            continue
        cached = cost = None
        try:
            cached = count_of(usage.get("cached_tokens"))
        except ValueError as error:
            odd.append(f"{where}: its cached tokens are left out: {error}.")
        try:
            cost = cost_of(usage.get("cost"))
        except ValueError as error:
            odd.append(f"{where}: its cost is taken as unknown: {error}.")
        summed = (prompt or 0) + (completion or 0)
        counts = (prompt or 0, completion or 0, summed if total is None else total)
        snapshots.append(
            UsageSnapshot(event_id, chat_id, run, tenant_id, user_id, workflow, agent, model, *counts, at, cached, cost)
        )
    return snapshots, odd


def _greatest(one: UsageSnapshot, other: UsageSnapshot) -> UsageSnapshot:
    """Two rows of one event and model as one: reports are cumulative."""
    costs = [cost for cost in (one.cost, other.cost) if cost is not None]
    return replace(
        one,
        prompt_tokens=max(one.prompt_tokens, other.prompt_tokens),
        completion_tokens=max(one.completion_tokens, other.completion_tokens),
        total_tokens=max(one.total_tokens, other.total_tokens),
        cost=max(costs, default=None),
    )


def row_id(snapshot: UsageSnapshot) -> str:
    """The row's `_id`: from chat, event and model. Run and agent are not in it, as a late copy may come under others.

    A report without an event id is the same as another one that says the same.
    """
    identity: list[Any] = [snapshot.chat_id, snapshot.event_id, snapshot.model]
    if snapshot.event_id is None:
        identity += [snapshot.run, snapshot.agent, snapshot.prompt_tokens, snapshot.completion_tokens]
        identity += [snapshot.total_tokens, snapshot.cached_tokens, str(snapshot.cost)]
    return _digest(identity)


def _digest(identity: list[Any]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]


def what_is_wrong(snapshot: UsageSnapshot) -> str | None:
    """Why a snapshot cannot be counted, in words; None where it can."""
    counts = (snapshot.prompt_tokens, snapshot.completion_tokens, snapshot.total_tokens)
    try:
        if any(count_of(count) is None for count in counts):
            return "a number of tokens is missing"
        count_of(snapshot.cached_tokens)
        cost_of(snapshot.cost)
    except ValueError as error:
        return str(error)
    return None


def count_of(value: Any) -> int | None:
    """A number of tokens; None for None. Raises ValueError for what is none: negative, absurd, NaN, text."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS):
        return value
    raise ValueError("a number of tokens is negative, absurd or no number")


def cost_of(value: Any) -> Decimal | None:
    """A cost as it was written; None for None. Raises ValueError for what is none: negative, absurd, NaN, text."""
    try:
        if value is None:
            return None
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            cost = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
            if cost.is_finite() and 0 <= cost <= MOST_TOKENS:
                return cost
    except InvalidOperation:
        pass
    raise ValueError("a cost is negative, absurd or no number")


def _name(value: object) -> str | None:
    return str(json_safe(value))[:_LONGEST_NAME] if isinstance(value, str) and value else None
