"""Decides when the oldest messages of a session's document move into segments, so that the document stays small."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.errors import ChatstoreError, Conflict, DocumentRefused, Unreachable
from chatstore_cli.domain.segments import GUARD_BYTES, HARD_LIMIT_BYTES, MEBIBYTE, DocumentFull, HeadSize, SegmentStore

_CHECK_AGAIN_BYTES = MEBIBYTE // 4
_KEPT_BYTES = 8 * MEBIBYTE
_MARGIN_BYTES = MEBIBYTE // 16
"""For the other fields of a head, and for the index of each message in the array."""

_UNLIMITED = 2**62


@dataclass(slots=True)
class _Estimate:
    """How much may still be appended to a head before its size is read again."""

    bytes_left: int
    messages_left: int


class SegmentKeeper:
    """Moves a head's oldest messages out before it is over 12 MiB, and if that is set, once it has `segment_messages`.

    A writer calls `after_append` after each append, and `make_room` if the server rejected an append because the
    document would be too large. May be used from several threads.
    """

    def __init__(
        self,
        store: SegmentStore,
        *,
        segment_messages: int | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._segment_messages = segment_messages
        # Few messages stay, because each append rewrites the document.
        self._max_messages = (
            _UNLIMITED if segment_messages is None else segment_messages + max(1, segment_messages // 20)
        )
        self._warn = warn
        self._estimates: LruMap[str, _Estimate] = LruMap()
        self._lock = threading.Lock()

    def after_append(self, session_id: str, appended_bytes: int) -> int | None:
        """Note that a message of that many BSON bytes was appended; returns the head's `last_segment` if that changed.

        Raises no ChatstoreError, because the append has taken place: if a move fails, `warn` reports it, and it is tried
        again later.
        """
        with self._lock:
            estimate = self._estimates.get(session_id)
            if estimate is not None:
                estimate.bytes_left -= appended_bytes
                estimate.messages_left -= 1
                self._estimates.put(session_id, estimate)
                if estimate.bytes_left > 0 and estimate.messages_left > 0:
                    return None
        try:
            return self._check(session_id)
        except ChatstoreError as error:
            self._estimates.put(session_id, _Estimate(_CHECK_AGAIN_BYTES, self._segment_messages or 1_000))
            self._warn(f"Session {session_id!r}: its oldest messages could not be moved. {error.message}")
            return None

    def make_room(self, session_id: str, needed_bytes: int) -> int | None:
        """Move messages out until `needed_bytes` more fit into the head; returns its new `last_segment`, 0 without one.

        None if they do not fit even then. Raises the store's errors.
        """
        self.forget(session_id)
        room = HARD_LIMIT_BYTES - _MARGIN_BYTES - needed_bytes
        head = self._store.head(session_id) if room >= 0 else None
        if head is None:
            return None
        if head.size_bytes > room:  # otherwise another writer has made room meanwhile
            head = self._shrink(head, min(_KEPT_BYTES, room), _UNLIMITED, 0)
        return head.last_segment or 0 if head.size_bytes <= room else None

    def forget(self, session_id: str) -> None:
        """Read the size of the session's head again after the next append."""
        self._estimates.pop(session_id)

    def _check(self, session_id: str) -> int | None:
        head = self._store.head(session_id)
        if head is None:
            self.forget(session_id)
            return None
        if head.last_segment:  # an earlier version moved messages without the index, and the next move may be far off
            self._store.check_index()
        small = self._segment_messages
        before = head
        if head.size_bytes >= GUARD_BYTES:
            head = self._shrink(head, _KEPT_BYTES, _UNLIMITED, 0)
        if small is not None and head.message_count >= self._max_messages:
            head = self._shrink(head, _UNLIMITED, self._max_messages - 1, self._max_messages - small)
        # Other writers may append as well, so only half of the remaining room is used before the next check.
        bytes_left = max(_CHECK_AGAIN_BYTES, (GUARD_BYTES - head.size_bytes) // 2)
        messages_left = max(1, self._max_messages - head.message_count)
        self._estimates.put(session_id, _Estimate(bytes_left, messages_left))
        return None if head is before else head.last_segment

    def _shrink(self, head: HeadSize, most_bytes: int, most_messages: int, keep_messages: int) -> HeadSize:
        """Move until the head has no more than that; returns its new size, or the same object if nothing moved."""
        while head.size_bytes > most_bytes or head.message_count > most_messages:
            moved = self._store.move_oldest(head.session_id, keep_messages=keep_messages)
            if moved is None:
                break
            size, count = head.size_bytes - moved.size_bytes, head.message_count - moved.message_count
            head = replace(head, size_bytes=size, message_count=count, last_segment=moved.segment)
        return head


def make_room_for(keeper: SegmentKeeper | None, session_id: str, event_id: str, full: DocumentFull) -> None:
    """Move messages out, so that the message fits. Raises DocumentRefused, and Unreachable if a retry can succeed."""
    try:
        moved = None if keeper is None else keeper.make_room(session_id, full.needed_bytes)
    except Conflict as error:  # another move is in progress or was interrupted, which ends by itself
        what = f"Storing a message of session {session_id!r}: {error.message}"
        raise Unreachable(what=what, hint="Try again in a minute.") from error
    if moved is None:
        raise DocumentRefused(
            where=f"Message {event_id!r} of session {session_id!r}",
            reason=f"its {full.needed_bytes:,} bytes do not fit into the session's document (limit 16 MiB)",
        )
