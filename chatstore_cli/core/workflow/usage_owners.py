"""What a process remembers of the chats whose events it stores, beside what the database has: small, and lost with it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

_MOST_CHATS = 1_000

Thing = TypeVar("Thing")


class Remembered(Generic[Thing]):
    """Something of each of the chats that were noted last. May be used from several threads."""

    def __init__(self, most_chats: int = _MOST_CHATS) -> None:
        self._most_chats = most_chats
        self._things: OrderedDict[str, Thing] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, chat_id: str, thing: Thing) -> None:
        """Remember it, in place of what there was."""
        with self._lock:
            self._things[chat_id] = thing
            self._things.move_to_end(chat_id)
            while len(self._things) > self._most_chats:
                self._things.popitem(last=False)

    def of(self, chat_id: str) -> Thing | None:
        """What is remembered of a chat."""
        with self._lock:
            return self._things.get(chat_id)

    def forget(self, chat_id: str) -> None:
        """Remember nothing of it."""
        with self._lock:
            self._things.pop(chat_id, None)


class UsageOwners:
    """Whose usage the next report is. AG2 says so in an event of its own, right before the report.

    Each thread delivers its events in their order; what another thread has noted counts only for one that noted nothing.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._any: Remembered[str] = Remembered()

    def note(self, chat_id: str, agent: str) -> None:
        """The next report of the chat, in this thread, is this agent's."""
        own: Remembered[str] | None = getattr(self._own, "agents", None)
        if own is None:
            own = self._own.agents = Remembered()
        own.note(chat_id, agent)
        self._any.note(chat_id, agent)

    def of(self, chat_id: str) -> str | None:
        """Whose report it is, as far as is known."""
        own: Remembered[str] | None = getattr(self._own, "agents", None)
        noted = None if own is None else own.of(chat_id)
        return self._any.of(chat_id) if noted is None else noted
