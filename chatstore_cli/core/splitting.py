"""Large documents: how fast they grow, and making them smaller while an application goes on appending to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import blake2b

from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.ports import SessionReader
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.segments import (
    HARD_LIMIT_BYTES,
    SEGMENT_BYTES,
    DocumentSize,
    Growth,
    HeadSize,
    SegmentStore,
    SplitResult,
)
from chatstore_cli.domain.session import SessionStatus

_LEAST_SPAN = timedelta(minutes=1)
_FARTHEST = timedelta(days=365_000)
_EVERYTHING = MessageSelection()


def growth_of(document: DocumentSize, now: datetime) -> Growth:
    """The growth of a document, from its first message up to now; an ended chat has none."""
    first = document.first_message_at
    has_ended = document.session.status in (SessionStatus.COMPLETED, SessionStatus.FAILED)
    if has_ended or first is None or now - first < _LEAST_SPAN or document.messages_in_document < 2:
        return Growth(None, None)
    per_day = document.size_bytes / ((now - first) / timedelta(days=1))
    days = max(0, HARD_LIMIT_BYTES - document.size_bytes) / per_day
    is_near = days < min(_FARTHEST, datetime.max.replace(tzinfo=now.tzinfo) - now) / timedelta(days=1)
    return Growth(round(per_day), now + timedelta(days=days) if is_near else None)


def head_of(store: SegmentStore, session_id: str) -> HeadSize:
    """The size of a session's document. Raises NotFound."""
    head = store.head(session_id)
    if head is None:
        raise NotFound(kind_of_thing="workflow session", name=session_id, where="")
    return head


def split(store: SegmentStore, reader: SessionReader, session_id: str, keep_bytes: int) -> SplitResult:
    """Move the oldest messages out until the document has at most `keep_bytes`, or one message.

    The session is read before and afterwards. What an application appends meanwhile stays, and is no difference.
    """
    before = head_of(store, session_id)
    seen = [digest for digest, _ in _digests(reader.messages(session_id, _EVERYTHING))]
    segments = moved_messages = 0
    head = before
    while head.size_bytes > keep_bytes:
        # A little more than need be: else the last segment would often have a single message.
        most = min(SEGMENT_BYTES, head.size_bytes - keep_bytes + keep_bytes // 8)
        moved = store.move_oldest(session_id, keep_messages=1, at_most_bytes=most)
        if moved is None:
            break
        segments += 1
        moved_messages += moved.message_count
        head = head_of(store, session_id)
    messages = reads_the_same(seen, reader.messages(session_id, _EVERYTHING))
    return SplitResult(
        session_id, before.size_bytes, head.size_bytes, segments, moved_messages, abs(messages), messages >= 0
    )


def reads_the_same(seen: list[bytes], messages: Iterable[Message]) -> int:
    """How many messages there are; below zero where those seen before are not all there once and in order."""
    known = set(seen)
    found = count = 0
    is_same = True
    for digest, has_id in _digests(messages):
        count += 1
        if found < len(seen) and digest == seen[found]:
            found += 1
        elif digest in known and (has_id or found < len(seen)):
            is_same = False  # twice, or not in its place
    return count if is_same and found == len(seen) else -max(1, count)


def _digests(messages: Iterable[Message]) -> Iterator[tuple[bytes, bool]]:
    for message in messages:
        written = repr(tuple(message)).encode("utf-8", "backslashreplace")
        yield blake2b(written, digest_size=16).digest(), message.message_id is not None
