"""The `messages` layout: one document per message; a session is the messages with one session_id (docs/layouts.md).

flush-cache writes rows with a deterministic `_id`, a canonical `created_at` and a `sequence`. Applications write rows
with an ObjectId, a `created_at` as a date or ISO text of any form, and no sequence. A session has no tenant, user,
workflow, status or usage; its updated_at is the time of its newest message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Literal, TypedDict

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.removal import SessionState, StoredPart
from chatstore_cli.domain.session import COUNT_CAP, Expiry, Session, SessionStatus
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.foreign_documents import ForeignLookup, require_own
from chatstore_cli.mongo.identifiers import REPLACED, document_id_condition
from chatstore_cli.mongo.message_counts import NO_COUNT_LIMIT, MessageCounts
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.own_sessions import OwnSessions
from chatstore_cli.mongo.messages.recent_sessions import RecentSessions
from chatstore_cli.mongo.messages.removal import remove_session, require_unchanged
from chatstore_cli.mongo.messages.rows import LAYOUT
from chatstore_cli.mongo.messages.session_times import RECENT_KEYS, SESSION_KEYS, SessionTimes
from chatstore_cli.mongo.messages.stored_messages import StoredMessages
from chatstore_cli.mongo.messages.stored_times import EARLIEST
from chatstore_cli.mongo.name_totals import ids_beginning_with
from chatstore_cli.mongo.tombstones import count_parts

if TYPE_CHECKING:
    from chatstore_cli.mongo.messages.feed import FlatChanges, FlatMessageChanges
    from chatstore_cli.mongo.messages.search import FlatMessageSearcher

_CHUNK = 500


def index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The indexes of the messages layout, on the collection of that name."""
    return (
        IndexSpec(collection, "session_ts_idx", SESSION_KEYS, why="reads, counts and dates one session"),
        IndexSpec(
            collection,
            "expires_at_idx",
            (("expires_at", 1),),
            expire_after_seconds=0,
            why="lets the database delete messages when their time has come",
        ),
        IndexSpec(collection, "recent_idx", RECENT_KEYS, why="lists sessions newest first without reading all"),
    )


