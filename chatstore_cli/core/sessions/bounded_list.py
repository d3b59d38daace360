"""Lists that no index serves: filters on titles, numbers and models, and orders other than the newest first.

Sessions are read one by one for them, newest first, until the page is full. This is bounded: if it has read MOST_READ
sessions, or has taken MOST_SECONDS, and the page is not full, it fails and names the options that narrow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import ReaderOfMessageUsage, ReaderOfModels, SessionReader

if TYPE_CHECKING:
    from chatstore_cli.core.sessions.sorting import SessionOrder

MOST_READ = 10_000
MOST_SECONDS = 5.0
_CHUNK = 250

SecondsClock = Callable[[], float]
"""Returns seconds that only grow, such as time.monotonic."""


def is_bounded(query: SessionQuery, order: SessionOrder | None) -> bool:
    """Whether a list needs sessions that no index selects or sorts."""
    return query != query.indexed or (order is not None and not order.is_usual)


def bounded_sessions(
    newest_first: Iterator[Session],
    readers: Sequence[SessionReader],
    query: SessionQuery,
    order: SessionOrder | None,
    *,
    limit: int | None,
    seconds: SecondsClock,
) -> list[Session]:
    """The sessions that match, in order: at least the first `limit` of them (None: all).

    `newest_first` are the readers' sessions that pass the indexed filters. Raises WrongUse.
    """
    found: list[Session] = []
    is_sorted = order is not None and not order.is_usual
    for session in _matching(newest_first, readers, query, order, seconds):
        found.append(session)
        if limit is not None and not is_sorted and len(found) >= limit:
            break
    return order.sorted(found) if order is not None and is_sorted else found


def _matching(
    newest_first: Iterator[Session],
    readers: Sequence[SessionReader],
    query: SessionQuery,
    order: SessionOrder | None,
    seconds: SecondsClock,
) -> Iterator[Session]:
    by_layout = {reader.layout: reader for reader in readers}
    needs_usage = query.needs_usage or (order is not None and order.needs_usage)
    started, read = seconds(), 0
    while some := list(islice(newest_first, _CHUNK)):
        read += len(some)
        if read > MOST_READ:
            raise _too_many(query, order, f"More than {MOST_READ:,} sessions match the other options")
        if seconds() - started > MOST_SECONDS:
            raise _too_many(query, order, f"After {MOST_SECONDS:g} seconds and {read:,} sessions it was not complete")
        for reader in by_layout.values():
            if needs_usage and isinstance(reader, ReaderOfMessageUsage):
                some = _replaced(some, reader.layout, reader.with_usage)
            if query.model is not None and isinstance(reader, ReaderOfModels):
                some = _replaced(some, reader.layout, _of_model(reader, query.model))
        for session in some:
            exact = _counted(session, query, by_layout)
            if query.matches(exact):
                yield session


def _of_model(reader: ReaderOfModels, model: str) -> Callable[[Sequence[Session]], list[Session]]:
    def having_used(sessions: Sequence[Session]) -> list[Session]:
        among = reader.having_used(model, [session.session_id for session in sessions])
        return [session for session in sessions if session.session_id in among]

    return having_used


def _replaced(
    sessions: list[Session], layout: str, change: Callable[[Sequence[Session]], list[Session]]
) -> list[Session]:
    """The sessions, those of one layout changed or left out, in the same order."""
    own = [session for session in sessions if session.layout == layout]
    if not own:
        return sessions
    changed = {session.session_id: session for session in change(own)}
    others = ((session.layout != layout, session) for session in sessions)
    return [
        session if is_other else changed[session.session_id]
        for is_other, session in others
        if is_other or session.session_id in changed
    ]


def _counted(session: Session, query: SessionQuery, by_layout: dict[str, SessionReader]) -> Session:
    """The session with its exact number of messages, if a list counts only a part of what the filter asks for."""
    if query.min_messages is None or not session.message_count_capped or session.message_count >= query.min_messages:
        return session
    exact = by_layout[session.layout].find(session.session_id)
    return session if exact is None else replace(session, message_count=exact.message_count)


def _too_many(query: SessionQuery, order: SessionOrder | None, what: str) -> WrongUse:
    used = {
        "--sort": order is not None and not order.is_usual,
        "--title": query.title is not None,
        "--model": query.model is not None,
        "--min-messages": query.min_messages is not None,
        "--min-tokens": query.min_tokens is not None,
        "--min-cost": query.min_cost is not None,
    }
    options = " and ".join(name for name, is_used in used.items() if is_used)
    given = {
        "--since": query.since,
        "--until": query.until,
        "--tenant": query.tenant_id,
        "--user": query.user_id,
        "--workflow": query.workflow,
        "--layout": query.layout,
    }
    narrowing = [name for name, value in given.items() if value is None]
    hint = f"Narrow the list with {alternatives(narrowing) or 'a later --since'}."
    return WrongUse(what=f"{what}, and {options} must read each of them, because no index has that.", hint=hint)
