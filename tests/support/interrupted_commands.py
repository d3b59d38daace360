"""Ends a call in the middle of its work: before or after its n-th command to the database, as a process that is stopped.

A command that has begun takes effect as a whole, so these are all the instants that the database can tell apart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mongomock.collection
import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

BEFORE, AFTER = "before", "after"
COMMANDS_IN_MEMORY = (
    "aggregate", "count_documents", "delete_many", "delete_one", "find", "find_one", "find_one_and_update",
    "insert_many", "insert_one", "update_many", "update_one",
)  # fmt: skip


class Interrupted(BaseException):
    """The call has ended. No code that handles errors handles this one."""


class Interruption(CommandListener):
    """Raises Interrupted in the thread that armed it, at the command that it was armed for.

    Register it before the client is made. In memory there are no commands: `in_memory` makes methods of collections count.
    """

    def __init__(self) -> None:
        self._thread: int | None = None
        self._left = 0
        self._instant = BEFORE
        self._is_inside = False

    @contextmanager
    def at(self, number: int, instant: str) -> Iterator[None]:
        """Interrupt the block before or after its n-th command, counted from 1. A block with fewer commands ends as usual."""
        self._thread, self._left, self._instant = threading.get_ident(), number, instant
        try:
            yield
        finally:
            self._thread = None

    def started(self, event: CommandStartedEvent | None) -> None:
        if self._thread == threading.get_ident():
            self._left -= 1
            self._interrupt_if(BEFORE)

    def succeeded(self, event: CommandSucceededEvent | None) -> None:
        self._interrupt_if(AFTER)

    def failed(self, event: CommandFailedEvent) -> None:
        self._interrupt_if(AFTER)

    def _interrupt_if(self, instant: str) -> None:
        if self._thread == threading.get_ident() and (self._left, self._instant) == (0, instant):
            self._thread = None
            raise Interrupted

    def in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every call of a method of a collection in memory be a command."""
        for name in COMMANDS_IN_MEMORY:
            method = getattr(mongomock.collection.Collection, name)
            monkeypatch.setattr(mongomock.collection.Collection, name, self._counted(method))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._is_inside:  # one method of a collection calls others
                return method(*arguments, **named)
            self.started(None)
            self._is_inside = True
            try:
                result = method(*arguments, **named)
            finally:
                self._is_inside = False
            self.succeeded(None)
            return result

        return call
