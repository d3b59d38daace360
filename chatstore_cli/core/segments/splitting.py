"""Forecasts the growth of large documents, and splits them while an application continues to append to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from operator import attrgetter

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
from chatstore_cli.domain.segments import (
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
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.session_reader import SessionReader

_MIN_SPAN = timedelta(minutes=1)
_MAX_FORECAST = timedelta(days=365_000)
_EVERYTHING = MessageSelection()


def growth_of(document: DocumentSize, now: datetime) -> Growth:
    """The growth of a document from its first message until now; None for a session that has ended."""
    first = document.first_message_at
    has_ended = document.session.status in (SessionStatus.COMPLETED, SessionStatus.FAILED)
    if has_ended or first is None or now - first < _MIN_SPAN or document.messages_in_document < 2:
        return Growth(None, None)
    per_day = document.size_bytes / ((now - first) / timedelta(days=1))
    days = max(0, HARD_LIMIT_BYTES - document.size_bytes) / per_day
    is_near = days < min(_MAX_FORECAST, datetime.max.replace(tzinfo=now.tzinfo) - now) / timedelta(days=1)
    return Growth(round(per_day), now + timedelta(days=days) if is_near else None)


def existing_head(stores: Mapping[str, SegmentStore], session_id: str) -> HeadSize:
    """The size of a session's document. Raises NotFound, and Conflict if two layouts or documents have the id."""
    heads = [head for store in stores.values() if (head := store.head(session_id)) is not None]
    if not heads:
        raise NotFound(kind_of_thing="session", name=session_id, where=f" in {' or '.join(stores)}")
    if len(heads) > 1:
        what = f"Session {session_id!r} is in the layouts {' and '.join(head.layout for head in heads)}."
        raise Conflict(what=what, hint=f"Choose one: --layout {heads[0].layout}.")
    return _of_one_document(heads[0])


def largest_documents(sizes: Iterable[DocumentSizes], limit: int, at_least_bytes: int) -> list[DocumentSize]:
    """The largest documents of at least this size in several layouts, largest first."""
    found = [document for each in sizes for document in each.largest(limit, at_least_bytes)]
    return sorted(found, key=attrgetter("size_bytes"), reverse=True)[:limit]


def large_heads(sizes: Iterable[DocumentSizes], limit: int, at_least_bytes: int) -> list[HeadSize]:
    """The largest documents, as heads that can be split."""
    return [
        HeadSize(
            each.session.layout,
            each.session.session_id,
            each.size_bytes,
            each.messages_in_document,
            document=each.document,
        )
        for each in largest_documents(sizes, limit, at_least_bytes)
    ]


