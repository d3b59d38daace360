"""The look-up of deleted messages in MongoDB before a responder gets the messages in memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import ChatstoreError

if TYPE_CHECKING:
    from chatstore_cli.server.services import Services

_LONGEST_WAIT = 1.0
"""Seconds that an answer waits for MongoDB to report whether earlier messages were deleted."""
_PAUSE = 5.0
"""Seconds after a failed look-up in which no answer waits, so that an outage does not slow down the answers."""


class Deletions:
    """Looks up the deletions of sessions while MongoDB answers. During an outage, one look-up in a pause shows its end."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._asks_again_at: float | None = None

    async def forget(self, services: Services, session_id: str) -> None:
        """Forget the messages of a session that were deleted. If MongoDB is unreachable, none is forgotten."""
        storage, cache = services.storage, services.cache
        if storage is None:
            return
        if self._asks_again_at is not None:
            if self._monotonic() < self._asks_again_at:
                return
            self._pause()  # of the requests of this instant, one asks
        seconds = min(_LONGEST_WAIT, services.settings.chatstore.server.read_seconds)
        try:
            await services.reading.run(lambda: cache.forget_deleted(session_id, storage), seconds=seconds)
        except ChatstoreError:
            self._pause()
        else:
            self._asks_again_at = None

    def _pause(self) -> None:
        self._asks_again_at = self._monotonic() + _PAUSE
