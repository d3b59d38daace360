"""What is searched for in the messages of sessions, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import SessionQuery


class SearchMode(StrEnum):
    """How a text is compared with a message."""

    WORDS = "words"
    """Every word of the text must be a whole word of the message."""
    SUBSTRING = "substring"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A text, how it is compared, and filters; None means no filter.

    `layout`, `tenant_id`, `user_id` and `session_id` select sessions. `role`, `since` (inclusive) and `until` (exclusive)
    select messages. A message without a time has that of its session's last update; a message of a session without times
    matches no time filter.

    `continues_at` is the time of the last hit of an earlier page: later messages need not be candidates. Only a layout
    with one document per message should use it. Messages without a time are still needed.
    """

    text: str
    mode: SearchMode = SearchMode.WORDS
    match_case: bool = False
    layout: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    role: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    continues_at: datetime | None = None
    among: frozenset[SessionRef] | None = None
    """The sessions whose messages count, for example those with a tag. core/search/ compares them, not the layouts."""

    @property
    def sessions(self) -> SessionQuery:
        """The sessions that may have such messages. `until` is not among the filters: sessions continue after it.

        A session that was last updated before `since` is not searched.
        """
        return SessionQuery(layout=self.layout, tenant_id=self.tenant_id, user_id=self.user_id, since=self.since)


@dataclass(frozen=True, slots=True)
class TextFilter:
    """Conditions that every message with a hit meets, for an index or a filter in the server. They select candidates only.

    `words` are the words of the query in small letters and NFC; an index must find the messages that have all of them. It
    is empty if the query has no whole words (substring, regex): then no index can be used.

    `patterns` are regular expressions, for MongoDB and PostgreSQL alike, without regard to case. Each matches in at least
    one stored text of every message that has a hit, also if that text is JSON with escaped characters. Different patterns
    may match in different texts of a message: content, a part of it, the name or the arguments of a tool call. A value
    that is not stored as a text, such as a number or the key of an object in the arguments of a call, can have a hit too.
    So a message with objects whose values a filter cannot reach passes the filter. Empty means that every message passes.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


NOT_READ = datetime.max.replace(tzinfo=UTC)
"""The last update of a session that was not read, because its messages are documents of their own."""


class Candidate(NamedTuple):
    """A message that may have a hit, the tenant and user of its session, if the layout has them, and its last update.

    A message is sorted by its time, but not later than by the last update of its session; by that update if it has no
    time; last if the session has no update.
    """

    message: Message
    tenant_id: str | None = None
    user_id: str | None = None
    updated_at: datetime | None = NOT_READ


class SearchStep(NamedTuple):
    """One step of a search in a layout, from the newest messages to the oldest.

    No later step has a message after the instant `reached`; None if only messages without any time remain. It is the last
    update of the session, if a step has the candidates of one session, or the time of the oldest of several messages. It
    is also the time of candidates without one, if the update of their session was not read. Candidates of one step can have any order. A step without candidates reports
    progress, so that hits of other layouts can be printed meanwhile.
    """

    reached: datetime | None
    candidates: tuple[Candidate, ...] | list[Candidate] = ()


class WordsStep(NamedTuple):
    """A step of an update of the index of words: sessions looked at, those that were read, and deleted documents of words."""

    sessions: int = 0
    read: int = 0
    removed: int = 0


@dataclass(slots=True)
class WordsUpdate:
    """What an update of one layout has done so far. `removed` counts documents of words whose session was deleted."""

    layout: str
    sessions: int = 0
    read: int = 0
    removed: int = 0
    seconds: float = 0.0


class SearchHit(NamedTuple):
    """A message with hits. `offsets` are their beginnings and ends in characters of the message's text.

    The text is that of core/search/message_text.py. `snippet` is the part of it that begins at the character
    `snippet_start`; `text_length` counts the characters of the whole text. With `more_offsets` the message has more hits than `offsets` has.
    """

    layout: str
    message: Message
    place: datetime | None
    """What hits are sorted by: the time of the message, but not later than what its layout had reached."""
    offsets: tuple[tuple[int, int], ...]
    more_offsets: bool
    snippet: str
    snippet_start: int
    text_length: int
    tenant_id: str | None = None
    user_id: str | None = None
