"""A map that keeps only the entries that were written last."""

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
