"""What is told while watching begins: each change once, though a question and the feed both have it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from chatstore_cli.core.watch.feed import Watching, until
from chatstore_cli.core.watch.messages import WatchedMessages
from chatstore_cli.core.watch.sessions import FollowedSessions
from chatstore_cli.domain.errors import NotAllowed, UnknownHost, Unreachable
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Change, MessageEvent, News, SessionChange, SessionEvent, Taken
from chatstore_cli.mongo.connection import translate

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Reader:
    """Sessions and messages in memory."""

    sessions: list[Session] = field(default_factory=list)
    stored: list[Message] = field(default_factory=list)
    layout: str = "workflow"

    def index_specs(self) -> tuple[Any, ...]:
        return ()

    def unanswerable(self, query: SessionQuery) -> list[str]:
        return []

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        found = [
            each for each in self.sessions if query.matches(each) and (after is None or SessionKey.of(each) < after)
        ]
        return iter(sorted(found, key=SessionKey.of, reverse=True)[:limit])

    def find(self, session_id: str) -> Session | None:
        return next((each for each in self.sessions if each.session_id == session_id), None)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        return iter(self.stored[-selection.last :] if selection.last is not None else self.stored)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return iter(self.sessions)


class Feed:
    """Gives what it was given, and ends the watching after that."""

    def __init__(self, watching: Watching, taken: Sequence[Taken[Any]], place: int = 0) -> None:
        self._watching = watching
        self._taken = list(taken)
        self._place = place
        self.is_open = True

    def open(self) -> bool:
        return True

    def take(self) -> Taken[Any]:
        if not self._taken:
            self._watching.end()
            return Taken([])
        return self._taken.pop(0)

    def place(self) -> int:
        return self._place

    def close(self) -> None:
        self.is_open = False


def session(seconds: int, count: int = 1, name: str = "a") -> Session:
    at = NOON + seconds * SECOND
    return Session(name, "workflow", created_at=NOON, updated_at=at, message_count=count)


def changed(standing: Session, place: int, moment: datetime | None, change: Change = Change.CHANGED) -> SessionEvent:
    return SessionEvent(SessionChange(change, standing, moment), place, moment)


def told(caught: Session, events: Sequence[SessionEvent], place: int = 10) -> list[SessionChange]:
    """What is told of these events after the sessions were asked for at `place`."""
    watching = Watching(print)
    feed = Feed(watching, [Taken(events)], place)
    followed = FollowedSessions(watching, lambda: [Reader([caught])], SessionQuery(since=NOON), feed)
    rows = list(followed.changes())
    assert not feed.is_open
    assert rows[0] == SessionChange(Change.NEW, caught, caught.updated_at)
    return rows[1:]


def test_what_the_answer_had_already_is_not_told_again() -> None:
    later = session(9, 5)
    assert told(session(3), [changed(later, 8, NOON + 2 * SECOND), changed(later, 9, NOON + 3 * SECOND)]) == []
    assert told(session(3), [changed(session(3), 9, NOON, Change.NEW)]) == []
    assert told(session(3), [changed(session(3), 9, None)]) == []


def test_what_came_after_the_answer_is_told() -> None:
    later = session(9, 5)
    assert len(told(session(3), [changed(later, 9, NOON + 4 * SECOND)])) == 1  # asked before, and stored behind it
    assert len(told(session(3), [changed(later, 11, NOON + 2 * SECOND)])) == 1  # a writer whose clock is behind
    assert len(told(session(3), [changed(later, 9, None)])) == 1
    assert len(told(session(3), [changed(session(3), 9, NOON, Change.DELETED)])) == 1
    other = session(1, name="b")
    assert len(told(session(3), [changed(other, 9, NOON, Change.NEW)])) == 1


def test_after_a_gap_only_what_differs_from_what_was_told_is_told() -> None:
    said: list[str] = []
    watching = Watching(said.append)
    reader = Reader([session(1), session(2, 7, "b"), session(3, name="c")])
    events = [changed(session(1), 1, NOON), changed(session(2, 6, "b"), 2, NOON)]
    feed = Feed(watching, [Taken(events), Taken([], missed_since=NOON)])
    rows = list(FollowedSessions(watching, lambda: [reader], SessionQuery(), feed).changes())[2:]
    assert [(row.session.session_id, row.change) for row in rows] == [("b", Change.CHANGED), ("c", Change.CHANGED)]
    assert "no longer has all changes since 2026-03-02T12:00:00Z" in said[0]


def test_a_row_that_says_what_the_last_one_of_its_session_said_is_none() -> None:
    """An update is told with the facts of a moment later, which may be those of the next updates, too."""
    watching = Watching(print)
    first, later, other = session(1), session(2, 7), session(2, 7, "b")
    events = [
        changed(first, 1, NOON, Change.NEW), changed(later, 2, NOON), changed(later, 3, NOON + SECOND),
        changed(other, 4, NOON), changed(later, 5, NOON), changed(later, 6, NOON, Change.DELETED),
        changed(later, 7, NOON), changed(first, 8, NOON), changed(later, 9, NOON),
    ]  # fmt: skip
    rows = FollowedSessions(watching, lambda: [], SessionQuery(), Feed(watching, [Taken(events)])).changes()
    places = {(each.told.change, each.told.session, each.told.changed_at): each.place for each in reversed(events)}
    assert [places[row.change, row.session, row.changed_at] for row in rows] == [1, 2, 4, 6, 2, 8, 2]


def bare(content: str) -> Message:
    return Message("a", "user", content)


def messages_of(stored: Sequence[Message], events: Sequence[MessageEvent], place: int = 10) -> list[Any]:
    watching = Watching(print)
    reader = Reader([replace(session(0), message_count=len(stored))], list(stored))
    watched = WatchedMessages(watching, reader, "a", Feed(watching, [Taken(events)], place), None)
    watched.begin()
    return [message.content for message in watched.messages()]


def test_equal_messages_that_the_first_look_had_are_not_given_and_others_are() -> None:
    events = [MessageEvent(News.APPENDED, place, bare("ok")) for place in (8, 9, 11, 12)]
    assert messages_of([bare("ok"), bare("ok")], events) == ["ok", "ok"]
    assert messages_of([bare("ok")], events) == ["ok"] * 3
    assert messages_of([], events) == ["ok"] * 4
    late = [MessageEvent(News.APPENDED, 11, bare("ok")), MessageEvent(News.APPENDED, 11, bare("ok"))]
    assert messages_of([bare("ok")], late) == ["ok", "ok"]


def test_what_two_looks_gave_is_not_given_again_when_the_feed_comes_to_it() -> None:
    """Messages move into a segment, which is looked at, twice before the feed tells what was pushed before that."""
    watching = Watching(print)
    stored = [bare("old")]
    reader = Reader([session(0)], stored)
    moved, pushes = MessageEvent(News.REWRITTEN, 3), [bare(f"turn {number}") for number in range(4)]

    class Growing(Feed):
        """Pushes come between two looks, and are told after both of them."""

        place_now = 0

        def take(self) -> Taken[Any]:
            taken = super().take()
            for event in taken.events:
                if event is moved:
                    new, self.place_now = pushes[len(stored) - 1 : len(stored) + 1], self.place_now + 10
                    stored.extend(new)
                    reader.sessions[:] = [session(len(stored), len(stored))]
            return taken

        def place(self) -> int:
            return self.place_now

    told = [MessageEvent(News.APPENDED, 4 + number, each) for number, each in enumerate(pushes)]
    later = [MessageEvent(News.APPENDED, place, bare("turn 0")) for place in (21, 22)]
    feed = Growing(watching, [Taken([moved]), Taken([moved]), Taken([*told, *later])])
    watched = WatchedMessages(watching, reader, "a", feed, None)
    watched.begin()
    given = [message.content for message in watched.messages()]
    assert given == ["turn 0", "turn 1", "turn 2", "turn 3", "turn 0", "turn 0"]


def test_a_message_with_an_id_is_given_once_whatever_tells_it() -> None:
    known, new = bare("known")._replace(message_id="1"), bare("new")._replace(message_id="2")
    events = [
        MessageEvent(News.APPENDED, place, each) for place, each in ((9, known), (11, known), (12, new), (13, new))
    ]
    assert messages_of([known], events) == ["new"]


def test_the_end_comes_by_asking_by_time_and_by_itself() -> None:
    def endless(watching: Watching) -> Iterator[int]:
        while not watching.is_over:
            yield 1

    for asked, seconds in ((lambda: True, None), (lambda: False, 0.05)):
        watching = Watching(print)
        began = time.monotonic()
        assert all(thing == 1 for thing in until(watching, lambda w=watching: endless(w), asked, seconds))
        assert time.monotonic() - began < 5
        assert watching.is_over
    assert list(until(Watching(print), lambda: [1, 2], lambda: False, None)) == [1, 2]


def test_what_cannot_be_waited_out_is_raised() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise NotAllowed(what="no")

    things = until(Watching(print), failing, lambda: False, None)
    assert next(things) == 1
    with pytest.raises(NotAllowed):
        next(things)


def asking(*answers: Exception | int) -> Callable[[], int]:
    """A question that is answered so, one after another."""
    left = list(answers)

    def ask() -> int:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def test_an_outage_is_waited_out_and_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    said: list[str] = []
    watching = Watching(said.append)
    ask = asking(Unreachable(what="away"), Unreachable(what="still away"), 3, 4, Unreachable(what="again"), 5)
    assert [watching.ask(ask) for _ in range(3)] == [3, 4, 5]
    begins = [text.partition(" after")[0] for text in said]
    over = "The server answers again,"
    assert begins == ["away. Waiting for the server.", over, "again. Waiting for the server.", over]


def test_faults_that_the_driver_hides_and_silence_are_told_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatstore_cli.core.watch.feed._SILENT_SECONDS", 0.0)
    said: list[str] = []
    watching = Watching(said.append)

    def question() -> int:
        time.sleep(0.001)
        watching.notice_silence()
        watching.notice_silence()
        watching.failed("connection reset")
        watching.answered()
        watching.answered()
        watching.failed("not primary")
        return 3

    assert watching.ask(question) == 3
    watching.notice_silence()
    assert [text.partition(",")[0] for text in said] == [
        "The server has not answered for 0 s. Waiting for the server.",
        "The server answers again",
        "The connection to the server failed: not primary. Waiting for the server.",
        "The server answers again",
    ]


def test_a_host_that_has_never_been_there_is_an_error_and_one_that_is_gone_an_outage() -> None:
    watching = Watching(print)
    nobody = UnknownHost(what="no such name")
    with pytest.raises(UnknownHost):
        watching.ask(asking(nobody))
    watching.begin()
    assert watching.ask(asking(nobody, 3)) == 3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a:1: [Errno -2] Name or service not known (configured timeouts: x), Timeout: 1s, Topology Description: <>", UnknownHost),
        ("a:1: [Errno -2] Name or service not known (configured timeouts: x: 1, y: 2),b:1: [Errno 111] Connection refused", Unreachable),
        ("a:1: [Errno -3] Temporary failure in name resolution", Unreachable),
        ("a:1: [Errno 8] nodename nor servname provided, or not known", UnknownHost),
    ],
)  # fmt: skip
def test_only_names_that_nobody_has_are_unknown(text: str, kind: type[Unreachable]) -> None:
    assert type(translate(ServerSelectionTimeoutError(text), "testing")) is kind


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_asking_and_time_end_what_has_not_begun(seconds: float | None) -> None:
    said: list[str] = []
    watching = Watching(said.append)
    watching.greeting = "Watching."

    def away() -> int:
        raise Unreachable(what="away")

    def asked() -> bool:
        return bool(watching.outage) and seconds is None

    assert list(until(watching, lambda: [watching.ask(away)], asked, seconds)) == []
    assert said == ["away. Waiting for the server."]


def test_who_takes_nothing_holds_up_who_reads() -> None:
    made = 0
    watching = Watching(print)

    def things() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    taken = until(watching, things, lambda: False, None)
    assert next(taken) == 1
    held = threading.Event()
    while not held.wait(0.05):
        before = made
        held.wait(0.2)
        if made == before:
            break
    assert made < 200
    taken.close()  # type: ignore[attr-defined]  # it is a generator
