"""The notice that no server answers, with timers that the test rings."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.waiting import SECONDS_UNTIL_NOTICE, WaitingNotice, start_timer
from tests.support.mongod import poll


class Timers:
    """The timers that were started, in order; a cancelled one does nothing when it rings."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], None] | None] = []
        self.seconds: list[float] = []

    def __call__(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        number = len(self.pending)
        self.seconds.append(seconds)
        self.pending.append(call)

        def cancel() -> None:
            self.pending[number] = None

        return cancel

    def ring(self) -> None:
        for call in self.pending:
            if call is not None:
                call()


def _event(topology: str, *, usable: bool) -> Any:
    description = SimpleNamespace(has_writable_server=lambda: usable, has_readable_server=lambda: usable)
    return SimpleNamespace(topology_id=topology, new_description=description)


def test_it_is_noticed_once_per_outage_however_many_clients_wait() -> None:
    timers, notices = Timers(), list[str]()
    waiting = WaitingNotice(lambda: notices.append("waiting"), timers)
    for topology in ("first", "second"):
        waiting.opened(_event(topology, usable=False))
        waiting.description_changed(_event(topology, usable=False))  # its server refused the connection
    timers.ring()
    assert (notices, timers.seconds) == (["waiting"], [SECONDS_UNTIL_NOTICE] * 2)
    for topology in ("first", "second"):
        waiting.description_changed(_event(topology, usable=True))
    timers.ring()
    assert notices == ["waiting"]
    waiting.description_changed(_event("first", usable=False))
    timers.ring()
    assert notices == ["waiting"] * 2


def test_a_server_that_answers_in_time_is_not_noticed() -> None:
    timers, notices = Timers(), list[str]()
    waiting = WaitingNotice(lambda: notices.append("waiting"), timers)
    waiting.opened(_event("first", usable=False))
    waiting.description_changed(_event("first", usable=True))
    waiting.opened(_event("second", usable=False))
    waiting.closed(_event("second", usable=False))
    timers.ring()
    assert notices == []


def test_looking_up_hosts_counts_as_waiting() -> None:
    timers, notices = Timers(), list[str]()
    waiting = WaitingNotice(lambda: notices.append("waiting"), timers)
    with waiting.while_looking_up():
        timers.ring()
    timers.ring()
    assert notices == ["waiting"]


def test_the_driver_reports_what_the_notice_needs(mongo_uri: str) -> None:
    timers, notices = Timers(), list[str]()
    waiting = WaitingNotice(lambda: notices.append("waiting"), timers)
    dead = connect("mongodb://127.0.0.1:9", "chats", timeout_seconds=0.1, waiting=waiting)
    poll(lambda: timers.pending and timers.pending[0] is not None, what="the start of the timer")
    dead.client.close()
    poll(lambda: timers.pending == [None], what="the end of the timer")
    alive = connect(mongo_uri, "chats", timeout_seconds=30, waiting=waiting)
    alive.client.admin.command("ping")
    poll(lambda: timers.pending == [None, None], what="the end of the second timer")
    alive.client.close()


def test_a_timer_that_cannot_start_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    start_timer(1, cast(Any, None))()


def test_one_limit_covers_finding_the_server_and_connecting_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect("mongodb://127.0.0.1:9", "chats", timeout_seconds=7)
    options = connection.client.options
    assert options.server_selection_timeout == 7
    assert options.pool_options.connect_timeout == 7
    limits = []

    class Limit:
        def __init__(self, seconds: float) -> None:
            limits.append(seconds)

        def __enter__(self) -> None:
            raise OverflowError("far enough")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("chatstore_cli.mongo.connection.time_limit", Limit)
    for seconds in (3.0, 60.0, float("inf"), 0.0, -1.0):
        with pytest.raises(Exception, match="far enough"):
            connection.reach(seconds)
    assert limits == [3, 7, 7, 0.01, 0.01]
    connection.client.close()
