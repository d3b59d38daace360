"""The states of a Python agent, for the collection in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.agent_states.states import AgentStates
    from chatstore_cli.domain.agent_states import AgentStateStore
    from chatstore_cli.wiring.stores import Stores


def agent_state_store(stores: Stores) -> AgentStateStore:
    """The store of states. The first command connects."""
    from chatstore_cli.mongo.agent_states.store import MongoAgentStateStore

    return MongoAgentStateStore(stores.connection, stores.settings, patient=stores.patient_connection)


def agent_states(stores: Stores) -> AgentStates:
    """The states, with the rules of core/agent_states/states.py."""
    from chatstore_cli.core.agent_states.states import AgentStates

    return AgentStates(agent_state_store(stores))
