"""How many sessions a list has in all, within a small limit of time and number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple

from chatstore_cli.core.sessions.bounded_list import SecondsClock
from chatstore_cli.core.sessions.listing import SessionPage
from chatstore_cli.core.sessions.streams import stream_sessions
from chatstore_cli.core.time_limits import time_limited
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session_reader import ReaderInOneStream, SessionCounter, SessionReader

MOST_COUNTED = 10_000
_SECONDS = 0.25


class SessionTotal(NamedTuple):
    """How many sessions match. There may be more than `number`, unless it `is_exact`."""

    number: int
    is_exact: bool


def session_total(
    page: SessionPage, readers: Sequence[SessionReader], query: SessionQuery, *, seconds: SecondsClock = monotonic
) -> SessionTotal | None:
    """How many sessions match a query, of which this is a page; None if the number is not known soon.

    Sessions that a list leaves out because no text addresses them are counted.
    """
    if page.total is not None:
        return SessionTotal(page.total, True)
    if query != query.indexed or query.tag is not None:
        return None
    total, deadline = 0, seconds() + _SECONDS
    # A reader in one stream has no fast count, and the others may reach the limit before it.
    for reader in sorted(readers, key=lambda reader: isinstance(reader, ReaderInOneStream)):
        if reader.unanswerable(query):
            continue
        counted = _counted(reader, query, MOST_COUNTED + 1 - total, deadline - seconds())
        if counted is None:
            return SessionTotal(total, False)
        total += counted
        if total > MOST_COUNTED:
            return SessionTotal(MOST_COUNTED, False)
    return SessionTotal(total, True)


def shown_of_total(
    page: SessionPage,
    readers: Sequence[SessionReader],
    query: SessionQuery,
    *,
    noun: str = "sessions",
    seconds: SecondsClock = monotonic,
) -> str | None:
    """`20 of 312 sessions`, `20 of more than 10,000 sessions`, or None if all are shown or the number is not known soon."""
    total = session_total(page, readers, query, seconds=seconds) if page.is_truncated else None
    shown = len(page.sessions)
    if total is None or (total.number <= shown and page.total is None):
        return None
    return f"{shown:,} of {'' if total.is_exact else 'more than '}{total.number:,} {noun}."


def _counted(reader: SessionReader, query: SessionQuery, limit: int, seconds: float) -> int | None:
    """How many sessions of a reader match, up to a limit; None if it takes too long."""
    if seconds <= 0:
        return None
    try:
        with time_limited(reader, seconds):
            if isinstance(reader, SessionCounter):
                return reader.count(query, limit)
            return sum(1 for _ in islice(stream_sessions([reader], query), limit))
    except ChatstoreError:  # the page was shown: a number that is missing is no failure of the command
        return None
