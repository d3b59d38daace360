"""Threads and their messages, for the collections in the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.wiring.postgres import postgres_store

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.ports import ConversationRepository, ThreadStore
    from chatstore_cli.domain.threads.repair import ThreadRepairs
    from chatstore_cli.wiring.stores import Stores


def thread_store(stores: Stores) -> ThreadStore:
    """The store of threads, in MongoDB or PostgreSQL. The first command connects."""
    if stores.settings.threads_on_postgres:
        return postgres_store(stores.postgres)
    return mongo_thread_store(stores)


def mongo_thread_store(stores: Stores) -> ThreadStore:
    """The store of threads in MongoDB, whatever the backend of commands is."""
    from chatstore_cli.mongo.threads.store import MongoThreadStore

    return MongoThreadStore(
        stores.connection, stores.settings, patient=stores.patient_connection, server_now=stores.server_now
    )


def conversations(stores: Stores, *, strict_roles: bool = True) -> ConversationRepository:
    """The threads, with the rules of core/threads/repository.py."""
    from chatstore_cli.core.threads.repository import StoredConversations

    return StoredConversations(thread_store(stores), strict_roles=strict_roles)


def thread_repairs(stores: Stores) -> ThreadRepairs:
    """Threads of MongoDB compared with their messages, without a time limit. Reads from the primary."""
    from chatstore_cli.mongo.threads.repair import MongoThreadRepairs

    return MongoThreadRepairs(stores.patient_connection.reading_from_primary(), stores.settings)
