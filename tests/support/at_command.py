"""Does something at a chosen command to MongoDB, so that it happens between two commands of what is tested."""

from __future__ import annotations

from collections.abc import Callable

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class AtCommand(CommandListener):
    """Calls `action` before the n-th command, counted from 1, of the client that it listens to, and `then` before the next.

    The command is sent once the action has returned. The actions run in the thread that sends the command.
    """

    def __init__(self, number: int, action: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
        self._number = number
        self._actions = {number: action, number + 1: then}
        self.commands: list[str] = []
        """The names of the commands so far."""

    @property
    def reached(self) -> bool:
        """Whether the command was sent, and the action with it."""
        return len(self.commands) >= self._number

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command_name)
        self._actions.get(len(self.commands), lambda: None)()

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass
