"""Watching without a database: each change is reported once, though a query and the feed both contain it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import ServerSelectionTimeoutError

from chatstore_cli.core.watch.feed import READ_AHEAD, Watch, iterate_until
from chatstore_cli.core.watch.messages import WatchedMessages
from chatstore_cli.core.watch.sessions import FollowedSessions
from chatstore_cli.domain.errors import NotAllowed, UnknownHost, Unreachable
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Batch, Change, MessageEvent, MessageEventKind, SessionChange, SessionEvent
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

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        return next((each for each in self.sessions if each.session_id == session_id), None)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        return iter(self.stored[-selection.last :] if selection.last is not None else self.stored)

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return iter(self.sessions)


class Feed:
    """Returns prepared batches, and terminates the watch after the last one."""

    def __init__(self, watch: Watch, batches: Sequence[Batch[Any]], position: int = 0) -> None:
        self._watching = watch
        self._batches = list(batches)
        self._position = position
        self.is_open = True

    def open(self) -> bool:
        return True

    def read(self) -> Batch[Any]:
        if not self._batches:
            self._watching.terminate()
            return Batch([])
        return self._batches.pop(0)

    def position(self) -> int:
        return self._position

    def close(self) -> None:
        self.is_open = False


def session(seconds: int, count: int = 1, name: str = "a") -> Session:
    updated_at = NOON + seconds * SECOND
    return Session(name, "workflow", created_at=NOON, updated_at=updated_at, message_count=count)


def changed(row: Session, position: int, instant: datetime | None, change: Change = Change.CHANGED) -> SessionEvent:
    return SessionEvent(SessionChange(change, row, instant), position, instant)


def reported(queried: Session, events: Sequence[SessionEvent], position: int = 10) -> list[SessionChange]:
    """Which of these events are reported after a query that ended at `position` returned the session."""
    watch = Watch(print)
    feed = Feed(watch, [Batch(events)], position)
    followed = FollowedSessions(watch, lambda: [Reader([queried])], SessionQuery(since=NOON), feed)
    rows = list(followed.changes())
    assert not feed.is_open
    assert rows[0] == SessionChange(Change.NEW, queried, queried.updated_at)
    return rows[1:]


def test_a_change_that_the_query_returned_is_not_reported_again() -> None:
    later = session(9, 5)
    assert reported(session(3), [changed(later, 8, NOON + 2 * SECOND), changed(later, 9, NOON + 3 * SECOND)]) == []
    assert reported(session(3), [changed(session(3), 9, NOON, Change.NEW)]) == []
    assert reported(session(3), [changed(session(3), 9, None)]) == []


def test_a_change_after_the_query_is_reported() -> None:
    later = session(9, 5)
    assert (
        len(reported(session(3), [changed(later, 9, NOON + 4 * SECOND)])) == 1
    )  # written before the query, stored after it
    assert len(reported(session(3), [changed(later, 11, NOON + 2 * SECOND)])) == 1  # a writer whose clock is late
    assert len(reported(session(3), [changed(later, 9, None)])) == 1
    assert len(reported(session(3), [changed(session(3), 9, NOON, Change.DELETED)])) == 1
    other = session(1, name="b")
    assert len(reported(session(3), [changed(other, 9, NOON, Change.NEW)])) == 1


def test_after_a_gap_only_sessions_that_differ_from_their_last_row_are_reported() -> None:
    said: list[str] = []
    watch = Watch(said.append)
    reader = Reader([session(1), session(2, 7, "b"), session(3, name="c")])
    events = [changed(session(1), 1, NOON), changed(session(2, 6, "b"), 2, NOON)]
    feed = Feed(watch, [Batch(events), Batch([], missed_since=NOON)])
    rows = list(FollowedSessions(watch, lambda: [reader], SessionQuery(), feed).changes())[2:]
    assert [(row.session.session_id, row.change) for row in rows] == [("b", Change.CHANGED), ("c", Change.CHANGED)]
    assert "no longer has all changes since 2026-03-02T12:00:00Z" in said[0]


def test_a_row_equal_to_the_last_row_of_its_session_is_left_out() -> None:
    """An update is reported with the facts of a moment later, which may include the next updates."""
    watch = Watch(print)
    first, later, other = session(1), session(2, 7), session(2, 7, "b")
    events = [
        changed(first, 1, NOON, Change.NEW), changed(later, 2, NOON), changed(later, 3, NOON + SECOND),
        changed(other, 4, NOON), changed(later, 5, NOON), changed(later, 6, NOON, Change.DELETED),
        changed(later, 7, NOON), changed(first, 8, NOON), changed(later, 9, NOON),
    ]  # fmt: skip
    rows = FollowedSessions(watch, lambda: [], SessionQuery(), Feed(watch, [Batch(events)])).changes()
    positions = {
        (each.change.change, each.change.session, each.change.changed_at): each.position for each in reversed(events)
    }
    assert [positions[row.change, row.session, row.changed_at] for row in rows] == [1, 2, 4, 6, 2, 8, 2]


def bare(content: str) -> Message:
    return Message("a", "user", content)


def messages_of(stored: Sequence[Message], events: Sequence[MessageEvent], position: int = 10) -> list[Any]:
    watch = Watch(print)
    reader = Reader([replace(session(0), message_count=len(stored))], list(stored))
    watched = WatchedMessages(watch, reader, "a", Feed(watch, [Batch(events)], position), None)
    watched.begin()
    return [message.content for message in watched.messages()]


def test_equal_messages_that_the_first_read_returned_are_left_out_and_others_are_shown() -> None:
    events = [MessageEvent(MessageEventKind.APPENDED, position, bare("ok")) for position in (8, 9, 11, 12)]
    assert messages_of([bare("ok"), bare("ok")], events) == ["ok", "ok"]
    assert messages_of([bare("ok")], events) == ["ok"] * 3
    assert messages_of([], events) == ["ok"] * 4
    late = [
        MessageEvent(MessageEventKind.APPENDED, 11, bare("ok")),
        MessageEvent(MessageEventKind.APPENDED, 11, bare("ok")),
    ]
    assert messages_of([bare("ok")], late) == ["ok", "ok"]


def test_messages_that_two_reads_returned_are_not_shown_again_by_the_feed() -> None:
    """Messages move into a segment, which is read, twice before the feed reports what was pushed before that."""
    watch = Watch(print)
    stored = [bare("old")]
    reader = Reader([session(0)], stored)
    moved, pushes = MessageEvent(MessageEventKind.REWRITTEN, 3), [bare(f"turn {number}") for number in range(4)]

    class Growing(Feed):
        """Pushes come between two reads, and are reported after both of them."""

        position_now = 0

        def read(self) -> Batch[Any]:
            batch = super().read()
            for event in batch.events:
                if event is moved:
                    new, self.position_now = pushes[len(stored) - 1 : len(stored) + 1], self.position_now + 10
                    stored.extend(new)
                    reader.sessions[:] = [session(len(stored), len(stored))]
            return batch

        def position(self) -> int:
            return self.position_now

    pushed = [MessageEvent(MessageEventKind.APPENDED, 4 + number, each) for number, each in enumerate(pushes)]
    later = [MessageEvent(MessageEventKind.APPENDED, position, bare("turn 0")) for position in (21, 22)]
    feed = Growing(watch, [Batch([moved]), Batch([moved]), Batch([*pushed, *later])])
    watched = WatchedMessages(watch, reader, "a", feed, None)
    watched.begin()
    contents = [message.content for message in watched.messages()]
    assert contents == ["turn 0", "turn 1", "turn 2", "turn 3", "turn 0", "turn 0"]


def test_a_message_with_an_id_is_shown_once_whichever_source_returns_it() -> None:
    known, new = bare("known")._replace(message_id="1"), bare("new")._replace(message_id="2")
    events = [
        MessageEvent(MessageEventKind.APPENDED, place, each)
        for place, each in ((9, known), (11, known), (12, new), (13, new))
    ]
    assert messages_of([known], events) == ["new"]


def test_iteration_ends_on_request_after_the_time_and_after_the_last_item() -> None:
    def endless(watch: Watch) -> Iterator[int]:
        while not watch.is_over:
            yield 1

    for stop_requested, seconds in ((lambda: True, None), (lambda: False, 0.05)):
        watch = Watch(print)
        assert all(item == 1 for item in iterate_until(watch, lambda w=watch: endless(w), stop_requested, seconds))
        assert watch.is_over
    assert list(iterate_until(Watch(print), lambda: [1, 2], lambda: False)) == [1, 2]


def test_an_error_that_is_not_an_outage_is_raised() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise NotAllowed(what="no")

    items = iterate_until(Watch(print), failing, lambda: False)
    assert next(items) == 1
    with pytest.raises(NotAllowed):
        next(items)


def answering(*answers: Exception | int) -> Callable[[], int]:
    """An operation with these results, one after another."""
    left = list(answers)

    def operation() -> int:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return operation


def test_an_outage_is_waited_out_and_reported_once_at_its_begin_and_once_at_its_end() -> None:
    said: list[str] = []
    watch = Watch(said.append)
    operation = answering(Unreachable(what="away"), Unreachable(what="still away"), 3, 4, Unreachable(what="again"), 5)
    assert [watch.call(operation) for _ in range(3)] == [3, 4, 5]
    begins = [text.partition(" after")[0] for text in said]
    over = "The server answers again,"
    assert begins == ["away. Waiting for the server.", over, "again. Waiting for the server.", over]


def test_faults_that_the_driver_retries_and_silence_are_reported_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatstore_cli.core.watch.feed._SILENCE_SECONDS", 0.0)
    said: list[str] = []
    watch = Watch(said.append)

    def operation() -> int:
        time.sleep(0.001)
        watch.note_silence()
        watch.note_silence()
        watch.note_failure("connection reset")
        watch.note_answer()
        watch.note_answer()
        watch.note_failure("not primary")
        return 3

    assert watch.call(operation) == 3
    watch.note_silence()
    assert [text.partition(",")[0] for text in said] == [
        "The server has not answered for 0 s. Waiting for the server.",
        "The server answers again",
        "The connection to the server failed: not primary. Waiting for the server.",
        "The server answers again",
    ]


def test_an_unknown_host_is_an_error_before_the_watch_begins_and_an_outage_after() -> None:
    watch = Watch(print)
    nobody = UnknownHost(what="no such name")
    with pytest.raises(UnknownHost):
        watch.call(answering(nobody))
    watch.begin()
    assert watch.call(answering(nobody, 3)) == 3


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a:1: [Errno -2] Name or service not known (configured timeouts: x), Timeout: 1s, Topology Description: <>", UnknownHost),
        ("a:1: [Errno -2] Name or service not known (configured timeouts: x: 1, y: 2),b:1: [Errno 111] Connection refused", Unreachable),
        ("a:1: [Errno -3] Temporary failure in name resolution", Unreachable),
        ("a:1: [Errno 8] nodename nor servname provided, or not known", UnknownHost),
    ],
)  # fmt: skip
def test_only_names_that_do_not_exist_are_unknown(text: str, kind: type[Unreachable]) -> None:
    error = translate(ServerSelectionTimeoutError(text), "testing")
    assert type(error) is kind
    assert "Errno" not in error.message


@pytest.mark.parametrize("seconds", [None, 0.2])
def test_a_request_and_the_time_end_a_watch_that_has_not_begun(seconds: float | None) -> None:
    said: list[str] = []
    watch = Watch(said.append)
    watch.greeting = "Watch."

    def away() -> int:
        raise Unreachable(what="away")

    def stop_requested() -> bool:
        return bool(watch.outage) and seconds is None

    if seconds is None:
        assert list(iterate_until(watch, lambda: [watch.call(away)], stop_requested)) == []
    else:
        with pytest.raises(Unreachable, match=f"^No server answered within {seconds} s, so nothing was watched"):
            iterate_until(watch, lambda: [watch.call(away)], stop_requested, seconds)
    assert said == ["away. Waiting for the server."]


def test_the_thread_reads_no_more_than_the_queue_holds() -> None:
    produced = 0
    is_full, is_over_full = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        nonlocal produced
        while True:
            produced += 1
            if produced == READ_AHEAD + 2:  # one was received, the queue is full, and this one waits for a place
                is_full.set()
            if produced > READ_AHEAD + 2:
                is_over_full.set()
            yield produced

    received = iterate_until(Watch(print), items, lambda: False)
    assert next(received) == 1
    assert is_full.wait(60)
    assert not is_over_full.wait(0.2)
    received.close()
