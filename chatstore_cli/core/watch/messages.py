"""One session's messages as they come.

A message is identified by its id, or without one by its sequence, time, speaker and content. So a message that moves
into a segment, or that both a read and the feed return, is reported once.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.watch.feed import Watch
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.watch import Feed, MessageEvent, MessageEventKind

OVERLAP = 50
"""Messages that are read besides the added ones: how far behind the newest message a late one may be."""

INITIALLY_KNOWN = 1_000
"""The newest messages that count as known when watching begins."""

_SEEN_CAPACITY = 100_000
_READ_ATTEMPTS = 5


class WatchedMessages:
    """The messages of one existing session, each once. `feed` is open; without one, the session is read periodically."""

    def __init__(
        self,
        watch: Watch,
        reader: SessionReader,
        session_id: str,
        feed: Feed[MessageEvent] | None,
        since: datetime | None,
        poll_seconds: float = 1.0,
    ) -> None:
        self._watch = watch
        self._reader = reader
        self._session_id = session_id
        self._feed = feed
        self._since = since
        self._poll_seconds = poll_seconds
        self._seen: LruMap[str, bool] = LruMap(_SEEN_CAPACITY)
        self._repeats: deque[tuple[int, Counter[str]]] = deque()
        self._session: Session | None = None
        self._knows_all = False
        self._appended = 0

    def begin(self) -> None:
        """Without `since`: read the newest stored messages, so that they do not count as new."""
        if self._since is not None:
            return
        self._session = self._find()
        known = self._read(INITIALLY_KNOWN)
        self._knows_all = len(known) < INITIALLY_KNOWN
        for message in known:
            self._remember(message)
        self._expect_repeats(known)

    def messages(self) -> Iterator[Message]:
        """Each message as it comes, until the watch terminates."""
        if self._since is not None:
            yield from self._messages_since(self._since)
        if self._feed is None:
            while not self._watch.is_over:
                self._watch.pause(self._poll_seconds)
                yield from self._read_new()
            return
        with contextlib.closing(self._feed) as feed:
            while not self._watch.is_over:
                batch = self._watch.call(feed.read)
                for event in batch.events:
                    yield from self._messages_of(event)
                if batch.missed_since is not None:
                    self._watch.say("The server no longer has all changes. Reading the messages that were added.")
                    yield from self._read_new()

    def _messages_of(self, event: MessageEvent) -> Iterator[Message]:
        while self._repeats and event.position > self._repeats[0][0]:
            self._repeats.popleft()
        if event.kind is MessageEventKind.DELETED:
            self._note_deletion()
        elif event.message is None:
            yield from self._read_new()
        elif self._is_new(event.message):
            self._appended += 1
            yield event.message

    def _messages_since(self, since: datetime) -> Iterator[Message]:
        self._session = self._find()
        self._knows_all = True

        def read() -> list[Message]:
            selected = []
            for message in self._reader.messages(self._session_id, MessageSelection()):
                self._remember(message)
                if message.created_at is not None and message.created_at >= since:
                    selected.append(message)
            return selected

        selected = self._watch.call(read)
        yield from selected
        self._expect_repeats(selected[-INITIALLY_KNOWN:])

    def _read_new(self) -> Iterator[Message]:
        """What was added since the last read, found from the end."""
        for _ in range(_READ_ATTEMPTS):
            session = self._find()
            if session is None:
                self._note_deletion()
                return
            if self._session is not None and _version(self._session) == _version(session):
                return
            known_count = 0 if self._session is None else self._session.message_count
            try:
                new = self._unknown_messages(max(0, session.message_count - known_count - self._appended))
            except (Conflict, NotFound):  # rewritten or deleted during the read
                continue
            # Messages that only their place tells apart need a count of the same moment.
            if all(self._key(message)[1] for message in new) or self._is_unchanged(session):
                break
        else:
            return  # the next read finds them
        self._session, self._appended = session, 0
        for message in new:
            self._remember(message)
        yield from new
        self._expect_repeats(new)

    def _unknown_messages(self, added: int) -> list[Message]:
        """The messages that are not known, read from the end until known ones come."""
        window = OVERLAP + added
        while True:
            messages = self._read(window)
            keys = [self._key(message) for message in messages]
            known = [key in self._seen for key, _ in keys]
            first_known = known.index(True) if True in known and not self._knows_all else 0
            unknown = [
                message
                for index, (message, (_, is_unique)) in enumerate(zip(messages, keys, strict=True))
                if (index >= first_known and not known[index] if is_unique else index >= len(messages) - added)
            ]
            # A late message is further back: it is searched as far as messages were known when watching began.
            is_enough = any(known[: window // 2]) and (len(unknown) >= added or window >= INITIALLY_KNOWN)
            if is_enough or len(messages) < window:
                return unknown
            window *= 2

    def _find(self) -> Session | None:
        return self._watch.call(lambda: self._reader.find(self._session_id))

    def _is_unchanged(self, session: Session) -> bool:
        now = self._find()
        return now is not None and _version(now) == _version(session)

    def _note_deletion(self) -> None:
        if self._session is not None:
            self._watch.say(
                f"Session {self._session_id!r} was deleted. If it is created again, its new messages are shown."
            )
        self._session, self._appended = None, 0

    def _read(self, last: int) -> list[Message]:
        selection = MessageSelection(last=last)
        return self._watch.call(lambda: list(islice(self._reader.messages(self._session_id, selection), last)))

    def _expect_repeats(self, messages: Sequence[Message]) -> None:
        """The feed may report these messages again, up to its present position: equal ones are counted.

        One entry per read: reads may follow each other faster than the feed, which may still have to report several.
        """
        if self._feed is None:
            return
        position = self._watch.call(self._feed.position)
        self._repeats.append((position, Counter(key for key, is_unique in map(self._key, messages) if not is_unique)))

    def _is_new(self, message: Message) -> bool:
        key, is_unique = self._key(message)
        if is_unique and key in self._seen:
            return False
        if not is_unique:
            for _, repeats in self._repeats:
                if repeats[key] > 0:
                    repeats[key] -= 1
                    return False
        self._remember(message)
        return True

    def _remember(self, message: Message) -> None:
        self._seen.put(self._key(message)[0], True)

    def _key(self, message: Message) -> tuple[str, bool]:
        """The key that identifies a message, and whether no other message can have the same key."""
        if message.message_id is not None:
            return f"id {message.message_id}", True
        parts = (message.sequence, message.created_at, message.role, message.name, message.content, message.tool_calls)
        digest = hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()
        return digest, message.sequence is not None


def _version(session: Session) -> tuple[int, datetime | None]:
    return session.message_count, session.updated_at
