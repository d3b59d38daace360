"""The repository that a DatabaseConfig asks for."""

from __future__ import annotations

from chatstore_cli.config.thread_database import DatabaseConfig
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.library.threads.mongo import MongoConversationRepository


def create_repository(config: DatabaseConfig | None = None, *, strict_roles: bool = True) -> StoredConversations:
    """A new repository for the backend of the configuration, by default that of `DatabaseConfig.from_env()`.

    `mock` keeps threads in memory. `mongodb` is the MongoDB of chatstore's own configuration, as in
    `MongoConversationRepository.from_config()`. Raises BadValue for postgresql, which this version does not support, and
    BadConfig for a wrong configuration.
    """
    config = DatabaseConfig.from_env() if config is None else config
    if config.backend == "mock":
        return MockConversationRepository(strict_roles=strict_roles)
    if config.backend == "mongodb":
        return MongoConversationRepository.from_config(strict_roles=strict_roles)
    raise BadValue(
        name="backend",
        value=config.backend,
        expected="supported in this version",
        hint="Set DB_BACKEND to mongodb, or to mock to keep threads in memory.",
    )
