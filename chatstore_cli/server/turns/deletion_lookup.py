"""The look-up of deleted messages in MongoDB before a responder gets the messages in memory."""

from __future__ import annotations

import time
from collections.abc import Callable

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

    async def forget_deleted(self, session_id: str, read_seconds: float) -> None:
        """Forget the messages of a session that were deleted. If MongoDB is unreachable, none is forgotten."""
        cache, storage = self._cache, self._storage
        if storage is None:
            return
        if self._pause_ends_at is not None:
            if self._monotonic() < self._pause_ends_at:
                return
            self._pause()  # only one of the answers of this instant waits
        seconds = min(_LONGEST_WAIT, read_seconds)
        try:
            await self._reading.run(lambda: cache.forget_deleted(session_id, storage), seconds=seconds)
        except ChatstoreError:
            self._pause()
        else:
            self._pause_ends_at = None

    def _pause(self) -> None:
        self._pause_ends_at = self._monotonic() + _PAUSE
