"""What PostgreSQL adds to the contract of threads: indexes, streams, lost answers, concurrent changes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import Conflict, Overdue, ThreadNotFound
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
)
from chatstore_cli.domain.threads.ports import ANYONE, Owner
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.threads.store import PostgresThreadStore
from tests.support.mongod import poll
from tests.support.postgres import Postgres


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    """A database with the tables."""
    name = postgres.new_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def repository(postgres: Postgres, name: str) -> Iterator[StoredConversations]:
    """A repository over the database."""
    database = PostgresDatabase(postgres.uri(name), timeout_seconds=10)
    yield StoredConversations(PostgresThreadStore(database))
    database.close()


def new_thread(repository: StoredConversations, user: str = "alice") -> ChatThread:
    return repository.create_thread(CreateChatThreadRequest(user_id=user, org_id="acme", name="A thread"))


def request(thread: ChatThread, text: str, message_id: str | None = None) -> CreateChatMessageRequest:
    content = {"type": "text", "text": text}
    return CreateChatMessageRequest(
        chat_thread_id=thread.id, sender_role="user", content=content, message_id=message_id
    )


def fill(postgres: Postgres, name: str, thread: ChatThread, number: int) -> None:
    """Store many messages with one statement."""
    postgres.run(
        f"""INSERT INTO chat_messages SELECT '{thread.id}-' || n, '{thread.id}', NULL, 'user', '{{"text": "x"}}', NULL,
            now(), now(), n FROM generate_series(1, {number}) AS n""",
        name,
    )


@pytest.mark.parametrize(
    ("owner", "index"),
    [
        (ANYONE, "chat_threads_updated_idx"),
        (Owner("alice"), "chat_threads_user_updated_idx"),
        (Owner(None, "acme"), "chat_threads_org_updated_idx"),
    ],
)
def test_a_page_of_threads_is_read_from_its_index(
    owner: Owner, index: str, postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[Any] = []

    def explain(_doing: str, operation: Any) -> list[Any]:
        with postgres_database.engine.connect() as connection:
            execute = connection.execute
            connection.exec_driver_sql("SET enable_seqscan = off")
            connection.exec_driver_sql("SET enable_bitmapscan = off")

            def explained(query: Any) -> list[Any]:
                compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
                statements.extend(
                    row[0] for row in connection.exec_driver_sql(f"EXPLAIN {compiled}".replace("%", "%%"))
                )
                return []

            monkeypatch.setattr(connection, "execute", explained)
            result: list[Any] = operation(connection)
            monkeypatch.setattr(connection, "execute", execute)
            return result

    monkeypatch.setattr(postgres_database, "read", explain)
    PostgresThreadStore(postgres_database).newest_threads(owner, 10)
    plan = "\n".join(statements)
    assert f"using {index}" in plan
    assert "Sort" not in plan


def test_owners_longer_than_an_index_allows_are_stored_and_found(repository: StoredConversations) -> None:
    owners = ["".join(chr(0x20000 + (number * 7919 + place) % 40_000) for place in range(10_000)) for number in (1, 2)]
    for owner in owners:
        repository.import_thread(ChatThread(id=owner[:200], user_id=owner, org_id=owner[::-1], name=owner), [])
    for owner in owners:
        assert [thread.user_id for thread in repository.list_threads(user_id=owner)] == [owner]
        assert [thread.user_id for thread in repository.list_threads(org_id=owner[::-1])] == [owner]
    assert repository.list_threads(user_id=owners[0][:200]) == []


def test_many_messages_are_streamed(postgres: Postgres, name: str, repository: StoredConversations) -> None:
    thread = new_thread(repository)
    fill(postgres, name, thread, 2_500)
    messages = repository.iter_messages(thread.id)
    assert [next(messages).sequence for _ in range(2)] == [1, 2]  # the first one is fetched alone
    statement = f"SELECT query FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'FETCH FORWARD 1000 %'"
    assert len(postgres.run(statement)) == 1
    assert [message.sequence for message in messages] == list(range(3, 2_501))


def test_a_sequence_that_another_program_has_used_is_not_used_again(
    postgres: Postgres, name: str, repository: StoredConversations
) -> None:
    thread = new_thread(repository)
    fill(postgres, name, thread, 3)
    assert repository.create_message(request(thread, "four")).sequence == 4


def test_threads_are_copied_over_a_single_connection(postgres: Postgres, name: str) -> None:
    database = PostgresDatabase(postgres.uri(name), pool_size=1, max_overflow=0, timeout_seconds=5)
    repository = StoredConversations(PostgresThreadStore(database))
    thread = new_thread(repository)
    repository.create_messages([request(thread, str(number)) for number in range(5)])
    assert len(repository.get_messages(repository.fork_thread(thread.id).id)) == 5
    database.close()


def test_a_pool_without_a_free_connection_is_reported(postgres: Postgres, name: str) -> None:
    database = PostgresDatabase(postgres.uri(name), pool_size=1, max_overflow=0, timeout_seconds=1.5)
    repository = StoredConversations(PostgresThreadStore(database))
    patient = PostgresDatabase(postgres.uri(name), timeout_seconds=60)
    thread = new_thread(StoredConversations(PostgresThreadStore(patient)))
    StoredConversations(PostgresThreadStore(patient)).create_message(request(thread, "one"))
    patient.close()
    messages = repository.iter_messages(thread.id)
    next(messages)
    with pytest.raises(Overdue, match="every connection of the pool is in use") as caught:
        repository.get_thread(thread.id)
    assert "DB_POOL_SIZE" in str(caught.value.hint)
    messages.close()
    assert repository.get_thread(thread.id) is not None
    database.close()


# --- the answer to a commit is lost


def lossy_commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Break the connection after the next commit has reached the server. Gives the number of answers still to lose."""
    left, commit = [1], psycopg.Connection.commit

    def lossy(connection: psycopg.Connection[Any]) -> None:
        commit(connection)
        if left[0]:
            left[0] -= 1
            connection.close()
            raise psycopg.OperationalError("the connection was lost")

    monkeypatch.setattr(psycopg.Connection, "commit", lossy)
    return left


