"""Writes the hits of a search while they are found, also if it is interrupted."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.search.every_page import EveryPage
from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import ChatstoreError, Interrupted
from chatstore_cli.domain.search.models import SearchHit
from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.rows.search import HIT_COLUMNS, hit_row

if TYPE_CHECKING:
    from chatstore_cli.core.redaction import Redactor
    from chatstore_cli.core.search.redacted_hits import RedactedHits


Search = MessageSearch | EveryPage
"""One page of hits, or all of them."""


class Redaction(NamedTuple):
    """What replaces personal data in the hits of --redact."""

    redactor: Redactor
    hits: RedactedHits


def print_hits(
    invocation: Invocation,
    found: Search,
    *,
    empty: str,
    redaction: Redaction | None,
    if_none: Callable[[], None],
) -> None:
    """Print each hit when it is found, then the notices, then raise what ended the search early.

    `if_none` is called after a complete search without a hit, and may raise.
    """
    with _interrupting(found):
        hits = found.hits() if redaction is None else map(redaction.hits, found.hits())
        first = list(islice(hits, 1))
        if not first and found.failure is None:
            if_none()
        if first or found.failure is None:
            invocation.emit(_listing(invocation, found, chain(first, hits), empty, redaction))
    for note in [*found.notes, *([redaction.redactor.notice()] if redaction is not None else [])]:
        invocation.say(note)
    if found.failure is not None:
        raise _ending(invocation, found)


def _listing(
    invocation: Invocation, found: Search, hits: Iterator[SearchHit], empty: str, redaction: Redaction | None
) -> Listing:
    has_cursor = invocation.options.output in (OutputFormat.JSON, OutputFormat.YAML)

    def cursor() -> str | None:
        return found.next_cursor if has_cursor or found.failure is None else None  # the error names it

    def beside() -> dict[str, Any]:
        return {} if redaction is None else {"redacted": redaction.redactor.counts}

    rows, live = _flushed(hits), invocation.options.prints_table
    return Listing(HIT_COLUMNS, rows, empty=empty, live=live, streamed=True, cursor_after=cursor, beside_after=beside)


def _flushed(hits: Iterator[SearchHit]) -> Iterator[dict[str, Any]]:
    """The rows of the hits. What was written is flushed before the search goes on, which may take long."""
    for hit in hits:
        yield hit_row(hit)
        sys.stdout.flush()


@contextmanager
def _interrupting(found: Search) -> Iterator[None]:
    """Ctrl-C ends the search inside the block, but not the output of a row that was found."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if found.is_reading:
            raise KeyboardInterrupt
        found.is_stopped = True

    earlier = signal.getsignal(signal.SIGINT)
    if earlier is signal.SIG_IGN:  # a job in the background
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)


def _ending(invocation: Invocation, found: Search) -> ChatstoreError:
    """The error that ended the search, with the way to continue."""
    going_on = f"To continue, add --cursor {found.next_cursor}" if found.next_cursor else None
    failure = found.failure
    if isinstance(failure, ChatstoreError):
        if going_on:
            invocation.say(f"{going_on}.")
        return failure
    back_to = found.searched_back_to
    what = "The search had just begun." if back_to is None else f"Messages were searched back to {rfc3339(back_to)}."
    return Interrupted(what=what, hint=going_on or "To search again, run the same command.")
