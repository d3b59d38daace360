"""Measures how long calls of a message store have been waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chatstore_cli.domain.message_store import MessageStore


class TimedStore:
    """Wraps a MessageStore and records how long the oldest pending call has been waiting. Several threads may call it."""

    def __init__(self, store: MessageStore, monotonic: Callable[[], float], on_answer: Callable[[], None]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._on_answer = on_answer
        self._pending: dict[object, float] = {}

    @property
    def waiting_since(self) -> float | None:
        """When the oldest pending call began, by the monotonic clock; None if no call is pending."""
        return min(list(self._pending.values()), default=None)

    def server_now(self) -> datetime:
        """The store's answer, which does not count as one of the database: usually no command is sent for it."""
        now: datetime = self._timed(self._store.server_now)
        return now

    def reach(self, seconds: float) -> None:
        """As the store's. It does not count as an answer: a reachable server may still reject or delay a command."""
        self._timed(self._store.reach, seconds)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            result = self._timed(method, *arguments, **named)
            self._on_answer()
            return result

        return call

    def _timed(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        key = object()
        self._pending[key] = self._monotonic()
        try:
            return method(*arguments, **named)
        finally:
            del self._pending[key]
