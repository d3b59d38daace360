"""MongoThreadStore while the database fails: errors are translated, a transient one is repeated, nothing is half-done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict, NotAllowed, Unreachable
from chatstore_cli.domain.threads.ports import ALL, ANYONE, Owner
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.mongo.threads.store import MongoThreadStore
from tests.mongo.threads.test_store import LATER, ids, message, thread
from tests.support.at_command import AtCommand
from tests.support.mongod import Mongod

pytestmark = pytest.mark.real
FailPoint = Callable[..., AbstractContextManager[None]]

COMMANDS = ["find", "aggregate", "insert", "update", "delete", "findAndModify", "commitTransaction", "listCollections"]


def calls(store: MongoThreadStore) -> dict[str, Callable[[], Any]]:
    """Every method of the store, with the thread `t` and its message `a`."""
    return {
        "insert_thread": lambda: store.insert_thread(thread("new")),
        "find_thread": lambda: store.find_thread("t", ANYONE),
        "change_thread": lambda: store.change_thread("t", {"name": "x"}, LATER, ANYONE),
        "newest_threads": lambda: store.newest_threads(ANYONE, 10),
        "add_messages": lambda: store.add_messages("t", [message("b")], ANYONE),
        "messages": lambda: list(store.messages("t", ALL, ANYONE)),
        "find_message": lambda: store.find_message("a", ANYONE),
        "replace_content": lambda: store.replace_content("a", {"x": 1}, LATER, ANYONE),
        "newest_summary": lambda: store.newest_summary("t", ANYONE),
        "insert_whole_thread": lambda: store.insert_whole_thread(
            thread("w"), [message("w1", thread_id="w", sequence=1)]
        ),
        "remove_message": lambda: store.remove_message("a", LATER, ANYONE),
        "clear_messages": lambda: store.clear_messages("t", ANYONE),
        "remove_thread": lambda: store.remove_thread("t", ANYONE),
    }


@pytest.fixture(autouse=True)
def driver_that_looks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver waits 0.5 s before it asks a server again that did not answer."""
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.01)


@pytest.fixture
def store(server_connection: Connection) -> MongoThreadStore:
    """A store with a thread `t`, which has one message `a`."""
    store = MongoThreadStore(server_connection, Settings())
    store.insert_thread(thread("t"))
    store.add_messages("t", [message("a")], ANYONE)
    return store


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param({"errorCode": 6}, id="host unreachable"),
        # After each lost connection the driver waits half a second.
        pytest.param({"closeConnection": True}, id="connection closed", marks=pytest.mark.soak),
    ],
)
def test_every_call_reports_that_the_database_is_gone_and_works_once_it_is_back(
    store: MongoThreadStore, thread_server: Mongod, fail_point: FailPoint, failure: dict[str, Any]
):
    client = thread_server.client()
    for name, call in calls(store).items():
        with fail_point(COMMANDS, client=client, **failure), pytest.raises(Unreachable):
            call()
        call()
        assert name in ("remove_thread", "clear_messages", "remove_message") or ids(store)[:1] == ["a"]
    assert store.find_thread("t", ANYONE) is None
    assert list(store.messages("w", ALL, ANYONE)) != []


def test_no_server_at_all_is_reported_soon(short_folder: Any):
    uri = f"mongodb://{str(short_folder / 'none.sock').replace('/', '%2F')}/"
    store = MongoThreadStore(connect(uri, "x", timeout_seconds=0.05), Settings())
    for call in calls(store).values():
        with pytest.raises(Unreachable):
            call()


@pytest.mark.parametrize("command", ["findAndModify", "insert", "commitTransaction"])
def test_an_interrupted_transaction_is_repeated(connection: Connection, fail_point: FailPoint, command: str):
    store = MongoThreadStore(connection, Settings())
    store.insert_thread(thread("t"))
    store.add_messages("t", [message("a")], ANYONE)
    for name, failure in (
        ("b", {"closeConnection": True}),
        ("c", {"errorCode": 112, "errorLabels": ["TransientTransactionError"]}),
    ):
        with fail_point([command], times=1, **failure):
            assert store.add_messages("t", [message(name)], ANYONE)
    assert ids(store) == ["a", "b", "c"]
    assert (connection.database["chat_threads"].find_one({"_id": "t"}) or {})["last_sequence"] == 3


