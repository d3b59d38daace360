"""The repository that a DatabaseConfig asks for."""

from __future__ import annotations

from chatstore_cli.config.thread_database import DatabaseConfig
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.library.threads.mongo import MongoConversationRepository
from chatstore_cli.library.threads.postgres import PostgreSQLConversationRepository


def create_repository(config: DatabaseConfig | None = None, *, strict_roles: bool = True) -> StoredConversations:
    """A new repository for the backend of the configuration, by default that of `DatabaseConfig.from_env()`.

    `mock` keeps threads in memory. `mongodb` is the MongoDB of chatstore's own configuration, as in
    `MongoConversationRepository.from_config()`. `postgresql` is the server that the other fields name. Raises BadConfig for
    a wrong configuration, and WrongUse for postgresql without the extra of that name.
    """
    config = DatabaseConfig.from_env() if config is None else config
    if config.backend == "mock":
        return MockConversationRepository(strict_roles=strict_roles)
    if config.backend == "mongodb":
        return MongoConversationRepository.from_config(strict_roles=strict_roles)
    return PostgreSQLConversationRepository(
        config.get_connection_string(),
        pool_size=config.pool_size,
        max_overflow=config.max_overflow,
        strict_roles=strict_roles,
    )
