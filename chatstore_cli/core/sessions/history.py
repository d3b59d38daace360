"""A session's history: the cache's messages and MongoDB's, merged in order, each message once.

Messages are compared as flush-cache compares them (docs/operations.md): a line with a `message_id` by that id, a line
without by its content and its number among equal lines of its journal. A row that another writer stored under an id of its
own matches one line of the same content. So the messages shown as not persisted are those that a flush would store.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from math import inf
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.domain.history import DEFAULT_LIMIT, NewestInstants, StoredHistory, StoredMessage, check_limit
from chatstore_cli.domain.identity import (
    content_key,
    identity_by_content,
    identity_by_message_id,
    session_prefix,
    to_millisecond,
)
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import Content
from chatstore_cli.domain.times import format_instant, read_instant, rfc3339, to_milliseconds
from chatstore_cli.domain.tombstones import Tombstone

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class HistoryMessage(NamedTuple):
    """A message with the source of this copy, and whether MongoDB has it (None: MongoDB was not read)."""

    message: Message
    source: Literal["cache", "mongo", "postgres"]
    persisted: bool | None

    def to_dict(self) -> dict[str, Any]:
        """The message's row of plain JSON values. `source` is the source of this copy."""
        return {**self.message.to_dict(), "source": self.source, "persisted": self.persisted}


@dataclass(frozen=True, slots=True)
class ChatHistory:
    """The newest messages of a session, oldest first.

    `counts` counts the shown messages by source. `last_persisted_at` is the time of the newest message in MongoDB, shown
    or not. It has milliseconds if MongoDB stores a date and the cache's copy was not read. What only MongoDB knows is None
    if MongoDB was not asked (`asked`) or failed (`failure`). `tombstone`: the session was deleted on purpose; the cache's
    messages that the deletion covers are left out, and `covered` counts them.
    """

    session_id: str
    messages: list[HistoryMessage]
    last_persisted_at: datetime | None = None
    asked: bool = True
    tombstone: Tombstone | None = None
    covered: int = 0
    failure: ChatstoreError | None = None

    @property
    def deleted(self) -> bool:
        """Whether the session was deleted on purpose. It may have newer messages."""
        return self.tombstone is not None

    @property
    def counts(self) -> dict[str, int | None]:
        """The number of shown messages from the cache and from MongoDB; from PostgreSQL too if the session is there."""
        sources = Counter(shown.source for shown in self.messages)
        counts: dict[str, int | None] = {"cache": sources["cache"], "mongo": sources["mongo"] if self.asked else None}
        return {**counts, "postgres": sources["postgres"]} if sources["postgres"] else counts

    @property
    def not_persisted(self) -> int | None:
        """The number of shown messages that MongoDB does not have."""
        return sum(not shown.persisted for shown in self.messages) if self.asked else None

    def redacted(self, message: Callable[[Message], Message], text: Callable[[str], str]) -> ChatHistory:
        """The history with each message and the id as the functions return them."""
        messages = [shown._replace(message=message(shown.message)) for shown in self.messages]
        return replace(self, session_id=text(self.session_id), messages=messages)

    def to_dict(self) -> dict[str, Any]:
        """The history as one JSON object of plain values."""
        return {
            "items": [shown.to_dict() for shown in self.messages],
            "next_cursor": None,
            "session_id": self.session_id,
            "counts": self.counts,
            "last_persisted_at": rfc3339(self.last_persisted_at),
            "not_persisted": self.not_persisted,
        }


def chat_history(
    cache_messages: Sequence[Message], storage_side: StoredHistory | None, session_id: str, limit: int = DEFAULT_LIMIT
) -> ChatHistory:
    """The newest `limit` (1 to 500) messages of a session from the cache and from MongoDB.

    `cache_messages` are the session's newest, oldest first, as `LocalChatCache.messages` returns them. `storage_side` is a
    MongoChatStorage, or None for the cache alone. Raises BadValue for a limit out of bounds and for an empty session id.
    If MongoDB is unreachable or denies access, the result has the cache's messages, and `failure` is the error.
    """
    return history_of([cache_messages], None if storage_side is None else lambda: storage_side, session_id, limit)


