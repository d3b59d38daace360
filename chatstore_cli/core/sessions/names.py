"""The tenants and users of sessions: how many sessions they have, and which of them a mistyped name may mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic

from chatstore_cli.core.sessions.streams import stream_sessions
from chatstore_cli.core.similar import did_you_mean
from chatstore_cli.core.time_limits import time_limited
from chatstore_cli.domain.errors import ChatstoreError, NotFound, Overdue, WrongUse
from chatstore_cli.domain.named_sessions import NamedSessions
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session_reader import MOST_NAMES, NameField, NameTotal, ReaderOfNames, SessionReader

MOST_SECONDS = 5.0
"""The time for one layout."""
MOST_READ = 10_000
"""If grouping a layout takes longer, its newest sessions are counted instead: at most this many, within the same time."""
_SUGGESTION_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Names:
    """Tenants or users, those with the most sessions first. `is_complete`: every session was counted."""

    items: list[NamedSessions]
    notes: list[str]
    is_complete: bool


def named_sessions(readers: Sequence[SessionReader], by: NameField, *, tenant_id: str | None = None) -> Names:
    """The tenants or users of the sessions, with the number of their sessions; with `tenant_id` only of that tenant.

    If grouping takes longer than MOST_SECONDS, a part of a layout is counted, and a note says so. Raises WrongUse if
    several layouts are counted and one of them has more than MOST_NAMES names: sums over them would be wrong.
    """
    found: dict[str | None, NamedSessions] = {}
    notes: list[str] = []
    is_complete = True
    for reader in readers:
        if missing := _missing(reader, by, tenant_id):
            notes.append(f"The layout {reader.layout} has no {' and no '.join(missing)}, so its sessions are left out.")
            continue
        totals, is_whole = _totals(reader, by, tenant_id)
        if not is_whole:
            is_complete = False
            counted = sum(total.sessions for total in totals)
            notes.append(
                f"{reader.layout}: counting every session would take longer than {MOST_SECONDS:g} seconds, so only the "
                f"newest {counted:,} are counted."
            )
        if len(totals) > MOST_NAMES and is_whole:
            what = f"{reader.layout} has more than {MOST_NAMES:,} {by}s"
            if len(readers) > 1:
                narrower = "--layout" if by == "tenant" else "--tenant or --layout"
                raise WrongUse(
                    what=f"{what}, too many to add up over layouts.", hint=f"Narrow the list with {narrower}."
                )
            is_complete = False
            notes.append(f"{what}. Those with the most sessions are listed.")
            totals = totals[:MOST_NAMES]
        for total in totals:
            found.setdefault(total.name, NamedSessions(total.name)).add(reader.layout, total)
    return Names(sorted(found.values(), key=_order), notes, is_complete)


def require_known(
    readers: Sequence[SessionReader], query: SessionQuery, every_reader: Callable[[], Sequence[SessionReader]]
) -> None:
    """Raise NotFound if a list is empty because no session at all has the tenant or the user of the query.

    `readers` are those of the list. Only if none of their sessions has the name, `every_reader` is asked too. If one of those
    does not answer, nothing is raised, because it may have the name.
    """
    wanted: list[tuple[NameField, str | None]] = [("tenant", query.tenant_id), ("user", query.user_id)]
    for by, name in wanted:
        if name is None:
            continue
        alone = SessionQuery(tenant_id=name) if by == "tenant" else SessionQuery(user_id=name)
        listed = _having(readers, alone)
        if not listed or _has_any(listed, alone):
            continue
        known = [reader.layout for reader in listed]
        others = [reader for reader in _having(every_reader(), alone) if reader.layout not in known]
        if not _may_have_any(others, alone):
            hint = (
                did_you_mean(name, _known_names([*listed, *others], by)) or f"To list {by}s: chatstore sessions {by}s."
            )
            where = f" in {alternatives([reader.layout for reader in (*listed, *others)])}"
            raise NotFound(kind_of_thing=by, name=name, where=where, hint=hint)


def _having(readers: Sequence[SessionReader], query: SessionQuery) -> list[SessionReader]:
    """The readers that can answer the query."""
    return [reader for reader in readers if not reader.unanswerable(query)]


def _has_any(readers: Sequence[SessionReader], query: SessionQuery) -> bool:
    return any(True for reader in readers for _ in reader.newest_first(query, None, 1))


def _may_have_any(readers: Sequence[SessionReader], query: SessionQuery) -> bool:
    """Whether any reader has such a session, or does not say so in a short time: the list did not ask for this layout."""
    for reader in readers:
        try:
            with time_limited(reader, _SUGGESTION_SECONDS):
                if _has_any([reader], query):
                    return True
        except ChatstoreError:
            return True
    return False


def _known_names(readers: Sequence[SessionReader], by: NameField) -> list[str]:
    """The names that a suggestion is chosen from, as far as they are found in a short time."""
    names: dict[str, None] = {}
    deadline = monotonic() + _SUGGESTION_SECONDS
    for reader in readers:
        if not isinstance(reader, ReaderOfNames) or (remaining := deadline - monotonic()) <= 0:
            continue
        try:
            with time_limited(reader, remaining):
                names |= dict.fromkeys(total.name for total in reader.totals_by(by, None) if total.name is not None)
        except ChatstoreError:  # the error about the unknown name is what counts
            continue
    return list(names)


def _missing(reader: SessionReader, by: NameField, tenant_id: str | None) -> list[str]:
    return reader.unanswerable(
        SessionQuery(
            tenant_id="x" if by == "tenant" or tenant_id is not None else None, user_id="x" if by == "user" else None
        )
    )


def _totals(reader: SessionReader, by: NameField, tenant_id: str | None) -> tuple[list[NameTotal], bool]:
    """The sessions of each name, and whether all sessions were counted."""
    if isinstance(reader, ReaderOfNames):
        try:
            with time_limited(reader, MOST_SECONDS):
                return list(reader.totals_by(by, tenant_id)), True
        except Overdue:
            pass
    newest = stream_sessions([reader], SessionQuery(tenant_id=tenant_id))
    deadline = monotonic() + MOST_SECONDS
    counted: list[NameTotal] = []
    for session in islice(newest, MOST_READ):
        name = session.tenant_id if by == "tenant" else session.user_id
        counted.append(NameTotal(name, 1, session.updated_at))
        if monotonic() > deadline:
            return counted, False
    return counted, next(newest, None) is None


def _order(names: NamedSessions) -> tuple[int, str]:
    return -names.sessions, names.name or ""
