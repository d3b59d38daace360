"""The collection of flat messages for flushing: look up what is stored, and insert the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo.errors as driver
from pymongo.collection import Collection

from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.domain.identity import is_ours, session_prefix
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.message_store import Content, Inserted, StoredContent, Survey
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.tombstones import Tombstone, is_covered
from chatstore_cli.mongo.collections import collation_warning, collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import bytewise, own_collation
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.messages.documents import content_of, flaw_of_document, to_document
from chatstore_cli.mongo.messages.inserting import MessageInserter
from chatstore_cli.mongo.messages.own_messages import OWN_MESSAGES
from chatstore_cli.mongo.messages.removal import FIELDS, remove_covered
from chatstore_cli.mongo.messages.rows import LAYOUT
from chatstore_cli.mongo.tombstones import TOMBSTONES, deleted_sessions, tombstones_of

_SMALL_SESSION = 5_000
_ROWS_AT_ONCE = 10_000
"""Rows of one answer of the server. Without a bound an answer has 16 MiB of rows, which take ten times that when decoded."""
_FEW_DOCUMENTS = 100_000


class MongoMessageStore:
    """A MessageStore over one collection. Raises the errors of domain/errors.py."""

    def __init__(
        self,
        connection: Connection,
        collection: str,
        index_specs: Sequence[IndexSpec],
        patient: Connection,
        server_now: Clock,
    ) -> None:
        self._connection = connection = connection.reading_from_primary()
        self._indexes = MongoIndexStore(connection, patient)
        self._name = collection
        self._messages: Collection[Document] = connection.collection(collection)
        self._inserter = MessageInserter(self._messages, in_memory=connection.in_memory)
        self._index_specs = index_specs
        self._warned = False
        self.server_now = server_now

    def reach(self, seconds: float) -> None:
        """Raise Unreachable if the primary does not answer within that many seconds."""
        self._connection.reach(seconds)

    def collection_id(self) -> str | None:
        """The collection's UUID, which changes if it is dropped; None if the collection does not exist.

        Raises UnsuitableCollection and ForeignCollection, so that they are raised in a dry run too.
        """
        return require_writable(self._connection, self._name, OWN_MESSAGES, fresh=True).uuid

    def prepare(self, *, recreated: bool = False) -> list[str]:
        """Create the collection if it does not exist, and the index for looking up sessions. Returns what was done.

        A new collection gets every index of its layout, because a TTL index deletes nothing in it. The same holds for a
        collection that an insert has just created again (`recreated`), except a TTL index that would delete documents.
        An existing collection gets only the index for looking up sessions, and only while it is small. Raises
        UnsuitableCollection, and ForeignCollection if the collection holds mainly other documents.
        """
        require_writable(self._connection, self._name, OWN_MESSAGES, fresh=True)
        with driver_errors(f"preparing {self._name}"):
            existing = self._messages.index_information()
            if not existing:
                self._create(self._index_specs)
                return [f"Created collection {self._name} with its indexes."]
            serving = [index for index in existing.values() if "collation" not in index]  # see mongo/exact.py
            keyed = {tuple((field, int(order)) for field, order in _index_keys(index)) for index in serving}
            missing = [spec for spec in self._index_specs if spec.keys not in keyed]
            needed = [spec for spec in missing if spec.keys[0][0] == "session_id"]
            if recreated and len(existing) == 1:
                needed = [spec for spec in missing if not self._would_delete(spec)]
            elif any(keys[0][0] == "session_id" for keys in keyed):
                return []
            if not needed:
                return []
            if self._messages.estimated_document_count() > _FEW_DOCUMENTS:
                return [f"{self._name} has no index on session_id, so flushing is slow. See: chatstore indexes apply"]
        try:
            self._create(needed)
        except Unreachable:
            raise
        except ChatstoreError as error:
            return [f"Cannot create index {needed[0].name} on {self._name}: {error}"]
        return [f"Created index {', '.join(spec.name for spec in needed)} on {self._name}."]

    def warnings(self) -> list[str]:
        """The warning about the collection's collation, once."""
        warning = None if self._warned else collation_warning(collection_facts(self._connection, self._name))
        self._warned = self._warned or warning is not None
        return [] if warning is None else [warning]

    def _create(self, specs: Sequence[IndexSpec]) -> None:
        for spec in specs:
            self._indexes.create(spec, spec.name)

    def _would_delete(self, spec: IndexSpec) -> bool:
        if spec.expire_after_seconds is None:
            return False
        latest = self.server_now() - timedelta(seconds=spec.expire_after_seconds)
        return self._messages.find_one({spec.keys[0][0]: {"$lte": latest}}, {"_id": 1}) is not None

    def survey(self, sessions: Sequence[str]) -> dict[str, Survey]:
        """Whether each session has rows, and whether it has a tombstone. One index seek per session."""
        with driver_errors(f"looking up sessions in {self._name}"):
            stored = set(self._messages.distinct("session_id", {"session_id": {"$in": list(sessions)}}))
            deleted = deleted_sessions(self._connection, LAYOUT, sessions)
            return {session: Survey(session in stored, session in deleted) for session in sessions}

    def tombstones(self, sessions: Iterable[str]) -> dict[str, Tombstone]:
        """The tombstones of those of the sessions that have one."""
        with driver_errors(f"looking up sessions in {TOMBSTONES}"):
            return tombstones_of(self._connection, LAYOUT, sessions)

    def remove_covered(self, entries: Sequence[Entry], tombstones: Mapping[str, Tombstone]) -> None:
        """Delete the rows with the ids of these entries that the tombstones of their sessions cover."""
        session_of = {entry.identity: entry.session_id for entry in entries}
        stored: dict[str, list[Document]] = defaultdict(list)
        with driver_errors(f"deleting messages in {self._name}"):
            for row in self._rows_by_id(list(session_of), FIELDS):
                stored[session_of[row["_id"]]].append(row)
            for session, rows in stored.items():
                remove_covered(self._messages, session, rows, tombstones[session])

    def with_foreign_rows(self, sessions: Sequence[str]) -> set[str]:
        """The sessions with rows that another writer stored under its own ids."""
        prefixes = {session: session_prefix(session) for session in sessions}
        foreign: set[str] = set()
        with driver_errors(f"looking up sessions in {self._name}"):
            counts = self._messages.aggregate(
                [
                    {"$match": {"session_id": {"$in": list(sessions)}}},
                    {"$group": {"_id": "$session_id", "rows": {"$sum": 1}}},
                ]
            )
            small: list[str] = []
            for count in counts:
                if count["rows"] <= _SMALL_SESSION or own_collation(self._messages):
                    small.append(count["_id"])
                elif self._count_ours(prefixes[count["_id"]]) != count["rows"]:
                    foreign.add(count["_id"])
            rows = self._rows({"session_id": {"$in": small}}, {"_id": 1, "session_id": 1})
            foreign.update(row["session_id"] for row in rows if not is_ours(row["_id"], prefixes[row["session_id"]]))
        return foreign

    def _count_ours(self, prefix: str) -> int:
        """The number of our ids with that prefix, in a collection that compares bytes."""
        return self._messages.count_documents({"_id": {"$gte": prefix, "$lt": prefix + "g"}})  # from the index alone

    def stored_ids(self, identities: Sequence[str]) -> set[str]:
        """The ids that are stored."""
        wanted = set(identities)
        condition = {"_id": {"$in": list(identities)}}
        with driver_errors(f"looking up messages in {self._name}"):
            collation = own_collation(self._messages)
            if not collation:
                # Mostly all of them are stored, or none. To count them costs half as much as to list them.
                count = self._messages.count_documents(condition)
                if count in (0, len(wanted)):
                    return wanted if count else set()
            # The answer is one list, from the index alone, at a quarter of the cost of a cursor.
            stored = set(self._messages.distinct("_id", condition, **collation))
        return stored.intersection(wanted)

    def stored_contents(self, identities: Sequence[str]) -> dict[str, Content]:
        """Role, time and text of each id that is stored."""
        fields = {"role": 1, "text": 1, "created_at": 1}
        with driver_errors(f"looking up messages in {self._name}"):
            rows = self._rows_by_id(identities, fields)
            return {row["_id"]: (row.get("role"), row.get("created_at"), row.get("text")) for row in rows}

    def stored_places(self, identities: Sequence[str]) -> dict[str, object]:
        """The number of the journal line with which each id was stored."""
        with driver_errors(f"looking up messages in {self._name}"):
            rows = self._rows_by_id(identities, {"sequence": 1})
            return {row["_id"]: row.get("sequence") for row in rows}

    def _rows_by_id(self, identities: Sequence[str], fields: Document) -> Iterator[Document]:
        # Only the collection's own collation is that of the index on `_id`; the rows that come back are compared here.
        wanted = set(identities)
        rows = self._rows({"_id": {"$in": list(identities)}}, fields, own_collation(self._messages))
        return (row for row in rows if row["_id"] in wanted)

    def _rows(self, condition: Document, fields: Document, collation: Document | None = None) -> Iterator[Document]:
        if self._connection.in_memory:
            yield from self._messages.find(condition, fields)
            return
        collation = bytewise(self._messages) if collation is None else collation
        # A command decodes a whole batch at once, at a third of the cost of a cursor.
        database = self._messages.database
        with self._connection.client.start_session() as session:
            find = {"find": self._name, "filter": condition, "projection": fields, "batchSize": _ROWS_AT_ONCE}
            find |= collation
            if self._messages.read_concern.level is not None:  # which the driver does not add to a bare command
                find["readConcern"] = self._messages.read_concern.document
            try:
                cursor = database.command(find, session=session)["cursor"]
            except driver.ConfigurationError:
                # A member of a replica set may report, while it starts, that it has no sessions, and the driver remembers
                # that for the connection. The driver's own cursor needs no session.
                yield from self._messages.find(condition, fields, **collation)
                return
            yield from cursor["firstBatch"]
            while cursor["id"]:
                more = {"getMore": cursor["id"], "collection": self._name, "batchSize": _ROWS_AT_ONCE}
                cursor = database.command(more, session=session)["cursor"]
                yield from cursor["nextBatch"]

    def foreign_contents(self, session: str) -> Iterator[StoredContent]:
        """The contents of the rows of a session that another writer stored under its own ids."""
        prefix = session_prefix(session)
        fields = {"session_id": 1, "role": 1, "text": 1, "created_at": 1}
        with driver_errors(f"reading session {session!r} in {self._name}"):
            for row in self._rows({"session_id": session}, fields):
                if not is_ours(row["_id"], prefix) and (content := content_of(row)):
                    yield content

    def refusal_of(self, entry: Entry) -> str | None:
        """Why MongoDB would reject the entry as a document, found without storing it; None if it would not."""
        return flaw_of_document(to_document(entry, None))

    def insert(self, entries: Sequence[Entry], expires_at: Sequence[datetime | None]) -> Inserted:
        """Store the entries, unordered: a rejected entry does not affect another.

        Raises Unreachable if it is not known which entries were stored. Then call again with the same entries.
        """
        require_writable(
            self._connection, self._name, OWN_MESSAGES
        )  # known since `prepare`, which not every caller calls
        # The driver needs three times as long for a date with a zone. Mostly, all entries have the same date.
        dates = {moment: moment and moment.astimezone(UTC).replace(tzinfo=None) for moment in set(expires_at)}
        documents = [to_document(entry, dates[moment]) for entry, moment in zip(entries, expires_at, strict=True)]
        return self._without_deleted(self._inserter.insert(entries, documents), entries)

    def _without_deleted(self, inserted: Inserted, entries: Sequence[Entry]) -> Inserted:
        """Delete the entries that a tombstone covers which was written after the look-up of tombstones.

        The deletion itself deletes what was stored before its tombstone.
        """
        tombstones = self.tombstones({entry.session_id for entry in entries})
        if not tombstones:
            return inserted
        refused = {id(entry) for entry, _ in inserted.refused}
        late = [entry for entry in entries if is_covered(tombstones, entry) and id(entry) not in refused]
        if not late:
            return inserted
        self.remove_covered(late, tombstones)
        already = {id(entry) for entry in inserted.duplicates}
        duplicates = [entry for entry in inserted.duplicates if not is_covered(tombstones, entry)]
        new = inserted.stored - sum(id(entry) not in already for entry in late)
        return Inserted(new, duplicates, inserted.refused, late)


def _index_keys(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(field, order if isinstance(order, int | float) else 0) for field, order in index["key"]]
