"""What a process remembers of the chats whose events it stores, beside what the database has: small, and lost with it."""

from __future__ import annotations

import threading

from chatstore_cli.core.lru import LruMap


class UsageOwners:
    """Whose usage the next report is. AG2 says so in an event of its own, right before the report.

    Each thread delivers its events in their order; what another thread has noted counts only for one that noted nothing.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._any: LruMap[str, str] = LruMap()

    def note(self, chat_id: str, agent: str) -> None:
        """The next report of the chat, in this thread, is this agent's."""
        own: LruMap[str, str] | None = getattr(self._own, "agents", None)
        if own is None:
            own = self._own.agents = LruMap()
        own.put(chat_id, agent)
        self._any.put(chat_id, agent)

    def of(self, chat_id: str) -> str | None:
        """Whose report it is, as far as is known."""
        own: LruMap[str, str] | None = getattr(self._own, "agents", None)
        noted = None if own is None else own.get(chat_id)
        return self._any.get(chat_id) if noted is None else noted
