"""kill -9 and several processes at once while threads are written: nothing half-made is visible, and repeating completes."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.threads.models import ChatThread
from chatstore_cli.mongo.threads.documents import thread_document
from tests.support.forked_jobs import ForkedJobs
from tests.support.kill_at_command import INSTANTS
from tests.support.mongod import Mongod
from tests.support.thread_writers import NOON, conversations, writers

pytestmark = pytest.mark.real
SEED = int(os.environ.get("CHATSTORE_TEST_SEED", "20260302"))
_MOST_COMMANDS = 40
SOAK = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(params=["mongod", "standalone"])
def server(request: pytest.FixtureRequest) -> Mongod:
    """A server with transactions, and one without."""
    server: Mongod = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def documents(server: Mongod) -> Iterator[Database[dict[str, Any]]]:
    """An empty database on that server."""
    client = server.client()
    database = client[f"test_{uuid.uuid4().hex[:12]}"]
    yield database
    client.drop_database(database.name)


@pytest.fixture
def threads(server: Mongod, documents: Database[dict[str, Any]]) -> Any:
    """The threads of that database."""
    return conversations(server.uri, documents.name)


@pytest.fixture(scope="module")
def all_writers() -> Iterator[ForkedJobs]:
    """The processes of all tests."""
    with writers() as processes:
        yield processes


@pytest.fixture
def processes(all_writers: ForkedJobs, server: Mongod, documents: Database[dict[str, Any]]) -> ForkedJobs:
    """Processes that write to that database."""
    all_writers.write_to(server.uri, documents.name)
    return all_writers


def begin(documents: Database[dict[str, Any]], threads: Any) -> None:
    """A thread `t` with five messages, and nothing else."""
    for name in ("chat_threads", "chat_thread_messages"):
        documents[name].delete_many({})
    thread = ChatThread(id="t", user_id="alice", org_id="acme", name="t", created_at=NOON, updated_at=NOON)
    documents["chat_threads"].insert_one(thread_document(thread, 0))
    stored = threads.create_messages(requests("old", 5))
    assert [message.sequence for message in stored] == [1, 2, 3, 4, 5]


def requests(prefix: str, number: int) -> list[Any]:
    """Messages with the ids `<prefix>0`, `<prefix>1`, ..."""
    from chatstore_cli.domain.threads.models import CreateChatMessageRequest

    return [
        CreateChatMessageRequest(
            chat_thread_id="t",
            sender_role="user",
            content={"type": "text", "text": str(place)},
            message_id=f"{prefix}{place}",
        )
        for place in range(number)
    ]


def end_transactions_of_the_dead(server: Mongod) -> None:
    """What the server does by itself 60 seconds after it began a transaction."""
    if server.replica_set:
        server.client().admin.command({"killAllSessions": []})


def ids(threads: Any, thread_id: str = "t") -> list[str]:
    """The messages that a reader sees."""
    return [message.id for message in threads.get_messages(thread_id)]


OLD = [f"old{number}" for number in range(5)]


def assert_killed_or_whole(work: str, threads: Any, server: Mongod) -> None:
    """What a reader sees after a kill."""
    if work == "add":
        seen = ids(threads)
        assert seen[:5] == OLD
        assert seen[5:] == [f"new{number}" for number in range(len(seen) - 5)]
        assert len(seen) in ((5, 8) if server.replica_set else range(5, 9))
    if work == "delete":
        assert ids(threads) in ([], OLD)
        assert (threads.get_thread("t") is None) == (ids(threads) == [])
    for thread in threads.list_threads():
        if thread.id != "t":
            assert len(ids(threads, thread.id)) == 5


def complete(work: str, threads: Any) -> None:
    """Repeat what was killed, and check that it is whole then."""
    if work == "add":
        stored = threads.create_messages(requests("new", 3))
        assert [message.sequence for message in stored] == [6, 7, 8]
        assert ids(threads) == [*OLD, "new0", "new1", "new2"]
        assert threads.get_thread("t").updated_at > NOON
        assert threads.create_messages(requests("next", 1))[0].sequence == 9
    if work == "fork":
        assert len(ids(threads, threads.fork_thread("t").id)) == 5
    if work == "delete":
        threads.delete_thread("t")
        assert ids(threads) == []
    if work == "import":
        from tests.support.thread_writers import bring_in

        try:
            bring_in(threads, {})
        except Conflict as error:
            assert "exists" in error.message  # the killed process had finished
        assert ids(threads, "w") == [f"w{number}" for number in range(1, 6)]


@pytest.mark.parametrize(("work", "least"), [("add", 3), ("fork", 5), ("import", 5), ("delete", 3)])
def test_killed_at_any_command(
    server: Mongod, documents: Database[dict[str, Any]], threads: Any, processes: ForkedJobs, work: str, least: int
):
    killed = 0
    for number in range(1, _MOST_COMMANDS):
        begin(documents, threads)
        job = {"work": work, "prefix": "new", "messages": 3, "size": 3}
        [code] = processes.run({**job, "kill_at": ["after", number]})
        assert code in (0, -9)
        assert_killed_or_whole(work, threads, server)
        end_transactions_of_the_dead(server)
        complete(work, threads)
        if code == 0:
            break
        killed += 1
    assert killed >= least


@pytest.mark.parametrize("rounds", [pytest.param(3, id="3"), pytest.param(300, id="300", marks=SOAK)])
def test_killed_at_random(
    server: Mongod, documents: Database[dict[str, Any]], threads: Any, processes: ForkedJobs, rounds: int
):
    chance = random.Random(SEED)
    for _ in range(rounds):
        begin(documents, threads)
        kills = [[chance.choice(INSTANTS), chance.randint(3, 20), chance.uniform(0, 3)] for _ in range(2)]
        jobs = [{"work": "add", "prefix": f"p{n}-", "messages": 30, "kill_at": kill} for n, kill in enumerate(kills)]
        assert set(processes.run(*jobs)) <= {0, -9}
        end_transactions_of_the_dead(server)
        for name in ("p0-", "p1-"):
            own = [each for each in ids(threads) if each.startswith(name)]
            assert own == [f"{name}{number}" for number in range(len(own))]
            threads.create_messages(requests(name, 30))
        sequences = [message.sequence for message in threads.get_messages("t")]
        assert len(set(sequences)) == 65
        assert sequences == sorted(sequences)


@pytest.mark.parametrize(
    ("number", "messages"),
    [
        pytest.param(2, 40, id="2"),
        pytest.param(2, 1_000, id="1000", marks=SOAK),
        pytest.param(50, 40, id="50", marks=SOAK),
    ],
)
def test_processes_that_add_to_one_thread(
    documents: Database[dict[str, Any]], threads: Any, processes: ForkedJobs, number: int, messages: int
):
    begin(documents, threads)
    jobs = [{"work": "add", "prefix": f"p{place}-", "messages": messages} for place in range(number)]
    assert processes.run(*jobs) == [0] * number
    stored = threads.get_messages("t")[5:]
    assert len({message.sequence for message in stored}) == number * messages
    for process in range(number):
        own = [message.id for message in stored if message.id.startswith(f"p{process}-")]
        assert own == [f"p{process}-{place}" for place in range(messages)]
    thread = documents["chat_threads"].find_one({"_id": "t"}) or {}
    assert thread["last_sequence"] == stored[-1].sequence


def test_a_thread_that_is_deleted_while_another_process_adds(
    documents: Database[dict[str, Any]], threads: Any, processes: ForkedJobs
):
    begin(documents, threads)
    processes.start({"work": "add", "prefix": "new", "messages": 100_000, "until_deleted": True})
    while len(threads.get_messages("t", limit=8)) < 8:
        pass
    assert threads.delete_thread("t")
    assert processes.wait() == [0]
    assert ids(threads) == []
    assert documents["chat_thread_messages"].count_documents({}) == 0


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_transaction_of_a_killed_process_only_delays_other_writers(
    documents: Database[dict[str, Any]], threads: Any, processes: ForkedJobs
):
    begin(documents, threads)
    [code] = processes.run({"work": "add", "prefix": "new", "messages": 3, "size": 3, "kill_at": ["after", 2]})
    assert code == -9
    complete("add", threads)
