"""The `calls` layout: the transcripts of a voice platform, one document per call (docs/layouts.md). It is only read.

A session is a call. Its tenant is `orgId`, its title the room, and its workflow the id of the saved agent. The platform has
an index on `sessionId` and the one on `_id`. An ObjectId begins with the second in which it was created, so calls are listed
by the time at which their transcripts were stored, for which no further index is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.calls import CALLS
from chatstore_cli.domain.errors import NotAllowed, NotFound
from chatstore_cli.domain.foreign import ForeignDocuments
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import GENERAL_AGENT, Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.session_reader import NameField, NameTotal
from chatstore_cli.mongo.addressable import AddressableSessions
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, time_limit
from chatstore_cli.mongo.foreign_documents import ForeignLookup
from chatstore_cli.mongo.identifiers import id_values, is_storable
from chatstore_cli.mongo.name_totals import grouped_totals, ids_beginning_with, totals_of
from chatstore_cli.mongo.products.call_documents import OWN_CALLS, items_of, to_messages, to_session, with_usage
from chatstore_cli.mongo.products.newest_calls import (
    FILTERED_FIELDS,
    PROJECTION,
    NewestCalls,
    call_index_specs,
    conditions_of,
    perhaps_stored_in_period,
)

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher

_METRICS = ("chatHistory.metrics", "chatHistory.items.metrics")
_MANY = 10_000
"""More calls than this are too many to be read for one page."""


class CallsLayout:
    """Reads sessions from transcripts of calls."""

    layout = CALLS

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._in_memory = connection.in_memory
        self._name = settings.chatstore.agents.transcripts
        self._calls = connection.collection(self._name)
        self._lookup = ForeignLookup(connection, self._name, OWN_CALLS)
        self._addressable = AddressableSessions(
            lambda session_id: self._locate(session_id, {"_id": 1}), in_memory=connection.in_memory
        )
        self.remarks: list[str] = []

    @property
    def foreign(self) -> ForeignDocuments | None:
        """The documents of the collection that are not transcripts; None if nothing was listed or missed."""
        return self._lookup.found

    @property
    def unaddressable(self) -> int:
        """How many calls were left out because no text addresses their session id."""
        return self._addressable.left_out

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that lists with a filter need. They are only proposed if the layout is named."""
        return call_index_specs(self._name)

    def is_absent(self) -> bool:
        """Whether the collection does not exist."""
        return not self._exists()

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The filters that calls cannot answer: a call is never paused."""
        return ["paused"] if query.paused else []

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` calls in descending order of SessionKey, strictly below `after`."""
        if self._answers(query):
            self._remark_on_missing_index(query)
            with driver_errors(f"listing the calls of {self._name}"):
                page = NewestCalls(self._calls, query, after, limit, self._addressable)
                found = page.sessions(in_memory=self._in_memory)
                self._add(page.remark)
                yield from found

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """One call; None if it does not exist."""
        row = self._locate(session_id, PROJECTION)
        return None if row is None else to_session(row)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A call's messages in their order. Raises NotFound. A document has all of them, so it is read as a whole."""
        document = self._locate(session_id, {"chatHistory": 1})
        if document is None:
            raise NotFound(kind_of_thing="session", name=session_id, where=f" in {self._name}")
        return iter(_selected(to_messages(session_id, document), selection))

    def message_searcher(self) -> MessageSearcher:
        """The searcher of the layout. In memory, where the server's filter does not work, it is the generic one."""
        from chatstore_cli.core.search.scanning import ScanningSearcher
        from chatstore_cli.mongo.products.call_search import CallSearcher

        return ScanningSearcher(self) if self._in_memory else CallSearcher(self, self._calls)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every call that matches, with the usage in the metrics of its items."""
        if not self._answers(query):
            return
        fields = {**PROJECTION, **dict.fromkeys(_METRICS, 1)}
        matching = [*conditions_of(query), *perhaps_stored_in_period(query)]
        stages: list[Document] = [{"$match": {"$and": matching}}, {"$project": fields}]
        with driver_errors(f"reading the calls of {self._name}"):
            for row in self._calls.find() if self._in_memory else self._calls.aggregate(stages):
                if self._in_memory and not OWN_CALLS.matches(row):
                    continue
                session = to_session(row)
                if query.matches(session) and self._addressable(session, row):
                    yield with_usage(session, items_of(row))

    within = staticmethod(time_limit)
    orders_by_sequence: Literal[True] = True

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The calls of each tenant or user."""
        query = SessionQuery(tenant_id=tenant_id)
        if self._in_memory:
            yield from totals_of(self.all_facts(query), field)
        elif self._answers(query):
            with driver_errors(f"counting the calls of each {field} in {self._name}"):
                yield from grouped_totals(
                    self._calls,
                    {"$and": conditions_of(query)},
                    field=field,
                    names=("orgId" if field == "tenant" else "createdByUserId",),
                    times=("_id", "updatedAt"),
                    to_session=to_session,
                )

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of calls that begin with this text."""
        if not self._exists():
            return []
        with driver_errors(f"looking up ids in {self._name}"):
            return ids_beginning_with(self._calls, ("sessionId",), prefix, limit)

    def with_usage(self, sessions: Sequence[Session]) -> list[Session]:
        """The calls with the usage in the metrics of their items."""
        found = []
        for session in sessions:
            document = self._locate(session.session_id, dict.fromkeys(_METRICS, 1))
            found.append(session if document is None else with_usage(session, items_of(document)))
        return found

    # --- what the methods share --------------------------------------------------------------------------------------

    def _answers(self, query: SessionQuery) -> bool:
        """Whether there may be calls for a query. Without the collection this costs no query."""
        texts = (query.tenant_id, query.user_id, query.workflow)
        can_match = (
            query.layout in (None, CALLS)
            and query.status is not SessionStatus.RUNNING  # a transcript is stored at the end of a call
            and all(text is None or is_storable(text) for text in texts)
        )
        if not can_match or self.unanswerable(query) or not self._exists():
            return False
        return not self._lookup.take().is_another_products

    def _exists(self) -> bool:
        return collection_facts(self._connection, self._name).exists

    def _locate(self, session_id: str, fields: Document) -> Document | None:
        """The document of the call with this session id; None if it does not exist."""
        if not self._exists():
            return None
        with driver_errors(f"looking up call {session_id!r} in {self._name}"):
            for value in id_values(session_id):
                match: Document = {"sessionId": {"$eq": value, "$not": {"$type": "array"}}, **OWN_CALLS.filter()}
                rows = (
                    filter(OWN_CALLS.matches, self._calls.find({"sessionId": value}))
                    if self._in_memory
                    else self._calls.aggregate([{"$match": match}, {"$limit": 1}, {"$project": fields}])
                )
                for row in rows:
                    return dict(row)
        self._lookup.take()
        return None

    def _remark_on_missing_index(self, query: SessionQuery) -> None:
        """Note that a list with a filter has to read all calls."""
        is_failed = query.status is SessionStatus.FAILED or None
        values = (query.tenant_id, query.user_id, query.workflow, is_failed)
        fields = [field for field, value in zip(FILTERED_FIELDS, values, strict=True) if value is not None]
        if not fields or self._in_memory:
            return
        with suppress(NotAllowed), driver_errors(f"listing the indexes of {self._name}"):
            if self._calls.estimated_document_count() <= _MANY:
                return
            indexed = {next(iter(index["key"])) for index in self._calls.list_indexes()}
            if not indexed.isdisjoint(fields):
                return
            self._add(
                f"{self._name} has no index on {' or '.join(fields)}, so all calls were read. To create one, run: "
                "chatstore indexes apply --layout calls"
            )

    def _add(self, remark: str | None) -> None:
        if remark is not None and remark not in self.remarks:
            self.remarks.append(remark)


def _selected(messages: list[Message], selection: MessageSelection) -> list[Message]:
    if selection.after_sequence is not None:
        messages = [each for each in messages if (each.sequence or 0) > selection.after_sequence]
    if not selection.include_general:
        messages = [each for each in messages if each.metadata.get("source") != GENERAL_AGENT]
    if selection.last is not None:
        messages = messages[max(0, len(messages) - selection.last) :]
    return messages[: selection.first]