def history_of(
    journals: Sequence[Sequence[Message]],
    open_storage: Callable[[], StoredHistory] | None,
    session_id: str,
    limit: int,
    known: Tombstone | None = None,
) -> ChatHistory:
    """The same from several journals of a session, the oldest first, each in its own order.

    `open_storage` may raise what an unreachable MongoDB raises. Then, and without it, `known` is the session's tombstone.
    """
    if not session_id:
        raise BadValue(name="session_id", value=session_id, expected="a session id: it is empty")
    check_limit(limit)
    every_line = list(_lines(journals, session_id))
    if open_storage is None:
        return _from_cache(every_line, session_id, limit, known)
    try:
        storage = open_storage()
        tombstone = storage.tombstone(session_id)
        recorded = _without_deleted(every_line, tombstone)
        lines = _newest(recorded, limit)
        stored = storage.newest_stored(session_id, limit, _limit_instant((line.instant for line in lines), limit))
        _match(lines, stored, limit, session_id, storage.stored_contents)
    except (Unreachable, NotAllowed) as failure:
        return _from_cache(every_line, session_id, limit, known, failure)
    matched = {id(line.row) for line in lines if line.row is not None}
    rows = [row.message for row in stored if id(row) not in matched]
    instants = [row.message.created_at for row in stored] + [line.instant for line in lines if line.persisted]
    newest = max((instant for instant in instants if instant is not None), default=None)
    shown = _merged(lines, rows, limit, asked=True)
    covered = len(every_line) - len(recorded)
    return ChatHistory(session_id, shown, newest, tombstone=tombstone, covered=covered)


def _from_cache(
    every_line: list[_Line],
    session_id: str,
    limit: int,
    known: Tombstone | None,
    failure: ChatstoreError | None = None,
) -> ChatHistory:
    recorded = _without_deleted(every_line, known)
    shown = _merged(_newest(recorded, limit), [], limit, asked=False)
    covered = len(every_line) - len(recorded)
    return ChatHistory(session_id, shown, asked=False, tombstone=known, covered=covered, failure=failure)


# --- the cache's messages --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """A message of the cache, its identity, and its row in MongoDB."""

    message: Message
    instant: datetime
    instant_text: str
    text: str
    key: bytes
    identity: str
    persisted: bool = False
    row: StoredMessage | None = field(default=None, repr=False)

    def is_covered(self, tombstone: Tombstone) -> bool:
        """Whether the message was deleted with its session."""
        return tombstone.covers(self.instant, self.identity) or tombstone.covers_answer(
            self.message.session_id, self.message.reply_to
        )

    @property
    def has_message_id(self) -> bool:
        return self.message.message_id is not None

    def equals(self, content: Content) -> bool:
        role, created_at, text = content
        return (role, text, read_instant(created_at)) == (self.message.role, self.text, self.instant)


def _without_deleted(lines: list[_Line], tombstone: Tombstone | None) -> list[_Line]:
    return lines if tombstone is None else [line for line in lines if not line.is_covered(tombstone)]


def _newest(lines: list[_Line], limit: int) -> list[_Line]:
    """The newest `limit` of the messages and those of the same millisecond, in the order of their journals."""
    oldest = _limit_instant((line.instant for line in lines), limit)
    return [line for line in lines if line.instant >= oldest] if oldest is not None else lines


def _lines(journals: Sequence[Sequence[Message]], session_id: str) -> Iterator[_Line]:
    seen: set[tuple[str, bytes]] = set()
    for journal in filter(None, journals):  # an id that is not valid text has no journal, and no prefix
        prefix = session_prefix(session_id)
        occurrences: Counter[bytes] = Counter()
        for message in journal:
            instant = message.created_at or _EARLIEST
            instant_text = format_instant(instant)
            text = message.content if isinstance(message.content, str) else content_text(message.content)
            key = content_key(session_id, message.role, instant_text, text)
            if message.message_id is not None:
                identity = identity_by_message_id(prefix, session_id, message.message_id)
            else:
                identity = identity_by_content(prefix, key, occurrences[key])
                occurrences[key] += 1
            if (identity, key) not in seen:  # else a copy of a journal, or the same message_id again
                seen.add((identity, key))
                yield _Line(message, instant, instant_text, text, key, identity)


