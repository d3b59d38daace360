"""A map of limited size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LruMap(Generic[Key, Value]):
    """Keeps the `capacity` entries that were written last. Every method may be called from several threads.

    Reading does not renew an entry. To keep an entry, write it again.
    """

    def __init__(self, capacity: int = 1_000) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: Key, value: Value) -> tuple[Key, Value] | None:
        """Write an entry as the newest. Returns the oldest entry if it was removed for it, else None."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            return self._entries.popitem(last=False) if len(self._entries) > self._capacity else None

    def put_oldest(self, key: Key, value: Value) -> bool:
        """Write an entry as the oldest. Returns False, and changes nothing, if the key is known or the map is full."""
        with self._lock:
            if key in self._entries or len(self._entries) >= self._capacity:
                return False
            self._entries[key] = value
            self._entries.move_to_end(key, last=False)
            return True

    def get(self, key: Key) -> Value | None:
        """The value of `key`, or None."""
        with self._lock:
            return self._entries.get(key)

    def pop(self, key: Key) -> Value | None:
        """Remove an entry and return its value; None if there was none."""
        with self._lock:
            return self._entries.pop(key, None)

    def pop_oldest(self) -> tuple[Key, Value] | None:
        """Remove and return the entry that was written longest ago; None if the map is empty."""
        with self._lock:
            return self._entries.popitem(last=False) if self._entries else None

    def values(self) -> list[Value]:
        """The values at this moment, the one written longest ago first."""
        with self._lock:
            return list(self._entries.values())

    def clear(self) -> None:
        """Remove every entry."""
        with self._lock:
            self._entries.clear()

    def reset_after_fork(self) -> None:
        """In the child of a fork: replace the lock, which a thread of the parent may hold. The entries remain."""
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Key]:
        """The keys at this moment, the one written longest ago first."""
        with self._lock:
            return iter(list(self._entries))

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._entries

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)
