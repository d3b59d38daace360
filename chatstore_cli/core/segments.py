"""Keeping a chat's own document small: when its oldest messages move into segments."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.segments import GUARD_BYTES, HARD_LIMIT_BYTES, MEBIBYTE, Move, SegmentStore

_REMEMBERED = 1_000
_LOOK_AGAIN_BYTES = MEBIBYTE // 4
_KEPT_BYTES = 8 * MEBIBYTE
_MOST_MOVES = 64


@dataclass(slots=True)
class _Estimate:
    """What is known of a head: how much may still be appended before it is looked at again."""

    bytes_left: int
    messages_left: int


class SegmentKeeper:
    """Moves a head's oldest messages out before it passes 12 MiB, or beyond 2 x `segment_messages` where that is set.

    A writer calls `after_append` after each append, and `make_room` where the server refused an append because the
    document would be too large. May be used from several threads.
    """

    def __init__(
        self,
        store: SegmentStore,
        *,
        segment_messages: int | None = None,
        guard_bytes: int = GUARD_BYTES,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._segment_messages = segment_messages
        self._guard_bytes = guard_bytes
        self._kept_bytes = guard_bytes * _KEPT_BYTES // GUARD_BYTES
        self._warn = warn
        self._known: OrderedDict[str, _Estimate] = OrderedDict()
        self._lock = threading.Lock()

    def after_append(self, session_id: str, appended_bytes: int, appended_messages: int = 1) -> int | None:
        """Note that messages of so many BSON bytes were appended; gives the head's `last_segment` where that changed.

        Raises nothing of ours: the append has taken place. What kept a move from taking place is told by `warn`, and it
        is tried again later.
        """
        with self._lock:
            known = self._known.get(session_id)
            if known is not None:
                self._known.move_to_end(session_id)
                known.bytes_left -= appended_bytes
                known.messages_left -= appended_messages
                if known.bytes_left > 0 and known.messages_left > 0:
                    return None
        try:
            return self._look(session_id, appended_bytes)
        except ChatstoreError as error:
            self._remember(session_id, _Estimate(_LOOK_AGAIN_BYTES, self._segment_messages or 1_000))
            if self._warn is not None:
                self._warn(f"Session {session_id!r}: its oldest messages could not be moved. {error.message}")
            return None

    def make_room(self, session_id: str, needed_bytes: int) -> int | None:
        """Move messages out until `needed_bytes` more fit into the head; gives its `last_segment` now.

        None where nothing could be moved: then the message does not fit into any document. Raises the store's errors.
        """
        self.forget(session_id)
        kept = max(0, min(self._kept_bytes, HARD_LIMIT_BYTES - MEBIBYTE // 16 - needed_bytes))
        return self._shrink(session_id, kept, self._segment_messages or 0)

    def forget(self, session_id: str) -> None:
        """Look at the session's head anew after the next append."""
        with self._lock:
            self._known.pop(session_id, None)

    def _look(self, session_id: str, appended_bytes: int) -> int | None:
        head = self._store.head(session_id)
        if head is None:
            self.forget(session_id)
            return None
        last_segment = None
        if self._is_full(head.size_bytes, head.message_count):
            by_size = head.size_bytes >= self._guard_bytes
            keep_messages = self._segment_messages or 0
            last_segment = self._shrink(session_id, self._kept_bytes if by_size else None, keep_messages)
            head = self._store.head(session_id) or head
        # Others may append as well: half of the room that is left is ours until the next look.
        bytes_left = max(_LOOK_AGAIN_BYTES, (self._guard_bytes - head.size_bytes) // 2)
        messages_left = 2**62
        if self._segment_messages is not None:
            messages_left = max(1, 2 * self._segment_messages - head.message_count)
        self._remember(session_id, _Estimate(bytes_left, messages_left))
        return last_segment

    def _is_full(self, size_bytes: int, message_count: int) -> bool:
        by_count = self._segment_messages is not None and message_count >= 2 * self._segment_messages
        return by_count or size_bytes >= self._guard_bytes

    def _shrink(self, session_id: str, kept_bytes: int | None, keep_messages: int) -> int | None:
        """Move until the head has at most `kept_bytes` (None: is no longer full); gives its `last_segment`, if moved."""
        last_segment = None
        for _ in range(_MOST_MOVES):
            head = self._store.head(session_id)
            if head is None:
                break
            if kept_bytes is not None and head.size_bytes <= kept_bytes:
                break
            if kept_bytes is None and not self._is_full(head.size_bytes, head.message_count):
                break
            moved: Move | None = self._store.move_oldest(session_id, keep_messages=keep_messages)
            if moved is None and keep_messages:
                keep_messages = 0
                continue
            if moved is None:
                break
            last_segment = moved.segment
        return last_segment

    def _remember(self, session_id: str, estimate: _Estimate) -> None:
        with self._lock:
            self._known[session_id] = estimate
            self._known.move_to_end(session_id)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
