"""Pages of saved agents by an offset, as the clients of the voice platform ask for them, over one or several tenants."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

from chatstore_cli.core.agents.checks import LARGEST_PAGE
from chatstore_cli.core.agents.registry import AgentRegistryService
from chatstore_cli.domain.agents.models import Agent, AgentCursor
from chatstore_cli.domain.times import to_milliseconds

_NEVER = -1.0


def agents_from(registry: AgentRegistryService, tenants: Sequence[str | None], offset: int, limit: int) -> list[Agent]:
    """At most `limit` agents (up to 200) of these tenants behind the first `offset` ones, the newest change first.

    None as a tenant is the operator. The skipped agents are read without their configurations.
    """
    cursor = None
    if offset:
        skipped = heapq.merge(*(_names(registry, tenant) for tenant in tenants), key=_position, reverse=True)
        last = next(islice(skipped, offset - 1, None), None)
        if last is None:
            return []
        cursor = _cursor_behind(last)
    pages = [registry.list_agents(tenant_id=tenant, limit=limit, cursor=cursor).agents for tenant in tenants]
    return list(islice(heapq.merge(*pages, key=_position, reverse=True), limit))


def _names(registry: AgentRegistryService, tenant: str | None) -> Iterator[Agent]:
    cursor = None
    while True:
        page = registry.list_agents(tenant_id=tenant, limit=LARGEST_PAGE, cursor=cursor, with_config=False)
        yield from page.agents
        cursor = page.next_cursor
        if cursor is None:
            return


def _position(agent: Agent) -> tuple[float, str]:
    """The place of an agent in the list. The agents of lyzr-agent come last."""
    changed = agent.updated_at
    return (_NEVER if agent.key is not None or changed is None else changed.timestamp(), agent.agent_id)


def _cursor_behind(agent: Agent) -> str:
    if agent.key is not None or agent.updated_at is None:
        return AgentCursor(None, agent.agent_id).to_text()
    return AgentCursor(round(to_milliseconds(agent.updated_at).timestamp() * 1000), agent.agent_id).to_text()
