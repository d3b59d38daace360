"""How many sessions a list has in all, within a small limit of time and number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from time import monotonic

from chatstore_cli.core.sessions.bounded_list import SecondsClock
from chatstore_cli.core.sessions.listing import SessionPage
from chatstore_cli.core.sessions.streams import stream_sessions
from chatstore_cli.core.time_limits import time_limited
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session_reader import ReaderInOneStream, SessionCounter, SessionReader

MOST_COUNTED = 10_000
_SECONDS = 0.25


def shown_of_total(
    page: SessionPage,
    readers: Sequence[SessionReader],
    query: SessionQuery,
    *,
    noun: str = "sessions",
    seconds: SecondsClock = monotonic,
) -> str | None:
    """`20 of 312 sessions`, `20 of more than 10,000 sessions`, or None if all are shown or the number is not known soon.

    Sessions that a list leaves out because no text addresses them are counted.
    """
    if not page.is_truncated:
        return None
    shown = len(page.sessions)
    if page.total is not None:
        return f"{shown:,} of {page.total:,} {noun}."
    if query != query.indexed or query.tag is not None:
        return None
    total, deadline = 0, seconds() + _SECONDS
    # A reader in one stream has no fast count, and the others may reach the limit before it.
    for reader in sorted(readers, key=lambda reader: isinstance(reader, ReaderInOneStream)):
        if reader.unanswerable(query):
            continue
        counted = _counted(reader, query, MOST_COUNTED + 1 - total, deadline - seconds())
        if counted is None:
            return f"{shown:,} of more than {total:,} {noun}." if total > shown else None
        total += counted
        if total > MOST_COUNTED:
            return f"{shown:,} of more than {MOST_COUNTED:,} {noun}."
    return f"{shown:,} of {total:,} {noun}." if total > shown else None


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
