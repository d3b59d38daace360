"""The states of a Python agent, for the collection in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.agent_states.states import AgentStates
    from chatstore_cli.core.verify.checklist import Check
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


def agent_state_checks(stores: Stores) -> list[Check]:
    """The check of `chatstore verify` that looks up the current agents of states, within the limits of the settings."""
    from chatstore_cli.core.verify.agent_states import current_agent_verdict, fault_of_agent
    from chatstore_cli.core.verify.checklist import Check, Verdict, skipped
    from chatstore_cli.domain.errors import MissingRight
    from chatstore_cli.mongo.agent_states.sample import sampled_agents
    from chatstore_cli.wiring.agents import agent_store

    bounds, collection = stores.settings.verify, stores.settings.chatstore.agents.states
    seconds = bounds.seconds_per_check

    def current_agents() -> Verdict:
        try:
            with stores.within(seconds):
                sampled = sampled_agents(stores.connection, collection, sample=bounds.sample, seconds=seconds)
                agents = agent_store(stores)
                return current_agent_verdict(
                    sampled, collection, lambda agent_id: fault_of_agent(agents, agent_id), seconds
                )
        except MissingRight:
            return skipped(f"this user may not read {collection} or the agents")

    return [Check("agent-states", current_agents, "connection")]
