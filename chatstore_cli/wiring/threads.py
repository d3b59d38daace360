"""Threads and their messages, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.ports import ConversationRepository, ThreadStore
    from chatstore_cli.domain.threads.repair import ThreadRepairs
    from chatstore_cli.wiring.stores import Stores


def thread_store(stores: Stores) -> ThreadStore:
    """The store of threads. The first command connects."""
    from chatstore_cli.mongo.threads.store import MongoThreadStore

    return MongoThreadStore(
        stores.connection, stores.settings, patient=stores.patient_connection, server_now=stores.server_now
    )


def conversations(stores: Stores, *, strict_roles: bool = True) -> ConversationRepository:
    """The threads, with the rules of core/threads/repository.py."""
    from chatstore_cli.core.threads.repository import StoredConversations

    return StoredConversations(thread_store(stores), strict_roles=strict_roles)


def thread_repairs(stores: Stores) -> ThreadRepairs:
    """Threads compared with their messages, without a time limit. Reads from the primary."""
    from chatstore_cli.mongo.threads.repair import MongoThreadRepairs

    return MongoThreadRepairs(stores.patient_connection.reading_from_primary(), stores.settings)
