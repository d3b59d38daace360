"""Faults of PostgreSQL and of its clients: nothing is lost, doubled or half done, and each error is one clear line."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, text

from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, NotAllowed, Overdue, Unreachable
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatMessageRequest,
    CreateChatThreadRequest,
)
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.threads import adding
from chatstore_cli.postgres.threads.rows import insert_messages
from chatstore_cli.postgres.threads.store import PostgresThreadStore
from tests.support.mongod import poll
from tests.support.paths import ROOT
from tests.support.postgres import UNPRIVILEGED, Postgres
from tests.support.started_together import run_together

pytestmark = pytest.mark.real
PASSWORD = "s3cret:/@?#%"


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    """A database with the tables."""
    name = postgres.new_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def open_repository() -> Iterator[Callable[..., StoredConversations]]:
    """A repository over a connection string, closed after the test."""
    databases: list[PostgresDatabase] = []

    def opened(uri: str, **settings: Any) -> StoredConversations:
        databases.append(PostgresDatabase(uri, **settings))
        return StoredConversations(PostgresThreadStore(databases[-1]))

    yield opened
    for database in databases:
        database.close()


@pytest.fixture
def user(postgres: Postgres, name: str) -> Iterator[str]:
    """A user with a password and no rights."""
    user = f"user_{name}"
    postgres.create_user(user, PASSWORD)
    yield user
    postgres.run(f"DROP OWNED BY {user}", name)
    postgres.run(f"DROP ROLE {user}")


def new_thread(repository: StoredConversations) -> ChatThread:
    return repository.create_thread(CreateChatThreadRequest(user_id="alice", org_id="acme", name="A thread"))


def request(thread_id: str, text: str, message_id: str | None = None) -> CreateChatMessageRequest:
    content = {"type": "text", "text": text}
    return CreateChatMessageRequest(
        chat_thread_id=thread_id, sender_role="user", content=content, message_id=message_id
    )


def error_of(call: Callable[[], object]) -> ChatstoreError:
    """The error of a call, which comes at once: nothing is repeated that would fail again."""
    started = time.monotonic()
    with pytest.raises(ChatstoreError) as caught:
        call()
    assert time.monotonic() - started < 60  # the time limit of these calls is longer
    assert "\n" not in caught.value.as_text()
    return caught.value


# --- the server restarts


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_restart_under_load_loses_and_doubles_nothing(
    how: str, start_postgres: Callable[..., Postgres], open_repository: Callable[..., StoredConversations]
) -> None:
    server = start_postgres()
    repository = open_repository(server.uri(server.new_database()), timeout_seconds=60)
    thread = new_thread(repository)
    restarted = False

    def write(writer: int) -> int:
        number = 0
        after = 0
        while after < 5:
            after += restarted
            repository.create_message(request(thread.id, "x", f"{writer}-{number}"))
            number += 1
        return number

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, writer) for writer in range(3)]
        poll(lambda: len(repository.get_messages(thread.id)) >= 10, what="ten messages")
        getattr(server, how)()
        server.start()
        restarted = True
        numbers = [writer.result() for writer in writers]
    messages = repository.get_messages(thread.id)
    assert [message.sequence for message in messages] == list(range(1, sum(numbers) + 1))
    for writer, number in enumerate(numbers):
        own = [message.id for message in messages if message.id.startswith(f"{writer}-")]
        assert own == [f"{writer}-{each}" for each in range(number)]


def test_connections_that_the_server_closed_are_replaced(
    postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(postgres.uri(name))
    thread = new_thread(repository)
    postgres.run(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
    assert repository.create_message(request(thread.id, "one")).sequence == 1
    postgres.run(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
    assert len(repository.get_messages(thread.id)) == 1


def test_a_connection_that_is_lost_before_the_messages_are_sent_is_replaced(
    postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(postgres.uri(name))
    thread = new_thread(repository)
    lost: list[bool] = []

    def insert_over_a_lost_connection(connection: Connection, messages: Sequence[ChatMessage]) -> None:
        if not lost:
            lost.append(True)
            backend = connection.scalar(text("SELECT pg_backend_pid()"))
            postgres.run(f"SELECT pg_terminate_backend({backend}, 10000)")
        insert_messages(connection, messages)

    monkeypatch.setattr(adding, "insert_messages", insert_over_a_lost_connection)
    assert repository.create_messages([request(thread.id, each) for each in ("one", "two")])[-1].sequence == 2
    assert [message.content["text"] for message in repository.get_messages(thread.id)] == ["one", "two"]
    assert lost


def test_a_server_that_is_gone_is_reported_after_the_time_limit(
    short_folder: Path, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(f"postgresql://postgres@/x?host={short_folder}", timeout_seconds=0.5)
    error = error_of(repository.list_threads)
    assert error.exit_code == ExitCode.UNREACHABLE
    assert "Listing threads failed: " in error.message


# --- the client is killed

CLIENT = """
import sys
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.threads import adding
from chatstore_cli.postgres.threads.rows import insert_messages
from chatstore_cli.postgres.threads.store import PostgresThreadStore