def _limit_instant(instants: Iterable[datetime], limit: int) -> datetime | None:
    """The beginning of the millisecond of the `limit`-th newest instant; None if there are fewer."""
    newest = NewestInstants(limit)
    for instant in instants:
        newest.add(instant)
    oldest = newest.oldest
    return None if oldest is None else to_milliseconds(oldest)


# --- comparison ------------------------------------------------------------------------------------------------------


def _match(
    lines: list[_Line],
    stored: Sequence[StoredMessage],
    limit: int,
    session_id: str,
    contents_of: Callable[[Sequence[str]], Mapping[str, Content]],
) -> None:
    """Find the row of each line as flush-cache would: by identity, else another writer's row by content."""
    rows = {row.identity: row for row in stored if row.identity is not None}
    for line in lines:
        row = rows.get(line.identity)
        if row is not None and (not line.has_message_id or (row.content is not None and row.content.key == line.key)):
            line.row, line.persisted = row, True
    oldest = _limit_instant((row.message.created_at or _EARLIEST for row in stored), limit)
    missing = [line for line in lines if not line.persisted and (oldest is None or line.instant >= oldest)]
    # A row of the same id may have another time: with other content, or if the times of a large session differ in form.
    unknown = [line.identity for line in missing if line.identity not in rows]
    contents = contents_of(unknown) if unknown else {}
    foreign_rows: dict[tuple[bytes, bool], deque[StoredMessage]] = defaultdict(deque)
    for row in stored:
        if row.identity is None and row.content is not None:
            foreign_rows[row.content].append(row)
    for line in sorted(missing, key=attrgetter("has_message_id")):  # as in a flush: lines without an id come first
        content = contents.get(line.identity)
        if content is not None:
            line.persisted = not line.has_message_id or line.equals(content)
            continue
        if line.identity in rows:
            continue  # the same message_id with other content is quarantined, so no other row may match it
        coarse_key = content_key(session_id, line.message.role, to_millisecond(line.instant_text), line.text)
        for key in ((line.key, False), (coarse_key, True)):
            if foreign_rows[key]:
                line.row, line.persisted = foreign_rows[key].popleft(), True
                break


# --- merging ---------------------------------------------------------------------------------------------------------


def _merged(lines: list[_Line], rows: list[Message], limit: int, *, asked: bool) -> list[HistoryMessage]:
    """The newest of both in order: by instant, then rows without a sequence, then by sequence.

    Lines of one instant keep the order of their journals. A line without a known sequence follows the line before it.
    """
    placed: list[tuple[tuple[datetime, int, float, int], HistoryMessage]] = []
    for row in rows:
        instant = row.created_at or _EARLIEST
        place = (instant, 0, 0.0, 0) if row.sequence is None else (instant, 1, float(row.sequence), 0)
        placed.append((place, HistoryMessage(row, "mongo", True)))
    for instant, group in groupby(sorted(lines, key=attrgetter("instant")), key=attrgetter("instant")):
        copies = [(line, _cached_copy(line)) for line in group]
        sequence: float = next((copy.sequence for _, copy in copies if copy.sequence is not None), inf)
        for number, (line, copy) in enumerate(copies, 1):
            sequence = max(sequence, sequence if copy.sequence is None else copy.sequence)
            persisted = line.persisted if asked else None
            placed.append(((instant, 1, sequence, number), HistoryMessage(copy, "cache", persisted)))
    placed.sort(key=itemgetter(0))
    return [shown for _, shown in placed[-limit:]]


def _cached_copy(line: _Line) -> Message:
    """The message with an id: its own, that of its row, or the one under which it will be stored."""
    message, row = line.message, None if line.row is None else line.row.message
    sequence = row.sequence if message.sequence is None and row is not None else message.sequence
    message_id = message.message_id or (row.message_id if row is not None else line.identity)
    return message._replace(message_id=message_id, sequence=sequence)
