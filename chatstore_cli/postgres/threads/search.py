"""Finds messages of threads in PostgreSQL: a rare word in the text index, everything else thread by thread with a filter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Text, cast, select, text

from chatstore_cli.core.search.walking import session_steps
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import SessionKey, SessionQuery
from chatstore_cli.domain.search.models import Candidate, SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.schema import MESSAGES
from chatstore_cli.postgres.threads.search_index import EXPRESSION, OTHERS, can_be_used, words_query
from chatstore_cli.postgres.threads.session_rows import to_message

MOST_CANDIDATES = 5_000
"""A word that more messages have is common: it is found sooner by reading the newest threads."""
_BATCH = 100
_THREADS_AT_ONCE = 50
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Place:
    moment: datetime
    message_id: str
    thread_id: str


class ThreadReader(SessionReader, Protocol):
    """The reader of threads."""

    def without_counts(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        """The threads of `newest_first`, whose messages are not counted."""

    def among(self, ids: Sequence[str], query: SessionQuery) -> dict[str, Session]:
        """Those of the threads with these ids that match, by their ids."""


class PostgresThreadSearcher:
    """Finds the candidates of a search."""

    def __init__(self, reader: ThreadReader, database: PostgresDatabase) -> None:
        self.reader: SessionReader = reader
        self._threads = reader
        self._database = database

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """The candidates, the newest first."""
        if query.session_id is None and text.words:
            found = self._database.read("searching messages", lambda reader: self._rare(reader, text))
            if found is not None:
                yield from self._listed(found, query)
                return
        conditions = _conditions(text)
        yield from session_steps(
            query,
            page=self._page,
            find=self.reader.find,
            session_of=lambda session: session,
            read=lambda sessions: self._read(sessions, conditions),
        )

    def _page(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterable[Session]:
        return self._threads.without_counts(query, after, limit)

    def _read(self, sessions: Sequence[Session], conditions: list[Any]) -> Iterator[tuple[Session, list[Message]]]:
        for some in _batches(sessions, _THREADS_AT_ONCE):
            by_id = {session.session_id: session for session in some}
            wanted = select(MESSAGES).where(MESSAGES.c.chat_thread_id.in_(by_id), *conditions)
            with self._database.reading("searching messages") as connection:
                for rows in _batches(connection.execute(wanted), _BATCH):
                    found: dict[str, list[Message]] = {}
                    for row in rows:
                        found.setdefault(row.chat_thread_id, []).append(to_message(row))
                    for thread_id, messages in found.items():
                        yield by_id[thread_id], messages

    def _rare(self, connection: Connection, text_filter: TextFilter) -> list[_Place] | None:
        """The messages that have all the words, and those that the index does not have in whole; None if there are many."""
        if not can_be_used(connection, text_filter.words):
            return None
        # The planner has no statistics on the words. Without the index it would cut the words of every message.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        names = f"SELECT id, chat_thread_id, created_at FROM {MESSAGES.name} WHERE {EXPRESSION} @@"
        words = {f"word{place}": word for place, word in enumerate(text_filter.words)}
        statement = f"{names} ({words_query(len(words))}) LIMIT {MOST_CANDIDATES + 1}"
        rows = list(connection.execute(text(statement), words))
        if len(rows) > MOST_CANDIDATES:
            return None
        patterns = {f"pattern{place}": _for_postgres(each) for place, each in enumerate(text_filter.patterns)}
        matching = "".join(f" AND CAST(content AS text) ~* :{name}" for name in patterns)
        rows += connection.execute(text(f"{names} {OTHERS}{matching}"), patterns)
        return [_Place(row.created_at.astimezone(UTC), row.id, row.chat_thread_id) for row in rows]

    def _listed(self, places: list[_Place], query: SearchQuery) -> Iterator[SearchStep]:
        """These messages, newest first."""
        threads = self._threads.among(sorted({each.thread_id for each in places}), query.sessions)
        chosen = [each for each in places if each.thread_id in threads]
        chosen.sort(key=lambda each: each.moment, reverse=True)
        for batch in _batches(chosen, _BATCH):
            wanted = select(MESSAGES).where(MESSAGES.c.id.in_([each.message_id for each in batch]))
            rows: Any = self._database.read("reading messages", lambda reader: reader.execute(wanted).all())  # noqa: B023 - called at once
            candidates = []
            for row in rows:
                thread = threads[row.chat_thread_id]
                candidates.append(Candidate(to_message(row), thread.tenant_id, thread.user_id))
            yield SearchStep(batch[-1].moment, candidates)


def _conditions(text_filter: TextFilter) -> list[Any]:
    """The conditions that every message with a hit meets. The text of a JSON value has every text in it."""
    stored = cast(MESSAGES.c.content, Text)
    return [stored.op("~*")(_for_postgres(pattern)) for pattern in text_filter.patterns]


def _for_postgres(pattern: str) -> str:
    """The pattern for the text of a JSON value.

    It has two backslashes for one in a text. And PostgreSQL does not take two signs outside ASCII for a k and an s.
    """
    escapes = pattern.replace(r"\\u", r"\\+u")
    return escapes.replace("k", "(?:[kK\u212a]|\\\\+u212a)").replace("s", "(?:[sS\u017f]|\\\\+u017f)")


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
