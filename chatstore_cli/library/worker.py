"""The worker of an application: it stores what the cache records."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from chatstore_cli.core.recording.worker import PersistenceWorker
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.wiring.recording import refused_messages

if TYPE_CHECKING:
    from chatstore_cli.library.cache import LocalChatCache
    from chatstore_cli.library.storage import MongoChatStorage


_SESSIONS_AT_ONCE = 1_000
_workers: weakref.WeakSet[ChatPersistenceWorker] = weakref.WeakSet()


class ChatPersistenceWorker(PersistenceWorker):
    """A thread that stores what a cache recorded, in batches, and retries during every outage. One worker for each cache."""

    def __init__(
        self,
        cache: LocalChatCache,
        storage: MongoChatStorage,
        batch_size: int | None = None,
        interval: float | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        """At most `batch_size` messages are stored together, and a message waits `interval` seconds for others. The defaults
        are the storage's settings mongo.worker (100 messages, 1 second).

        A message that MongoDB rejects is quarantined beside the journals (`chatstore cache quarantine list`), or without
        journals in the quarantine of standard input (`chatstore cache quarantine list -`). Raises BadValue.
        """
        if cache.pending is None:
            raise BadValue(name="cache", value="for_worker=False", expected="a cache that was made for a worker")
        configured = storage.settings.mongo.worker
        batch_size = configured.batch_size if batch_size is None else batch_size
        interval = configured.interval_seconds if interval is None else interval
        if not 1 <= batch_size <= 10_000:
            raise BadValue(name="batch_size", value=batch_size, expected="from 1 to 10,000")
        if not 0 <= interval <= 3_600:
            raise BadValue(name="interval", value=interval, expected="from 0 to 3,600 seconds")
        from chatstore_cli.core.recording.storing import NewMessages

        super().__init__(
            cache.pending,
            lambda retries: NewMessages(storage.stores.message_store, storage.rules, retries, on_deleted=cache.forget),
            lambda: refused_messages(cache.disk_path, storage.settings.state.folder),
            cache.encode_entry,
            lambda: _forget_deleted(cache, storage),
            batch_size=batch_size,
            interval=interval,
            clock=clock,
        )
        self._cache = cache
        cache.on_new_message(self.notify_new_message)
        _workers.add(self)

    def start(self) -> None:
        """Start storing. Does nothing if the worker runs already. Starts again after a stop, and in the child of a fork."""
        self._cache.on_new_message(self.notify_new_message)
        super().start()

    def __enter__(self) -> ChatPersistenceWorker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _forget_deleted(cache: LocalChatCache, storage: MongoChatStorage) -> None:
    """Let the cache forget the messages in memory that were deleted with their sessions."""
    sessions = cache.remembered_sessions()
    for start in range(0, len(sessions), _SESSIONS_AT_ONCE):
        tombstones = storage.stores.message_store.tombstones(sessions[start : start + _SESSIONS_AT_ONCE])
        for session_id, tombstone in tombstones.items():
            cache.forget(session_id, tombstone)


def _after_fork() -> None:
    for worker in list(_workers):
        worker.start_over_after_fork()


os.register_at_fork(after_in_child=_after_fork)
