"""The indexes of the workflow layout."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The indexes of the workflow layout, on the collection of that name."""
    return (
        IndexSpec(
            collection,
            "chat_id_idx",
            (("chat_id", 1),),
            unique=True,
            partial_filter={"chat_id": {"$exists": True}},  # variants without it must not collide
            why="finds one session, and rejects a second document for it",
        ),
        IndexSpec(collection, "updated_idx", (("updated_at", -1),), why="lists sessions newest first"),
        IndexSpec(collection, "tenant_updated_idx", (("enterprise_id", 1), ("updated_at", -1)), why="lists by tenant"),
        IndexSpec(
            collection,
            "app_updated_idx",
            (("app_id", 1), ("updated_at", -1)),
            partial_filter={"app_id": {"$exists": True}},
            why="lists by tenant if documents name it app_id; else empty",
        ),
        IndexSpec(
            collection,
            "tenant_workflow_created_idx",
            (("enterprise_id", 1), ("workflow_name", 1), ("created_at", -1)),
            why="a tenant's sessions of one workflow",
        ),
        IndexSpec(collection, "user_updated_idx", (("user_id", 1), ("updated_at", -1)), why="lists by user"),
        IndexSpec(
            collection, "workflow_updated_idx", (("workflow_name", 1), ("updated_at", -1)), why="lists by workflow"
        ),
        IndexSpec(collection, "status_updated_idx", (("status", 1), ("updated_at", -1)), why="lists by status"),
        IndexSpec(
            collection,
            "paused_updated_idx",
            (("paused", 1), ("updated_at", -1)),
            partial_filter={"paused": True},
            why="lists paused sessions; contains no others",
        ),
    )
