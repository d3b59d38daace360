"""Which collection has the saved agents, and whether chatstore may use it."""

from __future__ import annotations

from chatstore_cli.config.settings import AgentSettings
from chatstore_cli.domain.errors import Conflict, ForeignCollection
from chatstore_cli.mongo.agents.own_agents import OWN_AGENTS
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.foreign_documents import collection_names, foreign_in

PLATFORM_COLLECTION = "lk_agent_configs"
"""The collection of the platform in its later versions. Its agents have their names in their configurations."""
FIRST_COLLECTION = "Agent"
OWN_COLLECTION = "agents"
_HINT = "Name the collection of your agents in the configuration: chatstore.agents.collection."


def chosen_collection(connection: Connection, settings: AgentSettings) -> str:
    """The configured collection; without one, the platform's if it exists, else `agents`.

    Raises Conflict if both collections of the platform have documents, and ForeignCollection if the chosen one, which nobody
    has configured, holds mainly documents of another product.
    """
    if settings.collection is not None:
        return settings.collection
    names = set(collection_names(connection))
    found = [name for name in (PLATFORM_COLLECTION, FIRST_COLLECTION) if name in names]
    if len(found) > 1:  # the platform's driver creates a collection also if nothing is stored in it
        found = [name for name in found if _has_documents(connection, name)] or found[:1]
    if len(found) > 1:
        raise Conflict(
            what=f"{' and '.join(found)} both have documents, and either may have the saved agents.", hint=_HINT
        )
    collection = found[0] if found else OWN_COLLECTION
    if collection in names:
        foreign = foreign_in(connection, collection, OWN_AGENTS)
        if foreign.is_mainly_foreign:
            raise ForeignCollection(what=f"{foreign.remark}. Nothing was read from it or written to it.", hint=_HINT)
    return collection


def _has_documents(connection: Connection, collection: str) -> bool:
    with driver_errors(f"looking into {collection}"):
        return connection.collection(collection).find_one({}, {"_id": 1}) is not None
