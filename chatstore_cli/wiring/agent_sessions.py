"""The sessions of a Python agent, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.agent_sessions import AgentSessionStore
    from chatstore_cli.wiring.stores import Stores


def agent_session_store(stores: Stores) -> AgentSessionStore:
    """The store of sessions. Raises BadConfig if a collection has no name. The first command connects."""
    from chatstore_cli.domain.errors import BadConfig
    from chatstore_cli.mongo.agent_sessions.store import MongoAgentSessionStore

    agents = stores.settings.chatstore.agents
    if agents.sessions is None or agents.messages is None:
        raise BadConfig(
            where="chatstore.agents.sessions" if agents.sessions is None else "chatstore.agents.messages",
            what="it is not set, and other products use its usual name.",
            hint="Set chatstore.agents.sessions and chatstore.agents.messages to the collections of the Python agent.",
        )
    return MongoAgentSessionStore(
        stores.connection,
        agents.sessions,
        agents.messages,
        patient=stores.patient_connection,
        server_now=stores.server_now,
    )
