"""Pages of agents, by their position in the index: no page reads the agents before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from chatstore_cli.domain.agents.models import AgentCursor, AgentPage, AgentQuery
from chatstore_cli.mongo.agents.database import AgentDatabase
from chatstore_cli.mongo.agents.documents import NAME_FIELDS, milliseconds_of, of_tenant, to_agent
from chatstore_cli.mongo.agents.own_agents import OWN_AGENTS
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import document_id_condition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST_FIRST = [("updatedAt", -1), ("_id", -1)]


def page_of(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None, limit: int) -> AgentPage:
    """At most `limit` agents after a position."""
    with driver_errors(f"listing the agents of {database.name}"):
        documents = list(_documents(database, query, after, limit + 1))
    page = documents[:limit]
    cursor = None
    if len(documents) > limit:
        last = page[-1]
        cursor = AgentCursor(milliseconds_of(last.get("updatedAt")), str(last["_id"])).to_text()
    return AgentPage(tuple(map(to_agent, page)), cursor)


def _documents(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None, limit: int) -> Iterator[Document]:
    selected = {
        "deletedAt": {"$type": "date"} if query.deleted else None,
        **of_tenant(query.tenant_id),
        **({} if query.user_id is None else {"createdByUserId": document_id_condition(query.user_id)}),
        **OWN_AGENTS.filter(),
    }
    fields: dict[str, Any] = {"versions": 0} if query.with_config else NAME_FIELDS
    for part in _parts_after(after):
        found = database.agents.find({**selected, **part}, fields).sort(_NEWEST_FIRST).limit(limit)
        for document in found:
            yield document
            limit -= 1
        if limit == 0:  # the driver reads 0 as no limit
            return


def _parts_after(after: AgentCursor | None) -> list[Document]:
    """Conditions that select the agents after a position, in their order. Each is one range of the index.

    Agents without `updatedAt`, which lyzr-agent stores, come last.
    """
    if after is None:
        return [{}]
    older = {"_id": {"$lt": ObjectId(after.agent_id)}}
    if after.updated_ms is None:
        return [{"updatedAt": None, **older}]
    instant = _instant(after.updated_ms)
    return [{"updatedAt": instant, **older}, {"updatedAt": {"$lt": instant}}, {"updatedAt": None}]


def _instant(milliseconds: int) -> Any:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return DatetimeMS(milliseconds)
