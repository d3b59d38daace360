"""Searching the messages of all layouts as one list, the newest first."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chatstore_cli.core.readers import remarks_of, split_by_answer
from chatstore_cli.core.search.keys import HitKey
from chatstore_cli.core.search.matcher import Match, Matcher
from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.snippets import snippet_of
from chatstore_cli.core.search.words import has_script_without_spaces
from chatstore_cli.domain.errors import BadValue, ChatstoreError, WrongUse
from chatstore_cli.domain.search.models import NOT_READ, Candidate, SearchHit, SearchMode, SearchQuery, TextFilter
from chatstore_cli.domain.session_reader import ReaderWithRemarks

if TYPE_CHECKING:
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.search.ports import MessageSearcher

LARGEST_PAGE = 10_000
_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)

Limited = Callable[[], AbstractContextManager[None]]
"""Makes a block that raises TimeoutError if a pattern takes too long: Python cannot stop the search for it otherwise."""


class MessageSearch:
    """One page of the hits over all searchers, in descending order of HitKey, and what is known after it."""

    def __init__(
        self,
        searchers: Sequence[MessageSearcher],
        query: SearchQuery,
        *,
        limit: int,
        cursor: str | None = None,
        limited: Limited = nullcontext,
        fits: Callable[[SearchHit], bool] = lambda _: True,
        is_time_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """The page ends before the first hit that does not fit. The first one of the page must fit.

        It also ends, perhaps without a hit, once the time is over and the search has come further than the page before.

        Raises BadValue and WrongUse for a text, limit or cursor that is not valid. Nothing is read before `hits`.
        """
        if not 1 <= limit <= LARGEST_PAGE:
            raise BadValue(name="--limit", value=limit, expected=f"a number from 1 to {LARGEST_PAGE}")
        self._matcher = Matcher(query)
        self._below = HitKey.from_cursor(cursor) if cursor is not None else None
        self._query = query if self._below is None else replace(query, continues_at=self._below.instant)
        self._searchers = searchers
        self._limit = limit
        self._fits = fits
        self._is_time_over = is_time_over
        self._limited = limited if query.mode is SearchMode.REGEX else nullcontext
        self._found: list[tuple[HitKey, SearchHit]] = []
        """Hits whose place is not certain yet, in ascending order, as many as the page may still need."""
        self._unnumbered: Counter[HitKey] = Counter()
        self._streams: list[_Stream] = []
        self.is_reading = False
        """Whether a searcher is asked at this moment, so that KeyboardInterrupt ends the search and not the output."""
        self.is_stopped = False
        """Set it to end the search at its next step."""
        self.next_cursor: str | None = None
        """Where the search continues, if there are more hits or it did not end."""
        self.failure: ChatstoreError | KeyboardInterrupt | None = None
        """What ended the search before its end. `hits` does not raise it, so that what was found can be written."""
        self.searched_back_to: datetime | None = None
        """If the search ended early: every message after this instant was searched; None if none was."""
        self.notes: list[str] = []
        """What was not searched, and why; complete after the last hit."""
        self.collection_notes: list[str] = []
        """Those of the notes that are about whole collections, and so about sessions of every tenant."""

    def hits(self) -> Iterator[SearchHit]:
        """The hits of the page. Each is returned as soon as no newer one can follow."""
        answering, self.notes = split_by_answer([each.reader for each in self._searchers], self._query.sessions)
        text = self._matcher.filter
        self._streams = [
            _Stream(each, self._query, text)
            for each in self._searchers
            if each.reader in answering and self._may_have(each)
        ]
        written = 0
        last: HitKey | None = None
        try:
            for key, hit in self._in_order():
                fits = written < self._limit and self._fits(hit)
                if last is not None and not fits:
                    self.next_cursor = self.next_cursor or last.to_cursor()
                    break
                yield hit
                written, last = written + 1, key
                if written == self._limit and self._found:  # there are more: which one is next need not be known
                    self.next_cursor = self.next_cursor or key.to_cursor()
                    break
        finally:
            for stream in self._streams:
                stream.close()
            self._add_remarks()

    def _may_have(self, searcher: MessageSearcher) -> bool:
        among = self._query.among
        return among is None or any(ref.layout == searcher.reader.layout for ref in among)

    def _in_order(self) -> Iterator[tuple[HitKey, SearchHit]]:
        begins_at = _LATEST if self._below is None else self._below.instant
        while (bound := self._bound()) is not None:
            if bound < begins_at and self._is_time_over():
                self._end_at(bound)  # what was found of older messages is found again by the next page
                return
            try:
                self.is_reading = True
                if self.is_stopped:
                    raise KeyboardInterrupt
                self._read_step(bound)
            except (ChatstoreError, KeyboardInterrupt) as failure:
                self._end_early(failure, bound)
                break
            finally:
                self.is_reading = False
            bound = self._bound()
            while self._found and bound is not None and (self._found[-1][1].place or _EARLIEST) > bound:
                yield self._found.pop()
        yield from reversed(self._found)

    def _bound(self) -> datetime | None:
        """No message after this instant is to come; None if no message at all is."""
        return max((stream.reached for stream in self._streams if not stream.has_ended), default=None)

    def _read_step(self, bound: datetime) -> None:
        """Read a step of the layout that may have the newest message."""
        stream = next(each for each in self._streams if each.reached == bound and not each.has_ended)
        before = stream.reached
        for candidate in stream.read():
            hit = self._hit_of(stream, candidate, before)
            if hit is None:
                continue
            key = self._key_of(hit)
            if self._below is None or key < self._below:
                insort(self._found, (key, hit), key=_key)
                if len(self._found) > self._limit + 1:
                    del self._found[0]

    def _key_of(self, hit: SearchHit) -> HitKey:
        """The key of a hit. Messages with neither a number nor an id are numbered in the order in which they are read."""
        key = HitKey.of(hit)
        if hit.message.sequence is None and hit.message.message_id is None:
            self._unnumbered[key] += 1
            key = replace(key, sequence=self._unnumbered[key] - 1)
        return key

    def _hit_of(self, stream: _Stream, candidate: Candidate, before: datetime) -> SearchHit | None:
        message, query = candidate.message, self._query
        is_read = candidate.updated_at is not NOT_READ
        moment = message.created_at or (candidate.updated_at if is_read else stream.undated)
        if query.role is not None and message.role != query.role:
            return None
        if query.among is not None and (stream.layout, message.session_id) not in query.among:
            return None
        if query.since is not None and (moment is None or moment < query.since):
            return None
        if query.until is not None and (moment is None or moment >= query.until):
            return None
        text = message_text(message)
        match = self._match(stream.layout, message, text)
        if match is None:
            return None
        snippet, start = snippet_of(text, *match.offsets[0])
        latest = candidate.updated_at if is_read else before
        place = None if moment is None or latest is None else min(moment, latest, before)
        found = (match.offsets, match.more, snippet, start, len(text))
        return SearchHit(stream.layout, message, place, *found, candidate.tenant_id, candidate.user_id)

    def _match(self, layout: str, message: Message, text: str) -> Match | None:
        try:
            with self._limited():
                return self._matcher.find(text)
        except TimeoutError as error:
            where = f"message {message.message_id or message.sequence} of session {message.session_id!r} in {layout}"
            what = f"The regular expression takes too long on {where} ({len(text):,} characters)."
            hint = "Make it simpler: a repetition inside a repetition, such as (a+)+, can take forever."
            raise WrongUse(what=what, hint=hint) from error

    def _end_early(self, failure: ChatstoreError | KeyboardInterrupt, bound: datetime) -> None:
        self.failure = failure
        if bound != _LATEST:
            self._end_at(bound)

    def _end_at(self, bound: datetime) -> None:
        self.searched_back_to = bound
        self.next_cursor = HitKey.above(bound).to_cursor()

    def _add_remarks(self) -> None:
        searched = [stream.searcher for stream in self._streams]
        own = [each for each in searched if isinstance(each, ReaderWithRemarks)]
        self.collection_notes = remarks_of([each.reader for each in searched])
        self.collection_notes += [f"{each.reader.layout}: {remark}" for each in own for remark in each.remarks]
        self.notes += self.collection_notes
        if self._query.mode is SearchMode.WORDS and has_script_without_spaces(self._query.text):
            self.notes.append(
                "The text has characters of a language that is written without spaces, such as Chinese or Japanese. "
                "A whole sentence is one word there. To find a part of it, use --substring."
            )


class _Stream:
    """The steps of one layout."""

    def __init__(self, searcher: MessageSearcher, query: SearchQuery, text: TextFilter) -> None:
        self.searcher = searcher
        self.layout = searcher.reader.layout
        self._since = query.since
        self._steps = searcher.steps(query, text)
        self.reached = _LATEST
        """No message after this instant is to come."""
        self.undated: datetime | None = None
        """The time of the messages without one in the last step."""
        self.has_ended = False

    def read(self) -> Sequence[Candidate]:
        """The candidates of the next step; none at the end."""
        step = next(self._steps, None)
        if step is None:
            self.has_ended = True
            return ()
        self.undated = step.reached
        self.reached = min(self.reached, step.reached or _EARLIEST)
        self.has_ended = self._since is not None and self.reached < self._since
        return step.candidates

    def close(self) -> None:
        """Close the cursor of the searcher."""
        if isinstance(self._steps, Generator):
            self._steps.close()


def _key(found: tuple[HitKey, SearchHit]) -> HitKey:
    return found[0]
