"""Deletions of many sessions, for the databases of the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.sessions.deletion_plan import SessionDeletions
    from chatstore_cli.wiring.stores import Stores


def session_deletions(stores: Stores, layout: str | None, *, keep_usage: bool) -> SessionDeletions:
    """Deletions of the sessions of a layout, or of all layouts."""
    from chatstore_cli.core.sessions.deletion_plan import SessionDeletions
    from chatstore_cli.wiring.labels import shown_labels
    from chatstore_cli.wiring.usage import usage_ledger

    return SessionDeletions(
        stores.session_readers(layout),
        shown_labels(stores, layout),
        stores.clock_of,
        kept_in=(lambda layout: usage_ledger(stores, layout)) if keep_usage else None,
    )


def collection_ids(stores: Stores, names: Iterable[str]) -> dict[str, str]:
    """The UUIDs of those of the collections that exist in MongoDB, as far as the user may see them."""
    from chatstore_cli.mongo.collections import collection_facts

    if not stores.uses_mongo():
        return {}
    facts = [collection_facts(stores.connection, name) for name in names]
    return {each.name: each.uuid_text for each in facts if each.uuid_text is not None}


def has_other_id(stores: Stores, name: str, planned: str) -> bool:
    """Whether the collection exists and is not the one with the `planned` id, also as earlier versions wrote it."""
    from chatstore_cli.mongo.collections import collection_facts

    if not stores.uses_mongo():
        return False
    facts = collection_facts(stores.connection, name)
    return facts.uuid is not None and planned not in (facts.uuid, facts.uuid_text)
