"""What is known of the events in segments, chat by chat, while a process appends to them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.workflow.event_filter import EVENT_FILTER, EventFilter
from chatstore_cli.mongo.workflow.segment_reader import MOVE

_MOST_BYTES = 16 << 20
_MOST_CHATS = 1_000


class MovedEvents:
    """The filters of the chats that were appended to last. May be used from several threads.

    A filter holds for a head whose newest segment is of that move: where somebody has put an older document back, and
    messages have moved anew, it is of another one.
    """

    def __init__(self, segments: Collection[Document]) -> None:
        self._segments = segments
        self._known: OrderedDict[str, tuple[Any, EventFilter | None]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def of(self, chat_id: str, last_segment: int, moved_messages: int | None, last_move: Any) -> EventFilter | None:
        """The filter over all segments of such a head; None where there is none. Callers translate driver errors."""
        if moved_messages is None or last_move is None:
            return None
        state = (last_segment, moved_messages, repr(last_move))
        with self._lock:
            known = self._known.get(chat_id)
            if known is not None and known[0] == state:
                self._known.move_to_end(chat_id)
                return known[1]
        newest = {"_id": f"{chat_id}:{last_segment}", MOVE: {"$eq": last_move}}
        found = self._segments.find_one(newest, {EVENT_FILTER: 1}) or {}
        carried = EventFilter.from_document(found)
        if carried is not None and carried.messages != moved_messages:
            carried = None
        with self._lock:
            self._drop(chat_id)
            self._known[chat_id] = (state, carried)
            self._bytes += _size(carried)
            while len(self._known) > _MOST_CHATS or self._bytes > _MOST_BYTES:
                self._bytes -= _size(self._known.popitem(last=False)[1][1])
        return carried

    def forget(self, chat_id: str) -> None:
        """Look at the chat's segments anew."""
        with self._lock:
            self._drop(chat_id)

    def _drop(self, chat_id: str) -> None:
        known = self._known.pop(chat_id, None)
        self._bytes -= 0 if known is None else _size(known[1])


def _size(known: EventFilter | None) -> int:
    return 0 if known is None else known.size_bytes
