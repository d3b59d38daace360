"""One session's messages as they come.

A message is known by its id, or where it has none by its sequence, time, speaker and content. So one that moves into a
segment, or that a look and the feed both have, is given once.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice

from chatstore_cli.core.watch.feed import Watching
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.watch import Feed, MessageEvent, News, Taken

OVERLAP = 50
"""Messages that a look reads besides those that were added: how far behind the newest a late one may stand."""

AT_FIRST = 1_000
"""Messages that are taken as known when watching begins."""

REMEMBERED = 100_000
_TRIES = 5


class PolledMessages:
    """A feed for servers that tell no changes: every so often it says that there may be something to read."""

    def __init__(self, watching: Watching, seconds: float) -> None:
        self._watching = watching
        self._seconds = seconds
        self._takes = 0

    def open(self) -> bool:
        """Nothing to open."""
        return True

    def take(self) -> Taken[MessageEvent]:
        """Wait, and say so."""
        self._watching.pause(self._seconds)
        self._takes += 1
        return Taken([MessageEvent(News.REWRITTEN, self._takes)])

    def place(self) -> int:
        """How often it has said so."""
        return self._takes

    def close(self) -> None:
        """Nothing to close."""


class WatchedMessages:
    """The messages of one session, each once. `feed` is open; the session is there."""

    def __init__(
        self,
        watching: Watching,
        reader: SessionReader,
        session_id: str,
        feed: Feed[MessageEvent],
        since: datetime | None,
    ) -> None:
        self._watching = watching
        self._reader = reader
        self._session_id = session_id
        self._feed = feed
        self._since = since
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._ahead: deque[tuple[int, Counter[str]]] = deque()
        self._facts: Session | None = None
        self._knows_all = False
        self._appended = 0

    def begin(self) -> None:
        """The first look, where nothing before now is wanted: what is there by now, is not new."""
        if self._since is not None:
            return
        self._facts = self._watching.ask(lambda: self._reader.find(self._session_id))
        known = self._read(AT_FIRST)
        self._knows_all = len(known) < AT_FIRST
        for message in known:
            self._remember(message)
        self._look_ended(known)

    def messages(self) -> Iterator[Message]:
        """Each as it comes, until it is over."""
        try:
            if self._since is not None:
                yield from self._from(self._since)
            while not self._watching.is_over:
                taken = self._watching.ask(self._feed.take)
                for event in taken.events:
                    yield from self._of(event)
                if taken.missed_since is not None:
                    self._watching.say("The server no longer has all changes: what was added meanwhile is read.")
                    yield from self._look()
        finally:
            self._feed.close()

    def _of(self, event: MessageEvent) -> Iterator[Message]:
        while self._ahead and event.place > self._ahead[0][0]:
            self._ahead.popleft()
        if event.news is News.DELETED:
            self._gone()
        elif event.message is None:
            yield from self._look()
        elif self._is_new(event.message):
            self._appended += 1
            yield event.message

    def _from(self, since: datetime) -> Iterator[Message]:
        self._facts = self._watching.ask(lambda: self._reader.find(self._session_id))
        self._knows_all = True
        wanted = self._watching.ask(lambda: list(self._all_from(since)))
        yield from wanted
        self._look_ended(wanted[-AT_FIRST:])

    def _all_from(self, since: datetime) -> Iterator[Message]:
        for message in self._reader.messages(self._session_id, MessageSelection()):
            self._remember(message)
            if message.created_at is not None and message.created_at >= since:
                yield message

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self) -> Iterator[Message]:
        """What was added since the last look, found from the end."""
        before = self._facts
        for _ in range(_TRIES):
            facts = self._watching.ask(lambda: self._reader.find(self._session_id))
            if facts is None:
                self._gone()
                return
            if before is not None and _stand(before) == _stand(facts):
                return
            added = max(0, facts.message_count - (before.message_count if before is not None else 0) - self._appended)
            try:
                fresh = self._added(added)
            except (Conflict, NotFound):  # rewritten or deleted under the look
                continue
            # Messages that only their place tells apart need a count that is of the same moment.
            if all(self._key(message)[1] for message in fresh) or self._still_stands(facts):
                break
        else:
            return  # the next look finds it
        self._facts, self._appended = facts, 0
        for message in fresh:
            self._remember(message)
        yield from fresh
        self._look_ended(fresh)

    def _added(self, added: int) -> list[Message]:
        """The messages that are not known, read from the end until known ones come."""
        window = OVERLAP + added
        while True:
            read = self._read(window)
            keys = [self._key(message) for message in read]
            known = [key in self._seen for key, _ in keys]
            first = known.index(True) if True in known and not self._knows_all else 0
            fresh = [
                message
                for place, (message, (_, is_sure)) in enumerate(zip(read, keys, strict=True))
                if (place >= first and not known[place] if is_sure else place >= len(read) - added)
            ]
            # A late one stands further back: it is looked for as far as messages were known when watching began.
            enough = any(known[: window // 2]) and (len(fresh) >= added or window >= AT_FIRST)
            if enough or len(read) < window:
                return fresh
            window *= 2

    def _still_stands(self, facts: Session) -> bool:
        now = self._watching.ask(lambda: self._reader.find(self._session_id))
        return now is not None and _stand(now) == _stand(facts)

    def _gone(self) -> None:
        if self._facts is not None:
            self._watching.say(f"Session {self._session_id!r} was deleted. Should it come back, its new messages come.")
        self._facts, self._appended = None, 0

    def _read(self, last: int) -> list[Message]:
        selection = MessageSelection(last=last)
        return self._watching.ask(lambda: list(islice(self._reader.messages(self._session_id, selection), last)))

    def _look_ended(self, given: Sequence[Message]) -> None:
        """What the feed tells up to here may have been in the look: of messages that cannot be told apart, as many.

        Looks follow each other faster than the feed, which may still have to tell what several of them gave.
        """
        mark = self._watching.ask(self._feed.place)
        self._ahead.append((mark, Counter(key for key, is_sure in map(self._key, given) if not is_sure)))

    def _is_new(self, message: Message) -> bool:
        key, is_sure = self._key(message)
        if is_sure and key in self._seen:
            return False
        if not is_sure:
            for _, given in self._ahead:
                if given[key] > 0:
                    given[key] -= 1
                    return False
        self._remember(message)
        return True

    def _remember(self, message: Message) -> None:
        key, _ = self._key(message)
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _key(self, message: Message) -> tuple[str, bool]:
        """What a message is known by, and whether no other one can have the same."""
        if message.message_id is not None:
            return f"id {message.message_id}", True
        parts = (message.sequence, message.created_at, message.role, message.name, message.content, message.tool_calls)
        digest = hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()
        return digest, message.sequence is not None


def _stand(session: Session) -> tuple[int, datetime | None]:
    return session.message_count, session.updated_at
