"""Messages that are recorded and not stored yet: in memory up to a bound, and beyond it in their journals alone."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from chatstore_cli.domain.errors import NotRecorded
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import Entry, flaw_of, is_plain
from chatstore_cli.domain.recording import Place, ReadBack, Stretch

OVERHEAD = 700
"""Bytes that a waiting message takes beside its line, about."""
_USUAL_LINE = 1024


class Batch(NamedTuple):
    """Messages to be stored together. `lost` ones were left to a journal, and nobody can read them there any more."""

    entries: list[Entry]
    bytes: int
    lost: int = 0


class PendingMessages:
    """The queue between recording and storing. Safe to use from several threads; one of them takes.

    `read_back` reads so many lines of a stretch of a journal, about so many bytes; None where there are no journals:
    then a full queue refuses. `number_of` gives the number that a message_id of this cache counts, and None for those
    that other processes wrote between them.
    """

    def __init__(
        self,
        max_messages: int,
        max_bytes: int,
        read_back: Callable[[Stretch, int, int], ReadBack | None] | None,
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
        self._left_behind: OrderedDict[int, Stretch] = OrderedDict()
        self._growing: dict[str, int] = {}  # by journal: the stretch that its next line belongs to
        self._numbers = itertools.count()
        self.depth = 0
        """Messages that are not stored yet, those that have been taken and not settled among them."""

    def check_room(self, size: int) -> None:
        """Raises NotRecorded where the queue is full and there is no journal to leave a message to."""
        if self._read_back is None and self._is_full(size):
            raise NotRecorded(
                what=f"{self.depth:,} messages wait to be stored, and no more are kept in memory.",
                hint="Is the worker running, and the database there? With a disk_path a journal takes what memory cannot.",
            )

    def add(self, entry: Entry, place: Place, size: int) -> None:
        """Put a recorded message at the end of the queue; where that is full, remember only where it stands."""
        with self._lock:
            self.depth += 1
            key = self._growing.get(place.source)
            if key is None and not (self._read_back is not None and self._is_full(size)):
                self._queue.append((entry, size))
                self._bytes += size
                return
            end = place.offset + place.length + 1
            counted = self._number_of(entry.fields["message_id"]) or 0
            stretch = self._left_behind[key] if key is not None else None
            if key is not None and stretch and stretch.file == place.file and stretch.end <= place.offset:
                self._left_behind[key] = stretch._replace(end=end, messages=stretch.messages + 1, last=counted)
            else:  # the first, or the first since somebody replaced the file or cut it
                key = self._growing[place.source] = next(self._numbers)
                self._left_behind[key] = Stretch(
                    place.source, place.file, place.offset, end, place.number, 1, counted, counted
                )

    def _is_full(self, size: int) -> bool:
        waiting = self._bytes + self._taken_bytes
        return len(self._queue) >= self._max_messages or (waiting > 0 and waiting + size > self._max_bytes)

    def take(self, limit: int, most_bytes: int) -> Batch | None:
        """The next messages, at most `limit` and about `most_bytes`, at least one; None where there are none."""
        with self._lock:
            entries: list[Entry] = []
            size = 0
            while self._queue and len(entries) < limit and (not entries or size + self._queue[0][1] <= most_bytes):
                entry, bytes_of_it = self._queue.popleft()
                entries.append(entry)
                size += bytes_of_it
            self._bytes -= size
            self._taken_bytes += size
        return Batch(entries, size) if entries else self._take_back(limit, most_bytes)

    def _take_back(self, limit: int, most_bytes: int) -> Batch | None:
        """What was left to the journals; None where nothing was."""
        entries: list[Entry] = []
        size = lost = 0
        found = False
        while len(entries) < limit and size < most_bytes and (stretch := self._first_left_behind()) is not None:
            found = True
            wanted = limit - len(entries)
            about = min(most_bytes - size, wanted * _USUAL_LINE)
            try:
                read = self._read_back(stretch, wanted, about) if self._read_back is not None else None
            except OSError:
                self._leave_behind(stretch, last=True)  # so that the others need not wait for it
                if entries or lost:
                    break
                raise
            if read is None:
                lost += stretch.messages
                continue
            rest = stretch
            for place, fields in read.lines:
                size += place.length
                number = self._mine(fields)
                if number is not None and rest.messages and rest.first <= number <= rest.last:
                    entries.append(_entry(place, fields))
                    rest = rest._replace(messages=rest.messages - 1, first=number + 1)
            if read.rest is None:
                lost += rest.messages
            elif rest.messages:
                self._leave_behind(read.rest._replace(messages=rest.messages, first=rest.first), last=False)
        return Batch(entries, 0, lost) if found else None

    def _first_left_behind(self) -> Stretch | None:
        with self._lock:
            if not self._left_behind:
                return None
            key, stretch = self._left_behind.popitem(last=False)
            if self._growing.get(stretch.source) == key:
                del self._growing[stretch.source]
            return stretch

    def _leave_behind(self, stretch: Stretch, *, last: bool) -> None:
        with self._lock:
            key = next(self._numbers)
            self._left_behind[key] = stretch
            self._left_behind.move_to_end(key, last=last)

    def _mine(self, fields: dict[str, Any]) -> int | None:
        message_id = fields.get("message_id")
        if not isinstance(message_id, str) or (number := self._number_of(message_id)) is None:
            return None
        # What somebody damaged by hand is lost: flush-cache puts it into quarantine.
        return number if is_plain(fields) or flaw_of(fields) is None else None

    def settle(self, batch: Batch) -> None:
        """The batch is stored, or nobody will ever store it."""
        with self._lock:
            self.depth -= len(batch.entries) + batch.lost
            self._taken_bytes -= batch.bytes

    def give_back(self, batch: Batch) -> None:
        """The batch could not be stored for now: it is the next one again."""
        with self._lock:
            self._taken_bytes -= batch.bytes
            each = batch.bytes // max(1, len(batch.entries))
            self._queue.extendleft((entry, each) for entry in reversed(batch.entries))
            self._bytes += each * len(batch.entries)
            self.depth -= batch.lost

    def clear(self) -> None:
        """After a fork: what waits is the parent's to store."""
        self._lock = threading.Lock()
        self._queue.clear()
        self._left_behind.clear()
        self._growing.clear()
        self._bytes = self._taken_bytes = self.depth = 0


def _entry(place: Place, fields: dict[str, Any]) -> Entry:
    session = fields["session_id"]
    identity = identity_by_message_id(session_prefix(session), session, fields["message_id"])
    return Entry(place.source, identity, b"", fields["created_at"], fields, place.number, place.offset, b"")
