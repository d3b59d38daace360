"""Pages of agents, by their position in the index: no page reads the agents before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from chatstore_cli.domain.agents.models import Agent, AgentCursor, AgentPage, AgentQuery
from chatstore_cli.mongo.agents.database import AgentDatabase
from chatstore_cli.mongo.agents.documents import IS_DELETED, NAME_FIELDS, milliseconds_of, of_tenant, to_agent
from chatstore_cli.mongo.agents.keyed import only_keyed
from chatstore_cli.mongo.agents.own_agents import PLATFORM_AGENTS
from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import document_id_condition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST_FIRST = [("updatedAt", -1), ("_id", -1)]
_BY_ID = [("_id", -1)]


def page_of(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None, limit: int) -> AgentPage:
    """At most `limit` agents after a position."""
    with driver_errors(f"listing the agents of {database.name}"):
        documents = list(_documents(database, query, after, limit + 1))
    page = documents[:limit]
    cursor = None
    if len(documents) > limit:
        last = page[-1]
        changed_at = milliseconds_of(last["updatedAt"]) if PLATFORM_AGENTS.matches(last) else None
        cursor = AgentCursor(changed_at, str(last["_id"])).to_text()
    return AgentPage(tuple(map(to_agent, page)), cursor)


def stream_of(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None, limit: int) -> Iterator[Agent]:
    """The agents of that page, in the batches of the driver."""
    with driver_errors(f"listing the agents of {database.name}"):
        yield from map(to_agent, _documents(database, query, after, limit))


def newest_agents(database: AgentDatabase, fields: Document, limit: int) -> Iterator[Document]:
    """The fields of the platform's agents that were changed last. Deleted agents do not count."""
    found = database.agents.find({"deletedAt": database.not_deleted, **PLATFORM_AGENTS.filter()}, fields)
    return iter(found.sort(_NEWEST_FIRST).limit(limit))


def _documents(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None, limit: int) -> Iterator[Document]:
    fields: dict[str, Any] = {"versions": 0} if query.with_config else NAME_FIELDS
    for part in _parts_after(database, query, after):
        order = _BY_ID if "agent_id" in part else _NEWEST_FIRST
        for document in database.agents.find(part, fields).sort(order).limit(limit):
            yield document
            limit -= 1
        if limit == 0:  # the driver reads 0 as no limit
            return


def _parts_after(database: AgentDatabase, query: AgentQuery, after: AgentCursor | None) -> list[Document]:
    """Conditions that select the agents after a position, in their order. Each is one range of an index.

    The agents of lyzr-agent have no time of their last change. They come last, whatever is in a field of that name.
    """
    user = {} if query.user_id is None else {"createdByUserId": document_id_condition(query.user_id)}
    platform = {
        "deletedAt": IS_DELETED if query.deleted else database.not_deleted,
        **of_tenant(query.tenant_id),
        **user,
        **PLATFORM_AGENTS.filter(),
    }
    # The range of texts is what the partial index on `agent_id` needs.
    keyed = [] if query.deleted else [{"agent_id": {"$gte": ""}, **user, **only_keyed(query.tenant_id)}]
    if after is None:
        return [platform, *keyed]
    behind = {"_id": {"$lt": ObjectId(after.agent_id)}}
    if after.updated_ms is None:
        return [{**each, **behind} for each in keyed]
    instant = _instant(after.updated_ms)
    return [{**platform, "updatedAt": instant, **behind}, {**platform, "updatedAt": {"$lt": instant}}, *keyed]


def _instant(milliseconds: int) -> Any:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return DatetimeMS(milliseconds)
