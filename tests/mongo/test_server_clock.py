"""The server's clock: how often the server is asked, and which changes make it ask again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatstore_cli.domain.clocks import differing_clocks, rough_duration
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.times import utc_now
from chatstore_cli.mongo import server_clock
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.server_clock import ServerClock
from tests.support.mongod import Mongod

NEAR = timedelta(minutes=1)
"""The time that a busy machine may take between two instructions of a test."""


class Clocks:
    """Two local clocks that move only when a test moves them; the first one `ahead` of the real time."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.wall = utc_now() + ahead
        self.seconds = 1_000.0

    def local(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


FAKE_TIME = datetime(2026, 3, 2, 11, tzinfo=UTC)


class FakeClient:
    """A client whose server's clock stands still. `primaries` has the process behind each address that accepts writes."""

    def __init__(self, answering: Callable[[], None] = lambda: None) -> None:
        self.primaries = {("a", 1): "process"}
        self.asked = 0
        self._answering = answering

    @property
    def admin(self) -> FakeClient:
        return self

    def command(self, _: str) -> dict[str, Any]:
        self.asked += 1
        self._answering()
        return {"localTime": FAKE_TIME.replace(tzinfo=None)}

    @property
    def topology_description(self) -> FakeClient:
        return self

    def server_descriptions(self) -> dict[tuple[str, int], Any]:
        return {
            address: SimpleNamespace(is_writable=True, topology_version={"processId": process})
            for address, process in self.primaries.items()
        }


class HelloCount(CommandListener):
    """Counts the commands `hello` that the driver sends for its caller."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: CommandStartedEvent) -> None:
        self.count += event.command_name == "hello"

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


@pytest.fixture
def hellos() -> HelloCount:
    return HelloCount()


@pytest.fixture
def listened(mongo_uri: str, database: Any, hellos: HelloCount) -> Iterator[Connection]:
    connection = connect(mongo_uri, database.name, timeout_seconds=10, listener=hellos)
    yield connection
    connection.client.close()


@pytest.fixture(autouse=True)
def no_earlier_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_clock, "_warned_targets", {})


def clock_of(connection: Connection, clocks: Clocks, warnings: list[str] | None = None) -> ServerClock:
    warn = [].append if warnings is None else warnings.append
    return ServerClock(connection, warn=warn, local=clocks.local, monotonic=clocks.monotonic)


@pytest.mark.parametrize("ahead", [timedelta(days=-60), timedelta(), timedelta(days=400)])
def test_it_is_the_servers_time_whatever_the_local_clock_is(listened: Connection, ahead: timedelta) -> None:
    assert abs(clock_of(listened, Clocks(ahead)).now() - utc_now()) < NEAR


def test_the_server_is_asked_once_and_again_after_a_minute(listened: Connection, hellos: HelloCount) -> None:
    clocks = Clocks()
    clock = clock_of(listened, clocks)
    first = clock.now()
    for _ in range(59):
        clocks.pass_time(1)
        clock.now()
    assert hellos.count == 1
    assert clock.now() - first == timedelta(seconds=59)
    clocks.pass_time(1)
    assert clock.now() < first + timedelta(seconds=50)  # the real clock of the server has not moved
    assert hellos.count == 2


@pytest.mark.parametrize("jump", [timedelta(hours=8), timedelta(hours=-8)])
def test_it_asks_again_if_the_machine_slept_or_its_clock_was_set(
    listened: Connection, hellos: HelloCount, jump: timedelta
) -> None:
    clocks = Clocks()
    clock = clock_of(listened, clocks)
    clock.now()
    clocks.wall += jump  # the monotonic clock stands still during sleep
    assert abs(clock.now() - utc_now()) < NEAR
    assert hellos.count == 2
    clock.now()
    assert hellos.count == 2


@pytest.mark.parametrize(
    "later",
    [
        pytest.param({("a", 1): "another process"}, id="restarted"),
        pytest.param({("b", 1): "process"}, id="another member"),
        pytest.param({}, id="not known"),
    ],
)
def test_it_asks_again_if_the_driver_knows_another_primary(later: dict[tuple[str, int], str]) -> None:
    client = FakeClient()
    clock = clock_of(Connection(client, Any, "fake"), Clocks())
    clock.now()
    clock.now()
    assert client.asked == 1
    client.primaries = later
    clock.now()
    assert client.asked == 2


@pytest.mark.soak
def test_it_asks_again_if_the_server_was_restarted(start_mongod: Callable[..., Mongod]) -> None:
    server = start_mongod()
    hellos = HelloCount()
    connection = connect(server.uri, "test", timeout_seconds=10, listener=hellos)
    clocks = Clocks()
    clock = clock_of(connection, clocks)
    clock.now()
    server.kill()
    server.start()
    connection.database.command("ping")  # a caller uses the connection, and the driver finds the new process
    clock.now()
    assert hellos.count == 2
    connection.client.close()


def test_while_the_server_is_unreachable_no_old_time_is_used(
    listened: Connection, fail_point: Callable[..., AbstractContextManager[None]]
) -> None:
    clocks = Clocks()
    clock = clock_of(listened, clocks)
    clock.now()
    clocks.pass_time(3_600)
    with fail_point(["hello"], closeConnection=True, appName="chatstore"), pytest.raises(Unreachable):
        clock.now()
    assert abs(clock.now() - utc_now()) < NEAR


@pytest.mark.parametrize("seconds", [0.4, 30.0])
def test_however_long_the_answer_takes_the_time_is_not_ahead_of_the_servers(seconds: float) -> None:
    clocks = Clocks()
    client = FakeClient(answering=lambda: clocks.pass_time(seconds))
    now = clock_of(Connection(client, Any, "fake"), clocks).now()
    assert now == FAKE_TIME


def test_more_than_five_minutes_are_one_warning_per_process_and_server(listened: Connection) -> None:
    warnings: list[str] = []
    clock_of(listened, Clocks(timedelta(minutes=4)), warnings).now()
    assert warnings == []
    for _ in range(2):
        clocks = Clocks(timedelta(days=-60))
        clock = clock_of(listened, clocks, warnings)
        clock.now()
        clocks.pass_time(61)
        clock.now()
    [warning] = warnings
    assert "60 days behind the server's" in warning


def test_in_memory_the_local_clock_is_the_servers(any_connection: Connection) -> None:
    clocks = Clocks(timedelta(days=-60))
    now = clock_of(any_connection, clocks).now()
    assert (now == clocks.wall) is any_connection.in_memory


@pytest.mark.parametrize(
    "seconds, words",
    [(0.5, "0 seconds"), (1, "1 second"), (-80, "1 minute"), (7_200, "2 hours"), (60 * 86_400, "60 days")],
)
def test_a_duration_is_named_in_its_largest_unit(seconds: float, words: str) -> None:
    assert rough_duration(timedelta(seconds=seconds)) == words


def test_the_warning_names_both_times_and_the_direction() -> None:
    server = datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert differing_clocks(server + timedelta(minutes=5), server) is None
    warning = differing_clocks(server + timedelta(minutes=6), server)
    assert warning is not None
    assert "(2026-03-02T11:06:00Z) is 6 minutes ahead of the server's (2026-03-02T11:00:00Z)" in warning
