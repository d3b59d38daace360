"""The awaitable faces of the cache, the storage and the worker. Methods that use only memory have no `await`."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from chatstore_cli import library
from chatstore_cli.aio.calls import Calls
from chatstore_cli.aio.connected import ConnectedFace
from chatstore_cli.aio.face import (
    Face,
    OrderedFace,
    arguments_of,
    awaitable,
    coroutine_function,
    synchronous_of,
)
from chatstore_cli.core.sessions.history import ChatHistory
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.recording import WorkerStats

_Cache, _Storage, _Worker = library.LocalChatCache, library.MongoChatStorage, library.ChatPersistenceWorker


class MongoChatStorage(ConnectedFace[library.MongoChatStorage]):
    """`chatstore_cli.MongoChatStorage` for an event loop. Up to 16 calls are made at a time, in no order."""

    @arguments_of(_Storage)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Storage(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> MongoChatStorage:
        """The storage that chatstore's configuration describes (mongo). Raises BadConfig."""
        return cls._of(_Storage.from_config(config_file))

    ensure_indexes = awaitable(_Storage.ensure_indexes)
    insert_messages = awaitable(_Storage.insert_messages)
    history = awaitable(_Storage.history)
    health = awaitable(_Storage.health)
    flush_journals = awaitable(_Storage.flush_journals)


class LocalChatCache(OrderedFace[library.LocalChatCache]):
    """`chatstore_cli.LocalChatCache` for an event loop. The messages of one session are recorded in the order of the calls.

    Recording is fast: `cache.synchronous.record_chat_event(...)` stops the loop for less than a millisecond, unless
    `fsync` makes it wait for the disk.
    """

    @arguments_of(_Cache)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Cache(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None, *, for_worker: bool = True) -> LocalChatCache:
        """The cache that chatstore's configuration describes (mongo.cache). Raises BadConfig."""
        return cls._of(_Cache.from_config(config_file, for_worker=for_worker))

    record_chat_event = awaitable(_Cache.record_chat_event)
    load_journals = awaitable(_Cache.load_journals)

    @coroutine_function
    def history(
        self,
        session_id: str,
        storage: MongoChatStorage | library.MongoChatStorage | None = None,
        limit: int = 50,
    ) -> Coroutine[Any, Any, ChatHistory]:
        """The newest `limit` (1 to 500) messages of a session, recorded or stored, each once, oldest first.

        If MongoDB is unreachable, the recorded messages are returned and `failure` has the error. Raises BadValue, and
        ChatstoreError for a journal that cannot be read.
        """
        calls = self._calls_of(session_id)
        return calls.call(self.synchronous.history, session_id, synchronous_of(storage), limit)

    @coroutine_function
    def forget_deleted(
        self, session_id: str, storage: MongoChatStorage | library.MongoChatStorage
    ) -> Coroutine[Any, Any, None]:
        """Forget the messages in memory that were deleted with their session. Raises Unreachable, NotAllowed."""
        return self._calls_of(session_id).call(self.synchronous.forget_deleted, session_id, synchronous_of(storage))

    def messages(self, session_id: str | None, limit: int | None = None) -> list[Message]:
        """The newest messages of a session that are in memory, in order of (instant, sequence)."""
        return self.synchronous.messages(session_id, limit)

    @property
    def disk_path(self) -> Path | None:
        """The folder of the journals."""
        return self.synchronous.disk_path

    @property
    def fsync(self) -> str:
        """When a line is synced to the disk: never, interval or always."""
        return self.synchronous.fsync

    @property
    def max_messages_per_session(self) -> int:
        """The number of messages of a session that stay in memory."""
        return self.synchronous.max_messages_per_session


class ChatPersistenceWorker(Face[library.ChatPersistenceWorker]):
    """`chatstore_cli.ChatPersistenceWorker` for an event loop. It stores messages in a thread of its own, without the loop."""

    def __init__(
        self,
        cache: LocalChatCache | library.LocalChatCache,
        storage: MongoChatStorage | library.MongoChatStorage,
        batch_size: int | None = None,
        interval: float | None = None,
    ) -> None:
        """At most `batch_size` messages are stored together, and a message waits `interval` seconds for others. The defaults
        are the storage's settings mongo.worker (100 messages, 1 second). Raises BadValue.
        """
        worker = _Worker(synchronous_of(cache), synchronous_of(storage), batch_size, interval)
        self._open(worker)

    start = awaitable(_Worker.start)
    stop = awaitable(_Worker.stop)

    def notify_new_message(self) -> None:
        """Wake the worker. The cache does this after each recorded message."""
        self.synchronous.notify_new_message()

    def stats(self) -> WorkerStats:
        """The worker's counters, latencies and last error."""
        return self.synchronous.stats()

    async def __aenter__(self) -> ChatPersistenceWorker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@coroutine_function
def chat_history(
    cache_messages: Sequence[Message],
    storage_side: MongoChatStorage | library.MongoChatStorage | None,
    session_id: str,
    limit: int = 50,
) -> Coroutine[Any, Any, ChatHistory]:
    """The newest `limit` (1 to 500) messages of a session, from those that the application keeps and from MongoDB.

    If MongoDB is unreachable or denies access, the result has the application's messages, and `failure` has the error.
    """
    return Calls().call(library.chat_history, cache_messages, synchronous_of(storage_side), session_id, limit)
