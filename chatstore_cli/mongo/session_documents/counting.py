"""Counts the sessions of one layout that pass a query, without reading what a list shows of them.

The server counts the documents in which one field decides about each filter. Documents of variants, in which several
fields decide, are few: they are read, and SessionQuery.matches decides.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.indexed_types import NOT_A_DATE, date_in_period
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import STATUSES

_Conditions = list[Document]


def count_sessions(collection: SessionCollection, query: SessionQuery, limit: int) -> int:
    """How many sessions match; it stops at `limit`. Raises the driver's own errors."""
    own = collection.shape.own_sessions
    if collection.in_memory:
        found = map(collection.to_session, filter(own.matches, collection.sessions.find()))
        return sum(1 for _ in islice(filter(query.matches, found), limit))
    filters = _filters(collection, query)
    certain: Document = {"$and": [own.filter(), *({"$or": clear} for clear, _ in filters)]}
    counted = collection.sessions.count_documents(certain, limit=limit)
    unclear = [condition for _, others in filters for condition in others]
    if not unclear or counted >= limit:
        return counted
    possible = [own.filter(), *({"$or": [*clear, *others]} for clear, others in filters)]
    facts = dict.fromkeys(collection.shape.fact_fields, 1)
    rows: Any = collection.sessions.aggregate(
        [{"$match": {"$and": [*possible, {"$or": unclear}]}}, {"$project": facts}]
    )
    matching = filter(query.matches, map(collection.to_session, rows))
    return counted + sum(1 for _ in islice(matching, limit - counted))


def _filters(collection: SessionCollection, query: SessionQuery) -> list[tuple[_Conditions, _Conditions]]:
    """For each filter the conditions that are met only by sessions that pass, and those whose sessions must be read."""
    filters: list[tuple[_Conditions, _Conditions]] = []
    if query.tenant_id is not None:
        tenants = {"$in": id_values(query.tenant_id)}
        other = {"app_id": tenants, "enterprise_id": {"$nin": [None, *id_values(query.tenant_id)]}}
        filters.append(([{"enterprise_id": tenants}, {"app_id": tenants, "enterprise_id": None}], [other]))
    if query.user_id is not None:
        filters.append(([{"user_id": {"$in": id_values(query.user_id)}}], []))
    if query.paused:
        filters.append(([{"paused": True}], []))
    if query.workflow is not None:
        elsewhere = {"workflow_name": None, "workflow_status": {"$type": "object"}}
        filters.append(([{"workflow_name": {"$eq": query.workflow}}], [elsewhere]))
    if query.status is not None:
        values = [value for value, status in STATUSES.items() if status is query.status]
        filters.append(([{"status": {"$in": values}}], [{"status": {"$nin": list(STATUSES)}}]))
    if query.since is not None or query.until is not None:
        field = collection.shape.updated_field
        filters.append(([{field: date_in_period(query)}], [{field: each} for each in NOT_A_DATE]))
    return filters
