"""The cache of an application: in memory, and in journals on disk."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.config.loading import load_settings
from chatstore_cli.config.settings import CacheSettings
from chatstore_cli.core.recording.cache import ChatCache
from chatstore_cli.core.recording.queue import PendingMessages
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.wiring.recording import recording_journal

if TYPE_CHECKING:
    from chatstore_cli.core.sessions.history import ChatHistory
    from chatstore_cli.domain.journal import Entry
    from chatstore_cli.library.storage import MongoChatStorage

_DEFAULTS = CacheSettings()
_caches: weakref.WeakSet[LocalChatCache] = weakref.WeakSet()


class LocalChatCache(ChatCache):
    """Keeps the newest messages of each session in memory, and all of them in journals on disk."""

    def __init__(
        self,
        max_messages_per_session: int = _DEFAULTS.max_messages_per_session,
        disk_path: str | Path | None = _DEFAULTS.disk_path,
        fsync: str = _DEFAULTS.fsync,
        *,
        for_worker: bool = True,
        max_pending_messages: int = 10_000,
        max_pending_bytes: int = 64 * 1024 * 1024,
        max_sessions: int = 10_000,
        max_memory_bytes: int = 256 * 1024 * 1024,
        clock: Clock = utc_now,
    ) -> None:
        """`disk_path` is the folder of the journals, created if missing. With None there are no journals, only the queue.

        `fsync` is when a line is synced to the disk: never (the system decides), interval (once a second) or always
        (before recording returns). `for_worker=False` queues nothing; use it if `chatstore worker` follows the folder or
        flush-cache runs regularly.

        Beyond `max_pending_messages` or `max_pending_bytes`, a message is in its journal only, and the worker reads it
        back; without a journal, recording raises NotRecorded. `max_sessions` and `max_memory_bytes` limit the messages
        in memory; the session used longest ago is evicted first. `disk_path`, `fsync` and `max_messages_per_session` are
        attributes as well. Raises BadValue.
        """
        for name, value in (
            ("max_messages_per_session", max_messages_per_session),
            ("max_pending_messages", max_pending_messages),
            ("max_pending_bytes", max_pending_bytes),
            ("max_sessions", max_sessions),
            ("max_memory_bytes", max_memory_bytes),
        ):
            if type(value) is not int or value < 1:
                raise BadValue(name=name, value=value, expected="a whole number, 1 or more")
        if disk_path is not None and (not isinstance(disk_path, str | Path) or not str(disk_path).strip()):
            raise BadValue(name="disk_path", value=disk_path, expected="a folder, or None")
        self.max_messages_per_session = max_messages_per_session
        self.fsync = fsync
        journal = recording_journal(disk_path, fsync)
        # Absolute, as in the journals: the application may change its working folder later.
        self.disk_path = None if disk_path is None else Path(disk_path).expanduser().resolve()

        def queue(number_of: Callable[[str], int | None]) -> PendingMessages | None:
            if not for_worker:
                return None
            read_back = journal.read_back if disk_path is not None else None
            return PendingMessages(max_pending_messages, max_pending_bytes, read_back, number_of)

        super().__init__(
            journal,
            max_messages_per_session=max_messages_per_session,
            max_sessions=max_sessions,
            max_memory_bytes=max_memory_bytes,
            pending=queue,
            clock=clock,
        )
        _caches.add(self)

    @classmethod
    def from_config(cls, config_file: str | None = None, *, for_worker: bool = True) -> LocalChatCache:
        """The cache that chatstore's configuration describes (mongo.cache). Raises BadConfig."""
        cache = load_settings(config_file).mongo.cache
        return cls(cache.max_messages_per_session, cache.disk_path, cache.fsync, for_worker=for_worker)

    def history(self, session_id: str, storage: MongoChatStorage | None = None, limit: int = 50) -> ChatHistory:
        """The newest `limit` (1 to 500) messages of a session, recorded or stored, each once, oldest first.

        Recorded messages are read from the journals, which include the lines of other processes, or from memory if there
        are no journals. If MongoDB is unreachable, the recorded messages are returned and `failure` has the error.
        Messages that were deleted with their session are left out, and leave memory. Raises BadValue, and ChatstoreError
        for a journal that cannot be read.
        """
        from chatstore_cli.core.sessions.history import history_of
        from chatstore_cli.domain.history import check_limit
        from chatstore_cli.wiring.history import journal_tail

        check_limit(limit)
        if self.disk_path is None:
            recorded = [self.messages(session_id)]
        else:
            recorded = journal_tail(self.disk_path, session_id, limit).journals
        open_storage = (lambda: storage) if storage is not None else None
        found = history_of(recorded, open_storage, session_id, limit, self.known_tombstone(session_id))
        if found.asked and found.tombstone is not None:
            self.forget(session_id, found.tombstone)
        return found

    def forget_deleted(self, session_id: str, storage: MongoChatStorage) -> None:
        """Forget the messages in memory that were deleted with their session. After that, `messages` does not return them.

        It is one look-up in MongoDB. Raises Unreachable, NotAllowed.
        """
        tombstone = storage.tombstone(session_id)
        if tombstone is not None:
            self.forget(session_id, tombstone)

    def __enter__(self) -> LocalChatCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encode_entry(self, entry: Entry) -> bytes:
        """The line that was recorded for a queued message."""
        return self._journal.encode(entry.fields)


def _after_fork() -> None:
    for cache in list(_caches):
        cache.start_over_after_fork()


os.register_at_fork(after_in_child=_after_fork)
