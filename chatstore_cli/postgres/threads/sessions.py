"""The `threads` layout on PostgreSQL: a thread is a session, as in mongo/threads/layout.py.

Its tenant is the thread's organisation, and its title the thread's name. A thread has no workflow, no status and no pause.
What its messages used is added up for reports alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, or_, select, true, tuple_

from chatstore_cli.domain.errors import NotAllowed, NotFound
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.removal import SessionState, StoredPart
from chatstore_cli.domain.session import COUNT_CAP, Session
from chatstore_cli.domain.session_reader import MOST_NAMES, NameField, NameTotal
from chatstore_cli.domain.threads.filters import unanswerable_filters
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.schema import MESSAGES, THREADS
from chatstore_cli.postgres.threads.reading import owned_by
from chatstore_cli.postgres.threads.session_rows import LAYOUT, to_message, to_session
from chatstore_cli.postgres.threads.usage import to_usage, usage_sums

if TYPE_CHECKING:
    from chatstore_cli.postgres.threads.search import PostgresThreadSearcher

_THREADS_PER_SUM = 100
"""Threads whose usage one statement adds up. Each statement has the time limit of an ordinary one."""
_FACTS = (
    THREADS.c.id,
    THREADS.c.user_id,
    THREADS.c.org_id,
    THREADS.c.name,
    THREADS.c.created_at,
    THREADS.c.updated_at,
)


class PostgresThreadSessions:
    """Reads and deletes sessions that are threads of one PostgreSQL database."""

    layout = LAYOUT
    orders_by_sequence: Literal[True] = True

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """None: a migration makes the indexes with the tables."""
        return ()

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters that threads cannot answer."""
        return unanswerable_filters(query)

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` threads in descending order of SessionKey, strictly below `after`. Counts stop at COUNT_CAP."""
        if not self._answers(query):
            return
        order = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
        page = select(*_FACTS).where(*_conditions(query), _below(after)).order_by(*order).limit(limit).subquery()
        of_thread = select(MESSAGES.c.id).where(MESSAGES.c.chat_thread_id == page.c.id).correlate(page)
        some = of_thread.limit(COUNT_CAP + 1).subquery()
        messages = select(func.count()).select_from(some).scalar_subquery().label("messages")
        counted = select(page, messages).order_by(page.c.updated_at.desc(), page.c.id.desc())
        rows: Sequence[Row[Any]] = self._database.read(
            "listing the threads", lambda reader: reader.execute(counted).all()
        )
        for row in rows:
            yield _counted(to_session(row), row.messages, COUNT_CAP)

    def message_searcher(self) -> PostgresThreadSearcher:
        """The searcher of these threads."""
        from chatstore_cli.postgres.threads.search import PostgresThreadSearcher

        return PostgresThreadSearcher(self, self._database)

    def without_counts(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        """The threads of `newest_first`, whose messages are not counted."""
        if not self._answers(query):
            return []
        order = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
        page = select(*_FACTS).where(*_conditions(query), _below(after)).order_by(*order).limit(limit)
        return self._sessions(page)

    def among(self, ids: Sequence[str], query: SessionQuery) -> dict[str, Session]:
        """Those of the threads with these ids that match, by their ids."""
        if not ids or not self._answers(query):
            return {}
        wanted = select(*_FACTS).where(THREADS.c.id.in_(ids), *_conditions(query))
        return {each.session_id: each for each in self._sessions(wanted)}

    def _sessions(self, wanted: Select[Any]) -> list[Session]:
        rows: Any = self._database.read("listing the threads", lambda reader: reader.execute(wanted).all())
        return [to_session(row) for row in rows]

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """One thread with the number of its messages; None if it does not exist."""
        if not is_storable(session_id):
            return None
        of_thread = select(MESSAGES.c.id).where(MESSAGES.c.chat_thread_id == session_id)
        some = of_thread.limit(None if count_to is None else count_to + 1).subquery()
        messages = select(func.count()).select_from(some).scalar_subquery().label("messages")
        query = select(*_FACTS, messages).where(THREADS.c.id == session_id)
        doing = f"looking up thread {session_id!r}"
        row: Any = self._database.read(doing, lambda reader: reader.execute(query).first())
        return None if row is None else _counted(to_session(row), row.messages, count_to)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A thread's messages in order of sequence, streamed. Raises NotFound."""
        query = select(THREADS.c.id).where(THREADS.c.id == session_id)
        doing = f"looking up thread {session_id!r}"
        if not is_storable(session_id) or self._database.read(doing, lambda reader: reader.scalar(query)) is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {THREADS.name}")
        return self._read(session_id, selection)

    def _read(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        query = select(MESSAGES).where(MESSAGES.c.chat_thread_id == session_id)
        if selection.after_sequence is not None:
            query = query.where(MESSAGES.c.sequence > selection.after_sequence)
        if not selection.include_general:
            source = MESSAGES.c.content["metadata"]["source"].astext
            query = query.where(source.is_distinct_from(GENERAL_AGENT))
        if selection.last is not None:
            newest = query.order_by(MESSAGES.c.sequence.desc()).limit(selection.last).subquery()
            query = select(newest).order_by(newest.c.sequence)
        else:
            query = query.order_by(MESSAGES.c.sequence)
        if selection.first is not None:
            query = query.limit(selection.first)
        with self._database.reading(f"reading thread {session_id!r}") as connection:
            for row in connection.execute(query):
                yield to_message(row)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every thread that matches, with the usage of its messages and without their number."""
        if not self._answers(query):
            return
        matching = select(*_FACTS).where(*_conditions(query)).order_by(THREADS.c.id).limit(_THREADS_PER_SUM)
        last: str | None = None
        while True:
            page = matching if last is None else matching.where(THREADS.c.id > last)
            sessions = self._database.read("adding up the usage of threads", lambda reader: _with_usage(reader, page))  # noqa: B023 - called at once
            yield from sessions
            if len(sessions) < _THREADS_PER_SUM:
                return
            last = sessions[-1].session_id

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of each statement inside."""
        return self._database.within(seconds)

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many threads pass the indexed filters of the query; it stops at `limit`."""
        if not self._answers(query):
            return 0
        some = select(THREADS.c.id).where(*_conditions(query)).limit(limit).subquery()
        counted = select(func.count()).select_from(some)
        return self._database.read("counting the threads", lambda reader: reader.scalar(counted)) or 0

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The threads of each tenant or user, those with the most threads first."""
        query = SessionQuery(tenant_id=tenant_id)
        if not self._answers(query):
            return
        name = THREADS.c.org_id if field == "tenant" else THREADS.c.user_id
        grouped = select(
            name.label("name"), func.count().label("threads"), func.max(THREADS.c.updated_at).label("newest")
        )
        most = grouped.where(*_conditions(query)).group_by(name).order_by(func.count().desc()).limit(MOST_NAMES + 1)
        doing = f"counting the threads of each {field}"
        for row in self._database.read(doing, lambda reader: reader.execute(most).all()):
            yield NameTotal(row.name or None, row.threads, row.newest.astimezone(UTC))

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of threads that begin with this text."""
        if not is_storable(prefix):
            return []
        beginning = THREADS.c.id.startswith(prefix, autoescape=True)
        query = select(THREADS.c.id).where(THREADS.c.id >= prefix, beginning).order_by(THREADS.c.id).limit(limit)
        return list(self._database.read("looking up ids", lambda reader: reader.scalars(query).all()))

    def having_used(self, model: str, session_ids: Sequence[str]) -> set[str]:
        """Those of the threads with a message whose metadata, or the usage in it, names the model."""
        if not is_storable(model):
            return set()
        metadata = MESSAGES.c.content["metadata"]
        named = or_(metadata["model"].astext == model, metadata["usage"]["model"].astext == model)
        query = select(MESSAGES.c.chat_thread_id).where(MESSAGES.c.chat_thread_id.in_(session_ids), named).distinct()
        doing = f"looking up the model {model!r}"
        return set(self._database.read(doing, lambda reader: reader.scalars(query).all()))

    def with_usage(self, sessions: Sequence[Session]) -> list[Session]:
        """The threads with the usage of their messages."""
        found = list(sessions)
        for first in range(0, len(found), _THREADS_PER_SUM):
            some = found[first : first + _THREADS_PER_SUM]
            summed = self._database.read("adding up the usage of threads", lambda reader: _with_sums(reader, some))  # noqa: B023 - called at once
            found[first : first + _THREADS_PER_SUM] = summed
        return found

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """The rows of a thread by table. Raises NotAllowed for `keep_usage`: its messages have the usage."""
        session = self.find(session_id)
        if session is None:
            return []
        if keep_usage:
            raise NotAllowed(
                what=f"The usage of thread {session_id!r} is stored in its messages and is deleted with them.",
                hint="To delete the thread anyway, leave out --keep-usage.",
            )
        return [StoredPart(MESSAGES.name, session.message_count), StoredPart(THREADS.name, 1)]

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete a thread, and by the foreign key its messages, in one transaction. No tombstone is stored.

        The state is compared in the same transaction, after the thread was locked.
        """

        def remove(connection: Connection) -> list[StoredPart]:
            locked: Any = connection.execute(
                select(*_FACTS).where(THREADS.c.id == session_id).with_for_update()
            ).first()
            if locked is None:
                return []
            of_thread = MESSAGES.c.chat_thread_id == session_id
            if expected is not None:
                stored = connection.scalar(select(func.count()).select_from(MESSAGES).where(of_thread))
                expected.require(session_id, SessionState.of(replace(to_session(locked), message_count=stored or 0)))
            messages = connection.execute(delete(MESSAGES).where(of_thread)).rowcount
            threads = connection.execute(delete(THREADS).where(THREADS.c.id == session_id)).rowcount
            return [StoredPart(MESSAGES.name, messages), StoredPart(THREADS.name, threads)]

        if not is_storable(session_id):
            return []
        return self._database.change(f"deleting thread {session_id!r}", remove, takes_long=True)

    def _answers(self, query: SessionQuery) -> bool:
        texts = (query.tenant_id, query.user_id)
        can_match = query.layout in (None, LAYOUT) and all(text is None or is_storable(text) for text in texts)
        return can_match and not self.unanswerable(query)


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: it has neither NUL nor lone surrogates."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _counted(session: Session, count: int, cap: int | None) -> Session:
    """The session with its number of messages, which were counted up to the cap and one more."""
    is_capped = cap is not None and count > cap
    return replace(
        session, message_count=cap if is_capped and cap is not None else count, message_count_capped=is_capped
    )


def _conditions(query: SessionQuery) -> list[ColumnElement[bool]]:
    conditions = owned_by(Owner(query.user_id, query.tenant_id))
    if query.since is not None:
        conditions.append(THREADS.c.updated_at >= query.since)
    if query.until is not None:
        conditions.append(THREADS.c.updated_at < query.until)
    if query.among is not None:
        conditions.append(THREADS.c.id.in_([each for each in query.among if is_storable(each)]))
    return conditions


def _below(after: SessionKey | None) -> ColumnElement[bool]:
    """The condition that a thread's SessionKey is below this one. A page of all layouts may end in another layout."""
    if after is None:
        return true()
    if after.layout > LAYOUT:
        return THREADS.c.updated_at <= after.instant
    if after.layout < LAYOUT or not is_storable(after.session_id):
        return THREADS.c.updated_at < after.instant
    return tuple_(THREADS.c.updated_at, THREADS.c.id) < tuple_(after.instant, after.session_id)


def _with_usage(connection: Connection, threads: Select[Any]) -> list[Session]:
    return _with_sums(connection, [to_session(row) for row in connection.execute(threads)])


def _with_sums(connection: Connection, threads: Sequence[Session]) -> list[Session]:
    sessions = list(threads)
    ids = [session.session_id for session in sessions]
    rows = connection.execute(usage_sums(), {"ids": ids}) if ids else ()
    summed = {row.thread_id: to_usage(row) for row in rows}
    for place, session in enumerate(sessions):
        if session.session_id in summed:
            usage, invalid = summed[session.session_id]
            sessions[place] = replace(session, usage=usage, invalid_numbers=invalid)
    return sessions
