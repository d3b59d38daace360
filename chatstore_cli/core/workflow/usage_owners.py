"""Remembers which agent the next usage report of a session belongs to, in memory only."""

from __future__ import annotations

import threading

from chatstore_cli.core.lru import LruMap


class UsageOwners:
    """The owner of the next usage report. AG2 names it in an event of its own, directly before the report.

    Each thread delivers its events in order, so a thread's own note counts before that of another thread.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._any: LruMap[str, str] = LruMap()

    def note(self, chat_id: str, agent: str) -> None:
        """Note that the session's next report in this thread belongs to this agent."""
        own: LruMap[str, str] | None = getattr(self._own, "agents", None)
        if own is None:
            own = self._own.agents = LruMap()
        own.put(chat_id, agent)
        self._any.put(chat_id, agent)

    def of(self, chat_id: str) -> str | None:
        """The owner of the next report, or None if it is not known."""
        own: LruMap[str, str] | None = getattr(self._own, "agents", None)
        noted = None if own is None else own.get(chat_id)
        return self._any.get(chat_id) if noted is None else noted
