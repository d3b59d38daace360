"""The look-up of deleted messages in MongoDB before a responder gets the messages in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.library.cache import LocalChatCache
from chatstore_cli.library.storage import MongoChatStorage
from chatstore_cli.server.threads import WorkThreads

_LONGEST_WAIT = 1.0
"""Seconds that an answer waits for MongoDB to report whether earlier messages were deleted."""
_PAUSE = 5.0
"""Seconds after a failed look-up in which no answer waits, so that an outage does not slow down the answers."""


class DeletionLookup:
    """Looks up the deletion of a session. During an outage, one look-up after each pause shows whether it has ended."""

    def __init__(
        self,
        cache: LocalChatCache,
        storage: MongoChatStorage | None,
        reading: WorkThreads,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`storage` is None if the database is disabled."""
        self._cache, self._storage, self._reading = cache, storage, reading
        self._monotonic = monotonic
        self._pause_ends_at: float | None = None
        self._asked: set[str] = set()
        self._current: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def forget_deleted(self, session_id: str, read_seconds: float) -> None:
        """Forget the messages of a session that were deleted. If MongoDB is unreachable, none is forgotten.

        Answers that wait at the same time share the look-up that follows the current one, because one for each would take
        a quarter of their rate. They all continue when it ends. With a lock they would continue one by one, and the last of
        200 would wait for seconds.
        """
        if self._storage is None or self._is_paused():
            return
        self._asked.add(session_id)
        if self._next is None:
            self._next = asyncio.create_task(self._look_up(self._storage, min(_LONGEST_WAIT, read_seconds)))
        await asyncio.shield(self._next)  # if this client disconnects, the others keep the look-up

    async def _look_up(self, storage: MongoChatStorage, seconds: float) -> None:
        """Look up the sessions that were asked for while the current look-up ran, which began too early for them."""
        if self._current is not None:
            await asyncio.wait([self._current])
        self._current, self._next = self._next, None
        asked, self._asked = self._asked, set()
        if self._is_paused():
            return
        if self._pause_ends_at is not None:
            self._pause()  # the look-up shows whether the outage has ended; meanwhile no answer waits
        try:
            await self._reading.run(lambda: self._forget(asked, storage), seconds=seconds)
        except ChatstoreError:
            self._pause()
        else:
            self._pause_ends_at = None

    def _forget(self, session_ids: Collection[str], storage: MongoChatStorage) -> None:
        for session_id, tombstone in storage.tombstones(session_ids).items():
            self._cache.forget(session_id, tombstone)

    def _is_paused(self) -> bool:
        return self._pause_ends_at is not None and self._monotonic() < self._pause_ends_at

    def _pause(self) -> None:
        self._pause_ends_at = self._monotonic() + _PAUSE
