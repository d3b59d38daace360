"""The `agent_sessions` layout: sessions of a Python agent, one document each, and one for each message. It is only read.

Its collections have names that other products use (`sessions`, `messages`), so it is read only if the settings name both.
A session has the id of its agent as its workflow, and no tenant, status or pause (docs/layouts.md).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.agent_sessions import AGENT_SESSIONS
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import COUNT_CAP, Session, SessionStatus
from chatstore_cli.domain.session_reader import NameField, NameTotal
from chatstore_cli.domain.shared_ids import MOST_NAMED, SharedId
from chatstore_cli.mongo.addressable import AddressableSessions
from chatstore_cli.mongo.agent_sessions.documents import (
    OWN_AGENT_SESSIONS,
    reading_indexes,
)
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.foreign_documents import ForeignLookup
from chatstore_cli.mongo.identifiers import (
    addressable_id,
    document_id_condition,
    id_values,
    is_storable,
)
from chatstore_cli.mongo.indexed_types import EARLIEST, IS_TEXT, LATEST, NOT_A_DATE, NOT_A_TEXT, perhaps_in_period
from chatstore_cli.mongo.message_counts import NO_COUNT_LIMIT, MessageCounts
from chatstore_cli.mongo.name_totals import grouped_totals, ids_beginning_with, totals_of
from chatstore_cli.mongo.products.agent_session_messages import StoredAgentMessages, to_message

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher

_FACTS = dict.fromkeys(("session_id", "user_id", "agent_id", "title", "created_at", "updated_at"), 1)
_NEWEST_FIRST = {"updated_at": -1, "session_id": -1}
_MORE = 4
"""If rows of a page are left out, the next query reads this many times as many."""


class AgentSessionsLayout:
    """Reads sessions from the collections of a Python agent."""

    layout = AGENT_SESSIONS

    def __init__(self, connection: Connection, settings: Settings) -> None:
        agents = settings.chatstore.agents
        self._connection = connection
        self._in_memory = connection.in_memory
        self._name, self._messages_name = agents.sessions or "sessions", agents.messages or "messages"
        self._sessions = connection.collection(self._name)
        self._messages = connection.collection(self._messages_name)
        self._stored = StoredAgentMessages(self._messages, in_memory=connection.in_memory)
        milliseconds = max(1, int(settings.mongo.timeout_seconds * 1000))
        self._counts = MessageCounts(self._messages, in_memory=connection.in_memory, milliseconds=milliseconds)
        self._lookup = ForeignLookup(connection, self._name, OWN_AGENT_SESSIONS)
        self._addressable = AddressableSessions(
            lambda session_id: next(iter(self._located(session_id)), None), in_memory=connection.in_memory
        )
        self.remarks: list[str] = []

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not sessions; None if nothing was listed or missed."""
        return self._lookup.found

    @property
    def unaddressable(self) -> int:
        """How many sessions were left out because no text addresses their id."""
        return self._addressable.left_out

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that reading needs. They are only proposed if the layout is named."""
        return reading_indexes(self._name, self._messages_name)

    def is_absent(self) -> bool:
        """Whether the collection of sessions does not exist."""
        return not collection_facts(self._connection, self._name).exists

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters that these sessions cannot answer."""
        filters = {
            "tenant": query.tenant_id is not None,
            "status": query.status not in (None, SessionStatus.UNKNOWN),
            "pause": query.paused,
        }
        return [name for name, is_used in filters.items() if is_used]

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions in descending order of SessionKey, strictly below `after`. Counts stop at COUNT_CAP."""
        if not self._answers(query):
            return
        with driver_errors(f"listing the sessions of {self._name}"):
            yield from self._with_counts(self._newest(query, after, limit), COUNT_CAP)

    def _newest(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        if self._in_memory or self._has_odd_keys():
            return heapq.nlargest(limit, self._fitting(self._all(query), query, after), key=SessionKey.of)
        return self._page(query, after, limit)

    within = staticmethod(time_limit)
    has_no_usage: Literal[True] = True

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many sessions match; it stops at `limit`."""
        if not self._answers(query):
            return 0
        with driver_errors(f"counting the sessions of {self._name}"):
            return len(self._newest(query.indexed, None, limit))

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The sessions of each user. There are no tenants."""
        if field == "tenant" or tenant_id is not None:
            return
        if self._in_memory:
            yield from totals_of(self.all_facts(SessionQuery()), field)
        elif self._answers(SessionQuery()):
            with driver_errors(f"counting the sessions of each {field} in {self._name}"):
                yield from grouped_totals(
                    self._sessions,
                    OWN_AGENT_SESSIONS.filter(),
                    field=field,
                    names=("user_id",),
                    times=("updated_at",),
                    to_session=_to_session,
                )

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of sessions that begin with this text."""
        if not self._exists():
            return []
        with driver_errors(f"looking up ids in {self._name}"):
            return ids_beginning_with(self._sessions, ("session_id",), prefix, limit)

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """One session with the number of its messages; None if it does not exist."""
        found = self._located(session_id)
        if not found:
            return None
        shared_id = self._shared_id(session_id, found[0]["_id"]) if len(found) > 1 else None
        session = replace(_to_session(found[0]), shared_id=shared_id)
        with driver_errors(f"counting the messages of session {session_id!r} in {self._messages_name}"):
            return self._with_counts([session], NO_COUNT_LIMIT if count_to is None else count_to)[0]

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in the order of their times, streamed. Raises NotFound."""
        if not self._located(session_id):
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        return self._stored.read(session_id, selection)

    def messages_from(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages from the second of this instant on, in the order of their times; None if a time is not a date."""
        return self._stored.from_second(session_id, instant, at_once)

    def messages_until(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages up to the end of this instant's second, newest first; None if a time is not a date."""
        return self._stored.until_second(session_id, instant, at_once)

    def message_searcher(self) -> MessageSearcher:
        """The searcher of the layout. In memory, where the server's filter does not work, it is the generic one."""
        from chatstore_cli.core.search.scanning import ScanningSearcher
        from chatstore_cli.mongo.products.agent_session_search import search_conditions
        from chatstore_cli.mongo.search.message_documents import MessageDocumentSearcher

        if self._in_memory:
            return ScanningSearcher(self)
        return MessageDocumentSearcher(self, self._messages, to_message, search_conditions)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches. The messages are not counted, and there is no usage."""
        if self._answers(query):
            with driver_errors(f"reading the sessions of {self._name}"):
                yield from self._fitting(self._all(query), query, None)

    # --- what the methods share --------------------------------------------------------------------------------------

    def _answers(self, query: SessionQuery) -> bool:
        texts = (query.user_id, query.workflow)
        can_match = query.layout in (None, AGENT_SESSIONS) and all(text is None or is_storable(text) for text in texts)
        if not can_match or self.unanswerable(query) or not self._exists():
            return False
        return not self._lookup.take().is_another_products

    def _exists(self) -> bool:
        return collection_facts(self._connection, self._name).exists

    def _has_odd_keys(self) -> bool:
        """Whether a session has a time that is not a date, or an id that is not a text: no index has the order of these."""
        odd: list[Document] = [*({"updated_at": each} for each in NOT_A_DATE), {"session_id": NOT_A_TEXT}]
        if self._sessions.find_one({"$or": odd}, {"_id": 1}) is None:
            return False
        remark = (
            f"{self._name} has sessions whose updated_at is not a date, or whose session_id is not a text, so all sessions "
            "were read."
        )
        if remark not in self.remarks:
            self.remarks.append(remark)
        return True

    def _page(self, query: SessionQuery, after: SessionKey | None, limit: int) -> list[Session]:
        """A page in the order of the index. The first query has the rest of the instant at which the page begins."""
        lower, upper = query.since or EARLIEST, min(LATEST, query.until or LATEST)
        parts: list[Document] = [{"updated_at": {"$gte": lower, "$lte": upper}, "session_id": IS_TEXT}]
        if after is not None:
            instant = min(upper, after.instant)
            parts = [{"updated_at": {"$gte": lower, "$lt": instant}, "session_id": IS_TEXT}]
            if after.layout >= AGENT_SESSIONS:
                same_layout = after.layout == AGENT_SESSIONS and is_storable(after.session_id)
                parts.insert(
                    0,
                    {"updated_at": instant, "session_id": {"$lt": after.session_id} if same_layout else IS_TEXT},
                )
        found: list[Session] = []
        for part in parts:
            size = limit - len(found)
            while size > 0:
                stages: list[Document] = [{"$match": {"$and": [part, *_conditions(query)]}}, {"$sort": _NEWEST_FIRST}]
                stages += [{"$limit": size}, {"$project": _FACTS}]
                rows = list(self._sessions.aggregate(stages, allowDiskUse=True))
                listed = {session.session_id for session in found}  # an array of times meets both conditions
                fitting = [each for each in self._fitting(rows, query, after) if each.session_id not in listed]
                if len(rows) < size or len(fitting) >= limit - len(found):
                    found += fitting[: limit - len(found)]
                    break
                size *= _MORE
        return found

    def _all(self, query: SessionQuery) -> Iterable[Any]:
        if self._in_memory:
            return filter(OWN_AGENT_SESSIONS.matches, self._sessions.find())
        matching = [*_conditions(query), *perhaps_in_period(query, "updated_at")]
        return self._sessions.aggregate([{"$match": {"$and": matching}}, {"$project": _FACTS}])

    def _fitting(self, rows: Iterable[Any], query: SessionQuery, after: SessionKey | None) -> Iterator[Session]:
        """The sessions of the rows that match, are below `after`, and have an id that finds them."""
        for row in rows:
            session = _to_session(row)
            is_below = after is None or SessionKey.of(session) < after
            if is_below and query.matches(session) and self._addressable(session, row):
                yield session

    def _located(self, session_id: str) -> list[Document]:
        """The facts of the session with this id, of any type, and of one more document with it; empty without any."""
        if not self._exists():
            return []
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            for value in id_values(session_id):
                condition = {"session_id": {"$eq": value, "$not": {"$type": "array"}}}
                if found := self._own_rows(condition, 2):
                    return found
            self._lookup.take()
        return []

    def _own_rows(self, condition: Document, limit: int) -> list[Document]:
        rows = self._sessions.find(condition, _FACTS).limit(limit)
        return [dict(row) for row in rows if OWN_AGENT_SESSIONS.matches(row)]

    def _shared_id(self, session_id: str, shown: Any) -> SharedId:
        """The id that other documents have too. `shown` is the `_id` of the one that is read."""
        with driver_errors(f"looking up session {session_id!r} in {self._name}"):
            rows = self._own_rows({"session_id": document_id_condition(session_id)}, MOST_NAMED)
        others = [row["_id"] for row in rows if repr(row["_id"]) != repr(shown)]
        return SharedId(self._name, "session_id", session_id, tuple(map(str, [shown, *others][:MOST_NAMED])))

    def _with_counts(self, sessions: list[Session], cap: int) -> list[Session]:
        ids = [session.session_id for session in sessions]
        has_messages = bool(ids) and collection_facts(self._connection, self._messages_name).exists
        counts = dict(self._counts.of(ids, cap, has_index=True)) if has_messages else {}
        counted = ((session, counts.get(session.session_id, 0)) for session in sessions)
        return [
            replace(session, message_count=min(count, cap), message_count_capped=count > cap)
            for session, count in counted
        ]


def _conditions(query: SessionQuery) -> list[Document]:
    wanted = (("user_id", query.user_id), ("agent_id", query.workflow))
    filters = [{name: {"$in": id_values(text)}} for name, text in wanted if text is not None]
    if query.among is not None:
        filters.append({"session_id": {"$in": [value for each in query.among for value in id_values(each)]}})
    return [OWN_AGENT_SESSIONS.filter(), *filters]


def _to_session(document: Document) -> Session:
    created_at, title = stored_instant(document.get("created_at")), document.get("title")
    return Session(
        session_id=addressable_id(document.get("session_id")) or "",
        layout=AGENT_SESSIONS,
        user_id=addressable_id(document.get("user_id")) or None,
        title=str(title) if isinstance(title, str) else None,
        workflow=addressable_id(document.get("agent_id")) or None,
        created_at=created_at,
        updated_at=_newest_instant(document.get("updated_at")) or created_at,
    )


def _newest_instant(value: Any) -> datetime | None:
    """The instant of a value; for an array its newest date, because MongoDB sorts it by that."""
    if isinstance(value, list):
        return max(filter(None, (stored_instant(each) for each in value if isinstance(each, datetime))), default=None)
    return stored_instant(value)
