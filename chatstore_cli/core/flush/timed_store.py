"""A store that is watched: since when is an answer waited for?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatstore_cli.domain.message_store import MessageStore


class WatchedStore:
    """The store, with when the question was asked that waits longest for its answer. Several threads may ask."""

    def __init__(self, store: MessageStore, monotonic: Callable[[], float], answered: Callable[[], None]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._answered = answered
        self._asked: dict[object, float] = {}

    @property
    def waiting_since(self) -> float | None:
        """By the monotonic clock; None where nothing is waited for."""
        return min(list(self._asked.values()), default=None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        question = getattr(self._store, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            key = object()
            self._asked[key] = self._monotonic()
            try:
                answer = question(*arguments, **named)
            finally:
                del self._asked[key]
            self._answered()
            return answer

        return ask