def messages():
    for number in range(2_500):
        yield ChatMessage(id=f"m{number}", chat_thread_id="t", sender_role="user", content={"n": number})
    print("ready", flush=True)
    sys.stdin.read()

repository = StoredConversations(PostgresThreadStore(PostgresDatabase(sys.argv[1])))
repository.import_thread(ChatThread(id="t", user_id="alice", org_id="acme", name="half"), messages())
"""


def test_a_client_that_is_killed_in_a_transaction_leaves_nothing(
    postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, postgres.uri(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert client.stdout is not None
    assert client.stdin is not None
    assert client.stdout.readline() == b"ready\n"
    client.kill()
    client.wait()
    client.stdin.close()
    client.stdout.close()
    repository = open_repository(postgres.uri(name))
    # The server notices that the connection is closed, and rolls back. Until then the id waits for it.
    repository.import_thread(ChatThread(id="t", user_id="alice", org_id="acme", name="whole"), [])
    assert [thread.name for thread in repository.list_threads()] == ["whole"]
    assert postgres.run("SELECT count(*) FROM chat_messages", name) == [(0,)]


WRITER = """
import sys
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.threads.models import CreateChatMessageRequest
from chatstore_cli.postgres.database import PostgresDatabase
from chatstore_cli.postgres.threads import adding
from chatstore_cli.postgres.threads.rows import insert_messages
from chatstore_cli.postgres.threads.store import PostgresThreadStore

uri, thread_id, writer = sys.argv[1:]
repository = StoredConversations(PostgresThreadStore(PostgresDatabase(uri, timeout_seconds=60)))
print("ready", flush=True)
sys.stdin.readline()
for number in range(100):
    identity = {"chat_thread_id": thread_id, "message_id": f"{writer}-{number}"}
    repository.create_message(CreateChatMessageRequest(**identity, sender_role="user", content={"text": "x"}))
