"""Numbers of general chats: many processes at once, kill -9 at every command, and lost answers. None comes twice."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges
from chatstore_cli.mongo.general.numbers import ChatNumbers
from tests.support.forked_jobs import ForkedJobs
from tests.support.general_writers import general_writers
from tests.support.lossy_proxy import LossyProxy
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real

KILLED = -9
MOST_COMMANDS = 40
ON_ONE_SERVER = pytest.mark.parametrize(
    "server", ["mongod", pytest.param("standalone", marks=pytest.mark.soak)], indirect=True
)
"""The commands are the same on both servers."""

Documents = Database[dict[str, Any]]


@pytest.fixture(params=["mongod", "standalone"])
def server(request: pytest.FixtureRequest) -> Mongod:
    """A replica set, and a standalone server, on which the driver repeats nothing."""
    server: Mongod = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def documents(server: Mongod) -> Iterator[Documents]:
    """An empty database on that server."""
    client = server.client()
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    yield database
    client.drop_database(database.name)


@pytest.fixture
def connection(server: Mongod, documents: Documents) -> Iterator[Connection]:
    """A connection to that database."""
    connection = connect(server.uri, documents.name, timeout_seconds=10)
    yield connection
    connection.client.close()


@pytest.fixture
def numbers(connection: Connection) -> ChatNumbers:
    """The numbers of that database."""
    return ChatNumbers(connection, Settings())


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with general_writers() as processes:
        yield processes


@pytest.fixture
def writers(all_writers: ForkedJobs, server: Mongod, documents: Documents) -> ForkedJobs:
    """Processes that write to that database."""
    all_writers.write_to(server.uri, documents.name)
    return all_writers


def counter(sequence: Any, user: str, **tenant: Any) -> dict[str, Any]:
    """A counter of acme."""
    return {"user_id": user, "sequence": sequence, **(tenant or {"app_id": "acme"})}


def chat(number: int, user: str) -> dict[str, Any]:
    """A chat of acme."""
    chat_id = f"generalchat-acme-{user}-{number:04d}"
    return {"_id": chat_id, "app_id": "acme", "user_id": user, "general_sequence": number, "messages": []}


def given(documents: Documents, user: str) -> list[int]:
    """The numbers that the processes got, in order."""
    return sorted(each["_id"]["number"] for each in documents["given"].find({"_id.user": user}))


def check_many_processes(writers: ForkedJobs, documents: Documents, processes: int, chats: int) -> None:
    """For a new user, doubled counters in both variants, a restore without and with counters, and an unusable counter."""
    documents["GeneralChatSessions"].insert_many(
        [*(chat(number, "restored") for number in (1, 2, 7)), *(chat(number, "behind") for number in (4, 5, 9))]
    )
    doubled = [counter(number, "doubled") for number in (3, 8, 8, 2.0)]
    documents["GeneralChatCounters"].insert_many(
        [*doubled, counter(6, "doubled", enterprise_id="acme"), counter(4, "behind"), counter("5", "unusable")]
    )
    first = {"new": 1, "doubled": 9, "restored": 8, "behind": 10, "unusable": 6}
    job = {"work": "create_and_delete", "users": list(first), "chats": chats}
    assert writers.run(*[job] * processes, {"work": "merge"}) == [0] * (processes + 1)
    number = processes * chats
    for user, start in first.items():
        assert given(documents, user) == list(range(start, start + number)), user
        stored = documents["GeneralChatCounters"].find({"user_id": user})
        assert max(int(each["sequence"]) for each in stored) == start + number - 1
    assert documents["GeneralChatCounters"].count_documents({}) == len(first) + 1


def test_8_processes_at_once(writers: ForkedJobs, documents: Documents) -> None:
    check_many_processes(writers, documents, processes=8, chats=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_50_processes_at_once(writers: ForkedJobs, documents: Documents) -> None:
    check_many_processes(writers, documents, processes=50, chats=10)


@ON_ONE_SERVER
def test_a_number_of_a_deleted_chat_never_comes_again_after_a_kill(
    writers: ForkedJobs, documents: Documents, numbers: ChatNumbers
) -> None:
    """The deletion is killed after each of its commands, without any counter before it."""
    sessions, counters = documents["GeneralChatSessions"], documents["GeneralChatCounters"]
    killed = 0
    for number in range(1, MOST_COMMANDS):
        sessions.delete_many({})
        counters.delete_many({})
        sessions.insert_one(chat(number, "ann"))
        job = {"work": "delete", "chat_id": f"generalchat-acme-ann-{number:04d}", "kill_at": ["after", number]}
        [code] = writers.run(job)
        killed += code == KILLED
        assert numbers.next_number("acme", "ann") == number + 1
        if sessions.count_documents({}) == 0:  # what follows is no matter of its number
            break
    assert killed >= 6
    assert sessions.count_documents({}) == 0


@ON_ONE_SERVER
def test_a_merge_that_is_killed_at_every_command_loses_no_number(
    writers: ForkedJobs, connection: Connection, documents: Documents, numbers: ChatNumbers
) -> None:
    counters, merges = documents["GeneralChatCounters"], MongoCounterMerges(connection, Settings())
    killed = 0
    for command in range(1, MOST_COMMANDS):
        counters.delete_many({})
        old = [counter(number, "ann") for number in (9, 2.0, 9)]
        counters.insert_many(
            [*old, counter("7", "ben"), counter(3, "ben"), counter(1, "ben", app_id="acme", enterprise_id="acme")]
        )
        [code] = writers.run({"work": "merge", "kill_at": ["after", command]})
        killed += code == KILLED
        assert numbers.next_number("acme", "ann") == 10
        assert numbers.next_number("acme", "ben") == 8
        for each in merges.doubled("app_id") or []:
            merges.merge(each)
        assert {(each["user_id"], each["sequence"], each.get("enterprise_id")) for each in counters.find()} == {
            ("ann", 10, None),
            ("ben", 8, "acme"),
        }
        if code == 0:
            break
    assert killed >= 8


@pytest.mark.parametrize("command", ["insert", "findAndModify", pytest.param("update", marks=pytest.mark.soak)])
def test_a_lost_answer_costs_a_number_at_most(
    server: Mongod, documents: Documents, short_folder: Path, command: str
) -> None:
    """The command takes effect. On a replica set the driver asks again, and gets the same answer."""
    counters = documents["GeneralChatCounters"]
    if command == "findAndModify":
        counters.insert_one(counter(4, "ann"))
    elif command == "update":
        counters.insert_one(counter("4", "ann"))
    listening = short_folder / "p.sock"
    proxy = LossyProxy(listening, server.socket_path, command)
    uri = f"mongodb://{str(listening).replace('/', '%2F')}/?directConnection=true"
    connection = connect(uri, documents.name, timeout_seconds=10)
    numbers = ChatNumbers(connection, Settings())
    first = 1 if command == "insert" else 5
    proxy.lose = 1
    if server.replica_set:
        assert numbers.next_number("acme", "ann") == first
    else:
        with pytest.raises(Unreachable):
            numbers.next_number("acme", "ann")
        assert numbers.next_number("acme", "ann") == first + 1
    assert proxy.lost == 1
    assert counters.count_documents({}) == 1
    connection.client.close()
    proxy.close()
