"""Messages that are recorded and not stored yet: in memory up to a bound, and beyond it in their journals only."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from chatstore_cli.domain.errors import NotRecorded
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, flaw_of, is_plain
from chatstore_cli.domain.recording import JournalRange, LineLocation, RecoveredLines

OVERHEAD = 700
"""Bytes of memory that a queued message needs beside its line, approximately."""
_USUAL_LINE_BYTES = 1024


class Batch(NamedTuple):
    """Messages to be stored together. `lost` counts those that were in a journal only and can no longer be read there."""

    entries: list[Entry]
    bytes: int
    lost: int = 0


class PendingMessages:
    """The queue between recording and storing. Thread-safe; one thread takes batches.

    `read_back(range, lines, bytes)` reads lines of a journal; None without journals: then a full queue rejects messages.
    `number_of` returns the number in a message_id of this cache, and None for an id that another process made.
    """

    def __init__(
        self,
        max_messages: int,
        max_bytes: int,
        read_back: Callable[[JournalRange, int, int], RecoveredLines | None] | None,
        number_of: Callable[[str], int | None],
    ) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._read_back = read_back
        self._number_of = number_of
        self._lock = threading.Lock()
        self._queue: deque[tuple[Entry, int]] = deque()
        self._bytes = 0
        self._taken_bytes = 0
        self._unread: deque[JournalRange] = deque()
        self._growing: dict[str, JournalRange] = {}  # by journal: the unread range that its next line belongs to
        self.depth = 0
        """Messages that are not stored yet, including those in batches that are being stored."""

    def check_room(self, size: int) -> None:
        """Raises NotRecorded if the queue is full and there is no journal."""
        if self._read_back is None and self._is_full(size):
            raise NotRecorded(
                what=f"{self.depth:,} messages are not stored yet, and the queue is full.",
                hint="Check that the worker runs and that MongoDB is reachable. With a disk_path, a journal keeps the rest.",
            )

    def add(self, entry: Entry, location: LineLocation, size: int) -> None:
        """Append a recorded message to the queue; if the queue is full, remember only the message's location."""
        with self._lock:
            self.depth += 1
            growing = self._growing.get(location.source)
            if growing is None and not (self._read_back is not None and self._is_full(size)):
                self._queue.append((entry, size))
                self._bytes += size
                return
            end = location.offset + location.length + 1
            number = self._number_of(entry.fields["message_id"]) or 0
            if growing is not None and growing.inode == location.inode and growing.end <= location.offset:
                growing.end = end
                growing.messages += 1
                growing.last = number
            else:  # the first, or the first since the file was replaced or cut
                unread = JournalRange(
                    location.source, location.inode, location.offset, end, location.number, 1, number, number
                )
                self._growing[location.source] = unread
                self._unread.append(unread)

    def _is_full(self, size: int) -> bool:
        held = self._bytes + self._taken_bytes
        return len(self._queue) >= self._max_messages or (held > 0 and held + size > self._max_bytes)

    def take(self, limit: int, max_bytes: int) -> Batch | None:
        """The next messages: at most `limit`, about `max_bytes` bytes, at least one message; None if there are none."""
        with self._lock:
            entries: list[Entry] = []
            size = 0
            while self._queue and len(entries) < limit and (not entries or size + self._queue[0][1] <= max_bytes):
                entry, entry_size = self._queue.popleft()
                entries.append(entry)
                size += entry_size
            self._bytes -= size
            self._taken_bytes += size
        return Batch(entries, size) if entries else self._recover(limit, max_bytes)

    def _recover(self, limit: int, max_bytes: int) -> Batch | None:
        """The next messages that are in journals only; None if there are none."""
        entries: list[Entry] = []
        size = lost = 0
        is_empty = True
        while len(entries) < limit and size < max_bytes and (unread := self._pop_unread()) is not None:
            is_empty = False
            lines = limit - len(entries)
            about_bytes = min(max_bytes - size, lines * _USUAL_LINE_BYTES)
            try:
                recovered = self._read_back(unread, lines, about_bytes) if self._read_back is not None else None
            except OSError:
                with self._lock:
                    self._unread.append(unread)  # at the end, so that the other journals are read first
                if entries or lost:
                    break
                raise
            if recovered is None:
                lost += unread.messages
                continue
            for location, fields in recovered.lines:
                size += location.length
                number = self._own_number(fields)
                if number is not None and unread.messages and unread.first <= number <= unread.last:
                    entries.append(_entry(location, fields))
                    unread.messages -= 1
                    unread.first = number + 1
            if recovered.remaining is None:
                lost += unread.messages
            elif unread.messages:
                remaining = replace(recovered.remaining, messages=unread.messages, first=unread.first)
                with self._lock:
                    self._unread.appendleft(remaining)
        return None if is_empty else Batch(entries, 0, lost)

    def _pop_unread(self) -> JournalRange | None:
        with self._lock:
            if not self._unread:
                return None
            unread = self._unread.popleft()
            if self._growing.get(unread.source) is unread:
                del self._growing[unread.source]
            return unread

    def _own_number(self, fields: dict[str, Any]) -> int | None:
        message_id = fields.get("message_id")
        if not isinstance(message_id, str) or (number := self._number_of(message_id)) is None:
            return None
        # A line that was damaged by hand counts as lost here: flush-cache quarantines it.
        return number if is_plain(fields) or flaw_of(fields) is None else None

    def settle(self, batch: Batch) -> None:
        """Remove a batch that is stored, or that cannot be stored."""
        with self._lock:
            self.depth -= len(batch.entries) + batch.lost
            self._taken_bytes -= batch.bytes

    def give_back(self, batch: Batch) -> None:
        """Put a batch that could not be stored at the head of the queue."""
        with self._lock:
            self._taken_bytes -= batch.bytes
            entry_size = batch.bytes // max(1, len(batch.entries))
            self._queue.extendleft((entry, entry_size) for entry in reversed(batch.entries))
            self._bytes += entry_size * len(batch.entries)
            self.depth -= batch.lost

    def clear(self) -> None:
        """In the child of a fork: empty the queue. The parent stores what it held."""
        self._lock = threading.Lock()
        self._queue.clear()
        self._unread.clear()
        self._growing.clear()
        self._bytes = self._taken_bytes = self.depth = 0


def _entry(location: LineLocation, fields: dict[str, Any]) -> Entry:
    session = fields["session_id"]
    identity = identity_by_message_id(session_prefix(session), session, fields["message_id"])
    return Entry(location.source, identity, b"", fields["created_at"], fields, location.number, location.offset, b"")
