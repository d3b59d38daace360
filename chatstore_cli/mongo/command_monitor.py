"""Callbacks for every answer of the server, and for failures that the driver hides by retrying."""

from __future__ import annotations

from collections.abc import Callable

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.mongo.error_codes import RETRYABLE_CODES

_NETWORK_ERRORS = frozenset(
    {"AutoReconnect", "ConnectionFailure", "NetworkTimeout", "NotPrimaryError", "WaitQueueTimeoutError"}
)
_OUTAGE_CODES = RETRYABLE_CODES - {43, 237, 50736, 50737, 50738}  # these are about a cursor, which is opened again
_CLEANUP_COMMANDS = frozenset({"killCursors", "endSessions"})
"""Commands that the driver sends before it closes a connection."""


class CommandCallbacks(CommandListener):
    """Calls `answered` for each answer, and `failed` for each failure that means an outage, on the thread of the command."""

    def __init__(self, answered: Callable[[], None], failed: Callable[[str], None]) -> None:
        self._answered = answered
        self._failed = failed

    def started(self, event: CommandStartedEvent) -> None:
        """Does nothing."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """The server answered."""
        if event.command_name not in _CLEANUP_COMMANDS:
            self._answered()

    def failed(self, event: CommandFailedEvent) -> None:
        """The server is unreachable, or it rejected the command."""
        failure = event.failure
        is_outage = failure.get("errtype") in _NETWORK_ERRORS or failure.get("code") in _OUTAGE_CODES
        if is_outage and event.command_name not in _CLEANUP_COMMANDS:
            reason = str(failure.get("errmsg", "")).partition(" (configured timeouts")[0].partition("\n")[0]
            self._failed(reason or "no reason is given")
