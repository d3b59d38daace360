"""A session's history: what the cache has and what MongoDB has, merged, each message once, in order.

What is one message follows the rule of flush-cache (docs/operations.md): a line with a `message_id` is known by it, one
without by its content and its number among equals of its journal; a row that another writer stored under an id of its
own stands for one line of the same content. So what is shown as not persisted is what a flush would store.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from math import inf
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from chatstore_cli.domain.content import content_text, json_safe
from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotAllowed, Unreachable
from chatstore_cli.domain.history import DEFAULT_LIMIT, LARGEST_LIMIT, NewestInstants, StoredHistory, StoredMessage
from chatstore_cli.domain.identity import (
    content_key,
    identity_by_content,
    identity_by_message_id,
    session_prefix,
    to_millisecond,
)
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.message_store import Content
from chatstore_cli.domain.times import format_instant, read_instant, rfc3339

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class HistoryMessage(NamedTuple):
    """A message as a history shows it: whose copy it is, and whether MongoDB has it (None: it was not asked)."""

    message: Message
    source: Literal["cache", "mongo"]
    persisted: bool | None

    def to_dict(self) -> dict[str, Any]:
        """The keys of a message row, in plain JSON values; `source` is where this copy comes from."""
        message = self.message
        return {
            "message_id": message.message_id,
            "sequence": message.sequence,
            "role": message.role,
            "name": message.name,
            "content": json_safe(message.content),
            "created_at": rfc3339(message.created_at),
            "event_type": message.event_type,
            "source": self.source,
            "tool_calls": json_safe(message.tool_calls),
            "tool_call_id": message.tool_call_id,
            "metadata": json_safe(message.metadata),
            "persisted": self.persisted,
        }


@dataclass(frozen=True, slots=True)
class ChatHistory:
    """The newest messages of a session, oldest first.

    `counts` is by source, of what is shown. `last_persisted_at` is the time of the newest message that MongoDB has,
    shown or not, whichever copy is shown; where it is a date there, to the millisecond unless the cache's copy was read.
    What only MongoDB can tell is None where it was not asked, or could not be: then `failure` says why. `deleted`: the
    session was deleted on purpose, and its journals are left out.
    """

    session_id: str
    messages: list[HistoryMessage]
    last_persisted_at: datetime | None = None
    asked: bool = True
    deleted: bool = False
    failure: ChatstoreError | None = None

    @property
    def counts(self) -> dict[str, int | None]:
        """How many of the messages are the cache's copies, and how many MongoDB's."""
        cached = sum(shown.source == "cache" for shown in self.messages)
        return {"cache": cached, "mongo": len(self.messages) - cached if self.asked else None}

    @property
    def not_persisted(self) -> int | None:
        """How many of the messages MongoDB does not have."""
        return sum(not shown.persisted for shown in self.messages) if self.asked else None

    def to_dict(self) -> dict[str, Any]:
        """The whole as one JSON object of plain values."""
        return {
            "items": [shown.to_dict() for shown in self.messages],
            "next_cursor": None,
            "session_id": self.session_id,
            "counts": self.counts,
            "last_persisted_at": rfc3339(self.last_persisted_at),
            "not_persisted": self.not_persisted,
        }


def chat_history(
    cache_messages: Sequence[Message],
    storage_side: StoredHistory | None,
    session_id: str,
    limit: int = DEFAULT_LIMIT,
) -> ChatHistory:
    """The newest `limit` (1 to 500) messages of a session: what the cache has of it first, then what MongoDB has.

    `cache_messages` are the session's newest, oldest first, as `LocalChatCache.messages` gives them; without a
    `storage_side` (a MongoChatStorage) they are all there is. Raises BadValue for a limit out of bounds and an empty
    session id. Where the database cannot be reached, or refuses, the cache's copy is given, and `failure` says why.
    """
    return history_of([cache_messages], None if storage_side is None else lambda: storage_side, session_id, limit)


def history_of(
    journals: Sequence[Sequence[Message]],
    open_storage: Callable[[], StoredHistory] | None,
    session_id: str,
    limit: int,
) -> ChatHistory:
    """The same from several journals of a session, the oldest first, each in its own order; opened here, the storage
    may be out of reach already.
    """
    if not session_id:
        raise BadValue(name="session_id", value=session_id, expected="the id of a session: it is empty")
    if not 1 <= limit <= LARGEST_LIMIT:
        raise BadValue(name="limit", value=limit, expected=f"a number from 1 to {LARGEST_LIMIT}")
    lines = _newest_lines(journals, session_id, limit)
    if open_storage is None:
        return ChatHistory(session_id, _shown(lines, [], limit, asked=False), asked=False)
    try:
        storage = open_storage()
        if storage.is_deleted(session_id):
            lines, deleted = [], True
        else:
            deleted = False
        since = _oldest_of_newest((line.moment for line in lines), limit)
        stored = storage.newest_stored(session_id, limit, since)
        _recognise(lines, stored, limit, session_id, storage.stored_contents)
    except (Unreachable, NotAllowed) as failure:
        return ChatHistory(session_id, _shown(lines, [], limit, asked=False), asked=False, failure=failure)
    matched = {id(line.stored) for line in lines if line.stored is not None}
    rows = [row.message for row in stored if id(row) not in matched]
    times = [row.message.created_at for row in stored] + [line.moment for line in lines if line.persisted]
    newest = max((moment for moment in times if moment is not None), default=None)
    return ChatHistory(session_id, _shown(lines, rows, limit, asked=True), newest, deleted=deleted)


# --- the cache's side ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """A message of the cache, and what is known of it in MongoDB."""

    message: Message
    moment: datetime
    instant: str
    text: str
    key: bytes
    identity: str
    persisted: bool = False
    stored: StoredMessage | None = field(default=None, repr=False)


def _newest_lines(journals: Sequence[Sequence[Message]], session_id: str, limit: int) -> list[_Line]:
    """The newest `limit` messages and those of the same millisecond, in the order of their journals."""
    lines = list(_lines(journals, session_id))
    oldest = _oldest_of_newest((line.moment for line in lines), limit)
    return lines if oldest is None else [line for line in lines if line.moment >= _millisecond(oldest)]


def _lines(journals: Sequence[Sequence[Message]], session_id: str) -> Iterable[_Line]:
    met: set[tuple[str, bytes]] = set()
    for journal in filter(None, journals):
        prefix = session_prefix(session_id)
        equals: Counter[bytes] = Counter()
        for message in journal:
            moment = message.created_at or _EARLIEST
            instant = format_instant(moment)
            text = message.content if isinstance(message.content, str) else content_text(message.content)
            key = content_key(session_id, message.role, instant, text)
            if message.message_id is not None:
                identity = identity_by_message_id(prefix, session_id, message.message_id)
            else:
                identity = identity_by_content(prefix, key, equals[key])
                equals[key] += 1
            if (identity, key) not in met:  # a copy of a journal, or the same message_id once more
                met.add((identity, key))
                yield _Line(message, moment, instant, text, key, identity)


def _oldest_of_newest(moments: Iterable[datetime], limit: int) -> datetime | None:
    newest = NewestInstants(limit)
    for moment in moments:
        newest.add(moment)
    return newest.oldest


def _millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


# --- what is persisted -----------------------------------------------------------------------------------------------


def _recognise(
    lines: list[_Line],
    stored: Sequence[StoredMessage],
    limit: int,
    session_id: str,
    contents_of: Callable[[Sequence[str]], Mapping[str, Content]],
) -> None:
    """Find the row of each line that MongoDB has, as flush-cache would: by identity, else another writer's by content."""
    rows = {row.identity: row for row in stored if row.identity is not None}
    for line in lines:
        row = rows.get(line.identity)
        if row is not None and _is_same(line, row):
            line.stored, line.persisted = row, True
    oldest = _oldest_of_newest((row.message.created_at or _EARLIEST for row in stored), limit)
    missing = [line for line in lines if not line.persisted and (oldest is None or line.moment >= _millisecond(oldest))]
    # A row of the same id may stand at another place in time: with other content, or where the times of a large
    # session are in differing forms.
    asked = [line.identity for line in missing if line.identity not in rows]
    contents = contents_of(asked) if asked else {}
    others: dict[tuple[bytes, bool], deque[StoredMessage]] = defaultdict(deque)
    for row in stored:
        if row.identity is None and row.content is not None:
            others[row.content].append(row)
    for line in sorted(missing, key=_is_named):  # as a flush does: lines without an id have the first choice
        content = contents.get(line.identity)
        if content is not None:
            line.persisted = not _is_named(line) or _has_content(line, content)
            continue
        if line.identity in rows:
            continue  # the same message_id with other content: refused, and no other row can stand for it
        coarse = content_key(session_id, line.message.role, to_millisecond(line.instant), line.text)
        for key in ((line.key, False), (coarse, True)):
            if others[key]:
                line.stored, line.persisted = others[key].popleft(), True
                break