"""


def test_two_processes_add_to_one_thread_each_in_its_own_order(
    postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(postgres.uri(name))
    thread = new_thread(repository)
    run_together(WRITER, [(postgres.uri(name), thread.id, writer) for writer in "ab"])
    messages = repository.get_messages(thread.id)
    assert [message.sequence for message in messages] == list(range(1, 201))
    for name_of_writer in "ab":
        own = [message.id for message in messages if message.id.startswith(name_of_writer)]
        assert own == [f"{name_of_writer}-{number}" for number in range(100)]


# --- users and rights


def test_a_wrong_password_is_never_shown(
    postgres: Postgres,
    name: str,
    user: str,
    open_repository: Callable[..., StoredConversations],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "wr0ng:/@?#%"
    for uri in (
        postgres.uri(name, user=user, password=wrong),
        f"{postgres.uri(name, user=user)}&password={quote(wrong, safe='')}",
    ):
        repository = open_repository(uri, timeout_seconds=300)
        error = error_of(lambda repository=repository: new_thread(repository))
        assert isinstance(error, NotAllowed)
        assert "rejects the user or the password" in error.message
        texts = [*traceback.format_exception(error), repr(error), repr(repository), caplog.text]
        assert not [text for text in texts if "wr0ng" in text]


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://bob:{PASSWORD}@host:port/x",
        f"postgresql://bob:{PASSWORD}@host/x",
        "postgresql://bob:s3cret@host:port/x",
        "postgresql://bob:s3cret@host/x?unknown=s3cret",
        f"mysql://bob:{PASSWORD}@h/x",
        "x",
    ],
)
def test_a_connection_string_that_cannot_be_read_is_masked(uri: str) -> None:
    error = error_of(lambda: PostgresDatabase(uri))
    assert error.exit_code == ExitCode.WRONG_USE
    assert "s3cret" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("user", ["nobody_knows_me", "database does not exist"])
def test_an_unknown_user_is_rejected_at_once(
    user: str, postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(postgres.uri(name, user=user, password="x"), timeout_seconds=300)
    assert isinstance(error_of(repository.list_threads), NotAllowed)


def test_a_user_who_may_not_connect_is_rejected_at_once(
    postgres: Postgres, name: str, user: str, open_repository: Callable[..., StoredConversations]
) -> None:
    postgres.run(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    repository = open_repository(postgres.uri(name, user=user, password=PASSWORD), timeout_seconds=300)
    error = error_of(repository.list_threads)
    assert isinstance(error, NotAllowed)
    assert "permission denied for database" in error.message


def test_a_user_who_may_only_read_reads(
    postgres: Postgres, name: str, user: str, open_repository: Callable[..., StoredConversations]
) -> None:
    thread = new_thread(open_repository(postgres.uri(name)))
    postgres.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}", name)
    repository = open_repository(postgres.uri(name, user=user, password=PASSWORD), timeout_seconds=300)
    assert repository.get_thread(thread.id) == thread
    for call in (
        lambda: new_thread(repository),
        lambda: repository.create_message(request(thread.id, "one")),
        lambda: repository.delete_thread(thread.id),
    ):
        error = error_of(call)
        assert isinstance(error, NotAllowed)
        assert "permission denied for table chat_threads" in error.message


def test_the_rights_of_the_documentation_suffice(
    postgres: Postgres, name: str, user: str, open_repository: Callable[..., StoredConversations]
) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    grants = re.findall(r"^(GRANT .* TO) chats_writer;$", page, re.MULTILINE)
    assert len(grants) == 2
    for grant in grants:
        postgres.run(f"{grant} {user}", name)
    repository = open_repository(postgres.uri(name, user=user, password=PASSWORD))
    thread = new_thread(repository)
    message = repository.create_message(request(thread.id, "one"))
    repository.edit_message(message.id, {"text": "two"})
    repository.fork_thread(thread.id)
    assert repository.delete_message(message.id)
    assert repository.delete_thread(thread.id)


def test_a_read_only_session_is_reported(
    postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    thread = new_thread(open_repository(postgres.uri(name)))
    uri = postgres.uri(name, options="-c default_transaction_read_only=on")
    repository = open_repository(uri, timeout_seconds=300)
    assert repository.get_thread(thread.id) == thread
    error = error_of(lambda: repository.create_message(request(thread.id, "one")))
    assert isinstance(error, NotAllowed)
    assert "read-only" in error.message


# --- what is missing, slow or full


def test_a_missing_database_is_reported_at_once(
    postgres: Postgres, open_repository: Callable[..., StoredConversations]
) -> None:
    repository = open_repository(postgres.uri("nothing_here"), timeout_seconds=300)
    error = error_of(repository.list_threads)
    assert isinstance(error, Unreachable)
    assert 'database "nothing_here" does not exist' in error.message


def test_a_database_without_tables_is_reported_at_once(
    postgres: Postgres, open_repository: Callable[..., StoredConversations]
) -> None:
    name = postgres.new_database(migrated=False)
    repository = open_repository(postgres.uri(name), timeout_seconds=300)
    error = error_of(repository.list_threads)
    assert error.exit_code == ExitCode.UNREACHABLE
    assert error.hint == "Run chatstore threads migrate."
    postgres.drop_database(name)


@pytest.mark.parametrize("call", ["read", "write"])
def test_a_locked_table_ends_the_call_at_the_time_limit(
    call: str, postgres: Postgres, name: str, open_repository: Callable[..., StoredConversations]
) -> None:
    patient, repository = open_repository(postgres.uri(name)), open_repository(postgres.uri(name), timeout_seconds=0.3)
    thread = new_thread(patient)

    def is_connected() -> bool:
        with contextlib.suppress(ChatstoreError):
            return repository.get_thread(thread.id) == thread
        return False

    poll(is_connected, what="a connection, which may take longer than the time limit")
    with postgres.connect(name, autocommit=False) as other:
        other.execute("LOCK TABLE chat_threads IN ACCESS EXCLUSIVE MODE")
        error = error_of(
            lambda: (
                repository.get_thread(thread.id)
                if call == "read"
                else repository.create_message(request(thread.id, "one"))
            )
        )
    assert isinstance(error, Overdue)
    assert patient.create_message(request(thread.id, "one")).sequence == 1


def test_a_full_disk_is_reported_and_the_repetition_completes(
    postgres: Postgres, small_disk: Callable[[str], Path], open_repository: Callable[..., StoredConversations]
) -> None:
    disk = small_disk("size=24m,mode=0777")
    for folder in (disk, *disk.parents):
        if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2:
            folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(disk, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
    name = postgres.new_database()
    postgres.run(f"CREATE TABLESPACE small LOCATION '{disk}'")
    postgres.run(f"ALTER DATABASE {name} SET TABLESPACE small")
    repository = open_repository(postgres.uri(name))
    thread = new_thread(repository)

    def requests() -> Iterator[list[CreateChatMessageRequest]]:
        for number in range(40):
            noise = os.urandom(400_000).hex()
            yield [request(thread.id, noise, f"{number}-{each}") for each in range(2)]

    stored: list[str] = []
    failed: list[CreateChatMessageRequest] = []
    for both in requests():
        try:
            stored += [message.id for message in repository.create_messages(both)]
        except ChatstoreError as error:
            assert "the disk of the server is full" in error.message
            assert error.exit_code == ExitCode.FAILED
            failed = both
            break
    assert failed
    assert [message.id for message in repository.get_messages(thread.id)] == stored
    small_disk("size=64m")
    repository.create_messages(failed)
    assert len(repository.get_messages(thread.id)) == len(stored) + 2
    postgres.drop_database(name)
    postgres.run("DROP TABLESPACE small")
