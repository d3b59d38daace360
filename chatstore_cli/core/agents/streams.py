"""Saved agents and versions that are read as they are asked for: for lists of long configurations, in little memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

from chatstore_cli.core.agents.checks import checked_agent_id, checked_owner
from chatstore_cli.core.agents.versions import MOST_VERSIONS
from chatstore_cli.domain.agents.models import Agent, AgentCursor, AgentQuery, AgentVersion
from chatstore_cli.domain.agents.ports import AgentStore
from chatstore_cli.domain.errors import AgentNotFound
from chatstore_cli.domain.times import to_milliseconds

_NEVER = -1.0


def agents_from(store: AgentStore, tenants: Sequence[str | None], offset: int, limit: int) -> Iterator[Agent]:
    """At most `limit` agents of these tenants behind the first `offset` ones, the newest change first.

    None as a tenant is the operator. The skipped agents are read without their configurations.
    """
    owners = [checked_owner(tenant, "tenant_id") for tenant in tenants]
    cursor = None
    if offset:
        names = [store.stream(AgentQuery(tenant_id=owner, with_config=False), None, offset) for owner in owners]
        last = next(islice(heapq.merge(*names, key=_position, reverse=True), offset - 1, None), None)
        if last is None:
            return iter(())
        cursor = _cursor_behind(last)
    streams = [store.stream(AgentQuery(tenant_id=owner), cursor, limit) for owner in owners]
    return islice(heapq.merge(*streams, key=_position, reverse=True), limit)


def versions_of(store: AgentStore, agent_id: str, tenant_id: str | None) -> Iterator[AgentVersion]:
    """The versions of an agent as AgentRegistryService.versions returns them. Raises AgentNotFound, before the first one."""
    agent_id = checked_agent_id(agent_id)
    versions = store.versions(agent_id, checked_owner(tenant_id, "tenant_id"), MOST_VERSIONS)
    if versions is None:
        raise AgentNotFound(agent_id=agent_id)
    return versions


def _position(agent: Agent) -> tuple[float, str]:
    """The place of an agent in the list. The agents of lyzr-agent come last."""
    changed = agent.updated_at
    return (_NEVER if agent.key is not None or changed is None else changed.timestamp(), agent.agent_id)


def _cursor_behind(agent: Agent) -> AgentCursor:
    if agent.key is not None or agent.updated_at is None:
        return AgentCursor(None, agent.agent_id)
    return AgentCursor(round(to_milliseconds(agent.updated_at).timestamp() * 1000), agent.agent_id)
