"""Large documents: how fast they grow, and making them smaller while an application goes on appending to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from chatstore_cli.domain.errors import (
    ChatstoreError,
    Conflict,
    ExitCode,
    Interrupted,
    NotAllowed,
    NotFound,
    Unreachable,
)
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.workflow.segments import (
    HARD_LIMIT_BYTES,
    SEGMENT_BYTES,
    DocumentSize,
    DocumentSizes,
    Growth,
    HeadSize,
    SegmentStore,
    SplitOutcome,
    SplitResult,
)

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


def found_heads(sizes: DocumentSizes, most: int, at_least_bytes: int) -> list[HeadSize]:
    """The largest documents of at least that size."""
    return [
        HeadSize(each.session.session_id, each.size_bytes, each.messages_in_document, document=each.document)
        for each in sizes.largest(most, at_least_bytes)
    ]


class Splitting:
    """Splits documents one after another, each on its own: what keeps one from being split is told and stops no other.

    `results` gives a result for each as soon as it is known; `end` says afterwards how all of it ended. Of one document
    that was `named`, whatever keeps it from being split is raised there.
    """

    def __init__(
        self,
        store: SegmentStore,
        reader: SessionReader,
        keep_bytes: int,
        *,
        named: bool,
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._reader = reader
        self._keep_bytes = keep_bytes
        self._named = named
        self._say = say
        self._failed = False
        self._stopped: ChatstoreError | None = None
        self._different = False

    def results(self, heads: Sequence[HeadSize]) -> Iterator[SplitResult]:
        """Of each document in turn, until the database is away, refuses, or somebody interrupts."""
        for place, head in enumerate(heads):
            result = SplitResult(head.session_id, head.size_bytes)
            how_far = f"{place} of {len(heads)} documents were done. Run the same command again to go on."
            try:
                self._split(head, result)
            except KeyboardInterrupt:
                result.outcome = SplitOutcome.INTERRUPTED
                self._stopped = Interrupted(what=f"{how_far} What has moved by now stays, and nothing is lost.")
            except ChatstoreError as error:
                result.outcome = SplitOutcome.FAILED
                if self._named:
                    self._stopped = error
                elif isinstance(error, Unreachable | NotAllowed):  # as it would be for every other one
                    error.hint = f"{error.hint or ''} {how_far}".strip()
                    self._stopped = error
                else:
                    self._failed = True
                    self._say(f"Session {head.session_id!r} was not split: {error.message} {error.hint or ''}".rstrip())
            if result.reads_the_same is False:
                self._different = True
                self._say(
                    f"Session {head.session_id!r} reads differently now: its messages were changed meanwhile, or are "
                    "there twice."
                )
            if self._stopped is None or result.segments:
                yield result
            if self._stopped is not None:
                return

    def end(self) -> ExitCode:
        """How it ended. Raises what stopped it."""
        if self._stopped is not None:
            raise self._stopped
        if self._failed:
            return ExitCode.FAILED
        return ExitCode.FINDINGS if self._different else ExitCode.DONE

    def _split(self, listed: HeadSize, result: SplitResult) -> None:
        """Move the oldest messages out until the document has at most `keep_bytes`, or one message.

        The session is read before and afterwards. What an application appends meanwhile stays, and is no difference.
        """
        head = self._head_of(listed)
        session_id, keep_bytes = listed.session_id, self._keep_bytes
        result.size_before = head.size_bytes
        seen = [digest for digest, _ in _digests(self._reader.messages(session_id, _EVERYTHING))]
        while head.size_bytes > keep_bytes:
            # A little more than need be: else the last segment would often have a single message.
            most = min(SEGMENT_BYTES, head.size_bytes - keep_bytes + keep_bytes // 8)
            moved = self._store.move_oldest(session_id, keep_messages=1, at_most_bytes=most)
            if moved is None:
                break
            result.segments += 1
            result.moved_messages += moved.message_count
            head = head_of(self._store, session_id)
        result.size_after = head.size_bytes
        messages = reads_the_same(seen, self._reader.messages(session_id, _EVERYTHING))
        result.messages, result.reads_the_same = abs(messages), messages >= 0

    def _head_of(self, listed: HeadSize) -> HeadSize:
        """The document that is read under the session's id, if it is the one that was listed."""
        head = self._store.head(listed.session_id)
        if head is None:
            why = "It was deleted meanwhile, or its id is of a type that nothing can be found by."
            raise NotFound(kind_of_thing="workflow session", name=listed.session_id, where="", hint=why)
        if listed.document is not None and head.document != listed.document:
            raise Conflict(
                what=f"Another document has that id too ({head.document}), and is the one that is read under it.",
                hint=f"Give {listed.document} a chat_id of its own.",
            )
        return head


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