class MessagesLayout:
    """Reads sessions from flat messages."""

    layout = LAYOUT

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings
        self._name = settings.messages_collection
        self._messages = connection.collection(self._name)
        milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        how: _Reading = {"in_memory": connection.in_memory, "milliseconds": milliseconds}
        self._times = SessionTimes(self._messages, **how)
        self._recent = RecentSessions(self._messages, self._times, **how)
        self._counts = MessageCounts(self._messages, **how)
        self._own = OwnSessions(self._messages, **how)
        self._stored = StoredMessages(self._messages)
        self._lookup = ForeignLookup(connection, self._name, OWN_MESSAGES)
        self.remarks: list[str] = []
        self.unaddressable = 0
        """The sessions that were met, and left out because no text can be their id."""

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not messages; None if nothing was listed or missed."""
        return self._lookup.found

    def _searched(self) -> bool:
        """Whether the collection has messages to search. If it also has other documents, counts leave these out."""
        found = self._lookup.take()
        if found.foreign:
            self._counts.counted = OWN_MESSAGES.filter()
        return not found.is_another_products

    def is_absent(self) -> bool:
        """Whether the collection does not exist."""
        return not collection_facts(self._connection, self._name).exists

    def has_messages(self) -> bool:
        """Whether the collection exists, and does not belong to another product."""
        return not self.is_absent() and self._searched()

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        return index_specs(self._name)

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters that flat messages cannot answer: they have no tenant, user, workflow, status or pause."""
        filters = {
            "tenant": query.tenant_id is not None,
            "user": query.user_id is not None,
            "workflow": query.workflow is not None,
            "status": query.status not in (None, SessionStatus.UNKNOWN),
            "pause": query.paused,
        }
        return [name for name, is_used in filters.items() if is_used]

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`.

        If times have several offsets from UTC, the order takes into account the offsets read so far. Counts stop at
        COUNT_CAP. Without recent_idx every session is read, and `remarks` has a notice.
        """
        with driver_errors(f"listing the sessions of {self._name}"):
            page = list(islice(self._keys(query, after, limit), limit))
            self._count_unaddressable()
            yield from self._with_facts(page)

    def all_newest_first(self, query: SessionQuery, after: SessionKey | None) -> Iterator[Session]:
        """Every session that matches, in the order of `newest_first`. Only the ids of the sessions stay in memory."""
        with driver_errors(f"listing the sessions of {self._name}"):
            keys = self._keys(query, after, _CHUNK)
            while page := list(islice(keys, _CHUNK)):
                yield from self._with_facts(page)
            self._count_unaddressable()

    def _with_facts(self, page: list[tuple[str, datetime | None]]) -> Iterator[Session]:
        if not page:
            return
        oldest = self._times.oldest_of(session for session, _ in page)
        newest = dict(page)
        for session, count in self._counts.of(
            list(newest), COUNT_CAP, has_index=not self._times.is_absent and self._times.has_session_index
        ):
            yield _session(session, oldest.get(session), newest[session], count)

    within = staticmethod(time_limit)
    has_no_usage: Literal[True] = True

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many sessions match; it stops at `limit`. Their messages are not counted."""
        with driver_errors(f"counting the sessions of {self._name}"):
            return sum(1 for _ in islice(self._keys(query.indexed, None, _CHUNK), limit))

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of sessions that begin with this text."""
        if self.is_absent():
            return []
        with driver_errors(f"looking up ids in {self._name}"):
            return ids_beginning_with(self._messages, ("session_id",), prefix, limit)

    def _keys(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[tuple[str, datetime | None]]:
        """The sessions below `after` that match, with their newest instants, in descending order of SessionKey."""
        if not self._answers(query) or self.is_absent() or self._times.is_absent or not self._searched():
            return
        if not self._times.has_recent_index and not self.remarks:
            self.remarks.append(
                f"{self._name} has no index on (created_at, session_id), so listing reads every session. "
                "To create it, run: chatstore indexes apply"
            )
        if after is None or after.instant > EARLIEST:
            yield from self._own.only(self._dated_keys(query, after), limit)
        if query.since is None or query.since <= EARLIEST:
            without_time = (each for each in self._recent.without_time() if _fits(each, query, after))
            yield from self._own.only(without_time, limit)

    def _dated_keys(self, query: SessionQuery, after: SessionKey | None) -> Iterator[tuple[str, datetime]]:
        bounds = [after.instant] if after is not None else []
        upper = min([*bounds, query.until] if query.until is not None else bounds, default=None)
        for session, moment in self._recent.newest_first(upper):
            if query.since is not None and moment < query.since:
                return
            if _fits((session, moment), query, after):
                yield session, moment

    def _count_unaddressable(self) -> None:
        """Count the ids that were met and cannot be addressed, as far as messages have them."""
        values = list(self._times.unaddressable.values())
        self.unaddressable = sum(self._own.has_value(value) for value in values) + len(self._own.unreadable)

    def _answers(self, query: SessionQuery) -> bool:
        return query.layout in (None, LAYOUT) and not self.unanswerable(query)

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """One session with its message count; None if it does not exist.

        If the count stopped, the times are those of a list, because exact ones cost a look at every key of two days.
        """
        cap = NO_COUNT_LIMIT if count_to is None else count_to
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            if self.is_absent():
                return None
            self._searched()
            if not self._own.among([session_id]):
                return None
            _, count = next(self._counts.of([session_id], cap, has_index=self._times.has_session_index))
            if not count:
                return None
            exact = count <= cap
            oldest = self._times.oldest_of([session_id], exact=exact).get(session_id)
            newest = self._times.newest_of([session_id], exact=exact).get(session_id)
        return _session(session_id, oldest, newest, count, cap=cap)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in order of (instant, sequence), streamed; see MessagesInOrder for mixed times.

        Rows without a sequence, which applications store, are not selected by `after_sequence`. Raises NotFound.
        """
        stored = self._stored.selected(session_id, selection)
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            if stored is None or not self._own.among([session_id]):
                raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        return stored

    def messages_from(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages from the second of this instant on, in order; None if the stored times have several forms."""
        return self._stored.from_second(session_id, instant, at_once)

    def messages_until(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages up to the end of this instant's second, newest first; None if the stored times have several forms."""
        return self._stored.until_second(session_id, instant, at_once)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches, without its message count and its created_at."""
        if not self._answers(query) or self.is_absent() or not self._searched():
            return
        with driver_errors(f"reading the sessions of {self._name}"):
            sessions = self._times.every()
            if query.among is not None:
                existing = self._own.among(list(query.among))
                newest = self._times.newest_of(existing, exact=True)
                sessions = ((session, newest.get(session)) for session in existing)
            elif self._lookup.take().foreign:
                sessions = self._own.only(sessions, _CHUNK)
            for session, moment in sessions:
                facts = _session(session, None, moment, 0, cap=-1)
                if query.matches(facts) and (REPLACED not in session or self._own.among([session])):
                    yield facts
            self._count_unaddressable()

    def message_searcher(self) -> FlatMessageSearcher:
        """The searcher of these messages."""
        from chatstore_cli.mongo.messages.search import FlatMessageSearcher

        return FlatMessageSearcher(self, self._connection, self._settings)

    def session_changes(self) -> FlatChanges:
        """How sessions change."""
        from chatstore_cli.mongo.messages.feed import FlatChanges

        return FlatChanges(self._connection, self._settings)

    def message_changes(self, session_id: str) -> FlatMessageChanges:
        """How the messages of one session change."""
        from chatstore_cli.mongo.messages.feed import FlatMessageChanges

        return FlatMessageChanges(self._settings, session_id)

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """The stored parts of a session by collection. Flat messages have no usage."""
        return count_parts(self._connection, [(self._name, self._rows_of(session_id))])

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete a session's messages, and store a tombstone, so that journals do not restore them."""
        rows = self._rows_of(session_id)
        with driver_errors(f"deleting session {session_id!r}"):
            if expected is not None:
                require_unchanged(self._connection, LAYOUT, session_id, self._name, rows, expected)
            removed = remove_session(self._connection, LAYOUT, session_id, self._name, rows, deleted_at, expected)
        return [StoredPart(self._name, removed)]

    def _rows_of(self, session_id: str) -> Document:
        """The filter that selects the rows of a session. Raises ForeignCollection: it is for a deletion."""
        require_own(self._connection, self._name, OWN_MESSAGES)
        return {"session_id": document_id_condition(session_id), **OWN_MESSAGES.filter()}

    def expiry(self, session_id: str) -> Expiry:
        """When MongoDB deletes the session's oldest and newest message; None if it never does.

        Only a BSON date expires; text in the same field does not.
        """
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            return Expiry(oldest=self._expires_at(session_id, 1), newest=self._expires_at(session_id, -1))

    def _expires_at(self, session_id: str, direction: int) -> datetime | None:
        of_session = {"session_id": document_id_condition(session_id), **OWN_MESSAGES.filter()}
        rows = self._messages.find(of_session, {"expires_at": 1})
        for row in rows.sort("created_at", direction).limit(1):
            value = row.get("expires_at")
            return stored_instant(value) if isinstance(value, datetime) else None
        return None


class _Reading(TypedDict):
    in_memory: bool
    milliseconds: int


def _fits(key: tuple[str, datetime | None], query: SessionQuery, after: SessionKey | None) -> bool:
    facts = _session(key[0], None, key[1], 0)
    return query.matches(facts) and (after is None or SessionKey.of(facts) < after)


def _session(
    session_id: str, oldest: datetime | None, newest: datetime | None, count: int, cap: int = COUNT_CAP
) -> Session:
    return Session(
        session_id=session_id,
        layout=LAYOUT,
        created_at=oldest,
        updated_at=newest,
        message_count=max(0, min(count, cap)),
        message_count_capped=count > cap,
    )
