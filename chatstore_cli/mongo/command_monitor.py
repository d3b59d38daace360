"""Hearing of every answer of the server, and of faults that the driver hides by asking once more."""

from __future__ import annotations

from collections.abc import Callable

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.mongo.connection import RETRYABLE_CODES

_NETWORK = frozenset(
    {"AutoReconnect", "ConnectionFailure", "NetworkTimeout", "NotPrimaryError", "WaitQueueTimeoutError"}
)
_AWAY = RETRYABLE_CODES - {43, 237, 50736, 50737, 50738}  # those tell of a cursor, which the driver opens anew
_CLEARING_UP = frozenset({"killCursors", "endSessions"})
"""What the driver sends to a server that it is about to leave."""


class Answers(CommandListener):
    """Tells of answers, and of failures that mean that the server is away: on whatever thread asked."""

    def __init__(self, answered: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._answered = answered
        self._failed = failed

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing is known by then."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """The server is there."""
        if event.command_name not in _CLEARING_UP:
            self._answered()

    def failed(self, event: CommandFailedEvent) -> None:
        """It is away, or it refuses what was asked."""
        failure = event.failure
        is_away = failure.get("errtype") in _NETWORK or failure.get("code") in _AWAY
        if is_away and event.command_name not in _CLEARING_UP:
            said = str(failure.get("errmsg", "")).partition(" (configured timeouts")[0].partition("\n")[0]
            self._failed(said or "no reason is given")
