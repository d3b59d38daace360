"""Records usage reports in the ledger and in the counters of their sessions, each exactly once in effect.

The counters of a session before its first report become a row of their own, the opening balance. For each report the row
is stored first. Then the counters are raised to the sums of the ledger, and the row is marked. Raising takes the maximum,
and the sums only grow. So the numbers are the same in the end if a process is killed between two steps, and if reports are
repeated, reordered or recorded by several processes.

To add up a long session takes long. So a turn is added to the counters instead, if nothing else happens in the session.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.usage.reported import reason_not_countable
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import (
    LEDGER_LAYOUTS,
    ClientRows,
    UsageGrowth,
    UsageLedger,
    UsageSnapshot,
)

_MOST_WARNINGS = 1_000
_MOST_CHATS = 10_000


@dataclass(frozen=True, slots=True)
class RecordedUsage:
    """How many rows were newly stored, already stored, and rejected because of an invalid number.

    `without_session` has the session ids that do not exist: their rows count in reports, and no counter was raised.
    """

    stored: int
    already_stored: int
    rejected: int
    without_session: tuple[str, ...] = ()


class UsageRecorder:
    """Writes usage to a ledger. Calls `warn` with each problem of a report, once per text."""

    def __init__(self, ledger: UsageLedger, warn: Callable[[str], None] = lambda _: None) -> None:
        self._ledger = ledger
        self.layout = ledger.layout
        self._warn = warn
        self._warnings: LruMap[str, bool] = LruMap(_MOST_WARNINGS)
        self._carried_over: LruMap[str, bool] = LruMap(_MOST_CHATS)

    def record(self, reports: Sequence[UsageSnapshot]) -> RecordedUsage:
        """Store snapshots and raise their sessions' counters. Recording them again changes nothing."""
        by_chat: dict[str, dict[str, UsageSnapshot]] = {}
        rejected = 0
        for report in reports:
            if self._is_rejected(report):
                rejected += 1
            else:
                rows = by_chat.setdefault(report.chat_id, {})
                key = row_id(report, self.layout)
                rows[key] = _highest(rows[key], report) if key in rows else report
        return self._stored(by_chat, rejected)

    def record_turn(self, turn: UsageSnapshot) -> RecordedUsage:
        """Store the snapshot of a turn like `record`, in a time that does not depend on the length of the session.

        Turns add up. So the turn is added to the counters, provided that they are still as they were before its row was
        stored, and that no other row is unmarked. An unmarked row means that another process is about to raise the counters
        to older sums, or was killed before it could. Otherwise, and for the first report of a session, the counters are
        raised to the sums of all rows.
        """
        before = self._ledger.counters_from_ledger(turn.chat_id)
        if before is None or (turn.cost and before.cost is None):  # the sums may have a cost that the counters lack
            return self.record([turn])
        key = row_id(turn, self.layout)
        stored = len(self._ledger.insert({key: turn}))
        unapplied = self._ledger.unapplied(turn.chat_id)
        if stored:
            after = before.plus(turn.counters)
            is_counted = unapplied == [key] and self._ledger.set_counters(turn.chat_id, before, after)
        else:
            is_counted = not unapplied
        without_session = () if is_counted else self.record([turn]).without_session
        if unapplied and not without_session:
            self._ledger.mark_applied(unapplied)
        return RecordedUsage(stored, 1 - stored, 0, without_session)

    def add(self, growth: UsageGrowth, of: UsageSnapshot, taken: set[str]) -> RecordedUsage | None:
        """Store the growth of a session's usage on top of what its run has. None if another writer was faster: repeat it.

        Adding the same growth again changes nothing. `of` has the facts that all its rows share. `taken` is an empty set
        that is passed each time.
        """
        clients = self._ledger.clients(of.chat_id, of.run, growth.growth_id)
        rows = {}
        rejected = known = 0
        for (agent, model), usage in growth.amounts.items():
            below = clients.get((agent, model), ClientRows())
            after = below.highest if below.own_row else below.highest.plus(usage)
            row = replace(
                of, event_id=growth.growth_id, agent=agent, model=model,
                prompt_tokens=after.prompt_tokens, completion_tokens=after.completion_tokens,
                total_tokens=after.total_tokens, cost=after.cost,
            )  # fmt: skip
            if self._is_rejected(row):
                rejected += 1
            else:
                known += below.own_row is not None
                rows[below.own_row or _row_id_above(row, below.highest, taken, self.layout)] = row
        recorded = self._stored({of.chat_id: rows}, rejected)
        if recorded.already_stored == known:
            return recorded
        taken.update(rows)
        return None

    def _is_rejected(self, report: UsageSnapshot) -> bool:
        reason = reason_not_countable(report)
        if reason:
            self.warn_once(f"Usage of session {report.chat_id!r}, model {report.model!r} is not counted: {reason}.")
        return reason is not None

    def _stored(self, by_chat: Mapping[str, Mapping[str, UsageSnapshot]], rejected: int) -> RecordedUsage:
        stored = 0
        without_session = []
        for chat_id, rows in by_chat.items():
            if not rows:
                continue
            first = min(row.at for row in rows.values())
            is_carried_over = chat_id in self._carried_over
            balance = [] if is_carried_over else [carry_over_counters(self._ledger, chat_id, not_after=first)]
            stored += len(self._ledger.insert(rows))
            if self._ledger.raise_counters(chat_id, self._ledger.sums(chat_id)):
                if not is_carried_over:  # again: an application may have raised the counters meanwhile
                    carry_over_counters(self._ledger, chat_id, not_after=first)
                self._ledger.mark_applied([*balance, *rows])
                self._carried_over.put(chat_id, True)
            else:
                without_session.append(chat_id)
        already = sum(map(len, by_chat.values())) - stored
        return RecordedUsage(stored, already, rejected, tuple(without_session))

    def discard(self, reports: Sequence[UsageSnapshot]) -> None:
        """Delete the rows of snapshots whose session was deleted."""
        self._ledger.discard([row_id(report, self.layout) for report in reports])

    def discard_growth(self, growth: UsageGrowth, of: UsageSnapshot) -> None:
        """Delete the rows of a growth whose session was deleted."""
        clients = self._ledger.clients(of.chat_id, of.run, growth.growth_id)
        self._ledger.discard([client.own_row for client in clients.values() if client.own_row])

    def has_reports(self, chat_id: str, run: int) -> bool:
        """Whether there is any report of a run."""
        return self._ledger.has_reports(chat_id, run)

    def warn_once(self, text: str) -> None:
        """Call `warn`, the first time only."""
        if text not in self._warnings:
            self._warnings.put(text, True)
            self._warn(text)