@pytest.mark.parametrize("call", ["create", "import", "add", "rename", "edit", "delete message", "clear", "delete"])
def test_a_change_whose_answer_is_lost_is_made_once_and_reported(
    call: str, repository: StoredConversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = new_thread(repository)
    one, two = repository.create_messages([request(thread, "one"), request(thread, "two")])
    left = lossy_commits(monkeypatch)
    if call == "create":
        new_thread(repository, "bob")
        assert len(repository.list_threads(user_id="bob")) == 1
    elif call == "import":
        copy = ChatThread(user_id="bob", org_id="acme", name="copy")
        repository.import_thread(copy, [ChatMessage(chat_thread_id=copy.id, sender_role="user", content={})])
        assert len(repository.get_messages(copy.id)) == 1
    elif call == "add":
        added = repository.create_messages([request(thread, "three"), request(thread, "four")])
        assert repository.get_messages(thread.id) == [one, two, *added]
        assert [message.sequence for message in added] == [3, 4]
    elif call == "rename":
        changed = repository.update_thread(thread.id, user_id="bob", owner=Owner("alice"))
        assert changed is not None
        assert changed == repository.get_thread(thread.id, with_messages=False)
    elif call == "edit":
        edited = repository.edit_message(one.id, {"text": "new"})
        assert edited is not None
        assert len(edited.edits) == 1
    elif call == "delete message":
        assert repository.delete_message(one.id) is True
        assert repository.get_messages(thread.id) == [two]
    elif call == "clear":
        assert repository.clear_messages(thread.id) == 2
    else:
        assert repository.delete_thread(thread.id) is True
        assert repository.get_thread(thread.id) is None
    assert left == [0]


def test_a_change_of_a_missing_thing_stays_false_without_a_lost_answer(repository: StoredConversations) -> None:
    thread = new_thread(repository)
    assert repository.delete_thread(thread.id) is True
    assert repository.delete_thread(thread.id) is False
    with pytest.raises(Conflict):
        repository.import_thread(new_thread(repository), [])


# --- several writers


def test_a_thread_that_is_deleted_while_another_adds_keeps_no_message(
    postgres: Postgres, name: str, repository: StoredConversations
) -> None:
    thread = new_thread(repository)
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool:
        with postgres.connect(name, autocommit=False) as other:
            other.execute("DELETE FROM chat_threads")
            adding = pool.submit(repository.create_message, request(thread, "late"))
            poll(lambda: postgres.run(waiting), what="one that waits")
        with pytest.raises(ThreadNotFound):
            adding.result()
    assert postgres.run("SELECT count(*) FROM chat_messages", name) == [(0,)]


@pytest.mark.parametrize("isolation", ["read committed", "serializable"])
def test_writers_of_one_thread_all_succeed(isolation: str, postgres: Postgres, name: str) -> None:
    options = f"-c default_transaction_isolation={isolation.replace(' ', chr(92) + ' ')}"
    database = PostgresDatabase(postgres.uri(name, options=options), timeout_seconds=30)
    repository = StoredConversations(PostgresThreadStore(database))
    thread = new_thread(repository)

    def write(writer: int) -> None:
        for number in range(10):
            repository.create_message(request(thread, f"{writer}", f"{writer}-{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    messages = repository.get_messages(thread.id)
    assert [message.sequence for message in messages] == list(range(1, 41))
    for writer in range(4):
        own = [message.id for message in messages if message.id.startswith(f"{writer}-")]
        assert own == [f"{writer}-{number}" for number in range(10)]
    database.close()


def test_the_same_ids_in_opposite_order_end_in_one_success_and_one_conflict(
    repository: StoredConversations,
) -> None:
    threads = [new_thread(repository) for _ in range(2)]
    ids = [f"m{number}" for number in range(50)]

    def add(number: int) -> str:
        requests = [request(threads[number], "x", each) for each in (ids if number else ids[::-1])]
        try:
            repository.create_messages(requests)
        except Conflict:
            return "conflict"
        return "stored"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(add, range(2))) == ["conflict", "stored"]
    assert sum(len(repository.get_messages(thread.id)) for thread in threads) == 50
