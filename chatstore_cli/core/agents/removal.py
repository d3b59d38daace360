"""The plans of deletions, as a person confirms them."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.domain.agents.models import Agent, AgentPurge
from chatstore_cli.domain.quantities import quantity

_SHOWN = 20


def deletion_plan(agent: Agent, numbers: Sequence[str]) -> str:
    """What a deletion of an agent does. `numbers` are the phone numbers that are routed to it."""
    named = f"{agent.agent_id} ({agent.name!r})" if agent.name else agent.agent_id
    plan = f"This would delete agent {named}. chatstore agents restore can undo it."
    if not numbers:
        return f"{plan} No phone number is routed to it."
    more = f" and {len(numbers) - _SHOWN:,} more" if len(numbers) > _SHOWN else ""
    routed = f"{quantity(len(numbers), 'phone number')} {'is' if len(numbers) == 1 else 'are'} routed to it"
    return (
        f"{plan} {routed}: {', '.join(numbers[:_SHOWN])}{more}. The default agent then answers, if one is configured "
        "(chatstore.agents.default_agent)."
    )


def purge_plan(purge: AgentPurge) -> str:
    """What a purge deletes for good."""
    agents = f"{quantity(purge.agents, 'document')} of {purge.collection}"
    versions = f"{quantity(purge.versions, 'document')} of {purge.versions_collection}"
    return f"This would delete {agents} and {versions} for good. They could not be restored."
