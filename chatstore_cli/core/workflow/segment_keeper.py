"""Keeping a chat's own document small: when its oldest messages move into segments."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.workflow.segments import GUARD_BYTES, HARD_LIMIT_BYTES, MEBIBYTE, HeadSize, SegmentStore

_REMEMBERED = 1_000
_LOOK_AGAIN_BYTES = MEBIBYTE // 4
_KEPT_BYTES = 8 * MEBIBYTE
_MARGIN_BYTES = MEBIBYTE // 16
"""For the fields of a head besides its messages, and for the names of these in their array."""


@dataclass(slots=True)
class _Estimate:
    """What is known of a head: how much may still be appended before it is looked at again."""

    bytes_left: int
    messages_left: int


class SegmentKeeper:
    """Moves a head's oldest messages out before it passes 12 MiB, or, where that is set, when it has `segment_messages`.

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
        # So few stay that appending to them costs no more than at the beginning of a chat; each append rewrites them.
        self._most_messages = 2**62 if segment_messages is None else segment_messages + max(1, segment_messages // 20)
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
            return self._look(session_id)
        except ChatstoreError as error:
            self._remember(session_id, _Estimate(_LOOK_AGAIN_BYTES, self._segment_messages or 1_000))
            if self._warn is not None:
                self._warn(f"Session {session_id!r}: its oldest messages could not be moved. {error.message}")
            return None

    def make_room(self, session_id: str, needed_bytes: int) -> int | None:
        """Move messages out until `needed_bytes` more fit into the head; gives its `last_segment` now, 0 without any.

        None where they do not fit whatever is moved. Raises the store's errors.
        """
        self.forget(session_id)
        room = HARD_LIMIT_BYTES - _MARGIN_BYTES - needed_bytes
        head = self._store.head(session_id) if room >= 0 else None
        if head is None:
            return None
        if head.size_bytes > room:  # else another has made room meanwhile
            head = self._shrink(head, min(self._kept_bytes, room), 2**62, 0)
        return head.last_segment or 0 if head.size_bytes <= room else None

    def forget(self, session_id: str) -> None:
        """Look at the session's head anew after the next append."""
        with self._lock:
            self._known.pop(session_id, None)

    def _look(self, session_id: str) -> int | None:
        head = self._store.head(session_id)
        if head is None:
            self.forget(session_id)
            return None
        small = self._segment_messages
        before = head
        if head.size_bytes >= self._guard_bytes:
            head = self._shrink(head, self._kept_bytes, 2**62, 0)
        if small is not None and head.message_count >= self._most_messages:
            head = self._shrink(head, 2**62, self._most_messages - 1, self._most_messages - small)
        # Others may append as well: half of the room that is left is ours until the next look.
        bytes_left = max(_LOOK_AGAIN_BYTES, (self._guard_bytes - head.size_bytes) // 2)
        messages_left = max(1, self._most_messages - head.message_count)
        self._remember(session_id, _Estimate(bytes_left, messages_left))
        return None if head is before else head.last_segment

    def _shrink(self, head: HeadSize, most_bytes: int, most_messages: int, keep_messages: int) -> HeadSize:
        """Move until the head has no more than that; gives it as it then is, the same object where nothing moved."""
        while head.size_bytes > most_bytes or head.message_count > most_messages:
            moved = self._store.move_oldest(head.session_id, keep_messages=keep_messages)
            if moved is None:
                break
            size, count = head.size_bytes - moved.size_bytes, head.message_count - moved.message_count
            head = replace(head, size_bytes=size, message_count=count, last_segment=moved.segment)
        return head

    def _remember(self, session_id: str, estimate: _Estimate) -> None:
        with self._lock:
            self._known[session_id] = estimate
            self._known.move_to_end(session_id)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