def carry_over_counters(ledger: UsageLedger, chat_id: str, *, not_after: datetime | None = None) -> str:
    """Store the session's counters before its first report as the opening balance. Returns the row's id.

    This has to be done before any row is counted in the counters. The row's time is the session's last update, but
    `not_after` at the latest.
    """
    key = _digest([chat_id, "before the first report", None, *_named(ledger.layout)])
    balance = ledger.opening_balance(chat_id)
    if balance is not None:
        instant = balance.at if not_after is None else min(balance.at, not_after)
        ledger.store_opening_balance(key, replace(balance, at=instant))
    return key


def _highest(one: UsageSnapshot, other: UsageSnapshot) -> UsageSnapshot:
    """Two rows of the same event and model as one, with the higher numbers of both: reports are cumulative."""
    costs = [cost for cost in (one.cost, other.cost) if cost is not None]
    details = [
        [count for count in counts if count is not None]
        for counts in ((one.cached_tokens, other.cached_tokens), (one.reasoning_tokens, other.reasoning_tokens))
    ]
    return replace(
        one,
        prompt_tokens=max(one.prompt_tokens, other.prompt_tokens),
        completion_tokens=max(one.completion_tokens, other.completion_tokens),
        total_tokens=max(one.total_tokens, other.total_tokens),
        cost=max(costs, default=None),
        cached_tokens=max(details[0], default=None),
        reasoning_tokens=max(details[1], default=None),
    )


def row_id(snapshot: UsageSnapshot, layout: str) -> str:
    """The row's `_id`, made from session, event and model, not from run and agent: a late copy may have others.

    Reports without an event id are the same if all their numbers are. A turn's is made from session and turn alone.
    """
    if snapshot.turn_id is not None:
        return _digest(["turn", snapshot.chat_id, snapshot.turn_id, *_named(layout)])
    identity: list[Any] = [snapshot.chat_id, snapshot.event_id, snapshot.model, *_named(layout)]
    if snapshot.event_id is None:
        identity += [snapshot.run, snapshot.agent, snapshot.prompt_tokens, snapshot.completion_tokens]
        identity += [snapshot.total_tokens, snapshot.cached_tokens, str(snapshot.cost)]
    return _digest(identity)


def _row_id_above(row: UsageSnapshot, below: Usage, taken: set[str], layout: str) -> str:
    """The `_id` of a row that adds to the numbers `below` of its run, agent and model.

    Whoever adds to the same numbers gets the same id, so only one of them can store it. Then the numbers are others. If
    they are not, someone has changed the stored row by hand: its id is `taken`, and all use the next one.
    """
    cost = None if below.cost is None else str(below.cost.normalize())
    identity = ["growth", row.chat_id, row.run, row.agent, row.model, *below[:3], cost, *_named(layout)]
    return next(key for number in count() if (key := _digest([*identity, number])) not in taken)


def _named(layout: str) -> list[str]:
    """The part of a row id that names the layout. It is empty for the first layout, whose ids are as before."""
    return [] if layout == LEDGER_LAYOUTS[0] else [layout]


def _digest(identity: list[Any]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]