class Splitting:
    """Splits documents one after another. A document that cannot be split is reported and does not stop the others.

    `stores` and `readers` have those of each layout. `results` yields the result of each document as soon as it is known.
    Afterwards `exit_code` returns the exit code of the whole run. With `is_named` there is one document, and `exit_code`
    raises the error that prevented its split.
    """

    def __init__(
        self,
        stores: Mapping[str, SegmentStore],
        readers: Mapping[str, SessionReader],
        keep_bytes: int,
        *,
        is_named: bool,
        say: Callable[[str], None],
    ) -> None:
        self._stores = stores
        self._readers = readers
        self._keep_bytes = keep_bytes
        self._is_named = is_named
        self._say = say
        self._failed = False
        self._error: ChatstoreError | None = None
        self._reads_differently = False

    def results(self, heads: Sequence[HeadSize]) -> Iterator[SplitResult]:
        """The result for each document, until the database is unreachable or rejects the user, or Ctrl-C is pressed."""
        for index, head in enumerate(heads):
            result = SplitResult(head.layout, head.session_id, head.size_bytes)
            progress = f"{index} of {len(heads)} documents are done. Run the same command again to continue."
            try:
                self._split(head, result)
            except KeyboardInterrupt:
                result.outcome = SplitOutcome.INTERRUPTED
                self._error = Interrupted(what=f"{progress} What has moved stays in segments, and nothing is lost.")
            except ChatstoreError as error:
                result.outcome = SplitOutcome.FAILED
                if self._is_named:
                    self._error = error
                elif isinstance(error, Unreachable | NotAllowed):  # it would stop every other document too
                    error.hint = f"{error.hint or ''} {progress}".strip()
                    self._error = error
                else:
                    self._failed = True
                    self._say(f"Session {head.session_id!r} was not split: {error.message} {error.hint or ''}".rstrip())
            if result.reads_the_same is False:
                self._reads_differently = True
                self._say(
                    f"Session {head.session_id!r} reads differently now: its messages were changed meanwhile, or are "
                    "stored twice."
                )
            if self._error is None or result.segments:
                yield result
            if self._error is not None:
                return

    def exit_code(self) -> ExitCode:
        """The exit code of the whole run. Raises the error that stopped it."""
        if self._error is not None:
            raise self._error
        if self._failed:
            return ExitCode.FAILED
        return ExitCode.FINDINGS if self._reads_differently else ExitCode.DONE

    def _split(self, listed: HeadSize, result: SplitResult) -> None:
        """Move the oldest messages out until the document has at most `keep_bytes`, or one message.

        The session is read before and after. Messages that an application appends meanwhile are not a difference.
        """
        head = self._head_of(listed)
        session_id, keep_bytes = listed.session_id, self._keep_bytes
        store, reader = self._stores[listed.layout], self._readers[listed.layout]
        result.size_before = head.size_bytes
        seen = [digest for digest, _ in _digests(reader.messages(session_id, _EVERYTHING))]
        while head.size_bytes > keep_bytes:
            # A little more than necessary: otherwise the last segment would often have a single message.
            at_most = min(SEGMENT_BYTES, head.size_bytes - keep_bytes + keep_bytes // 8)
            moved = store.move_oldest(session_id, keep_messages=1, at_most_bytes=at_most)
            if moved is None:
                break
            result.segments += 1
            result.moved_messages += moved.message_count
            head = existing_head({listed.layout: store}, session_id)
        result.size_after = head.size_bytes
        messages = reads_the_same(seen, reader.messages(session_id, _EVERYTHING))
        result.messages, result.reads_the_same = abs(messages), messages >= 0

    def _head_of(self, listed: HeadSize) -> HeadSize:
        """The document that this session id finds. Raises NotFound, and Conflict if several documents have the id."""
        head = self._stores[listed.layout].head(listed.session_id)
        if head is None:
            hint = "It was deleted meanwhile, or its id has a type that cannot be looked up."
            where = f" in {listed.layout}"
            raise NotFound(kind_of_thing="session", name=listed.session_id, where=where, hint=hint)
        if listed.document is not None and _of_one_document(head).document != listed.document:
            what = f"Another document has the same id ({head.document}), and that one is read as this session."
            raise Conflict(what=what, hint=f"Give {listed.document} a chat_id of its own.")
        return _of_one_document(head)


def _of_one_document(head: HeadSize) -> HeadSize:
    """The head. Raises Conflict if several documents have the id: their segments would have the same ids too."""
    if head.shared_id is not None:
        raise head.shared_id.rejection()
    return head


def reads_the_same(seen: list[bytes], messages: Iterable[Message]) -> int:
    """The number of messages; negative if those seen before are not all contained, each once and in order."""
    known = set(seen)
    matched = count = 0
    is_same = True
    for digest, has_id in _digests(messages):
        count += 1
        if matched < len(seen) and digest == seen[matched]:
            matched += 1
        elif digest in known and (has_id or matched < len(seen)):
            is_same = False  # a message is contained twice, or out of order
    return count if is_same and matched == len(seen) else -max(1, count)


def _digests(messages: Iterable[Message]) -> Iterator[tuple[bytes, bool]]:
    for message in messages:
        encoded = repr(tuple(message)).encode("utf-8", "backslashreplace")
        yield blake2b(encoded, digest_size=16).digest(), message.message_id is not None