def _is_named(line: _Line) -> bool:
    return line.message.message_id is not None


def _is_same(line: _Line, row: StoredMessage) -> bool:
    return not _is_named(line) or (row.content is not None and row.content.key == line.key)


def _has_content(line: _Line, content: Content) -> bool:
    role, created_at, text = content
    moment = read_instant(created_at)
    return (role, text, moment) == (line.message.role, line.text, line.moment)


# --- one list --------------------------------------------------------------------------------------------------------


def _shown(lines: list[_Line], rows: list[Message], limit: int, *, asked: bool) -> list[HistoryMessage]:
    """The newest of both in order: by instant, rows without a sequence first, then by sequence.

    Lines of one instant keep the order of their journals; one whose sequence nobody knows follows the line before it.
    """
    placed: list[tuple[tuple[datetime, int, float, int], HistoryMessage]] = []
    for row in rows:
        moment = row.created_at or _EARLIEST
        place = (moment, 0, 0.0, 0) if row.sequence is None else (moment, 1, float(row.sequence), 0)
        placed.append((place, HistoryMessage(row, "mongo", True)))
    for moment, together in groupby(sorted(lines, key=_moment), key=_moment):
        group = [(line, _cached_copy(line)) for line in together]
        reached: float = next((copy.sequence for _, copy in group if copy.sequence is not None), inf)
        for number, (line, copy) in enumerate(group, 1):
            reached = max(reached, reached if copy.sequence is None else copy.sequence)
            persisted = line.persisted if asked else None
            placed.append(((moment, 1, reached, number), HistoryMessage(copy, "cache", persisted)))
    placed.sort(key=itemgetter(0))
    return [shown for _, shown in placed[-limit:]]


def _moment(line: _Line) -> datetime:
    return line.moment


def _cached_copy(line: _Line) -> Message:
    """The message with an id, also where its line has none: that of its row, which is the one it will be stored under."""
    message, row = line.message, None if line.stored is None else line.stored.message
    sequence = message.sequence
    if sequence is None and row is not None:
        sequence = row.sequence
    message_id = message.message_id or (row.message_id if row is not None else line.identity)
    return message._replace(message_id=message_id, sequence=sequence)
