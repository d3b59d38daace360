"""Finds and merges doubled counters of general chats.

Writers can continue while a merge runs. Writers raise the leading counter, and a merge keeps the same counter. Another
counter is deleted only if it is still as it was read, so its number is never above that of the kept counter. An interrupted
merge is completed by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.general_counters import DoubledCounters, StoredCounter
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.general.counters import SEQUENCE, Counter, leading
from chatstore_cli.mongo.general.own_chats import OWN_COUNTERS
from chatstore_cli.mongo.identifiers import addressable_id, id_text
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS

_FIELDS = ("_id", SEQUENCE, *TENANT_FIELDS)


class MongoCounterMerges:
    """The CounterMerges of one database. With `seconds`, each search stops after that time."""

    def __init__(self, connection: Connection, settings: Settings, seconds: float | None = None) -> None:
        self._connection = connection = connection.reading_from_primary()
        self.collection = settings.layouts.general.counters
        self._counters = connection.collection(self.collection)
        has_limit = seconds is not None and not connection.in_memory
        self._limit: dict[str, Any] = {"maxTimeMS": max(1, int((seconds or 0) * 1000))} if has_limit else {}

    def doubled(self, tenant_field: str) -> list[DoubledCounters] | None:
        """Read all counters once. Counters whose tenant or user cannot be written as text are not compared."""
        if not collection_facts(self._connection, self.collection).exists:
            return []
        pipeline: list[Document] = [
            {"$match": {tenant_field: {"$ne": None}, "user_id": {"$ne": None}}},
            {"$project": dict.fromkeys((*_FIELDS, "user_id"), 1)},
            {
                "$group": {
                    "_id": {"tenant": f"${tenant_field}", "user": "$user_id"},
                    "number": {"$sum": 1},
                    "counters": {"$push": "$$ROOT"},
                }
            },
            {"$match": {"number": {"$gt": 1}}},
        ]

        def found() -> list[DoubledCounters]:
            groups = self._counters.aggregate(pipeline, allowDiskUse=True, **self._limit)
            return [doubled for group in groups if (doubled := _doubled(group)) is not None]

        return within_limit(f"looking for doubled counters in {self.collection}", found)

    def merge(self, counters: DoubledCounters) -> None:
        """Delete the other counters, after the kept one has got the tenant fields that only they have."""
        require_own(self._connection, self.collection, OWN_COUNTERS)
        keys = [counters.kept.key, *(each.key for each in counters.deleted)]
        changed = f"The counters of tenant {counters.tenant!r} and user {counters.user!r} in {self.collection} changed"

        def attempt() -> bool | None:
            documents = list(self._counters.find({"_id": {"$in": keys}}, dict.fromkeys(_FIELDS, 1)))
            lead = leading(map(Counter.of, documents))
            if lead is None or lead.document_id != counters.kept.key:
                raise Conflict(what=f"{changed} after they were read.", hint="Run the command again.")
            kept = next(document for document in documents if document["_id"] == lead.document_id)
            others, fields = _mergeable(kept, documents)
            if not self._give(lead, kept, fields):
                return None
            deletions = [self._counters.delete_one(Counter.of(other).unchanged).deleted_count for other in others]
            return True if all(deletions) else None

        def failure() -> Conflict:
            return Conflict(what=f"{changed} at each attempt.", hint="Run the command again.")

        with driver_errors(f"merging counters of {self.collection}"):
            attempt_until_done(attempt, failure)

    def _give(self, lead: Counter, kept: Document, fields: Document) -> bool:
        """Set the missing tenant fields and a whole number in the kept counter; False if it has changed since it was read."""
        missing = {name: value for name, value in fields.items() if kept.get(name) is None}
        changes = {**missing, **({} if lead.is_whole else {SEQUENCE: lead.number})}
        if not changes:
            return True
        match = {**lead.unchanged, **dict.fromkeys(missing)}
        return self._counters.update_one(match, {"$set": changes}).matched_count == 1


def _doubled(group: Document) -> DoubledCounters | None:
    """The counters of one tenant and user; None if none of them can be deleted."""
    tenant, user = (addressable_id(group["_id"].get(name)) for name in ("tenant", "user"))
    documents = group["counters"]
    lead = leading(map(Counter.of, documents))
    if tenant is None or user is None or lead is None:
        return None
    kept = next(document for document in documents if document["_id"] == lead.document_id)
    others, _ = _mergeable(kept, documents)
    return DoubledCounters(tenant, user, _stored(kept), tuple(map(_stored, others))) if others else None


def _mergeable(kept: Document, documents: Iterable[Document]) -> tuple[list[Document], Document]:
    """The counters that the kept one can replace, and the tenant fields that the kept one then has.

    A counter of two tenants, in its two fields, can replace another one of the same two, and is replaced only by such a one.
    """
    fields, others = _tenants(kept), []
    for document in documents:
        own = _tenants(document)
        if document["_id"] != kept["_id"] and all(fields.get(name, value) == value for name, value in own.items()):
            fields |= own
            others.append(document)
    return others, fields


def _tenants(document: Document) -> Document:
    return {name: document[name] for name in TENANT_FIELDS if document.get(name) is not None}


def _stored(document: Document) -> StoredCounter:
    sequence = str(document[SEQUENCE]) if SEQUENCE in document else "no sequence"
    return StoredCounter(id_text(document["_id"]), sequence, document["_id"])
