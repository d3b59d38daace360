"""The indexes that lists need in every layout with one document per session."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec

_NAMES = {"app_id": "app_updated_idx", "enterprise_id": "tenant_updated_idx"}


def session_and_tenant_specs(collection: str, *, updated: str, tenant: str, other_tenant: str) -> tuple[IndexSpec, ...]:
    """The indexes on ids, on all sessions, and on the tenants' sessions. `updated` is the field of the last change.

    Documents usually name the tenant `tenant`, and in some variants `other_tenant`.
    """
    return (
        IndexSpec(
            collection,
            "chat_id_idx",
            (("chat_id", 1),),
            unique=True,
            partial_filter={"chat_id": {"$exists": True}},  # variants without it must not collide
            why="finds one session, and rejects a second document for it",
        ),
        IndexSpec(collection, "updated_idx", ((updated, -1),), why="lists sessions newest first"),
        IndexSpec(collection, _NAMES[tenant], ((tenant, 1), (updated, -1)), why="lists by tenant"),
        IndexSpec(
            collection,
            _NAMES[other_tenant],
            ((other_tenant, 1), (updated, -1)),
            partial_filter={other_tenant: {"$exists": True}},
            why=f"lists by tenant if documents name it {other_tenant}; else empty",
        ),
    )


def state_specs(collection: str, *, updated: str) -> tuple[IndexSpec, ...]:
    """The indexes on the states of sessions."""
    return (
        IndexSpec(collection, "status_updated_idx", (("status", 1), (updated, -1)), why="lists by status"),
        IndexSpec(
            collection,
            "paused_updated_idx",
            (("paused", 1), (updated, -1)),
            partial_filter={"paused": True},
            why="lists paused sessions; contains no others",
        ),
    )
