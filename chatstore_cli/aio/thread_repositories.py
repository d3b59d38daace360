"""The awaitable faces of the repositories of threads."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from chatstore_cli import threads
from chatstore_cli.aio.calls import Threads
from chatstore_cli.aio.face import AT_A_TIME, Face, arguments_of, awaitable, coroutine_function, streamed
from chatstore_cli.config.settings import Settings
from chatstore_cli.config.thread_database import DatabaseConfig
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.threads import ports

_MANAGERS_AT_A_TIME = 64
_Port = ports.ConversationRepository


class ConversationRepository(Face[ports.ConversationRepository]):
    """Stores threads and their messages. Every method is that of `chatstore_cli.threads`, and is awaitable.

    Up to 16 calls are made at a time, in no order: await a message before you add the next one, or use `create_messages`.
    A StateManager makes its own calls in order. All managers of a repository together make up to 64 calls at a time.
    """

    _calls_at_a_time = AT_A_TIME

    def __init__(self, repository: ports.ConversationRepository) -> None:
        """A face of a synchronous repository, for example one of your own. Raises BadValue for an asynchronous one."""
        if inspect.iscoroutinefunction(getattr(repository, "get_thread", None)):
            raise BadValue(
                name="repository",
                value=f"<{type(repository).__name__}>",
                expected="a synchronous repository",
                hint="Implement chatstore_cli.threads.ConversationRepository without async. aio makes it awaitable.",
            )
        self._open(repository)

    def _open(self, synchronous: ports.ConversationRepository, threads: Threads | None = None) -> None:
        super()._open(synchronous, threads)
        self._manager_threads = Threads(_MANAGERS_AT_A_TIME)

    create_thread = awaitable(_Port.create_thread)
    get_thread = awaitable(_Port.get_thread)
    update_thread = awaitable(_Port.update_thread)  # type: ignore[arg-type]  # a keyword could be named `self`
    delete_thread = awaitable(_Port.delete_thread)
    list_threads = awaitable(_Port.list_threads)
    create_message = awaitable(_Port.create_message)
    create_messages = awaitable(_Port.create_messages)
    get_messages = awaitable(_Port.get_messages)
    iter_messages = streamed(_Port.iter_messages)
    get_message = awaitable(_Port.get_message)
    edit_message = awaitable(_Port.edit_message)
    delete_message = awaitable(_Port.delete_message)
    clear_messages = awaitable(_Port.clear_messages)
    newest_summary = awaitable(_Port.newest_summary)
    fork_thread = awaitable(_Port.fork_thread)
    import_thread = awaitable(_Port.import_thread)

    @coroutine_function
    def close(self) -> Coroutine[Any, Any, None]:
        """Close the connections, if the repository has any."""
        return self._calls.call(getattr(self.synchronous, "close", _nothing_to_close))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class MockConversationRepository(ConversationRepository):
    """A repository in plain memory, which needs no database."""

    synchronous: threads.MockConversationRepository

    @arguments_of(threads.MockConversationRepository)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(threads.MockConversationRepository(*args, **kwargs))

    def get_stats(self) -> dict[str, int]:
        """How many threads and messages are stored. `total_thread_messages` equals `messages`."""
        return self.synchronous.get_stats()


class MongoConversationRepository(ConversationRepository):
    """Stores threads and their messages in MongoDB. It connects on first use."""

    synchronous: threads.MongoConversationRepository

    @arguments_of(threads.MongoConversationRepository)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(threads.MongoConversationRepository(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None, *, strict_roles: bool = True) -> MongoConversationRepository:
        """The threads of chatstore's configuration (mongo, layouts.threads). Raises BadConfig."""
        return cls._of(threads.MongoConversationRepository.from_config(config_file, strict_roles=strict_roles))

    ensure_indexes = awaitable(threads.MongoConversationRepository.ensure_indexes)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with repository.within(2): ...` raises Unreachable after two seconds.

        Calls of managers are included.
        """
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings


class PostgreSQLConversationRepository(ConversationRepository):
    """Stores threads and their messages in PostgreSQL. It connects on first use."""

    synchronous: threads.PostgreSQLConversationRepository

    @arguments_of(threads.PostgreSQLConversationRepository)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(threads.PostgreSQLConversationRepository(*args, **kwargs))

    @classmethod
    def from_config(
        cls, config_file: str | None = None, *, strict_roles: bool = True
    ) -> PostgreSQLConversationRepository:
        """The threads of chatstore's configuration (chatstore.threads.uri, mongo.timeout_seconds). Raises BadConfig."""
        return cls._of(threads.PostgreSQLConversationRepository.from_config(config_file, strict_roles=strict_roles))

    migrate = awaitable(threads.PostgreSQLConversationRepository.migrate)
    migration_state = awaitable(threads.PostgreSQLConversationRepository.migration_state)

    @property
    def target(self) -> str:
        """Server and database as text, without user and password."""
        return self.synchronous.target


def create_repository(config: DatabaseConfig | None = None, *, strict_roles: bool = True) -> ConversationRepository:
    """A new repository for the backend of the configuration, by default that of `DatabaseConfig.from_env()`.

    Raises BadConfig for a wrong configuration, and WrongUse for postgresql without the extra of that name.
    """
    return face_of(threads.create_repository(config, strict_roles=strict_roles))


def face_of(repository: ConversationRepository | ports.ConversationRepository | None) -> ConversationRepository:
    """The face of a repository. For None, that of a new repository in memory."""
    if repository is None:
        return MockConversationRepository()
    if isinstance(repository, ConversationRepository):
        return repository
    if isinstance(repository, threads.MockConversationRepository):
        return MockConversationRepository._of(repository)
    if isinstance(repository, threads.MongoConversationRepository):
        return MongoConversationRepository._of(repository)
    if isinstance(repository, threads.PostgreSQLConversationRepository):
        return PostgreSQLConversationRepository._of(repository)
    return ConversationRepository(repository)


def _nothing_to_close() -> None:
    """The `close` of a repository without connections: it does nothing."""
