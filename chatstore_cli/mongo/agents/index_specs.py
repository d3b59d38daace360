"""The indexes of saved agents and of their archived versions."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def agent_index_specs(agents: str) -> tuple[IndexSpec, ...]:
    """The indexes of agents, on the collection of that name."""
    newest_first = (("deletedAt", 1), ("updatedAt", -1), ("_id", -1))
    return (
        IndexSpec(agents, "agents_updated_idx", newest_first, why="lists agents, the newest change first"),
        IndexSpec(agents, "agents_org_updated_idx", (("orgId", 1), *newest_first), why="lists the agents of a tenant"),
        IndexSpec(
            agents,
            "agents_key_idx",
            (("agent_id", 1),),
            partial_filter={"agent_id": {"$exists": True}},
            why="finds agents of lyzr-agent",
        ),
    )


def version_index_spec(versions: str) -> IndexSpec:
    """The index of archived versions, on the collection of that name."""
    keys = (("agentId", 1), ("createdAt", -1))
    return IndexSpec(versions, "agent_versions_idx", keys, why="lists the archived versions of an agent")