def test_threads_of_one_process_that_add_at_once(store: MongoThreadStore):
    failures: list[Exception] = []

    def add(number: int) -> None:
        try:
            for place in range(4):
                store.add_messages("t", [message(f"{number}-{place}")], ANYONE)
        except Exception as error:  # noqa: BLE001 - reported to the test
            failures.append(error)

    adding = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for each in adding:
        each.start()
    for each in adding:
        each.join()
    assert failures == []
    stored = ids(store)
    assert len(stored) == 33
    for number in range(8):
        assert [each for each in stored if each.startswith(f"{number}-")] == [f"{number}-{place}" for place in range(4)]


def listening(server: Mongod, connection: Connection, listener: AtCommand) -> MongoThreadStore:
    """A store of the same database whose commands the listener hears."""
    return MongoThreadStore(
        connect(server.uri, connection.database.name, timeout_seconds=10, listener=listener), Settings()
    )


@pytest.mark.parametrize("change", ["deleted", "given away"])
def test_a_thread_that_is_lost_while_messages_are_added(
    store: MongoThreadStore, server_connection: Connection, thread_server: Mongod, change: str
):
    """Before each command of the call the thread goes away: the messages were stored before that, or none is left."""
    database = server_connection.database
    reached = True
    number = 0
    while reached:
        number += 1
        database["chat_threads"].delete_many({})
        database["chat_thread_messages"].delete_many({})
        store.insert_thread(thread("t"))
        lose = (
            (lambda: store.remove_thread("t", ANYONE))
            if change == "deleted"
            else (lambda: store.change_thread("t", {"user_id": "bob"}, LATER, ANYONE))
        )
        losing = threading.Thread(target=lose)

        def begin(losing: threading.Thread = losing) -> None:
            losing.start()
            if not thread_server.replica_set:  # there it waits for the end of the transaction
                losing.join()

        at = AtCommand(number, begin)
        added = listening(thread_server, server_connection, at).add_messages("t", [message("m")], Owner("alice"))
        reached = at.reached
        if reached:
            losing.join()
            stored = database["chat_thread_messages"].count_documents({})
            assert stored == (0 if added is None or change == "deleted" else 1)
    assert number > 5


def test_a_user_who_may_only_read(start_mongod: Callable[..., Mongod]):
    server = start_mongod(auth=True, reader_database="chats")
    admin = MongoThreadStore(connect(server.uri, "chats", timeout_seconds=10), Settings())
    admin.insert_thread(thread("t"))
    admin.add_messages("t", [message("a")], ANYONE)
    reader = MongoThreadStore(connect(server.reader_uri, "chats", timeout_seconds=10), Settings())
    reading = {"find_thread", "newest_threads", "messages", "find_message", "newest_summary"}
    for name, call in calls(reader).items():
        if name in reading:
            call()
        else:
            with pytest.raises(NotAllowed):
                call()
    assert ids(admin) == ["a"]


def test_ids_are_exact_under_a_collation(server_connection: Connection):
    for name in ("chat_threads", "chat_thread_messages"):
        server_connection.database.create_collection(name, collation={"locale": "en", "strength": 2})
    store = MongoThreadStore(server_connection, Settings())
    store.insert_thread(thread("t", user_id="ann"))
    store.add_messages("t", [message("a"), message("b")], ANYONE)
    assert store.find_thread("T", ANYONE) is None
    assert list(store.messages("T", ALL, ANYONE)) == list(store.messages("t", ALL, Owner("ANN"))) == []
    assert ids(store, owner=Owner("ann")) == ["a", "b"]
    assert store.find_message("A", ANYONE) is None
    assert store.change_thread("T", {"name": "x"}, LATER, ANYONE) is None
    assert not store.remove_message("A", LATER, ANYONE)
    assert store.newest_threads(Owner("Ann"), 9) == []
    with pytest.raises(Conflict, match="collation"):
        store.add_messages("t", [message("A")], ANYONE)
    assert store.replace_content("b", {"x": 1}, LATER, Owner("ann")) is not None
    assert not store.remove_thread("T", ANYONE)
    assert store.remove_thread("t", Owner("ann"))
    assert server_connection.database["chat_thread_messages"].count_documents({}) == 0


def test_writes_without_acknowledgement_are_acknowledged_here(server_connection: Connection, thread_server: Mongod):
    silent = connect(
        thread_server.uri, server_connection.database.name, timeout_seconds=10, write_concern="0", journaled=False
    )
    store = MongoThreadStore(silent, Settings())
    store.insert_thread(thread("t"))
    assert store.add_messages("t", [message("a")], ANYONE)
    assert store.add_messages("u", [message("b", thread_id="u")], ANYONE) is None
