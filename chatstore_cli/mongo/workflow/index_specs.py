"""The indexes of the workflow layout."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.session_documents.index_specs import session_and_tenant_specs, state_specs


def index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The indexes of the workflow layout, on the collection of that name."""
    return (
        *session_and_tenant_specs(collection, updated="updated_at", tenant="enterprise_id", other_tenant="app_id"),
        IndexSpec(
            collection,
            "tenant_workflow_created_idx",
            (("enterprise_id", 1), ("workflow_name", 1), ("created_at", -1)),
            why="a tenant's sessions of one workflow, the newest first",
        ),
        IndexSpec(
            collection,
            "app_workflow_created_idx",
            (("app_id", 1), ("workflow_name", 1), ("created_at", -1)),
            partial_filter={"app_id": {"$exists": True}},
            why="the same if documents name the tenant app_id; else empty",
        ),
        IndexSpec(
            collection,
            "user_workflow_created_idx",
            (("user_id", 1), ("workflow_name", 1), ("created_at", -1)),
            why="the newest sessions of a user in a workflow, which a start of this workflow reads",
        ),
        IndexSpec(collection, "user_updated_idx", (("user_id", 1), ("updated_at", -1)), why="lists by user"),
        IndexSpec(
            collection, "workflow_updated_idx", (("workflow_name", 1), ("updated_at", -1)), why="lists by workflow"
        ),
        *state_specs(collection, updated="updated_at"),
    )
