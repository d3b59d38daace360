"""Usage reports: adds up the usage ledger, and the stored totals of sessions without ledger entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from itertools import islice

from chatstore_cli.core.labels.labelled import tagged_ids
from chatstore_cli.core.readers import InvalidNumbers, remarks_of, split_by_answer
from chatstore_cli.core.usage.cost_sum import CostSum
from chatstore_cli.core.usage.groupings import UsageGrouping, UsageOrder, in_order, row_keys, session_key
from chatstore_cli.core.usage.pricing import Pricing
from chatstore_cli.core.usage.running_sum import GroupKey, RunningSum
from chatstore_cli.domain.labels import LabelReader
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.domain.usage_ledger import LEDGER_LAYOUTS, MOST_TOKENS, TIME_KEYS, LedgerQuery, UsageSums

_SESSIONS_PER_LOOKUP = 1_000


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Rows in order, totals of all groups, and notes about them. `left_out` are the groups below the top ones."""

    rows: list[UsageRow]
    totals: UsageRow
    notes: list[str]
    left_out: list[UsageRow] = field(default_factory=list)
    ledger_used: bool = False


def report_usage(
    readers: Sequence[SessionReader],
    query: SessionQuery,
    by: UsageGrouping | Sequence[UsageGrouping],
    *,
    ledger: UsageSums | None = None,
    zone: tzinfo = UTC,
    order: UsageOrder | None = None,
    top: int | None = None,
    pricing: Pricing | None = None,
    labels: LabelReader | None = None,
) -> UsageReport:
    """Usage by one or several keys: from the ledger, and from the stored totals of sessions without ledger entries.

    No session counts from both. Ledger rows count at the time they were reported, other sessions at their last update,
    both in `zone`. Without an `order`, days, weeks and months come in ascending order and other groups by tokens in
    descending order. `top` keeps the first groups of the order, and without an order those with the most tokens. Tokens
    without a stored cost have an unknown cost, not a cost of 0. With `pricing`, costs are calculated. A query with a tag needs
    `labels`, and counts the usage of the sessions that have the tag now, also of those that exist in the ledger only.
    """
    answering, notes = split_by_answer(readers, query)
    groupings = [by] if isinstance(by, UsageGrouping) else list(dict.fromkeys(by))
    names = row_keys(groupings)
    sums: defaultdict[GroupKey, RunningSum] = defaultdict(lambda: _running_sum(pricing))
    totals = _running_sum(pricing)
    with_ledger = [reader for reader in answering if reader.layout in LEDGER_LAYOUTS]
    used = ledger if ledger is not None and with_ledger and ledger.is_used() else None
    invalid = InvalidNumbers()
    for some, part in _parts(answering, query, labels):
        for reader in some:
            for session in _without_ledger(reader, part, used if reader in with_ledger else None):
                invalid.note(session)
                own = sums[session_key(session, names, zone)]
                own.add_session(session.usage)
                totals.add_session(session.usage)
                if pricing is not None:
                    pricing.add_session(session.usage, (own, totals))
        if used is not None and (of_ledger := [reader for reader in some if reader in with_ledger]):
            ledger_part = _LedgerPart(of_ledger, part, zone, names)
            ledger_part.add_to(used, sums, totals)
            if pricing is not None:
                ledger_part.add_prices(used, pricing, sums, totals)
    if used is not None:
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
    keys = in_order(sums, names, order, top)
    report_rows, left_out = (
        [sums[key].row(dict(zip(names, key, strict=True))) for key in each]
        for each in (keys, [] if len(keys) == len(sums) else sorted(sums.keys() - set(keys), key=str))
    )
    total_row = totals.row(dict.fromkeys(names))
    is_in_time = query.since is not None or query.until is not None or not set(TIME_KEYS).isdisjoint(names)
    notes = [*source_notes(total_row, zone, is_in_time=is_in_time), *notes, *remarks_of(answering), *invalid.notes()]
    if pricing is not None:
        notes += pricing.notes()
    return UsageReport(report_rows, total_row, notes, left_out, used is not None)


def has_usage(ledger: UsageSums, query: SessionQuery) -> bool:
    """Whether the ledger has usage of the tenant and the user of the query, also of sessions that no longer exist."""
    asked = LedgerQuery(("layout",), tenant_id=query.tenant_id, user_id=query.user_id)
    return next(ledger.groups(asked), None) is not None


def _parts(
    readers: Sequence[SessionReader], query: SessionQuery, labels: LabelReader | None
) -> Iterator[tuple[Sequence[SessionReader], SessionQuery]]:
    """All sessions at once, or those with the tag of the query: some thousand of one layout at a time."""
    if query.tag is None:
        yield readers, query
        return
    assert labels is not None
    for reader, ids in tagged_ids(readers, labels, query.tag, at_once=_SESSIONS_PER_LOOKUP):
        yield [reader], replace(query, among=ids)


def _running_sum(pricing: Pricing | None) -> RunningSum:
    running = RunningSum()
    running.priced = None if pricing is None else CostSum()
    return running


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


class _LedgerPart:
    """The part of a report that comes from the ledger.

    The ledger has no status, so a report with statuses reads them from the sessions, and asks for each session.
    """

    def __init__(
        self, readers: Sequence[SessionReader], query: SessionQuery, zone: tzinfo, names: Sequence[str]
    ) -> None:
        self._names = names
        self._status = query.status
        self._statuses: dict[GroupKey, SessionStatus] | None = None
        keys = [name for name in names if name != "status"]
        if query.status is not None or "status" in names:
            self._statuses = {
                (session.layout, session.session_id): session.status
                for reader in readers
                for session in reader.all_facts(SessionQuery(status=query.status, among=query.among))
            }
            keys = list(dict.fromkeys([*keys, "session_id", "layout"]))
        layout = None if len(readers) == len(LEDGER_LAYOUTS) else readers[0].layout
        self._query = LedgerQuery(
            tuple(keys), zone, query.tenant_id, query.user_id, query.workflow, query.since, query.until, layout,
            sessions=query.among,
        )  # fmt: skip

    def add_to(self, ledger: UsageSums, sums: defaultdict[GroupKey, RunningSum], totals: RunningSum) -> None:
        """Add the groups of the ledger."""
        for group in ledger.groups(self._query):
            key, session = self._place(group.group)
            if key is None:
                continue
            own = sums[key]
            for running, sessions, unknown in (
                (own, group.sessions, group.unknown),
                (totals, group.first_sessions, group.first_unknown),
            ):
                running.add(*group.usage, group.details)
                if session is not None:
                    running.names.add(session)
                    running.unknown_names |= {session} if unknown else set()
                else:
                    running.sessions += sessions
                    running.unknown += unknown

    def add_prices(
        self, ledger: UsageSums, pricing: Pricing, sums: defaultdict[GroupKey, RunningSum], totals: RunningSum
    ) -> None:
        """Add the costs of the same groups."""
        for part in ledger.to_price(self._query):
            key, _ = self._place(part.group)
            if key is not None:
                pricing.add(part, (sums[key], totals))

    def _place(self, group: GroupKey) -> tuple[GroupKey | None, GroupKey | None]:
        """The key of the row that a group belongs to, None if to none, and its session if the report has statuses."""
        if self._statuses is None:
            return group, None
        facts = dict(zip(self._query.keys, group, strict=True))
        session = (facts.get("layout"), facts.get("session_id"))
        status = self._statuses.get(session)
        if self._status is not None and status is None:
            return None, None
        facts["status"] = None if status is None else status.value
        return tuple(facts[name] for name in self._names), session
