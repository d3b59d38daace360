"""The indexes of the general layout."""

from __future__ import annotations

from chatstore_cli.domain.indexes.specs import IndexSpec


def index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The indexes of the general layout, on the collection of that name.

    The indexes whose names begin with `gc_` are those of the platform: same names, same keys, and no partial filter, so
    that neither of the two programs creates a second index.
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
        IndexSpec(collection, "updated_idx", (("last_updated_at", -1),), why="lists sessions newest first"),
        IndexSpec(collection, "app_updated_idx", (("app_id", 1), ("last_updated_at", -1)), why="lists by tenant"),
        IndexSpec(
            collection,
            "tenant_updated_idx",
            (("enterprise_id", 1), ("last_updated_at", -1)),
            partial_filter={"enterprise_id": {"$exists": True}},
            why="lists by tenant if documents name it enterprise_id; else empty",
        ),
        IndexSpec(collection, "user_updated_idx", (("user_id", 1), ("last_updated_at", -1)), why="lists by user"),
        IndexSpec(collection, "status_updated_idx", (("status", 1), ("last_updated_at", -1)), why="lists by status"),
        IndexSpec(
            collection,
            "paused_updated_idx",
            (("paused", 1), ("last_updated_at", -1)),
            partial_filter={"paused": True},
            why="lists paused sessions; contains no others",
        ),
        IndexSpec(
            collection,
            "gc_app_user_created",
            (("app_id", 1), ("user_id", 1), ("created_at", -1)),
            why="a user's general chats, by the time of their creation",
        ),
        IndexSpec(
            collection,
            "gc_ent_user_created",
            (("enterprise_id", 1), ("user_id", 1), ("created_at", -1)),
            why="the same if documents name the tenant enterprise_id",
        ),
        *(
            IndexSpec(
                collection,
                f"{name}_user_number_idx",
                ((field, 1), ("user_id", 1), ("general_sequence", -1)),
                partial_filter={field: {"$exists": True}},
                why=f"the highest number of a user's chats if documents name the tenant {field}",
            )
            for name, field in (("app", "app_id"), ("tenant", "enterprise_id"))
        ),
        IndexSpec(collection, "gc_status", (("status", 1),), why="the application's queries by status"),
    )


def counter_index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The unique indexes on the counters of general chats. They reject a second counter of a user in one variant."""
    return tuple(
        IndexSpec(
            collection,
            name,
            ((field, 1), ("user_id", 1)),
            unique=True,
            partial_filter={field: {"$exists": True}},  # counters of the other variant must not collide
            why=f"finds a user's counter if it names the tenant {field}, and rejects a second one",
        )
        for name, field in (("gc_counter_app_user", "app_id"), ("gc_counter_ent_user", "enterprise_id"))
    )
