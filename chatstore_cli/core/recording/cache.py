"""The local cache: each message in its journal first, then in memory, then queued to be stored.

Recording waits for a local disk at most, never for the database. What is in the journal when the call returns
survives the death of the process.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.core.recording.queue import OVERHEAD, PendingMessages
from chatstore_cli.core.recording.validation import (
    canonical_time,
    check_role_and_text,
    has_lone_surrogate,
    storable_metadata,
)
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import DOCUMENT_LIMIT, Entry, flaw_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.recording import DEFAULT_SESSION, RecordingJournal
from chatstore_cli.domain.times import Clock, format_instant, utc_now

LOG = logging.getLogger("chatstore.cache")

_STRIPES = 16
_ROOM_FOR_FIELDS = 2_048
"""Bytes of a document beside text and metadata."""
_TICK = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class _Remembered:
    """The newest messages of one session, and its latest instant."""

    __slots__ = ("bytes", "latest", "messages")

    def __init__(self, most: int) -> None:
        self.messages: deque[tuple[Message, int]] = deque(maxlen=most)
        self.latest: datetime | None = None
        self.bytes = 0


class ChatCache:
    """Records messages; any number of threads may call it. LocalChatCache is this over journals on disk."""

    def __init__(
        self,
        journal: RecordingJournal,
        *,
        max_messages_per_session: int,
        max_sessions: int,
        max_memory_bytes: int,
        pending: Callable[[Callable[[str], int | None]], PendingMessages | None],
        clock: Clock = utc_now,
    ) -> None:
        """`pending` makes the queue, given what tells the numbers of this cache's messages; None queues nothing."""
        self._journal = journal
        self._most = max_messages_per_session
        self._most_sessions = max_sessions
        self._most_bytes = max_memory_bytes
        self._clock = clock
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, _Remembered] = OrderedDict()
        self._bytes = 0
        self._recorder = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._wake: Callable[[], None] | None = None
        self.pending = pending(self._number_of)

    def record_chat_event(
        self,
        session_id: str | None,
        role: str,
        text: str,
        metadata: dict[str, Any] | None = None,
        created_at: datetime | str | None = None,
    ) -> Message:
        """Record one message: when this returns, it is in its journal, in memory, and queued to be stored.

        `role` is user, assistant, system or tool. No session id (None, or an empty one) is the session `default`.
        `metadata` is any JSON object. Without `created_at` it is now, and never the same as, nor before, the session's
        last instant, whatever the system's clock does. Raises BadValue for what can be no message (empty text, a lone
        surrogate, more than 16 MiB), and NotRecorded where the journal cannot be written to, or, without a journal,
        the queue is full; then nothing has been recorded, and the call can be made again.
        """
        session_id = DEFAULT_SESSION if session_id is None or session_id == "" else session_id
        if session_id.__class__ is not str:
            raise BadValue(name="session_id", value=f"<{type(session_id).__name__}>", expected="text")
        check_role_and_text(role, text)
        kept = storable_metadata(metadata) if metadata else {}
        given = canonical_time(created_at) if created_at is not None else None
        with self._stripes[hash(session_id) % _STRIPES]:
            remembered = self._remembered(session_id)
            moment = self._next_instant(remembered) if given is None else datetime.fromisoformat(given)
            message_id = f"{self._recorder}-{next(self._numbers):x}"
            instant = format_instant(moment) if given is None else given
            fields: dict[str, Any] = {
                "session_id": session_id,
                "role": role,
                "text": text,
                "metadata": kept,
                "vector_ids": [],
                "created_at": instant,
                "message_id": message_id,
            }
            try:
                line = self._journal.encode(fields)
            except ValueError as error:
                name, value = ("session_id", session_id) if has_lone_surrogate(session_id) else ("text", text)
                expected = f"text that can be stored: it holds {error}"
                raise BadValue(name=name, value=value[:60], expected=expected) from error
            size = len(line)
            if size > DOCUMENT_LIMIT - _ROOM_FOR_FIELDS:
                self._check_size(fields)
            if self.pending is not None:
                self.pending.check_room(size + OVERHEAD)
            place = self._journal.append(session_id, line)
            theirs = storable_metadata(kept) if kept else {}  # what the caller does to it is not to be stored
            message = Message(
                session_id, role, text, message_id, place.number, created_at=moment, metadata=theirs
            )  # fmt: skip
            if remembered.latest is None or moment > remembered.latest:
                remembered.latest = moment
            self._remember(session_id, remembered, message, size)
            if self.pending is not None:
                identity = identity_by_message_id(session_prefix(session_id), session_id, message_id)
                entry = Entry(place.source, identity, b"", instant, fields, place.number, place.offset, b"")
                self.pending.add(entry, place, size + OVERHEAD)
        if LOG.isEnabledFor(logging.DEBUG):
            LOG.debug("[CHAT CACHE] Recorded message %s of session %r (%s).", message_id, session_id, role)
        if self._wake is not None:
            self._wake()
        return message

    def _number_of(self, message_id: str) -> int | None:
        recorder, _, number = message_id.partition("-")
        if recorder != self._recorder:
            return None
        try:
            return int(number, 16)
        except ValueError:
            return None

    def _next_instant(self, remembered: _Remembered) -> datetime:
        now = self._clock()
        latest = remembered.latest
        if latest is None or now > latest:
            return now
        return latest + _TICK if latest < _LATEST else latest  # there is none after that: the sequence keeps the order

    def _check_size(self, fields: dict[str, Any]) -> None:
        # Escaped as JSON it may be several times as long as in the database.
        text, metadata = len(fields["text"].encode()), len(self._journal.encode(fields["metadata"]))
        if text + metadata + _ROOM_FOR_FIELDS > DOCUMENT_LIMIT:
            name, begins = ("text", fields["text"][:40]) if text > metadata else ("metadata", "{")
            expected = f"below 16 MiB: text and metadata together have {text + metadata:,} bytes"
            raise BadValue(name=name, value=f"{begins}...", expected=expected)

    # --- memory ------------------------------------------------------------------------------------------------------

    def _remembered(self, session_id: str) -> _Remembered:
        with self._lock:
            remembered = self._sessions.get(session_id)
            if remembered is not None:
                self._sessions.move_to_end(session_id)
                return remembered
        LOG.info("[CHAT CACHE] Recording session %r.", session_id)
        remembered = _Remembered(self._most)
        # What was recorded before this process, or before the session left its memory, must not come after this.
        for _, fields in self._journal.newest(session_id, 1):
            if flaw_of(fields) is None:
                remembered.latest = datetime.fromisoformat(fields["created_at"])
        with self._lock:
            remembered = self._sessions.setdefault(session_id, remembered)
            self._let_go_of_others()  # also where what follows is refused
            return remembered

    def _remember(self, session_id: str, remembered: _Remembered, message: Message, size: int) -> None:
        with self._lock:
            known = self._sessions.get(session_id)
            if known is not remembered:  # it was let go of meanwhile, and perhaps loaded again
                self._bytes += remembered.bytes - (known.bytes if known is not None else 0)
                self._sessions[session_id] = remembered
            self._sessions.move_to_end(session_id)
            messages = remembered.messages
            if len(messages) == messages.maxlen:
                self._forget_oldest(remembered)
            messages.append((message, size))
            remembered.bytes += size
            self._bytes += size
            self._let_go_of_others()
            while self._bytes > self._most_bytes and len(messages) > 1:
                self._forget_oldest(remembered)

    def _let_go_of_others(self) -> None:
        while len(self._sessions) > self._most_sessions or (self._bytes > self._most_bytes and len(self._sessions) > 1):
            _, least_used = self._sessions.popitem(last=False)
            self._bytes -= least_used.bytes

    def _forget_oldest(self, remembered: _Remembered) -> None:
        size = remembered.messages.popleft()[1]
        remembered.bytes -= size
        self._bytes -= size

    def messages(self, session_id: str | None, limit: int | None = None) -> list[Message]:
        """The newest messages of a session that are in memory, in order of (instant, sequence)."""
        with self._lock:
            remembered = self._sessions.get(session_id or DEFAULT_SESSION)
            found = [message for message, _ in remembered.messages] if remembered is not None else []
        found.sort(key=_in_order)
        return found if limit is None else found[max(0, len(found) - limit) :]

    def load_journals(self) -> int:
        """Take the newest messages of each journal into memory, the sessions used last first; gives how many.

        They are not queued: what a crash left unstored, `chatstore flush-cache` or MongoChatStorage.flush_journals
        stores.
        """
        loaded = 0
        for session_id in itertools.islice(self._journal.sessions(), self._most_sessions):
            lines = self._journal.newest(session_id, self._most)
            with self._lock:
                if session_id in self._sessions:
                    continue
                remembered = _Remembered(self._most)
                for number, fields in lines:
                    if flaw_of(fields) is None and self._bytes <= self._most_bytes:
                        size = len(fields["text"])
                        message = _message(fields, number)
                        remembered.messages.append((message, size))
                        remembered.bytes += size
                        self._bytes += size
                        if message.created_at and (remembered.latest is None or message.created_at > remembered.latest):
                            remembered.latest = message.created_at
                self._sessions[session_id] = remembered
                self._sessions.move_to_end(session_id, last=False)
                loaded += len(remembered.messages)
        LOG.info("[CHAT CACHE] Loaded %d messages from journals.", loaded)
        return loaded

    # --- lifetime ----------------------------------------------------------------------------------------------------

    def on_new_message(self, wake: Callable[[], None] | None) -> None:
        """Call this after each message; a worker asks for it."""
        self._wake = wake

    def start_over_after_fork(self) -> None:
        """In the child of a fork: a recorder of its own; what the parent queued, the parent stores."""
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._lock = threading.Lock()
        self._recorder = secrets.token_hex(8)
        self._wake = None
        self._journal.let_go()
        if self.pending is not None:
            self.pending.clear()

    def close(self) -> None:
        """Close the journals. What is queued and not stored is in them; without journals, stop the worker first."""
        self._journal.close()


def _in_order(message: Message) -> tuple[datetime, int]:
    return (message.created_at or _EARLIEST, message.sequence or 0)


def _message(fields: dict[str, Any], number: int) -> Message:
    return Message(
        fields["session_id"],
        fields["role"],
        fields["text"],
        fields.get("message_id"),
        number,
        created_at=datetime.fromisoformat(fields["created_at"]),
        metadata=fields["metadata"],
    )
