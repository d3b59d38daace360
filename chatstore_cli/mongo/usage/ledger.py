"""The usage ledger in MongoDB: rows of `usage_events`, and the counters in the documents of one layout's sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import pymongo.errors as driver

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import ChatstoreError, Conflict, Unreachable
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import (
    OPENING_RUN,
    ClientName,
    ClientRows,
    LedgerQuery,
    LedgerRow,
    UsageSnapshot,
)
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY, RETRYABLE_CODES
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import id_condition, is_storable
from chatstore_cli.mongo.ledger_layouts import within_layout
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.session_documents.shape import DocumentShape
from chatstore_cli.mongo.usage.rows import (
    COUNTABLE,
    EXPORTED_BEFORE,
    FIRST_MOMENT,
    LAST_MOMENT,
    NOT_ABOVE_A_COST,
    OWN_ROWS,
    UNAPPLIED,
    document_of,
    row_of,
    row_usage,
)
from chatstore_cli.mongo.usage.stages import increases, summed_usage, sums
from chatstore_cli.mongo.workflow.shape import WORKFLOW


class MongoUsageLedger:
    """The UsageLedger of one layout: its rows in the collection of all rows, and the counters of its sessions."""

    def __init__(self, connection: Connection, settings: Settings, shape: DocumentShape = WORKFLOW) -> None:
        # What is written depends on what was read, so reads go to the primary whatever the URI prefers.
        self._connection = connection = connection.reading_from_primary()
        self._rows = connection.collection(settings.layouts.workflow.usage)
        self._collection = SessionCollection(shape, connection, settings)
        self._sessions = self._collection.sessions
        self._shape, self._place, self.layout = shape, shape.counter_place, shape.layout
        self._within = within_layout(shape.layout)

    def session(self, chat_id: str) -> Session | None:
        document = self._head(chat_id, self._shape.fact_fields)
        return None if document is None else self._collection.to_session(document)

    def row(self, row_id: str) -> UsageSnapshot | None:
        with driver_errors(f"reading usage in {self._rows.name}"):
            document = self._rows.find_one({"_id": row_id})
        return None if document is None else row_of(str(document.get("chat_id")), document).snapshot

    def insert(self, snapshots: Mapping[str, UsageSnapshot]) -> set[str]:
        require_writable(self._connection, self._rows.name, OWN_ROWS)
        stored = set(snapshots)
        documents = [document_of(row_id, snapshot, self.layout) for row_id, snapshot in snapshots.items()]
        doing = f"storing usage in {self._rows.name}"
        with driver_errors(doing):
            try:
                self._rows.insert_many(documents, ordered=False)
            except driver.BulkWriteError as error:
                failures = error.details.get("writeErrors", [])
                unconfirmed = error.details.get("writeConcernErrors", [])
                for failure in [*(each for each in failures if each.get("code") != DUPLICATE_KEY), *unconfirmed]:
                    is_temporary = failure in unconfirmed or failure.get("code") in RETRYABLE_CODES
                    kind = Unreachable if is_temporary else ChatstoreError
                    raise kind(
                        what=f"{doing}: {failure.get('errmsg', 'not acknowledged')}", hint="Try again."
                    ) from error
                stored -= {failure["op"]["_id"] for failure in failures}
        return stored

    def sums(self, chat_id: str) -> Usage:
        return dict(self._sums([chat_id])).get(chat_id, Usage())

    def has_reports(self, chat_id: str, run: int) -> bool:
        with driver_errors(f"reading the usage of session {chat_id!r} in {self._rows.name}"):
            own = self._of(chat_id, run=run, turn_id=None)
            return self._rows.find_one(own, {"_id": 1}) is not None

    def clients(self, chat_id: str, run: int, event_id: str) -> dict[ClientName, ClientRows]:
        own: Document = {"$max": {"$cond": [{"$eq": ["$event_id", {"$literal": event_id}]}, "$_id", None]}}
        highest: Document = {name: {"$max": f"${name}"} for name in COUNTS} | {"cost": {"$max": NOT_ABOVE_A_COST}}
        pipeline: list[Document] = [
            {"$match": {**self._of(chat_id, run=run, turn_id=None), **COUNTABLE}},
            {"$group": {"_id": {"agent": "$agent", "model": "$model"}, "own": own, **highest}},
        ]
        found = {}
        with driver_errors(f"reading the usage of session {chat_id!r} in {self._rows.name}"):
            for row in self._rows.aggregate(pipeline):
                agent, model = row["_id"].get("agent"), row["_id"].get("model")
                if isinstance(agent, str | None) and isinstance(
                    model, str | None
                ):  # another writer may store any values
                    found[agent, model] = ClientRows(row_usage(row), row["own"])
        return found

    def chats(self) -> Iterator[tuple[str, Usage]]:
        return self._sums()

    def _sums(self, chats: Sequence[str] | None = None) -> Iterator[tuple[str, Usage]]:
        pipeline = [
            *increases(LedgerQuery((), layout=self.layout), chats),
            {"$group": {"_id": "$chat_id", **sums()}},
            {"$sort": {"_id": 1}},
        ]
        with driver_errors(f"adding up {self._rows.name}"):
            for row in self._rows.aggregate(pipeline, allowDiskUse=True):
                if isinstance(row["_id"], str):
                    yield row["_id"], summed_usage(row)

    def unapplied(self, chat_id: str) -> list[str]:
        with driver_errors(f"reading the usage of session {chat_id!r} in {self._rows.name}"):
            return [row["_id"] for row in self._rows.find(self._of(chat_id, **UNAPPLIED), {"_id": 1})]

    def discard(self, row_ids: Sequence[str]) -> None:
        with driver_errors(f"deleting usage in {self._rows.name}"):
            self._rows.delete_many({"_id": {"$in": list(row_ids)}})

    def mark_applied(self, row_ids: Sequence[str]) -> None:
        with driver_errors(f"marking usage in {self._rows.name}"):
            self._rows.update_many({"_id": {"$in": list(row_ids)}}, {"$set": {"applied": True}})

    def rows(self, chat_id: str) -> Iterator[LedgerRow]:
        if not is_storable(chat_id):
            return
        with driver_errors(f"reading the usage of session {chat_id!r} in {self._rows.name}"):
            found = self._rows.find({"chat_id": id_condition(chat_id), **self._within})
            # A list that contains the id matches as well, but is another session in every sum.
            rows = [row_of(chat_id, document) for document in found if document.get("chat_id") == chat_id]
        # The server cannot sort a row of another writer that has arrays in two of these fields.
        yield from sorted(rows, key=lambda row: (row.snapshot.at, row.snapshot.run, row.row_id))

    def raise_counters(self, chat_id: str, sums: Usage) -> bool:

        def raised(document: Document) -> Document:
            note, not_carried_over = self._noted(chat_id, document)
            return note | self._place.raised(document, sums.plus(not_carried_over))

        return self._change(chat_id, raised)

    def set_counters(self, chat_id: str, expected: Usage, new: Usage) -> bool:

        def replaced(document: Document) -> Document | None:
            if self._place.read(document) != expected:
                return None
            return self._place.replaced(document, new) | self._noted(chat_id, document)[0]

        return self._change(chat_id, replaced)

    def counters(self, chat_id: str) -> Usage | None:
        document = self._head(chat_id)
        return None if document is None else self._place.read(document)

    def counters_from_ledger(self, chat_id: str) -> Usage | None:
        document = self._head(chat_id)
        if document is None or self._place.note(document) is None or self._place.raised(document, Usage()):
            return None
        return self._place.read(document)

    def opening_balance(self, chat_id: str) -> UsageSnapshot | None:
        document = self._head(chat_id, self._shape.fact_fields)
        if document is None:
            return None
        balance, stored = self._before_reports(chat_id, document)
        excess = balance.exceeding(stored)
        if not any(excess[:3]) and not excess.cost:
            return None
        session = self._collection.to_session(document)
        instant = session.updated_at or session.created_at or datetime.now(UTC)
        return UsageSnapshot(
            event_id=None,
            chat_id=chat_id,
            run=OPENING_RUN,
            tenant_id=session.tenant_id,
            user_id=session.user_id,
            workflow=session.workflow,
            agent=None,
            model=None,
            prompt_tokens=balance.prompt_tokens,
            completion_tokens=balance.completion_tokens,
            total_tokens=balance.total_tokens,
            at=min(max(instant, FIRST_MOMENT), LAST_MOMENT),
            cost=balance.cost,
        )

    def store_opening_balance(self, row_id: str, balance: UsageSnapshot) -> None:
        require_writable(self._connection, self._rows.name, OWN_ROWS)
        document = document_of(row_id, balance, self.layout)
        numbers = {name: document[name] for name in (*COUNTS, "cost") if document[name] is not None}
        is_lower: Document = {"$or": [{name: {"$not": {"$gte": number}}} for name, number in numbers.items()]}
        highest: Document = {name: {"$max": [f"${name}", number]} for name, number in numbers.items()}
        # If it is in daily sums or in an export already, both need the new numbers.
        raised: list[Document] = [{"$set": {**highest, "exported_in": EXPORTED_BEFORE}}, {"$unset": "rolled_up"}]
        with driver_errors(f"storing usage in {self._rows.name}"):
            if self._rows.update_one({"_id": row_id}, {"$setOnInsert": document}, upsert=True).upserted_id is None:
                self._rows.update_one({"_id": row_id, **is_lower}, raised)

    def _noted(self, chat_id: str, document: Document) -> tuple[Document, Usage]:
        """The note of the counters before the first report, as a change, and the part of them that is not carried over yet.

        An application may have raised the counters since they were carried over. The note makes sure that this part is
        carried over afterwards. Both are empty if the document has the note.
        """
        if self._place.note(document) is not None:
            return {}, Usage()
        balance, stored = self._before_reports(chat_id, document)
        excess = balance.exceeding(stored)
        return self._place.noted(balance), excess._replace(cost=excess.cost or None)

    def _change(self, chat_id: str, changes_of: Callable[[Document], Document | None]) -> bool:
        """Compare and set: what is written depends on what was read. Returns False if nothing may be changed."""
        require_writable(self._connection, self._sessions.name, self._shape.own_sessions)

        def attempt() -> bool | None:
            document = self._head(chat_id)
            changes = None if document is None else changes_of(document)
            if document is None or changes is None:
                return False
            if not changes:
                return True
            with driver_errors(f"counting the usage of session {chat_id!r} in {self._sessions.name}"):
                return self._sessions.update_one(*self._place.guarded(document, changes)).matched_count > 0 or None

        return attempt_until_done(
            attempt,
            lambda: Conflict(
                what=f"The counters of session {chat_id!r} changed each time before they could be written.",
                hint="The usage is in the ledger. Run `chatstore usage reconcile --yes` to update the counters.",
            ),
        )

    def _before_reports(self, chat_id: str, document: Document) -> tuple[Usage, Usage]:
        """The counters before any report was counted in them, and the stored opening balance."""
        with driver_errors(f"reading the usage of session {chat_id!r} in {self._rows.name}"):
            row = self._rows.find_one(self._of(chat_id, run=OPENING_RUN))
            stored = Usage() if row is None else row_usage(row)
            note = self._place.note(document)
            if note is not None:
                return (note if isinstance(note, Usage) else stored), stored
            # An application may have replaced the document by one without the note.
            counted = self._rows.find_one(self._of(chat_id, applied={"$ne": False}), {"_id": 1})
        return (self._shape.counters(document, []).known if counted is None else stored), stored

    def _head(self, chat_id: str, fields: Sequence[str] = ()) -> Document | None:
        """A session's document with these fields, or else with its counters, as they are stored in every place."""
        if not fields:
            own = self._place.fields
            others = [name for name in self._shape.counter_fields if name.partition(".")[0] not in own]
            fields = ("chat_id", *own, *others)
        return self._collection.locate(chat_id, dict.fromkeys(fields, 1))

    def _of(self, chat_id: str, **fields: object) -> Document:
        """A filter for the rows of a session."""
        return {"chat_id": chat_id, **fields, **self._within}
