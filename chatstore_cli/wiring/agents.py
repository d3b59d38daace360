"""Saved agents, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.agents.registry import AgentRegistryService
    from chatstore_cli.core.agents.resolver import AgentConfigResolverService
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.domain.agents.ports import AgentStore
    from chatstore_cli.wiring.stores import Stores


def agent_store(stores: Stores) -> AgentStore:
    """The store of saved agents. The first command connects."""
    from chatstore_cli.mongo.agents.store import MongoAgentStore

    return MongoAgentStore(
        stores.connection, stores.settings, patient=stores.patient_connection, server_now=stores.server_now
    )


def agent_registry(stores: Stores) -> AgentRegistryService:
    """The saved agents, with the rules of core/agents/registry.py."""
    from chatstore_cli.core.agents.registry import AgentRegistryService

    return AgentRegistryService(agent_store(stores))


def agent_resolver(stores: Stores, *, derived_fields: bool = False) -> AgentConfigResolverService:
    """Resolves the configurations of saved agents."""
    from chatstore_cli.core.agents.resolver import AgentConfigResolverService

    return AgentConfigResolverService(agent_store(stores), derived_fields=derived_fields)


def agent_checks(stores: Stores) -> list[Check]:
    """The check of `chatstore verify` that reads saved agents, within the limits of the settings."""
    from chatstore_cli.core.verify.agents import version_verdict
    from chatstore_cli.core.verify.checklist import Check, Verdict, skipped
    from chatstore_cli.domain.errors import Conflict, MissingRight
    from chatstore_cli.mongo.agents.sample import MongoAgentSample

    bounds = stores.settings.verify
    seconds = bounds.seconds_per_check

    def versions() -> Verdict:
        try:
            collection = agent_store(stores).collection
            sample = MongoAgentSample(stores.connection, collection, sample=bounds.sample, seconds=seconds)
            with stores.within(seconds):
                return version_verdict(sample, seconds)
        except Conflict as error:
            return skipped(error.message, error.hint)
        except MissingRight:
            return skipped("this user may not read the agents")

    return [Check("agent-versions", versions, "connection")]


def create_missing_agent_indexes(stores: Stores) -> list[str]:
    """Create the indexes of agents that are missing; returns a line for each one that was created or left alone."""
    from chatstore_cli.core.indexes import create_missing
    from chatstore_cli.mongo.agents.store import MongoAgentStore

    store = MongoAgentStore(stores.connection, stores.settings, patient=stores.patient_connection)
    specs = store.index_specs()
    return list(create_missing(specs, stores.index_store, stores.document_dates, stores.server_now()))
