"""The local cache: each message is written to its journal, then kept in memory, then queued to be stored.

Recording waits for the local disk at most, never for the database. Once the call returns, the journal holds the message,
so it survives the death of the process.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.recording.queue import OVERHEAD, PendingMessages
from chatstore_cli.core.recording.recent_messages import RecentMessages, recorded_message
from chatstore_cli.core.recording.validation import (
    canonical_time,
    check_role_and_text,
    checked_reply_to,
    has_lone_surrogate,
    storable_metadata,
)
from chatstore_cli.domain.clocks import TOLERANCE
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.identity import identity_by_message_id, session_prefix
from chatstore_cli.domain.journal import DOCUMENT_LIMIT, Entry, flaw_of
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.recording import DEFAULT_SESSION, RecordingJournal
from chatstore_cli.domain.times import Clock, format_instant, utc_now
from chatstore_cli.domain.tombstones import Tombstone

LOG = logging.getLogger("chatstore.cache")

_STRIPES = 16
_OTHER_FIELDS_BYTES = 2_048
"""Bytes of a document for the fields beside text and metadata."""
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


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
        """`pending` makes the queue, given the function that returns the number in a message_id; None queues nothing."""
        self._journal = journal
        self._max_messages = max_messages_per_session
        self._max_sessions = max_sessions
        self._max_bytes = max_memory_bytes
        self._clock = clock
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._lock = threading.Lock()
        self._sessions: LruMap[str, RecentMessages] = LruMap(max_sessions)
        self._bytes = 0
        self._recorder = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._notify: Callable[[], None] | None = None
        self.pending = pending(self._number_of)

    def record_chat_event(
        self,
        session_id: str | None,
        role: str,
        text: str,
        metadata: dict[str, Any] | None = None,
        created_at: datetime | str | None = None,
        *,
        reply_to: Message | None = None,
    ) -> Message:
        """Record one message. When this returns, the message is in its journal, in memory, and queued to be stored.

        `role` is user, assistant, system or tool. Without a session id (None or an empty text) the session is `default`.
        `metadata` is any JSON object. Without `created_at` the time is now, and later than the session's latest instant if
        the system's clock was set back. A latest instant more than 5 minutes ahead is not believed: then the time is now.

        `reply_to` is the message of this session that this one answers. If the session is deleted on purpose meanwhile, the
        answer is deleted with that message. Without `reply_to`, it is a new message of the session.

        Raises BadValue for an invalid message (empty text, a lone surrogate, more than 16 MiB). Raises NotRecorded if the
        journal cannot be written, or if there is no journal and the queue is full. After an error nothing was recorded,
        and the call can be repeated.
        """
        session_id = DEFAULT_SESSION if session_id is None or session_id == "" else session_id
        if session_id.__class__ is not str:
            raise BadValue(name="session_id", value=f"<{type(session_id).__name__}>", expected="text")
        check_role_and_text(role, text)
        stored_metadata = storable_metadata(metadata) if metadata else {}
        given = canonical_time(created_at) if created_at is not None else None
        answered = None if reply_to is None else checked_reply_to(reply_to, session_id)
        with self._stripes[hash(session_id) % _STRIPES]:
            recent = self._recent_messages(session_id)
            moment = self._next_instant(recent) if given is None else datetime.fromisoformat(given)
            message_id = f"{self._recorder}-{next(self._numbers):x}"
            instant = format_instant(moment) if given is None else given
            fields: dict[str, Any] = {
                "session_id": session_id,
                "role": role,
                "text": text,
                "metadata": stored_metadata,
                "vector_ids": [],
                "created_at": instant,
                "message_id": message_id,
            }
            if answered is not None:
                fields |= answered.to_fields()
            try:
                line = self._journal.encode(fields)
            except ValueError as error:
                name, value = ("session_id", session_id) if has_lone_surrogate(session_id) else ("text", text)
                expected = f"text that can be stored: it contains {error}"
                raise BadValue(name=name, value=value[:60], expected=expected) from error
            size = len(line)
            if size > DOCUMENT_LIMIT - _OTHER_FIELDS_BYTES:
                self._check_size(fields)
            if self.pending is not None:
                self.pending.check_room(size + OVERHEAD)
            location = self._journal.append(session_id, line)
            # A copy of its own, so that a caller who changes the returned message does not change what is stored.
            returned_metadata = storable_metadata(stored_metadata) if stored_metadata else {}
            message = Message(
                session_id,
                role,
                text,
                message_id,
                location.number,
                created_at=moment,
                metadata=returned_metadata,
                reply_to=answered,
            )
            recent.note(moment)
            self._remember(session_id, recent, message, size)
            if self.pending is not None:
                identity = identity_by_message_id(session_prefix(session_id), session_id, message_id)
                entry = Entry(location.source, identity, b"", instant, fields, location.number, location.offset, b"")
                self.pending.add(entry, location, size + OVERHEAD)
        if LOG.isEnabledFor(logging.DEBUG):
            LOG.debug("[CHAT CACHE] Recorded message %s of session %r (%s).", message_id, session_id, role)
        if self._notify is not None:
            self._notify()
        return message

    def _number_of(self, message_id: str) -> int | None:
        recorder, _, number = message_id.partition("-")
        if recorder != self._recorder:
            return None
        try:
            return int(number, 16)
        except ValueError:
            return None

    def _next_instant(self, recent: RecentMessages) -> datetime:
        now = self._clock()
        if recent.latest is not None and recent.latest - now > TOLERANCE:
            recent.forget_future(now + TOLERANCE)
        latest = recent.latest
        if latest is None or now > latest:
            return now
        return latest + _MICROSECOND

    def _check_size(self, fields: dict[str, Any]) -> None:
        # The JSON line can be several times as long as the document, because JSON escapes control characters.
        text, metadata = len(fields["text"].encode()), len(self._journal.encode(fields["metadata"]))
        if text + metadata + _OTHER_FIELDS_BYTES > DOCUMENT_LIMIT:
            name, begins = ("text", fields["text"][:40]) if text > metadata else ("metadata", "{")
            expected = f"below 16 MiB: text and metadata together have {text + metadata:,} bytes"
            raise BadValue(name=name, value=f"{begins}...", expected=expected)

    # --- memory ------------------------------------------------------------------------------------------------------

    def _recent_messages(self, session_id: str) -> RecentMessages:
        with self._lock:
            recent = self._sessions.get(session_id)
            if recent is not None:
                self._sessions.put(session_id, recent)
                return recent
        LOG.info("[CHAT CACHE] Recording session %r.", session_id)
        recent = RecentMessages(self._max_messages)
        # New messages must be later than those that were recorded before this process or before the session was evicted.
        for _, fields in self._journal.newest(session_id, 1):
            if flaw_of(fields) is None:
                recent.note(datetime.fromisoformat(fields["created_at"]))
        with self._lock:
            recent = self._sessions.get(session_id) or recent
            self._put(session_id, recent)  # before the message is checked, so that the map is bounded if it is rejected
            return recent

    def _remember(self, session_id: str, recent: RecentMessages, message: Message, size: int) -> None:
        with self._lock:
            known = self._sessions.get(session_id)
            if known is not recent:  # it was evicted since, and perhaps loaded again
                self._bytes += recent.bytes - (known.bytes if known is not None else 0)
            self._bytes += recent.add(message, size)
            self._put(session_id, recent)
            while self._bytes > self._max_bytes and len(recent.messages) > 1:
                self._bytes -= recent.drop_oldest()

    def _put(self, session_id: str, recent: RecentMessages) -> None:
        """Make the session the newest one, and evict those used longest ago."""
        evicted = self._sessions.put(session_id, recent)
        if evicted is not None:
            self._bytes -= evicted[1].bytes
        while self._bytes > self._max_bytes and len(self._sessions) > 1 and (oldest := self._sessions.pop_oldest()):
            self._bytes -= oldest[1].bytes

    def messages(self, session_id: str | None, limit: int | None = None) -> list[Message]:
        """The newest messages of a session that are in memory, in order of (instant, sequence)."""
        with self._lock:
            recent = self._sessions.get(session_id or DEFAULT_SESSION)
            messages = [message for message, _ in recent.messages] if recent is not None else []
        messages.sort(key=lambda message: (message.created_at or _EARLIEST, message.sequence or 0))
        return messages if limit is None else messages[max(0, len(messages) - limit) :]

    def forget(self, session_id: str, tombstone: Tombstone) -> None:
        """Forget the messages in memory that the tombstone of their session covers.

        The next message gets a later time than the deletion, even if this machine's clock is behind the server's.
        """
        with self._stripes[hash(session_id) % _STRIPES], self._lock:
            recent = self._sessions.get(session_id)
            if recent is not None:
                self._bytes -= recent.forget(tombstone)
                recent.note(tombstone.deleted_at)

    def remembered_sessions(self) -> list[str]:
        """The sessions that have messages in memory."""
        with self._lock:
            return [
                each for each in self._sessions if (recent := self._sessions.get(each)) is not None and recent.messages
            ]

    def known_tombstone(self, session_id: str) -> Tombstone | None:
        """The newest tombstone that this process knows of a session in memory."""
        recent = self._sessions.get(session_id)
        return None if recent is None else recent.tombstone

    def load_journals(self) -> int:
        """Load the newest messages of each journal into memory, the journal written to last first; returns how many.

        They are not queued. `chatstore flush-cache` or MongoChatStorage.flush_journals stores what a crash left unstored.
        """
        loaded = 0
        for session_id in itertools.islice(self._journal.sessions(), self._max_sessions):
            recent = RecentMessages(self._max_messages)
            for number, fields in self._journal.newest(session_id, self._max_messages):
                if flaw_of(fields) is None:
                    message = recorded_message(fields, number)
                    recent.add(message, len(fields["text"]))
                    recent.note(message.created_at)
            with self._lock:
                while recent.messages and self._bytes + recent.bytes > self._max_bytes:
                    recent.drop_oldest()
                if self._sessions.put_oldest(session_id, recent):
                    self._bytes += recent.bytes
                    loaded += len(recent.messages)
        LOG.info("[CHAT CACHE] Loaded %d messages from journals.", loaded)
        return loaded

    # --- lifetime ----------------------------------------------------------------------------------------------------

    def on_new_message(self, notify: Callable[[], None] | None) -> None:
        """Call `notify` after each recorded message. The worker uses it."""
        self._notify = notify

    def start_over_after_fork(self) -> None:
        """In the child of a fork: use a recorder id of its own, and drop the queue, which the parent stores."""
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._lock = threading.Lock()
        self._sessions.reset_after_fork()
        self._recorder = secrets.token_hex(8)
        self._notify = None
        self._journal.reset_after_fork()
        if self.pending is not None:
            self.pending.clear()

    def close(self) -> None:
        """Close the journals. They hold what is queued and not stored; without journals, stop the worker first."""
        self._journal.close()
